"""Fumehood under the name of its distribution and its command: what `orchestrator` exports.

>>> import fumehood
>>> fumehood.run("print(1)").status
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import __all__ as __all__
from orchestrator import __dir__ as __dir__
from orchestrator import __getattr__ as __getattr__
from orchestrator import __version__ as __version__

if TYPE_CHECKING:
    from orchestrator import *  # noqa: F403  the same names, to a checker
