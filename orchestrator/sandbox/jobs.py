"""A program as the frame of a job, and a result's frame as a report.

Left out: who carries the frames. `docker.py` does.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, cast

from orchestrator.errors import SandboxUnavailable, UsageError
from orchestrator.types import Limits, Program, RunReport, TestOutcome, TestResult
from sandbox_image.agent import protocol, schema

Isolation = Literal["namespace", "container"]
_MOST_REASONS = 8


def pack(program: Program, limits: Limits) -> tuple[schema.Job, bytes]:
    """A program as a job frame.

    Raises:
        UsageError: the program is contradictory, or a path does not pass the gate.
    """
    files, test_files = dict(program.files), dict(program.test_files)
    mode: schema.Mode = "python"
    file = program.file
    texts: list[bytes] = []
    code = (program.code or "").encode("utf-8", "surrogatepass")
    if (program.code is None) == (program.argv is None) or (program.tests is not None and program.code is None):
        raise UsageError("A program is either Python code (with or without tests) or a command line.")
    if test_files and program.tests is None:
        raise UsageError("There are files for tests, and no tests.", remedy="Give them as the program's own files.")
    if program.argv is not None:
        mode = "exec"
        if not program.argv or any("\0" in word for word in program.argv):
            raise UsageError("A command line needs at least one word, and no NUL characters.")
    elif program.tests is not None:
        if not all(part.isidentifier() for part in program.module.split(".")):
            why = f"The module name {program.module!r} is not a Python identifier."
            raise UsageError(why, remedy="Name it as the tests import it, without .py.")
        if (root := program.module.partition(".")[0]) in _TAKEN:
            why = f"Tests know {root!r} as a library: a candidate of that name would stand in for it."
            raise UsageError(why, remedy="Give the candidate another module name.")
        mode, file = "pytest", program.tests_file
        tests = program.tests.encode("utf-8", "surrogatepass")
        if program.judging == "apart":
            # No files: each side is sent its own source alone.
            mode, texts = "apart", [code, tests]
        else:
            own = {f"{program.module.replace('.', '/')}.py": code, file: tests}
            if taken := sorted(test_files.keys() & {*files, *own}):
                raise UsageError(f"The tests have a file {taken[0]!r}, and so has the candidate or the run itself.")
            files, test_files = files | test_files | own, {}
    else:
        files[file] = code
    _check(files)
    _check(test_files)
    if any("\0" in text or "=" in key or not key for key, value in program.env.items() for text in (key, value)):
        raise UsageError("An environment variable needs a name without '=', and no NUL characters.")
    parts = [program.stdin, *files.values(), *test_files.values(), *texts]
    header: schema.Job = {
        "type": "job",
        "mode": mode,
        "file": file,
        "module": program.module,
        "entry_point": program.entry_point,
        "defines": list(program.defines),
        "in_place": program.in_place,
        "heavy": False,
        "stream": False,
        "adjust": False,
        "argv": list(program.argv or ()),
        "args": list(program.args),
        "env": protocol.ENVIRONMENT | program.env,
        "artifacts": list(program.artifacts),
        "limits": cast(schema.Limits, limits.model_dump()),
        "files": list(files),
        "test_files": list(test_files),
        "parts": [len(part) for part in parts],
    }
    return header, b"".join(parts)


_TAKEN = frozenset((*sys.stdlib_module_names, "numpy", "torch", "pandas", "sklearn", "scipy", "pytest", "_pytest", "agent"))
"""Modules that tests have of their own."""


def _check(files: Collection[str]) -> None:
    """That all of the paths can be placed in one folder. Raises UsageError."""
    for path in files:
        try:
            protocol.check_path(path)
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
    for path in files:
        for parent in itertools.accumulate(path.split("/")[:-1], "{}/{}".format):
            if parent in files:
                raise UsageError(f"The program has a file {parent!r} and, below it, a file {path!r}.")


def checked(frame: dict[str, Any]) -> schema.Result:
    """A result frame whose lists are lists and whose objects are objects, so that what reads it finds what it looks for.

    Raises:
        ProtocolError: the result is not valid.
    """
    shapes = {"events": list, "attack": list, "output": list, "artifacts": list, "stages": dict, "status": str, "detail": str}
    numbers = (int, float)
    shapes_of_numbers = ("wall_time", "cpu_time", "memory_peak")
    fits = (
        all(isinstance(frame.get(key), kind) for key, kind in shapes.items())
        and all(isinstance(frame.get(key), numbers) for key in shapes_of_numbers)
        and all(isinstance(event, dict) for event in frame["events"])
        and isinstance(frame.get("gpu", {}), dict)
    )
    if not fits:
        raise protocol.ProtocolError("A result lacks what every result has.")
    return cast(schema.Result, frame)


def read_result(frame: schema.Result, body: bytes, limits: Limits, image: str, isolation: Isolation) -> RunReport:
    """A result frame as a report. Everything in it is checked again: sizes, paths, words.

    Raises:
        SandboxUnavailable: the frame is not a result.
    """
    try:
        paths = [protocol.check_path(path) for path, _ in frame["artifacts"]]
        stdout, stderr, *contents = protocol.split(body, [*frame["output"], *(size for _, size in frame["artifacts"])])
        artifacts = dict(zip(paths, contents, strict=True))
        if sum(map(len, artifacts.values())) > limits.artifacts:
            raise ValueError("more artefacts than the limit")
        return RunReport(
            **{key: value for key, value in frame.items() if key in _FACTS and value is not None},
            gpu_memory_peak=frame.get("gpu", {}).get("memory_peak"),
            **_read_events(frame["events"]),
            stdout=stdout[: limits.output].decode("utf-8", "replace"),
            stderr=stderr[: limits.output].decode("utf-8", "replace"),
            artifacts=artifacts,
            artifact_errors=frame.get("artifact_errors", {}),
            attack=tuple(frame["attack"]),
            stages=frame["stages"],
            isolation=isolation,
            image=image,
        )
    except (KeyError, TypeError, ValueError, protocol.ProtocolError) as exc:
        raise SandboxUnavailable(f"The sandbox sent an invalid result: {exc}") from exc


_FACTS = frozenset(
    ("status", "detail", "exit_code", "signal", "wall_time", "cpu_time", "memory_peak", "stdout_truncated", "stderr_truncated")
)


def _sound(value: Any) -> Any:
    """Text without lone surrogates, which no file and no answer could hold; anything else as it is."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _read_events(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Per-test results from the test side's events; complete only if all that was collected ran, once, and the end was reported.

    Foreign code may have had a hand in them: one that is malformed leaves the report incomplete, and is not the sandbox's fault.
    """
    collected: list[str] = []
    tests: dict[str, TestResult] = {}
    finished = broken = False
    error: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    unsure: list[str] = []
    for event in events:
        match event.get("event"):
            case "collected":
                names = event.get("tests")
                broken = broken or not isinstance(names, list)
                collected += [str(name) for name in names] if isinstance(names, list) else []
            case "finished":
                finished = True
                unsure = [_sound(str(reason)) for reason in event.get("unsure") or ()][:_MOST_REASONS]
            case "collection_error":
                if not error:
                    side = event.get("side")
                    known = side if side in ("candidate", "tests") else ""
                    error = {"collection_error": _sound(str(event.get("message", ""))), "collection_error_side": known}
            case "test":
                try:
                    test = TestResult.model_validate({key: _sound(value) for key, value in event.items() if key != "event"})
                except ValueError:
                    broken = True
                    continue
                # A test that passed and then failed in its teardown reports twice: the failure counts.
                if test.name in tests and test.outcome in (TestOutcome.PASSED, TestOutcome.SKIPPED):
                    broken = True
                    continue
                tests[test.name] = test
            case "received":
                facts["received"] = True
            case "not_apart":
                facts["not_apart"] = _sound(str(event.get("message", "")))
            case "tampered":
                pass
            case _:  # deselected tests, and what is not an event
                broken = True
    complete = bool(collected) and finished and not broken and not error and sorted(collected) == sorted(tests)
    counts = {"tests_collected": len(collected), "tests_complete": complete}
    return {"tests": tuple(tests.values()), **counts, "unsure": tuple(unsure), **error, **facts}
