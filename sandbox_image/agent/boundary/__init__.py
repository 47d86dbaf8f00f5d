"""Between a candidate and its tests: all that crosses is data, and nothing that is judged says of itself that it is right.

The tests' side is `tests`, with `module`, `handles`, `operators`, `gradients` and `exceptions` over one `link`; the
candidate's side is `candidate`. `values` is the language of both, with `arrays` and `tables` for what libraries have, `wire`
sends it, and `sharing` watches what both have copies of.
"""

from . import arrays as arrays  # adds what it writes and reads to `values`
from . import hints as hints
from . import tables as tables
