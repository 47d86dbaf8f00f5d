"""Honest modules of public suites, each judged by its own tests: where the verdict is not plain pytest's, and why.

    python benchmarks/fidelity.py --suites FOLDER [--data FOLDER] [--suite NAME]... [--limit N] [--json FILE]

`FOLDER/owner/name` is the checkout of a suite; one that is missing is cloned there, at the commit named in `suites.py`. MBPP,
HumanEval and HumanEval+ are read from `--data` (or FUMEHOOD_DATA). A pair that plain pytest accepts is honest and is judged. The
table counts, per suite, what was accepted and what of that apart, tests whose outcome differs, and modules a second: plain pytest
in a process for each of `--sample` pairs, and ours with sandboxes that are warm. After it come the causes: verdict and first
message of what was not accepted, without numbers and quoted parts. Progress is on stderr.

Exit code 0: every honest pair was accepted; 1: some were not; 3: nothing can be measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from suites import SUITES, Pair, Suite

from orchestrator.data.benchmarks.names import defined
from orchestrator.engine.background import run_many
from orchestrator.errors import OrchestratorError
from orchestrator.types import ExecutionResult, Program, TestOutcome, Verdict

T = TypeVar("T")
_PLAIN = Path(__file__).with_name("plain_pytest.py")
_BATCH = 50
"""Pairs between two lines of progress."""


@dataclass(frozen=True)
class Row:
    """An honest pair and what became of it."""

    suite: str
    name: str
    verdict: str
    judging: str
    basis: str
    """Empty where results do not say what they rest on."""
    tests: int
    differ: int
    """Tests whose outcome is not plain pytest's."""
    cause: str
    """Empty where it was accepted."""


@dataclass
class Figures:
    """One suite's line of the table."""

    suite: str
    commit: str
    pairs: int = 0
    honest: int = 0
    accepted: int = 0
    apart: int = 0
    tests: int = 0
    differ: int = 0
    plain_per_second: float = 0.0
    ours_per_second: float = 0.0


def main() -> int:
    options = _options()
    run_many([Program(code="", tests="def test_nothing(): pass")])  # sandboxes start here, not in the first suite's time
    chosen = [suite for suite in SUITES if not options.suite or suite.name in options.suite]
    figures: list[Figures] = []
    rows: list[Row] = []
    for suite in chosen:
        folder = _folder(suite, options.suites, options.data)
        if folder is None:
            continue
        line, found = measure(suite, folder, options.limit, options.sample)
        figures.append(line)
        rows += found
    if not figures:
        print("There is no suite to measure: give --suites, and --data for MBPP and HumanEval.", file=sys.stderr)
        return 3
    print(table(figures))
    print(causes(rows))
    if options.json:
        options.json.write_text(json.dumps({"suites": [asdict(line) for line in figures], "rows": [asdict(row) for row in rows]}))
    return int(any(row.cause for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, help="folder of checkouts, OWNER/NAME each")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("FUMEHOOD_DATA"), help="folder with mbpp, humaneval, evalplus"
    )
    parser.add_argument(
        "--suite", action="append", choices=[suite.name for suite in SUITES], help="only this one; may be repeated"
    )
    parser.add_argument("--limit", type=int, help="at most so many pairs of each suite, spread over it")
    parser.add_argument("--sample", type=int, default=10, help="pairs of each suite on which plain pytest is timed")
    parser.add_argument("--json", type=Path, help="file for all figures and every pair's result")
    options = parser.parse_args()
    options.data = Path(options.data) if options.data else None
    return options


def _folder(suite: Suite, checkouts: Path | None, data: Path | None) -> Path | None:
    """Where a suite lies; cloned first where it has to be. None where its folder was not given."""
    if not suite.repository:
        return data
    if checkouts is None:
        return None
    folder = checkouts / suite.repository
    if not folder.is_dir():
        _say(f"{suite.name}: cloning {suite.repository}")
        address = f"https://github.com/{suite.repository}"
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", address, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", suite.commit], check=True)
    return folder


def measure(suite: Suite, folder: Path, limit: int | None = None, sample: int = 10) -> tuple[Figures, list[Row]]:
    """Run a suite both ways."""
    pairs = _spread(suite.pairs(folder), limit)
    plain = list(plain_pytest(pairs, suite.name))
    honest = [(pair, outcome) for pair, outcome in zip(pairs, plain, strict=True) if outcome["passed"]]
    line = Figures(suite.name, _commit(suite, folder), len(pairs), len(honest))
    if not honest:
        return line, []
    timed = _spread([pair for pair, _ in honest], sample)
    line.plain_per_second = len(timed) / _seconds_of_processes(timed) if timed else 0.0
    began = time.monotonic()
    results = judge([pair for pair, _ in honest], suite.name)
    line.ours_per_second = len(honest) / (time.monotonic() - began)
    rows = [row_of(pair, outcome["outcomes"], result) for (pair, outcome), result in zip(honest, results, strict=True)]
    accepted = [row for row in rows if not row.cause]
    line.accepted, line.apart = len(accepted), sum(row.judging == "apart" for row in accepted)
    line.tests, line.differ = sum(row.tests for row in rows), sum(row.differ for row in rows)
    return line, rows


def plain_pytest(pairs: Iterable[Pair], name: str) -> Iterable[dict[str, Any]]:
    """What plain pytest makes of each pair, in their order. It runs in a process of its own, which forks for each."""
    lines = [
        json.dumps({"module": pair.module, "candidate": pair.candidate, "tests": pair.for_pytest()}) + "\n" for pair in pairs
    ]
    with tempfile.TemporaryFile("w+") as source:
        source.writelines(lines)
        source.seek(0)
        with subprocess.Popen([sys.executable, _PLAIN], stdin=source, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout, 1):
                if number % _BATCH == 0 or number == len(lines):
                    _say(f"{name}: plain pytest {number} of {len(lines)}")
                yield json.loads(line)


def _seconds_of_processes(pairs: list[Pair]) -> float:
    """Seconds that these pairs take with a process of pytest for each, one after the other."""
    seconds = 0.0
    for pair in pairs:
        with tempfile.TemporaryDirectory(prefix="plain-", ignore_cleanup_errors=True) as folder:
            Path(folder, f"{pair.module}.py").write_text(pair.candidate)
            Path(folder, f"test_{pair.module}.py").write_text(pair.for_pytest())
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}"]
            began = time.monotonic()
            environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            subprocess.run([*command, folder], cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
            seconds += time.monotonic() - began
    return seconds


def judge(pairs: list[Pair], name: str) -> list[ExecutionResult]:
    """Ours, in the order of the pairs."""
    results: list[ExecutionResult] = []
    for start in range(0, len(pairs), _BATCH):
        results += run_many(program_of(pair) for pair in pairs[start : start + _BATCH])
        _say(f"{name}: judged {len(results)} of {len(pairs)}")
    return results


def program_of(pair: Pair) -> Program:
    # With an entry point, tests that use other names of the module have them from nowhere: the task says which there are.
    names = tuple(sorted(defined(pair.candidate))) if pair.entry_point else ()
    return Program(code=pair.candidate, tests=pair.tests, module=pair.module, entry_point=pair.entry_point, defines=names)


def row_of(pair: Pair, plain: dict[str, str], result: ExecutionResult) -> Row:
    """A pair's result next to plain pytest's outcomes."""
    accepted = result.verdict is Verdict.ACCEPTED
    ours = {test.name: str(test.outcome) for test in result.tests}
    if set(ours) & set(plain):
        differ = sum(ours.get(name) != outcome for name, outcome in plain.items())
    else:  # bare asserts: the judge has names of its own for them
        differ = 0 if accepted else len(plain)
    return Row(
        suite=pair.suite,
        name=pair.name,
        verdict=str(result.verdict),
        judging=result.judging,
        basis=str(getattr(result, "basis", None) or ""),
        tests=len(plain),
        differ=differ,
        cause="" if accepted else cause_of(result),
    )


def cause_of(result: ExecutionResult) -> str:
    """Verdict and, of the first failure, the line that names the exception: without numbers, quoted parts and addresses."""
    failed = (test.message for test in result.tests if test.outcome in (TestOutcome.FAILED, TestOutcome.ERROR) and test.message)
    message = next(failed, "") or result.collection_error or result.detail
    if not message and not result.tests_complete:
        message = f"the report is incomplete: {len(result.tests)} of {result.tests_collected} tests are in it"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    named = (
        [line for line in lines if re.match(r"[\w.]+(Error|Exception|Apart|Exit|Warning|Interrupt)\b", line)] or lines or ["?"]
    )
    text = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "'...'", named[0])
    text = re.sub(r"\((?:the )?\w+\)", "(...)", text)
    return f"{result.verdict}: {re.sub(r'0x[0-9a-f]+|[0-9]+', 'N', text)[:120]}"


def table(figures: list[Figures]) -> str:
    """The figures in Markdown, with a line for all suites together."""
    lines = [
        "| suite | commit | honest modules | accepted | of these apart | tests | that differ | plain pytest/s | ours/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in [*figures, _total(figures)]:
        parts = (one.suite, one.commit[:12], one.honest, one.accepted, one.apart, one.tests, one.differ)
        lines.append(f"| {' | '.join(map(str, parts))} | {one.plain_per_second:.1f} | {one.ours_per_second:.1f} |")
    return "\n".join(lines)


def _total(figures: list[Figures]) -> Figures:
    total = Figures("all", "")
    for one in figures:
        for name in ("pairs", "honest", "accepted", "apart", "tests", "differ"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
    measured = [one for one in figures if one.ours_per_second and one.plain_per_second]
    if measured:
        honest = sum(one.honest for one in measured)
        total.ours_per_second = honest / sum(one.honest / one.ours_per_second for one in measured)
        total.plain_per_second = honest / sum(one.honest / one.plain_per_second for one in measured)
    return total


def causes(rows: list[Row]) -> str:
    """What was not accepted, by cause: how many pairs, of which suites, and one name to look at."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.cause:
            groups[row.cause].append(row)
    lines = [f"\n{sum(map(len, groups.values()))} of {len(rows)} honest modules not accepted"]
    for cause, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        suites = ", ".join(f"{name} {count}" for name, count in Counter(row.suite for row in group).most_common(4))
        lines.append(f"{len(group):5} {cause}\n      {suites}; {group[0].name}")
    return "\n".join(lines)


def _commit(suite: Suite, folder: Path) -> str:
    """The commit of a checkout, which is said aloud where it is not the one that figures were taken at."""
    if not suite.repository:
        return ""
    done = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = done.stdout.strip() or "unknown"
    if commit != suite.commit:
        _say(f"{suite.name}: the checkout is at {commit}, not at {suite.commit}")
    return commit


def _spread(items: list[T], most: int | None) -> list[T]:
    """At most so many of the items, from all over the list."""
    if most is None or len(items) <= most:
        return items
    return [items[place * len(items) // most] for place in range(most)]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OrchestratorError as exc:
        print(exc, file=sys.stderr)
        sys.exit(3)
