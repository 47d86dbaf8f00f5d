"""Plain pytest over many pairs of a module and its tests: what `fidelity.py` compares verdicts with.

    python benchmarks/plain_pytest.py [--timeout SECONDS] < PAIRS.jsonl > OUTCOMES.jsonl

A pair is a line `{"module": ..., "candidate": ..., "tests": ...}`; the answer to it is a line
`{"passed": ..., "outcomes": {test: outcome}, "seconds": ..., "why": ...}`. Each pair runs in a fork of this process, in a folder
and a process group of its own, for `--timeout` seconds at most. pytest and the large libraries that pairs import are loaded
before the fork. Packages that the sandbox image does not have are hidden, so that a pair passes only if the image could run it.

Left out: protection. The suites run as this user; they are trusted as far as their authors are.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

TIMEOUT = 20.0
"""Seconds for one pair."""
_HEAVY = ("numpy", "scipy", "pandas", "sklearn", "sympy", "networkx", "torch")
_REQUIREMENTS = Path(__file__).resolve().parents[1] / "sandbox_image" / "requirements.txt"
_MOST = 65_536
"""Bytes kept of an outcome."""


class Hidden:
    """An import hook for packages that are installed here and not in the sandbox image; `own` may bear the name of one."""

    def __init__(self, own: str) -> None:
        self._names = _hidden() - {own}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Refuse a hidden package; leave the rest to the hooks that follow."""
        if path is None and name in self._names:
            raise ModuleNotFoundError(f"No module named {name!r} (the sandbox image does not have it)", name=name)
        return None


@functools.cache  # by reading the metadata of all that is installed, which takes longer than many a pair
def _hidden() -> frozenset[str]:
    text = _REQUIREMENTS.read_text()
    ours = {_plain(line.split("==")[0]) for line in text.splitlines() if line and not line.startswith("#")}
    packages = importlib.metadata.packages_distributions()
    return frozenset(name for name, owners in packages.items() if not any(_plain(owner) in ours for owner in owners))


class Recorder:
    """A pytest plugin that keeps the outcome of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.why = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep what decided: the call, or the phase around it that failed or skipped."""
        name = report.nodeid.partition("::")[2]
        if report.when == "call" or not report.passed:
            self.outcomes[name] = "failed" if "failed" in (report.outcome, self.outcomes.get(name)) else report.outcome
        if report.failed and not self.why:
            self.why = _last_line(str(report.longrepr))

    def pytest_collectreport(self, report: Any) -> None:
        """Keep why a file could not be collected."""
        if report.failed and not self.why:
            self.why = _last_line(str(report.longrepr))


def run(pair: dict[str, str], timeout: float = TIMEOUT) -> dict[str, Any]:
    """One pair under pytest, in a fork of this process."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plain-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / f"{pair['module']}.py").write_text(pair["candidate"], encoding="utf-8", errors="surrogatepass")
        (folder / f"test_{pair['module']}.py").write_text(pair["tests"], encoding="utf-8", errors="surrogatepass")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(folder, pair["module"], writer)
        os.close(writer)
        answer = _answer(reader, began + timeout)
        os.close(reader)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may not have its group yet
        os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(answer) if answer else {"passed": False, "outcomes": {}, "why": "no answer in time"}
    return found | {"seconds": time.monotonic() - began}


def _in_child(folder: Path, module: str, writer: int) -> None:
    """Become the process of one pair. Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        sys.meta_path.insert(0, Hidden(module))
        import pytest

        recorder = Recorder()
        options = ["-q", "-p", "no:cacheprovider", f"--rootdir={folder}", "-c", os.devnull, f"test_{module}.py"]
        code = int(pytest.main(options, plugins=[recorder]))
        passed = code == 0 and "passed" in recorder.outcomes.values()
        answer = json.dumps({"passed": passed, "outcomes": recorder.outcomes, "why": recorder.why[:200]}).encode()
        os.write(writer, answer[:_MOST] if len(answer) <= _MOST else b"")
    finally:
        os._exit(code)


def _answer(reader: int, until: float) -> bytes:
    """What the child writes before its time is over."""
    import select

    parts: list[bytes] = []
    while (left := until - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        part = os.read(reader, _MOST)
        if not part:
            return b"".join(parts)
        parts.append(part)
        with suppress(json.JSONDecodeError):
            json.loads(b"".join(parts))
            return b"".join(parts)  # whoever else holds the pipe's other end is not waited for
    return b""


def preload(pairs: list[dict[str, str]]) -> None:
    """Import pytest with its plugins, and the large libraries that these pairs name; look what is to be hidden."""
    from _pytest.config import get_config

    get_config()
    _hidden()
    text = "\n".join(pair[key] for pair in pairs for key in ("candidate", "tests"))
    for name in _HEAVY:
        if re.search(rf"^\s*(import|from) {name}\b", text, re.MULTILINE):
            __import__(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # a pool of threads does not live on in a fork


def _last_line(text: str) -> str:
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")] or text.strip().splitlines() or [""]
    return lines[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for each pair")
    timeout = parser.parse_args().timeout
    os.environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    pairs = [json.loads(line) for line in sys.stdin]
    preload(pairs)
    for pair in pairs:
        print(json.dumps(run(pair, timeout)), flush=True)


if __name__ == "__main__":
    main()
