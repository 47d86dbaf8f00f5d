"""`fumehood run`: one program in a sandbox, judged by its tests if there are any."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import given
from orchestrator.cli.messages import note, show
from orchestrator.cli.shared import Json, Processes, limits_of, nothing_of, out_json, run_async, settings, size
from orchestrator.errors import UsageError
from orchestrator.files import check_empty, new_folder, write_whole
from orchestrator.printable import counted
from orchestrator.shown import AS_OPTIONS

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
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|NOTEBOOK",
            help="Python file, folder with a __main__.py or main.py, or .ipynb; - reads a program from stdin.",
        ),
    ],
    args: Annotated[list[str] | None, typer.Argument(metavar="-- ARGS", help="Its arguments, after --.")] = None,
    main: Annotated[str, typer.Option(metavar="FILE", help="The file of a folder to run. [__main__.py, main.py]")] = "",
    tests: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|FOLDER", help="pytest tests that import it as `candidate` or by its own name; repeatable, all are run."
        ),
    ] = None,
    module: Annotated[
        str, typer.Option(metavar="NAME", help="What the tests import it as. [what they say: candidate, or its file's name]")
    ] = "",
    judging: Annotated[
        Judging,
        typer.Option(
            metavar="auto|apart|together",
            help="Candidate and tests in two sandboxes (apart) or in one (together); auto: apart where possible.",
        ),
    ] = Judging.AUTO,
    entry_point: Annotated[
        str, typer.Option(metavar="NAME", help="For tests that define check(candidate): the function to pass.")
    ] = "",
    in_place: Annotated[bool, typer.Option(help="Tests may look at what a function did to its arguments.")] = False,
    isolation: Annotated[
        Isolation | None, typer.Option(metavar="auto|namespace|container", help="Isolation of each run. [auto]")
    ] = None,
    image: Annotated[
        str,
        typer.Option(metavar="TAG", help="Sandbox image; `fumehood image build --with PACKAGE` makes some. [the default image]"),
    ] = "",
    stdin: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Input of the program; - is stdin of this command. [what is piped in, if the program reads]"
        ),
    ] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Environment variable; repeatable.")] = None,
    carry: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "--with-folder",
            metavar="PATH[:NAME]",
            help="File or folder to place beside the program, under its own name or NAME; repeatable.",
        ),
    ] = None,
    test_file: Annotated[
        list[str] | None, typer.Option(metavar="PATH[:NAME]", help="File or folder for the tests alone; repeatable.")
    ] = None,
    artifact: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="File to copy out afterwards; repeatable. Hidden files and programs by name only."),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for artefacts, new or empty. [artifacts, artifacts-2, ...]"),
    ] = None,
    artifact_limit: Annotated[str | None, typer.Option(metavar="SIZE", help="Size of all artefacts together. [16M]")] = None,
    wall_time: Annotated[float | None, typer.Option(metavar="SECONDS", help="Wall time. [30]")] = None,
    cpu_time: Annotated[float | None, typer.Option(metavar="SECONDS", help="CPU time. [20]")] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory, such as 512M. [2G]")] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help="Disk space in its work folder. [128M]")] = None,
    output: Annotated[str | None, typer.Option(metavar="SIZE", help="Size of stdout, and of stderr. [1M]")] = None,
    processes: Processes = None,
    json_: Json = False,
) -> None:
    """Run a Python file, a folder or a notebook in a sandbox.

    \b
    fumehood run stack.py --tests test_stack.py     tests say `from stack import Stack`, or from candidate
    fumehood run proj -- --epochs 3                 proj/__main__.py or main.py, with all that lies there
    fumehood run proj --tests proj/tests            every file of tests in a folder
    fumehood run n.ipynb --file data.csv            cells in order, with a file beside it
    echo 3 | fumehood run prog.py                   input from a pipe

    A folder is the program's work folder, with its data; hidden files, caches and virtual environments stay behind. The sandbox
    has no network and the packages of its image. Several files of --tests are run one after the other.

    Exit code 0: it ended well (with --tests: it was accepted), and each --artifact gave a file; 1: not so; 3: the sandbox failed.
    """
    if [what, *(tests or ()), stdin].count("-") > 1:
        raise UsageError("Only one of FILE, --tests and --stdin can be `-`.", remedy="Put the others into files.")
    if not tests:
        of_tests = {"--module": module, "--judging": None if judging is Judging.AUTO else judging, "--entry-point": entry_point}
        nothing_of("there are no tests", of_tests | {"--in-place": in_place, "--test-file": test_file})
    elif judging is Judging.TOGETHER:
        nothing_of("tests that are judged together see it anyway", {"--in-place": in_place})
    if tests:
        nothing_of("the program is imported by its tests", {"Arguments after --": args})
    if "" in (artifact or ()):
        raise UsageError("An --artifact has no name.", remedy="Name a file, or a pattern such as '*.csv'.")
    if not artifact:
        nothing_of("there is no --artifact", {"--out": out_dir, "--artifact-limit": artifact_limit})
    limits = limits_of(
        memory=memory,
        disk=disk,
        output=output,
        wall_time=wall_time,
        cpu_time=cpu_time,
        processes=processes,
        artifacts=size(artifact_limit, "--artifact-limit"),
    )
    common: dict[str, object] = {
        "args": tuple(args or ()),
        "env": dict(given.variable(item) for item in env or ()),
        "artifacts": tuple(artifact or ()),
        "judging": judging.value,
        "entry_point": entry_point,
        "in_place": in_place,
    }
    programs = given.programs(what, main, tests or (), module, carry or (), test_file or (), limits.disk)
    common["stdin"] = given.input_of(what, stdin, programs)
    programs = {name: program.model_copy(update=common) for name, program in programs.items()}
    changes: dict[str, object] = {"isolation": isolation and isolation.value, "image": image or None}
    chosen = settings(workers=1, **{name: value for name, value in changes.items() if value is not None})
    if out_dir is not None:
        check_empty(out_dir)
    result = run_async(_execute(chosen, programs, limits, watched=not json_))
    patterns = tuple(artifact or ())
    written = result.artifacts if json_ and out_dir is None else _write(result.artifacts, patterns, out_dir)
    result = _with_missing(result, patterns, written)
    hints = result.hints_beside(*(program.tests or "" for program in programs.values()), ways=AS_OPTIONS)
    if json_:
        out_json(result.model_dump(mode="json") | {"hints": hints})
    else:
        _show(result, judged=bool(tests), in_place=in_place)
        for hint in hints:
            note(hint)
        if result.judging == "together" and judging is Judging.AUTO:
            note(f"Judged together, where a program could forge its tests: {_why_together(programs.values())}")
    raise typer.Exit(exit_code(result) or int(bool(result.artifact_errors)))


def _write(artifacts: Mapping[str, bytes], patterns: Sequence[str], out_dir: Path | None) -> dict[str, bytes]:
    """Write what may be written of a program's files into a folder of their own, and return that.

    A stranger chose their names: what is hidden, and what is a program itself, has to be asked for by its name.
    """
    from sandbox_image.agent.protocol import check_path

    allowed = {name: content for name, content in artifacts.items() if name in patterns or not _is_risky(name, content)}
    if allowed:
        folder = new_folder(Path("artifacts")) if out_dir is None else out_dir
        for name, content in allowed.items():
            write_whole(folder / check_path(name), content)  # through the gate once more
        note(f"{counted(len(allowed), 'file')} written to {folder}.")
    return allowed


def _is_risky(name: str, content: bytes) -> bool:
    """Whether a file is hidden or a program, so that something may run or read it that nobody looked at."""
    return any(part.startswith(".") for part in name.split("/")) or content.startswith((b"#!", b"\x7fELF", b"MZ"))


def _with_missing(result: ExecutionResult, patterns: Sequence[str], written: Mapping[str, bytes]) -> ExecutionResult:
    """A result that also says which files were not written, and which patterns gave none."""
    from sandbox_image.agent.protocol import matches

    missing = {name: "hidden, or a program: name it without wildcards" for name in result.artifacts if name not in written}
    seen = (*result.artifacts, *result.artifact_errors)
    missing |= {one: "no file matches" for one in patterns if not any(matches(name, one) for name in seen)}
    return result.model_copy(update={"artifact_errors": {**result.artifact_errors, **missing}})


def exit_code(result: ExecutionResult) -> int:
    """0 ended well, or was accepted; 1 did not; 3 the sandbox failed."""
    from orchestrator.types import Status, Verdict

    if result.status is Status.SANDBOX_ERROR or result.verdict is Verdict.UNSCORED:
        return 3
    good = result.status is Status.OK if result.judging == "none" else result.verdict is Verdict.ACCEPTED
    return 0 if good else 1


async def _execute(chosen: Settings, programs: Mapping[str, Program], limits: Limits, *, watched: bool) -> ExecutionResult:
    from orchestrator.engine.engine import Engine
    from orchestrator.sandbox.docker import needs_libraries
    from orchestrator.scoring.verdicts import together

    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    decoders = {name: codecs.getincrementaldecoder("utf-8")("backslashreplace") for name in streams}

    def pass_on(stream: str, chunk: bytes, *, final: bool = False) -> None:
        show(decoders[stream].decode(chunk, final), streams[stream])

    preload = any(map(needs_libraries, programs.values()))
    async with Engine(chosen, limits=limits, refill=len(programs) > 1, preload=preload) as engine:
        # Output of a program is shown while it runs; that of tests would only repeat what the results say.
        results = {
            name: naming(
                await engine.execute(program, limits, pass_on if watched and program.tests is None else None), program, name
            )
            for name, program in programs.items()
        }
    for name in streams:  # of a character that was never finished
        pass_on(name, b"", final=True)
    return together(results)


def naming(result: ExecutionResult, program: Program, name: str) -> ExecutionResult:
    """A result whose messages name the tests by the file that they were read from, and not by the one in the sandbox.

    Tests from stdin are `<stdin>`, as Python has it.
    """
    place = re.compile(rf"(?<![\w./])(?:/box/work/)?{re.escape(program.tests_file)}(?!\w)")

    def named(text: str) -> str:
        return place.sub(lambda _: "<stdin>" if name == "-" else name, text)

    tests = tuple(test.model_copy(update={"message": named(test.message)}) for test in result.tests)
    return result.model_copy(update={"tests": tests, "collection_error": named(result.collection_error)})


def _why_together(programs: Iterable[Program]) -> str:
    from orchestrator.engine.engine import why_together

    reasons = filter(None, map(why_together, programs))
    return next(reasons, "The tests did what needs it in their own interpreter.")


BASES = {"data": "data", "line_up": "a line-up", "word": "the candidate's word"}
"""What a result rests on, in words."""


def _show(result: ExecutionResult, *, judged: bool, in_place: bool) -> None:
    from sandbox_image.agent.protocol import CANDIDATE_CHANGED

    for test in result.tests:
        note(f"{test.outcome:8}{test.name}")
        if test.message:
            note("".join(f"    {line}\n" for line in test.message.splitlines()).rstrip("\n"))
    if result.collection_error:
        note(result.collection_error)
    if judged and not result.tests:
        if result.verdict == "invalid_tests" and not (result.collection_error or result.stdout.strip() or result.detail):
            note("No test was found in the tests: functions named test_..., or assertions.")
        # Where pytest's own report is the output, it says again why tests could not be collected.
        repeated = bool(result.collection_error) and result.judging == "together"
        for text in () if repeated else (result.stdout, result.stderr):
            if text.strip():
                note(text.rstrip())
    for name, reason in result.artifact_errors.items():
        note(f"{name} was not carried out: {reason}.")
    word = str(result.status if result.verdict is None else result.verdict)
    if result.verdict is not None and str(result.status) not in ("ok", word):
        word += f" ({result.status})"
    if result.exit_code:
        word += f", exit code {result.exit_code}"
    measures = f"{result.wall_time:.2f} s, {result.cpu_time:.2f} s CPU, {result.memory_peak / 2**20:.0f} MiB"
    judging = f", judging: {result.judging}" if result.judging != "none" else ""
    basis = f", resting on {BASES[result.basis]}" if result.basis else ""
    note(f"{word}: {measures}{judging}{basis}")
    if result.attempts > 1:
        why = "sandboxes failed, the host was too busy, or the tests proved to need the candidate in their own interpreter"
        shown = "" if judged else " Where what they wrote differs, that of each is above."
        note(f"It was sent {result.attempts} times, since {why}; this is the last.{shown}")
    if result.detail:
        note(result.detail)
    if result.verdict != "accepted" and not in_place and CANDIDATE_CHANGED in result.unsure:
        note("The candidate changed a value that the tests have. If that is its task, say --in-place.")
