"""`fumehood run`: one program in a sandbox, judged by its tests if there are any."""

from __future__ import annotations

import codecs
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.shared import (
    Json,
    checked,
    make_folder,
    note,
    out_json,
    read_bytes,
    read_text,
    run_async,
    settings,
    show,
    size,
    write_file,
)
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from orchestrator.types import ExecutionResult, Limits, Program


class Judging(StrEnum):
    """Where tests run."""

    AUTO = "auto"
    APART = "apart"
    TOGETHER = "together"


class Isolation(StrEnum):
    """What each run gets."""

    AUTO = "auto"
    NAMESPACE = "namespace"
    CONTAINER = "container"


def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Python program, or the module that the tests import; - is stdin.")],
    args: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGS]", help="Its arguments, after --.")] = None,
    tests: Annotated[str | None, typer.Option(metavar="FILE", help="pytest tests that import it as `candidate`.")] = None,
    judging: Annotated[
        Judging,
        typer.Option(help="Candidate and tests in two sandboxes (apart) or in one (together); auto: apart where possible."),
    ] = Judging.AUTO,
    entry_point: Annotated[
        str, typer.Option(metavar="NAME", help="For tests that define check(candidate): the function to pass.")
    ] = "",
    in_place: Annotated[bool, typer.Option(help="Tests may look at what a function did to its arguments.")] = False,
    isolation: Annotated[Isolation | None, typer.Option(help="What each run gets. [auto]")] = None,
    image: Annotated[str, typer.Option(metavar="TAG", help="Sandbox image. [our own]")] = "",
    stdin: Annotated[str | None, typer.Option(metavar="FILE", help="What the program reads; - is our stdin.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Environment variable; repeatable.")] = None,
    carry: Annotated[
        list[str] | None, typer.Option("--file", metavar="PATH", help="File to place in its folder (or NAME=PATH); repeatable.")
    ] = None,
    test_file: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="File for the tests alone (or NAME=PATH); repeatable.")
    ] = None,
    artifact: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="File to carry out afterwards; repeatable.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where artefacts go; default is here.")] = None,
    wall_time: Annotated[float | None, typer.Option(metavar="SECONDS", help="[30]")] = None,
    cpu_time: Annotated[float | None, typer.Option(metavar="SECONDS", help="[20]")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Such as 512M. [2G]")] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help="In its work folder. [128M]")] = None,
    output: Annotated[str | None, typer.Option(metavar="SIZE", help="Of stdout, and of stderr. [1M]")] = None,
    processes: Annotated[int | None, typer.Option(metavar="N", help="Processes and threads at once. [128]")] = None,
    json_: Json = False,
) -> None:
    """Run a Python file in a sandbox. Exit code 0: it ended well (with --tests: it was accepted); 1: it did not."""
    from orchestrator.types import Limits, Program

    if [file, tests, stdin].count("-") > 1:
        raise UsageError("Only one of FILE, --tests and --stdin can be `-`.", remedy="Put the others into files.")
    limits = checked(
        Limits,
        wall_time=wall_time,
        cpu_time=cpu_time,
        memory=size(memory, "--memory"),
        disk=size(disk, "--disk"),
        output=size(output, "--output"),
        processes=processes,
    )
    program = Program(
        code=read_text(file, "The program"),
        tests=None if tests is None else read_text(tests, "The tests"),
        args=tuple(args or ()),
        stdin=b"" if stdin is None else read_bytes(stdin, "The input"),
        env=dict(_variable(item) for item in env or ()),
        files=dict(_carried(item) for item in carry or ()),
        test_files=dict(_carried(item) for item in test_file or ()),
        artifacts=tuple(artifact or ()),
        judging=judging.value,
        entry_point=entry_point,
        in_place=in_place,
    )
    given: dict[str, object] = {"isolation": isolation and isolation.value, "image": image or None}
    chosen = settings(workers=1, **{name: value for name, value in given.items() if value is not None})
    if artifact and (out_dir is not None or not json_):
        out_dir = make_folder(out_dir or Path(), "--out")
    result = run_async(_execute(chosen, program, limits, watched=not json_))
    if out_dir is not None:
        for name, content in result.artifacts.items():
            write_file(_inside(out_dir, name), content)
    if json_:
        out_json(result.model_dump(mode="json"))
    else:
        _show(result, program)
    raise typer.Exit(exit_code(result))


def exit_code(result: ExecutionResult) -> int:
    """0 ended well, or was accepted; 1 did not; 3 the sandbox failed."""
    from orchestrator.types import Status, Verdict

    if result.status is Status.SANDBOX_ERROR or result.verdict is Verdict.UNSCORED:
        return 3
    good = result.status is Status.OK if result.judging == "none" else result.verdict is Verdict.ACCEPTED
    return 0 if good else 1


async def _execute(chosen: Settings, program: Program, limits: Limits, *, watched: bool) -> ExecutionResult:
    from orchestrator.engine.engine import Engine
    from orchestrator.sandbox.docker import needs_libraries

    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    decoders = {name: codecs.getincrementaldecoder("utf-8")("backslashreplace") for name in streams}

    def pass_on(stream: str, chunk: bytes, *, final: bool = False) -> None:
        show(decoders[stream].decode(chunk, final), streams[stream])

    async with Engine(chosen, limits=limits, refill=False, preload=needs_libraries(program)) as engine:
        # Output of a program is shown while it runs; that of tests would only repeat what the results say.
        result = await engine.execute(program, limits, pass_on if watched and program.tests is None else None)
    for name in streams:  # of a character that was never finished
        pass_on(name, b"", final=True)
    return result


BASES = {"data": "data", "line_up": "a line-up", "word": "the candidate's word"}
"""What a result rests on, in words."""


def _show(result: ExecutionResult, program: Program) -> None:
    from sandbox_image.agent.protocol import CANDIDATE_CHANGED

    for test in result.tests:
        note(f"{test.outcome:8}{test.name}")
        if test.message:
            note("".join(f"    {line}\n" for line in test.message.splitlines()).rstrip("\n"))
    if result.collection_error:
        note(result.collection_error)
    if program.tests is not None and not result.tests:
        for text in (result.stdout, result.stderr):
            if text.strip():
                note(text.rstrip())
    for name, reason in result.artifact_errors.items():
        note(f"{name} was not carried out: {reason}")
    word = str(result.status if result.verdict is None else result.verdict)
    if result.verdict is not None and result.status != "ok":
        word += f" ({result.status})"
    if result.exit_code:
        word += f", exit code {result.exit_code}"
    measures = f"{result.wall_time:.2f} s, {result.cpu_time:.2f} s CPU, {result.memory_peak / 2**20:.0f} MiB"
    judged = f", judging: {result.judging}" if result.judging != "none" else ""
    basis = f", resting on {BASES[result.basis]}" if result.basis else ""
    again = f"; one of {result.attempts} attempts" if result.attempts > 1 else ""
    note(f"{word}: {measures}{judged}{basis}{again}")
    if result.detail:
        note(result.detail)
    if result.verdict != "accepted" and not program.in_place and CANDIDATE_CHANGED in result.unsure:
        note("The candidate changed a value that the tests have. If that is its task, say --in-place.")


def _variable(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name or "\0" in item:
        raise UsageError(f"--env {item!r} is not a variable.", remedy="Write NAME=VALUE.")
    return name, value


def _carried(item: str) -> tuple[str, bytes]:
    name, equals, path = item.partition("=")
    if not equals or os.path.exists(item):  # noqa: PTH110 - a name with `=` in it may be a file's
        name, path = Path(item).name, item
    return name, read_bytes(path, "The file")


def _inside(folder: Path, name: str) -> Path:
    """Names come from a sandbox: the gate is passed once more before anything is written here."""
    from sandbox_image.agent.protocol import check_path

    return folder / check_path(name)
