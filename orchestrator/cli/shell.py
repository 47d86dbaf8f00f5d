"""`fumehood shell`: a session at the terminal."""

from __future__ import annotations

import codecs
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from orchestrator.cli.given import carried
from orchestrator.cli.messages import note, out, show
from orchestrator.cli.shared import Json, Processes, Terminated, ending_signals, limits_of, settings

if TYPE_CHECKING:
    from orchestrator.engine.background import SyncSession
    from orchestrator.types import ExecResult, Limits

_PROMPT = "sandbox$ "
_LINE = """\
[ -f /tmp/.environment ] && . /tmp/.environment
[ -f /tmp/.folder ] && cd "$(cat /tmp/.folder)"
trap 'export -p > /tmp/.environment; pwd > /tmp/.folder' EXIT
eval "$1"
"""
"""Runs one typed line as a shell would that has run those before it."""


def shell(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="File or folder to copy into it first (or PATH:NAME).")
    ] = None,
    image: Annotated[str, typer.Option(metavar="TAG", help="Sandbox image. [the default image]")] = "",
    gpu: Annotated[bool, typer.Option("--gpu", help="Use one of the GPUs that FUMEHOOD_GPUS names.")] = False,
    wall_time: Annotated[float | None, typer.Option(metavar="SECONDS", help="Wall time of each command. [30]")] = None,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help="Life time of the sandbox.")] = 3600.0,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of the sandbox, such as 512M. [2G]")] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help="Disk space in its folder. [128M]")] = None,
    output: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Size of stdout, and of stderr, of each command. [1M]")
    ] = None,
    processes: Processes = None,
    json_: Json = False,
) -> None:
    """Open a sandbox and run commands in it.

    Type commands. `cd` and `export` stay in effect, Ctrl-C ends the running command, `exit` or Ctrl-D ends the sandbox with
    all that is in it. It has no network; files leave it only as printed output.

    Where stdin is not a terminal, it is read as one shell script: `fumehood shell data.csv < script.sh`. With --json, each line
    is a command, and each result is one line of JSON.

    Exit code 0: the last command ended well; 1: it did not, also where `exit 7` names another number; 3: the sandbox failed.
    """
    limits = limits_of(memory=memory, disk=disk, output=output, wall_time=wall_time, cpu_time=wall_time, processes=processes)
    notes: list[str] = []
    brought = carried(files or (), limits.disk, notes)
    for said in notes:
        note(said)
    with _terminable(), _opened(limits, image, gpus=int(gpu), ttl=ttl) as session:
        for name, content in brought.items():
            session.write_file(name, content)
        if json_:
            results = _lines(session)
        elif sys.stdin.isatty():
            _greet(list(brought), ttl)
            results = _typed(session)
        else:
            results = iter([_run(session, ["sh", "-c", sys.stdin.read()])])
        last: ExecResult | None = None
        try:
            for last in results:
                _tell(last, as_json=json_)
        except _Left as left:
            last = left.result(last)
            if json_:
                _tell(last, as_json=True)
    raise typer.Exit(code_of(last))


class _Left(Exception):
    """Somebody typed `exit`, perhaps with a number."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        number = line.split()[1:2]
        self.code = int(number[0]) & 255 if number and number[0].isdecimal() else None
        """None without a number: that of the last command."""

    def result(self, last: ExecResult | None) -> ExecResult:
        """What came of the line itself, after the last command."""
        from orchestrator.types import ExecResult, Status

        if self.code is not None:
            return ExecResult(status=Status.RUNTIME_ERROR if self.code else Status.OK, exit_code=self.code)
        if last is None:
            return ExecResult(status=Status.OK, exit_code=0)
        return ExecResult(status=last.status, exit_code=last.exit_code, signal=last.signal)


def code_of(last: ExecResult | None) -> int:
    """The exit code after the last command: 0 or 1, since the others say what became of the sandbox and of this command."""
    return int(last is not None and last.status != "ok")


@contextmanager
def _opened(limits: Limits, image: str, **options: Any) -> Iterator[SyncSession]:
    from orchestrator.engine.background import Background
    from orchestrator.engine.engine import Engine

    chosen = settings(workers=1, **({"image": image} if image else {}))
    engine = Background(Engine(chosen, limits=limits, refill=False, ahead=False, preload=False))
    try:
        with engine.session(limits, **options) as session:
            yield session
    finally:
        engine.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM and a closed terminal close what is open."""

    def terminate(*_: object) -> NoReturn:
        raise Terminated

    before = {one: signal.signal(one, terminate) for one in ending_signals()}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _greet(names: list[str], ttl: float) -> None:
    import readline  # noqa: F401  what is typed can be edited from here on

    has = f", with {', '.join(names)}" if names else ""
    note(f"A sandbox of its own for {ttl / 60:g} minutes{has}. `exit` or Ctrl-D ends it, and all that is in it.")


def _typed(session: SyncSession) -> Iterator[ExecResult]:
    """Run what is typed, until somebody has had enough."""
    while not session.closed:
        try:
            line = input(_PROMPT)
        except EOFError:
            out("")
            return
        except KeyboardInterrupt:
            out("")
            continue
        if _is_exit(line):
            raise _Left(line)
        if line.strip():
            try:
                yield _run(session, _words(line))
            except KeyboardInterrupt:
                note("Interrupted.")


def _lines(session: SyncSession) -> Iterator[ExecResult]:
    """Run each line of stdin."""
    for line in sys.stdin:
        if _is_exit(line):
            raise _Left(line)
        if line.strip():
            yield session.exec(_words(line.rstrip("\n")))


def _is_exit(line: str) -> bool:
    return line.split()[:1] == ["exit"]


def _words(line: str) -> list[str]:
    return ["sh", "-c", _LINE, "sh", line]


def _run(session: SyncSession, argv: list[str]) -> ExecResult:
    """Run a command and show its output while it runs."""
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    decoders = {name: codecs.getincrementaldecoder("utf-8")("backslashreplace") for name in streams}

    def pass_on(stream: str, chunk: bytes, *, final: bool = False) -> None:
        show(decoders[stream].decode(chunk, final), streams[stream])

    result = session.exec(argv, on_output=pass_on)
    for name in streams:  # of a character that was never finished
        pass_on(name, b"", final=True)
    return result


def _tell(result: ExecResult, *, as_json: bool) -> None:
    """What the output does not say."""
    if as_json:
        out(json.dumps(result.model_dump(mode="json")))
    elif result.detail:
        note(f"{result.status}: {result.detail}")
    elif result.exit_code:
        note(f"exit code {result.exit_code}")
