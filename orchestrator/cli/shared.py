"""What all commands share: one handler for errors, one gate for numbers and files, one way to run async work."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, ParamSpec, TypeVar

import typer

from orchestrator import files
from orchestrator.cli import messages
from orchestrator.cli.messages import complain, note, out
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_settings import BaseSettings

    from orchestrator.cli.screen import Screen
    from orchestrator.data.store import RunStore
    from orchestrator.jobs.job import JobResult, RecordedJob
    from orchestrator.jobs.watcher import Watcher
    from orchestrator.settings import Settings
    from orchestrator.types import Limits, RunRecord, Value

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound="BaseModel")
S = TypeVar("S", bound="BaseSettings")
J = TypeVar("J", bound="Value")
R = TypeVar("R", bound="JobResult")

RUN = "Id of the run, the start or end of it, or `last`."
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
Parallel = Annotated[int | None, typer.Option(metavar="N", help="Answers that the model server writes at once. [1]")]
BaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="TGI or OpenAI-compatible server. [an embedded one]")]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="Model at that server; embedded: 0.5b or 1.5b. [1.5b]")]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Number of sandboxes. [2]")]
Seed = Annotated[int | None, typer.Option(metavar="S", help="Random seed. [0]")]
LongestAnswer = Annotated[int | None, typer.Option(metavar="N", help="Longest answer, in tokens. [700]")]
Docstrings = Annotated[bool | None, typer.Option(help="Show the model the docstrings. [yes]")]
Mutants = Annotated[int | None, typer.Option(metavar="N", help="At most N mutants of a function. [100]")]
Threshold = Annotated[float | None, typer.Option(metavar="X", help="Mutation score that tests must reach. [0.5]")]
Processes = Annotated[int | None, typer.Option(metavar="N", help="Processes and threads at once. [128]")]

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells count."""
TERMINATED = 143
"""Exit code after SIGTERM, or after SIGHUP."""
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


class Terminated(Exception):
    """SIGTERM arrived, or the terminal was closed, and the work was cancelled in order."""


def ending_signals() -> list[signal.Signals]:
    """Signals that are to close what is open: SIGTERM, and SIGHUP of a closed terminal; not what `nohup` has set aside."""
    return [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """Show an OrchestratorError as one sentence with its remedy, and end with its exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except OrchestratorError as error:
            show_error(error, as_json=messages.as_json)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _leave("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except Terminated:
            _leave("Terminated.")
            raise typer.Exit(TERMINATED) from None

    return wrapper


def _leave(word: str) -> None:
    complain(word)
    if messages.as_json:
        out_json({"error": word, "remedy": ""})


def show_error(error: OrchestratorError, *, as_json: bool) -> None:
    """The sentence and its remedy to stderr; with `as_json` an object to stdout too."""
    complain(f"fumehood: {error.message}")
    if error.remedy:
        complain(f"  {error.remedy}")
    if as_json:
        out_json({"error": error.message, "remedy": error.remedy})


def out_json(value: object) -> None:
    """A value as JSON to stdout."""
    out(json.dumps(value, indent=2))


def console(*, stderr: bool = False) -> Screen:
    """A Rich console for what programs and models wrote."""
    from orchestrator.cli.screen import Screen

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 140
    return Screen(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def settings(**changes: object) -> Settings:
    """Settings of the environment with what the command line changes.

    Raises:
        UsageError: an environment variable is not valid.
    """
    from orchestrator.settings import Settings

    return from_environment(Settings, **changes)


def from_environment(kind: type[S], **changes: object) -> S:
    """Settings of one kind from the environment, with what the command line changes.

    Raises:
        UsageError: an environment variable is not valid, also one that the command line changes.
    """
    from pydantic import ValidationError

    prefix = kind.model_config["env_prefix"]
    try:
        kind()
    except ValidationError as error:
        _refuse(error, lambda name: f"{prefix}{name.upper()}")
    try:
        return kind(**{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        _refuse(error, lambda name: f"--{name.replace('_', '-')}" if name in changes else f"{prefix}{name.upper()}")


def store(*, to_read: bool = False) -> RunStore:
    """The run store of the settings; `to_read` for commands that write nothing to it.

    Raises:
        UsageError, StoreError: see `RunStore.open`.
    """
    from orchestrator.data.store import RunStore

    return RunStore.open(settings().database_url, to_read=to_read)


def checked(kind: type[M], **values: object) -> M:
    """A value made of options; those that are None keep the default.

    Raises:
        UsageError: one of them is out of its range.
    """
    from pydantic import ValidationError

    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        _refuse(error, lambda name: f"--{name.replace('_', '-')}")


def _refuse(error: ValidationError, option: Callable[[str], str]) -> NoReturn:
    first = error.errors(include_url=False)[0]
    name = option(str(first["loc"][0])) if first["loc"] else "An option"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [f"{word} {number(first['ctx'][key])}" for key, word in words.items() if key in first.get("ctx", {})]
    wanted = bounds[0] if bounds else first["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    given = number(first["input"])
    raise UsageError(f"{name} must be {wanted}, not {given}.", remedy="Change it and run the command again.") from None


def number(value: object) -> str:
    """A number, or anything else, as people write it. Large round numbers are sizes."""
    if isinstance(value, int) and abs(value) >= 2**20 and value % 2**20 == 0:
        return f"{value // 2**20}M"
    return f"{value:g}" if isinstance(value, float) else str(value)


def size(text: str | None, option: str) -> int | None:
    """Bytes from text such as `512M`, `2G`, `64KiB` or `1048576`.

    Raises:
        UsageError: it is not a size.
    """
    if text is None:
        return None
    number = text.strip().lower().removesuffix("ib" if text.strip().lower().endswith("ib") else "b")
    unit = number[-1:] if number[-1:] in _UNITS and not number[-1:].isdigit() else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit])
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is not a size.", remedy="Write bytes, or a unit: 512M, 2G.") from None


def limits_of(*, memory: str | None, disk: str | None, output: str | None, **others: object) -> Limits:
    """Limits made of options.

    Raises:
        UsageError: one of them is no size, or out of its range.
    """
    from orchestrator.types import Limits

    sizes = {"memory": size(memory, "--memory"), "disk": size(disk, "--disk"), "output": size(output, "--output")}
    return checked(Limits, **sizes, **others)


def read_bytes(path: str, what: str) -> bytes:
    """A file's content; `-` is stdin.

    Raises:
        UsageError: it is missing, no plain file, or closed to this user.
    """
    return sys.stdin.buffer.read() if path == "-" else files.read_bytes(Path(path), what)


def read_text(path: str, what: str) -> str:
    """A text file's content; `-` is stdin.

    Raises:
        UsageError: as `read_bytes`, or it is not UTF-8.
    """
    return files.as_text(read_bytes(path, what), f"{what} {path}")


def make_folder(path: Path, option: str) -> Path:
    """A folder that exists and can be written.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be made: {error.strerror}.", remedy="Name another folder.") from None
    return path


def check_reports(folder: Path | None, names: Iterable[str], resume: str | None) -> None:
    """Refuse, before any work, a folder of --out in which the report of this run would replace something else.

    Raises:
        UsageError: it would, or the folder cannot be made, or there is no such run to resume.
    """
    from orchestrator.jobs.reports import check_folder

    if folder is None:
        return
    run = ""
    if resume is not None:
        with store(to_read=True) as records:
            run = records.run(resume).id
    check_folder(make_folder(folder, "--out"), names, run)


@contextlib.contextmanager
def resumable(again: str, *, sparse: bool = False) -> Iterator[tuple[RunStore, Watcher]]:
    """The run store, and a watcher that shows a job's progress; `sparse` for jobs with hundreds of attempts.

    Whatever ends the job half-way also says how to resume it: by the command `again` with the run's name.
    """
    from orchestrator.cli.progress import Lines, Progress
    from orchestrator.jobs.watcher import Watcher

    begun: list[RunRecord] = []
    try:
        with store() as records, Progress() as progress:
            watcher = Watcher(on_start=begun.append, on_event=progress.event, on_bytes=progress.download)
            if sparse:
                lines = Lines(progress)
                watcher.on_event, watcher.on_count = lines.event, lines.count
            yield records, watcher
    except OrchestratorError as error:
        if begun and not isinstance(error, UsageError):
            error.remedy = f"{error.remedy} Then resume with `{again} {begun[0].id}`.".strip()
        raise
    except BaseException:
        if begun:
            note(f"Nothing that was finished is lost. Resume with `{again} {begun[0].id}`.")
        raise


class Asked(NamedTuple):
    """Which model is asked, where, and for how many answers at once, as the options say; None where they do not."""

    base_url: str | None
    model: str | None
    parallel: int | None

    def server(self, chosen: Settings) -> dict[str, str]:
        """Server and model of a new job: where the options do not say, the environment does."""
        return {
            "base_url": chosen.base_url if self.base_url is None else self.base_url,
            "model": chosen.model if self.model is None else self.model,
        }


def run_or_resume(work: RecordedJob[J, R], job: J | None, run: str | None, asked: Asked) -> R:
    """Do a job from its beginning; without one, resume a recorded run, its model being served as the options say.

    Raises:
        UsageError, PrerequisiteError, CompletionError, StoreError: as `RecordedJob.run_job`.
    """
    from orchestrator.jobs.job import ResumeOverrides

    if job is not None:
        return run_async(work.run_job(job))
    return run_async(work.resume_job(run or "", ResumeOverrides(**asked._asdict())))


def is_given(value: object) -> bool:
    """Whether an option is given: a number is, also 0; None, False, and empty texts and lists are not."""
    return not (value is None or value is False or value in ("", []))


def nothing_of(why: str, options: Mapping[str, object]) -> None:
    """Refuse options that would do nothing. `why` is a clause such as "there are no tests".

    Raises:
        UsageError: one is given.
    """
    if idle := [name for name, value in options.items() if is_given(value)]:
        remedy = f"Leave {'it' if len(idle) == 1 else 'them'} out."
        raise UsageError(f"{', '.join(idle)} would do nothing: {why}.", remedy=remedy)


def nothing_beside_resume(what: str, *given: object) -> None:
    """Refuse options that a run brings itself.

    Raises:
        UsageError: one is given.
    """
    if any(map(is_given, given)):
        raise UsageError(
            f"--resume takes {what} and options from the run itself.",
            remedy="Leave the others out (--base-url, --model and --parallel may be given), or start anew without --resume.",
        )


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run async work to its end. Ctrl-C, SIGTERM and SIGHUP cancel it, so that it closes what it opened.

    A second Ctrl-C says what is waited for, a third one leaves at once.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        Terminated: after SIGTERM or SIGHUP.
    """
    terminated = False
    presses = 0

    async def cancellable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        def press(*_: object) -> None:
            nonlocal presses
            presses += 1
            if presses == 1:
                loop.call_soon_threadsafe(task.cancel)
            elif presses == 2:
                # Not `print`: the main thread may be inside one.
                os.write(2, b"Closing what is open. Ctrl-C once more leaves it to the next start.\n")
            else:
                os.write(2, b"\x1b[?25h" if os.isatty(2) else b"")  # a panel hides the cursor
                os._exit(INTERRUPTED)

        for one in ending_signals():
            loop.add_signal_handler(one, terminate)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job of a shell
            signal.signal(signal.SIGINT, press)
        return await work

    before = signal.getsignal(signal.SIGINT)
    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        if presses:
            raise KeyboardInterrupt from None
        if terminated:
            raise Terminated from None
        raise
    finally:
        if not presses:  # else the rest of the way out is left by a third one too
            signal.signal(signal.SIGINT, before)
