"""Between a candidate and its tests: all that crosses is data, and nothing that is judged says of itself that it is right.

The tests' side is `tests`, with `module`, `handles`, `operators`, `gradients` and `exceptions` over one `link`; the
candidate's side is `candidate`. `values` is the language of both, with `tables` for pandas, and `sharing` watches what both
have copies of.
"""

from . import hints as hints  # adds what it writes and reads to `values`
from . import tables as tables
