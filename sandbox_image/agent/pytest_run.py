"""Runs pytest, with what it does in each run alike done before the process was forked.

To begin takes pytest as long as all else that it does with a small file of tests: it imports its plugins, reads their hooks and
declares their options. A zygote has that done once for all of its children, each of which uses its own copy and parses the
options of its run into it. The zygote also runs a few tests of its own, which import and fill what is left. By CPU time a
child's pytest took 54 ms; it takes 40 with the configuration and 33 with both.

Left out: what pytest does from then on. One that makes its configuration in another way is run as it is.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import pathlib
import sys
from typing import Any

_OPTIONS = ("-q", "--tb=short", "--noconftest", "-p", "no:cacheprovider", "-c", "/dev/null")
_TIMES = 2
"""What a third rehearsal would save is less than what differs between two runs."""
_REHEARSED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rehearsed.py")
_prepared: list[Any] = []
"""pytest's configuration, before it knows of any run."""


def rehearse() -> None:
    """Have pytest run tests of ours. It writes nothing, and leaves nothing behind that a later run of it would meet."""
    from .reporter import Reporter

    path, argv, folder = list(sys.path), list(sys.argv), os.path.dirname(_REHEARSED)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for _ in range(_TIMES):
                main(_REHEARSED, folder, Reporter(null, "candidate", "rehearsed.py", folder), "--assert=plain", "--capture=no")
    finally:
        os.close(null)
        sys.path[:], sys.argv[:] = path, argv
        linecache.cache.pop(_REHEARSED, None)


def prepare() -> None:
    """Make a configuration for the next `main`: in a zygote, for all of its children."""
    from _pytest.config import get_config

    _prepared.append(get_config(list(_OPTIONS)))


def main(file: str, folder: str, reporter: Any, *options: str) -> int:
    """Run the tests in a file of `folder`, with a plugin that reports them. Returns pytest's exit code."""
    import pytest

    if _prepared:
        _hand_over(_prepared.pop())
    sys.argv[:] = ["pytest"]
    return int(pytest.main([*_OPTIONS, *options, "--rootdir", folder, file], plugins=[reporter]))


def _hand_over(config: Any) -> None:
    """Let pytest take this configuration where it would make its first."""
    import _pytest.config as room

    original = room.get_config

    def get_config(args: Any = (), plugins: Any = None, **options: Any) -> Any:
        room.get_config = original
        config.invocation_params = type(config.invocation_params)(args=args or (), plugins=plugins, dir=pathlib.Path.cwd())
        return config

    room.get_config = get_config
