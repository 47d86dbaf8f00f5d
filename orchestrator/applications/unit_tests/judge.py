"""Judge generated unit tests: do they pass on the reference, what do they pass through, and which mutants do they notice.

One sandbox run takes one test module and many mutants; inside it each meeting of the tests with a version of the function has two
fresh processes (`sandboxed/mutant_run.py`). The tests are the untrusted side: they can call the function and do nothing else with
it, they do not know which version they face, and what they report counts only if they are right about every hidden reference.

A run that is cut off (by its clock, or by memory) has reported what it knew; what is left goes into another one.

Left out: asking a model (`job.py`), and the reward (`score.py`).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from pydantic import Field

from orchestrator.applications.unit_tests.mutants import Mutant, located, mutants
from orchestrator.applications.unit_tests.score import Observed, Outcome, TestsScore, Weights, copied, score, uses
from orchestrator.applications.unit_tests.siblings import Siblings, borrowed
from orchestrator.engine.programs import sandboxed
from orchestrator.errors import SandboxError, UsageError
from orchestrator.sources import imports, parse, where_and_why
from orchestrator.types import ExecutionResult, Limits, MiB, Program, Status, Value, Verdict

Execute = Callable[[Program, Limits], Awaitable[ExecutionResult]]

LIMITS = Limits(wall_time=180, cpu_time=120, memory=1536 * MiB, processes=32, output=16 * MiB, disk=32 * MiB)
"""For one sandbox run with all of its mutants. Each process in it has limits of its own."""
_SHIPPED = tuple(
    f"mutant_{name}"
    for name in ("cage", "carried", "coverage", "episodes", "inputs", "light", "link", "objects", "package", "tests", "watch")
)
_IMPORTING = ("import_module", "__import__", "importorskip")
_ERRORS = ("Error", "Exception", "Warning")
_SHOWN = 1200
"""Characters of feedback."""


class Subject(Value):
    """A function, method or class that tests are written for."""

    name: str
    """The task's name."""
    module: str
    """Python source of its module: the reference."""
    function: str
    """At the top level of the module: `function`, `Class` or `Class.method`."""
    module_name: str = ""
    """What your own tests import it as; they are tried with `candidate` in its place."""
    siblings: Siblings = ()
    """Modules beside it that it imports."""
    trusted: tuple[str, ...] = ()
    """Tests that are known to be right: they give inputs that distinguish mutants, and are never shown."""


class MutationOptions(Value):
    """How tests are tried on mutants."""

    mutants: int = Field(default=100, ge=1, le=2000)
    """At most so many; a seeded sample where there are more."""
    batch: int = Field(default=150, ge=1, le=500)
    """Mutants in one sandbox run."""
    seed: int = 0
    references: int = Field(default=5, ge=2, le=50)
    """How often the reference is among the mutants, in random orders of the tests."""
    cpu: float = Field(default=3.0, gt=0, le=60)
    """CPU seconds that the tests may take on the reference."""
    wall: float = Field(default=15.0, gt=0, le=120)
    """Seconds that one meeting of tests and function may take."""


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """A subject with its mutants."""

    subject: Subject
    mutants: tuple[Mutant, ...]
    distinct: frozenset[str]
    """Names of mutants that some input distinguishes from the reference. The others count as equivalent until tests kill them."""
    inputs: int
    """How many inputs were tried."""


@dataclass(frozen=True, kw_only=True)
class TestsJudgement:
    """What became of one test module."""

    __test__ = False
    score: TestsScore
    seen: Observed
    feedback: str
    """What is wrong with the tests, in words that may be shown to whoever wrote them."""
    unscored: bool = False
    """The sandbox failed."""
    runs: tuple[ExecutionResult, ...] = ()
    outcomes: tuple[tuple[str, str, str], ...] = ()
    """Each test on the reference: name, outcome, message."""


async def survey(subject: Subject, execute: Execute, options: MutationOptions | None = None) -> Surveyed:
    """Make the mutants of a subject and find out which of them any known input distinguishes from it. The same for the same seed.

    Raises:
        UsageError: there is no such function, or it cannot be run.
        SandboxError: the sandbox failed.
        PrerequisiteError, PoolExhausted: as `Executor.execute`.
    """
    options = options or MutationOptions()
    made = mutants(subject.module, subject.function, most=options.mutants, seed=options.seed)
    how: dict[str, str] = {}
    inputs = 0
    left = {mutant.name: mutant.source for mutant in made}
    while left:
        batch = dict(list(left.items())[: options.batch])
        result = await execute(_program(subject, None, batch, options), LIMITS)
        events = _events(result)
        begun = next((event for event in events if event["event"] == "survey"), None)
        if begun is None:
            reason = next((str(event["detail"]) for event in events if event["event"] == "failed"), "") or _last_words(result)
            raise UsageError(f"{subject.name} cannot be run: {reason}.", remedy="Check that its module can be imported.")
        inputs = int(begun["calls"])
        how |= {event["mutant"]: event["how"] for event in events if event["event"] == "probed"}
        rest = [name for name in batch if name not in how]
        if rest:
            how[rest[0]] = "slow"  # the run was cut off in this one
        left = {name: source for name, source in left.items() if name not in how}
    distinct = frozenset(name for name, behaviour in how.items() if behaviour != "same") if inputs else frozenset()
    if (is_of_class(subject) and not inputs) or _takes_objects(subject):
        distinct = frozenset(how)  # nobody found out how to make an object: no mutant is taken to be equivalent
    return Surveyed(subject=subject, mutants=tuple(made), distinct=distinct, inputs=inputs)


def is_of_class(subject: Subject) -> bool:
    """Whether tests are wanted for a class, or for a method of one."""
    found = located(parse(subject.module), subject.function)
    return found is not None and isinstance(found[0], ast.ClassDef)


def _takes_objects(subject: Subject) -> bool:
    """Whether a function says that it takes objects of the module's classes, which no guess of its inputs can make."""
    found = located(parse(subject.module), subject.function)
    if subject.trusted or found is None or isinstance(found[0], ast.ClassDef):
        return False
    about = _about(subject.module, subject.function, "", subject.module_name, subject.siblings)
    annotations = " ".join(
        ast.unparse(one.annotation) for one in ast.walk(found[0].args) if isinstance(one, ast.arg) and one.annotation
    )
    return bool({one["name"] for one in about["classes"]} & set(re.findall(r"\w+", annotations)))


async def judge_tests(
    surveyed: Surveyed,
    tests: str,
    execute: Execute,
    options: MutationOptions | None = None,
    weights: Weights | None = None,
) -> TestsJudgement:
    """Try a test module on the reference and on the mutants, and score it. It imports the function from `candidate`.

    Raises:
        PrerequisiteError, PoolExhausted: as `Executor.execute`.
    """
    options = options or MutationOptions()
    subject = surveyed.subject
    wrong = _unreadable(tests)
    parses = not wrong
    named = uses(tests, subject.function)
    seen = Observed(parses=parses, uses=named)
    if not parses or not named:
        why = wrong or f"The tests never use {subject.function}."
        return TestsJudgement(score=score(seen, weights), seen=seen, feedback=why)
    if where := copied(tests, subject.module, subject.function):
        seen = seen.model_copy(update={"copies": (where,)})
        found = score(seen, weights)
        return TestsJudgement(score=found, seen=seen, feedback=found.worthless)
    trial = _Trial(surveyed=surveyed, options=options)
    while True:
        program = _program(subject, tests, trial.next(), options)
        result = await execute(program, LIMITS)
        if result.verdict is Verdict.UNSCORED:
            runs = (*trial.runs, result)
            return TestsJudgement(score=score(seen, weights), seen=seen, feedback=result.detail, unscored=True, runs=runs)
        trial.take(result)
        if trial.over:
            break
    seen = trial.observed().model_copy(update={"parses": True, "uses": True})
    found = score(seen, weights)
    return TestsJudgement(
        score=found, seen=seen, feedback=_feedback(trial, found), runs=tuple(trial.runs), outcomes=trial.outcomes
    )


@dataclass(kw_only=True)
class _Trial:
    """What the runs of one test module have reported so far."""

    surveyed: Surveyed
    options: MutationOptions
    runs: list[ExecutionResult] = field(default_factory=list)
    reference: dict[str, Any] | None = None
    how: dict[str, str] = field(default_factory=dict)
    """Mutant -> what it does when it is called as the tests call the reference."""
    faced: dict[str, str] = field(default_factory=dict)
    hidden: list[tuple[str, list[str]]] = field(default_factory=list)
    """What the tests said of the reference when they did not know it."""
    sharp: bool = False
    """Whether they failed on a mutant whose values alone were wrong."""
    copies: dict[str, None] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)
    over: bool = False
    _asked: dict[str, str] = field(default_factory=dict)

    def next(self) -> dict[str, str]:
        """Mutants for the next run."""
        left = [mutant for mutant in self.surveyed.mutants if not self._known(mutant.name)]
        self._asked = {mutant.name: mutant.source for mutant in left[: self.options.batch]}
        return self._asked

    def _known(self, name: str) -> bool:
        return name in self.faced or self.how.get(name) in ("same", "slow")

    def take(self, result: ExecutionResult) -> None:
        """Learn from a run."""
        self.runs.append(result)
        facing: str | None = ""
        for event in _events(result):
            self.copies |= dict.fromkeys(event.get("copies", ()))
            self.refused |= dict.fromkeys(event.get("refused", ()))
            match event["event"]:
                case "reference":
                    if self.reference is None or not self._passed(event):
                        self.reference = event
                case "replayed":
                    self.how[event["mutant"]] = event["how"]
                case "facing":
                    facing = event["mutant"]
                case "faced":
                    facing = ""
                    self.sharp = self.sharp or event["sharp"]
                    if event["mutant"] is None:
                        self.hidden.append((event["outcome"], event["tests"]))
                    else:
                        self.faced[event["mutant"]] = event["outcome"]
                case "done":
                    facing = ""
        ended = any(event["event"] == "done" for event in _events(result))
        if self.reference is None or result.attack or not self._passed(self.reference):
            self.over = True
            return
        if not ended:
            if facing is None:
                self.hidden.append(("broken", []))
                self.over = True
                return
            rest = [name for name in self._asked if not self._known(name)]
            if facing or rest:
                self.faced[facing or rest[0]] = "failed"  # the run was cut off in this one: it does not end, or takes all memory
        # Tests that were wrong about the reference are not tried on.
        wrong = any(outcome != "passed" for outcome, _ in self.hidden)
        self.over = wrong or all(self._known(mutant.name) for mutant in self.surveyed.mutants)

    @staticmethod
    def _passed(event: Mapping[str, Any]) -> bool:
        report = event["told"]
        outcomes = [outcome for outcome, _ in report["outcomes"].values()] if report else []
        complete = bool(report) and report["finished"] and not report["error"] and len(outcomes) == len(report["collected"])
        return complete and bool(outcomes) and all(outcome == "passed" for outcome in outcomes)

    @property
    def outcomes(self) -> tuple[tuple[str, str, str], ...]:
        """Each test on the reference: name, outcome, message."""
        report = (self.reference or {}).get("told") or {"outcomes": {}}
        return tuple((name, outcome, message) for name, (outcome, message) in report["outcomes"].items())

    def observed(self) -> Observed:
        """All of it together."""
        event = self.reference or {}
        report = event.get("told") or {"collected": [], "outcomes": {}, "error": "", "finished": False}
        outcomes = [outcome for outcome, _ in report["outcomes"].values()]
        coverage = event.get("coverage") or {"lines": [0, 0], "branches": [0, 0], "missed": []}
        stable = all(outcome == "passed" for outcome, _ in self.hidden) and not any(run.attack for run in self.runs)
        results: dict[str, Outcome] = {}
        if self.reference is not None and self._passed(event) and stable:
            for mutant in self.surveyed.mutants:
                killed = self.how.get(mutant.name) == "slow" or self.faced.get(mutant.name) in ("failed", "broken")
                alive: Outcome = "survived" if mutant.name in self.surveyed.distinct else "equivalent"
                results[mutant.name] = "killed" if killed else alive
        return Observed(
            collected=len(report["collected"]),
            passed=outcomes.count("passed") if report["finished"] and not report["error"] else 0,
            skipped=outcomes.count("skipped"),
            stable=stable,
            broken=not report["finished"],
            calls=int(event.get("calls") or 0),
            lines=tuple(coverage["lines"]),
            branches=tuple(coverage["branches"]),
            missed=tuple(coverage["missed"]),
            mutants=results,
            sharp=self.sharp,
            copies=tuple(self.copies),
            refused=tuple(self.refused),
        )


def _feedback(trial: _Trial, found: TestsScore) -> str:
    report = (trial.reference or {}).get("told")
    if trial.refused:
        return found.worthless
    if report is None:
        return "The tests broke off: they take too long, or end the process."
    if report["error"] or not report["collected"]:
        return (report["error"] or "No test was collected.")[-_SHOWN:]
    failed = [(name, message) for name, (outcome, message) in report["outcomes"].items() if outcome == "failed"]
    if failed:
        return f"{failed[0][0]} fails on the right function:\n{failed[0][1]}"[:_SHOWN]
    if any(outcome == "skipped" for outcome, _ in report["outcomes"].values()):
        return "Tests are skipped; every test must run."
    if found.flaky:
        names = sorted({name for outcome, tests in trial.hidden if outcome != "passed" for name in tests})
        return f"The tests do not always pass on the right function: {', '.join(names) or 'they break off at times'}."
    if found.worthless:
        return found.worthless
    alive = [
        mutant
        for mutant in trial.surveyed.mutants
        if mutant.name in trial.surveyed.distinct
        and trial.faced.get(mutant.name) not in ("failed", "broken")
        and trial.how.get(mutant.name) != "slow"
    ]
    lines = [f"line {one.line}: `{_one_line(one.before)}` -> `{_one_line(one.after)}`" for one in alive[:5]]
    return ("These faults in the function go unnoticed:\n" + "\n".join(lines))[:_SHOWN] if lines else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:80]


def _unreadable(tests: str) -> str:
    """Why a module is not valid Python, or is empty; "" where it is valid."""
    try:
        return "" if parse(tests).body else "There are no tests."
    except SyntaxError as exc:
        return f"The tests do not parse: {where_and_why(exc)}."


def _events(result: ExecutionResult) -> list[dict[str, Any]]:
    """What a run reported, line by line; the last line may be cut off."""
    found = []
    for line in result.stdout.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _last_words(result: ExecutionResult) -> str:
    if result.verdict is Verdict.UNSCORED or result.status is Status.SANDBOX_ERROR:
        raise SandboxError(f"The sandbox failed: {result.detail}", remedy="`fumehood doctor` looks for the cause.")
    return (result.stderr.strip().splitlines() or [result.detail or str(result.status)])[-1]


@lru_cache
def _shipped() -> dict[str, str]:
    sources = {f"{name}.py": sandboxed("orchestrator.applications.unit_tests", name) for name in (*_SHIPPED, "mutant_run")}
    boundary = files("sandbox_image.agent.boundary")
    plain = {f"plain/{name}": boundary.joinpath(name).read_text(encoding="utf-8") for name in ("values.py", "arrays.py")}
    return sources | plain | {"plain/__init__.py": "from . import arrays\n"}


def _program(subject: Subject, tests: str | None, sources: Mapping[str, str], options: MutationOptions) -> Program:
    shipped = dict(_shipped())
    job = {
        "reference": subject.module,
        "function": subject.function,
        "mutants": dict(sources),
        "tests": tests,
        "trusted": list(subject.trusted) if tests is None else [],
        "about": _about(subject.module, subject.function, tests or "", subject.module_name, subject.siblings),
        "package": {"name": subject.module_name, "siblings": dict(subject.siblings)} if subject.siblings else None,
        "seed": options.seed,
        "references": options.references,
        "cpu": options.cpu,
        "wall": options.wall,
    }
    return Program(
        code=shipped.pop("mutant_run.py"),
        files={name: text.encode() for name, text in shipped.items()},
        stdin=json.dumps(job).encode(),
        env={"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


@lru_cache(maxsize=256)
def _about(module: str, function: str, tests: str, name: str = "", siblings: Siblings = ()) -> dict[str, Any]:
    """What the tests may know of the function's module: names, docstrings, constants, exceptions. It is the same for mutants."""
    tree = parse(module)
    functions, constants = [], {}
    exceptions: list[tuple[str, list[str]]] = []
    classes: list[dict[str, Any]] = []
    for node in [*borrowed(module, name, siblings), *tree.body]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(_called(node))
        elif isinstance(node, ast.ClassDef):
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            if any(base.endswith(_ERRORS) or base in dict(exceptions) for base in bases):
                exceptions.append((node.name, bases))
            else:
                classes.append(_class(node, {one["name"] for one in classes}))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, RecursionError):
                continue
            constants[node.targets[0].id] = ast.unparse(node.value)
    unique = list({one["name"]: one for one in functions}.values())
    tops = {one.partition(".")[0] for one, _ in siblings}
    needed = {one for source in (module, *dict(siblings).values()) for one in _imports(source)}
    needed = {one for one in needed if one.partition(".")[0] not in tops}
    return {
        "functions": unique,
        "constants": constants,
        "classes": list({one["name"]: one for one in classes}.values()),
        "exceptions": exceptions,
        "imports": sorted(needed),
        "libraries": sorted(needed | _imports(tests, guessed=True)),
    }


def is_exception(module: str, name: str) -> bool:
    """Whether a module defines an exception of this name, as far as that is seen."""
    return any(name == one for one, _ in _about(module, name, "")["exceptions"])


def _called(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    return {"name": node.name, "doc": ast.get_docstring(node), "kind": _kind(node)}


def _class(node: ast.ClassDef, known: set[str]) -> dict[str, Any]:
    """A class as the tests see it: its docstring, its bases in the module, and its methods but for operators and properties."""
    methods = []
    for one in node.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("__"):
            decorators = {ast.unparse(decorator) for decorator in one.decorator_list}
            if not decorators - {"staticmethod", "classmethod", "abstractmethod", "abc.abstractmethod", "override"}:
                bound = "class" if decorators & {"staticmethod", "classmethod"} else "self"
                methods.append(_called(one) | {"bound": bound, "kind": _kind(one, decorated=True)})
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in known]
    return {"name": node.name, "doc": ast.get_docstring(node), "bases": bases, "methods": methods}


def _kind(node: ast.FunctionDef | ast.AsyncFunctionDef, *, decorated: bool = False) -> str:
    """What a call of a function gives: its value, or something that gives values when it is asked."""
    left: list[ast.AST] = list(node.body)
    steps = False
    while left and not steps:
        inner = left.pop()
        steps = isinstance(inner, ast.Yield | ast.YieldFrom)
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            left += ast.iter_child_nodes(inner)
    if isinstance(node, ast.AsyncFunctionDef):
        return "async generator" if steps else "coroutine"
    return "generator" if steps and (decorated or not node.decorator_list) else "function"


def _imports(source: str, *, guessed: bool = False) -> set[str]:
    """Modules that a source imports by name; with `guessed` also what may be one (`from a import b`, `importorskip("a")`)."""
    try:
        tree = parse(source)
    except SyntaxError:
        return set()
    named = [one for one in imports(tree) if not one.level]
    found = {one.module for one in named}
    if guessed:
        found |= {f"{one.module}.{one.name}" for one in named if one.name and one.module != "candidate"}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        arguments = [one for call in calls if ast.unparse(call.func).rpartition(".")[2] in _IMPORTING for one in call.args]
        found |= {one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found - {"candidate", "__future__"}
