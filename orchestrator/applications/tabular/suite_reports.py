"""Reports of an evaluation over tables: JSON lines, JSON, Markdown, and one HTML page that needs no other file.

`suite.html` and `suite.md` in this folder are the templates. The run of each search has a report of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.applications.tabular.metrics import METRICS
from orchestrator.applications.tabular.ranking import BASELINES, Contest, SuiteResult, control_of
from orchestrator.applications.tabular.reports import number
from orchestrator.applications.tabular.results import CONTROL, WINNER
from orchestrator.jobs.reports import FACTS, ROWS, render, write_files

PAGES = {"report.md": "suite.md", "report.html": "suite.html"}
FILES = (ROWS, FACTS, *PAGES)
AGAIN = "fumehood eval tabular --resume"


def write_reports(result: SuiteResult, folder: Path) -> list[Path]:
    """Write all files and return their paths.

    Raises:
        StoreError, UsageError: one cannot be written, or would replace what is not of this run.
    """
    values = {
        "title": f"{', '.join(result.settings)} on {len(result.tables)} tables",
        "run": result.run,
        "contestants": contestants(result),
        "rows": rows(result),
        "contests": [contest_row(one) for one in result.contests()],
        "searches": [_search(one) for one in result.as_json()["results"]],
        "least": f"{2.0 ** (1 - len(result.tables)):.3g}" if result.tables else "",
        "problems": result.problems,
    }
    pages = {name: render(f"applications/tabular/{template}", **values) for name, template in PAGES.items()}
    return write_files(folder, result.as_json(), pages, f"{AGAIN} {result.run.id}")


def contestants(result: SuiteResult) -> list[str]:
    """Who is shown, in order: each setting and its control, then the baselines."""
    searched = {name for one in result.results for name in one.sealed}
    own = [(setting, control_of(setting)) if CONTROL in searched else (setting,) for setting in result.settings]
    return [*(name for names in own for name in names), *BASELINES]


def rows(result: SuiteResult) -> list[list[str]]:
    """For each table its name, its metric and a value for each contestant, with its 95 % interval; last the mean ranks."""
    found = []
    names = contestants(result)
    for table in dict.fromkeys(one.table for one in result.results):
        cells = [one for one in result.results if one.table == table]
        values = {one.setting: _value(one.sealed.get(WINNER)) for one in cells}
        values |= {control_of(one.setting): _value(one.sealed.get(CONTROL)) for one in cells if CONTROL in one.sealed}
        for name in BASELINES:
            values[name] = next((_value(one.sealed[name]) for one in cells if name in one.sealed), "")
        arrow = "↑" if METRICS[cells[0].metric].greater_is_better else "↓"
        found.append([table, f"{cells[0].metric} {arrow}", *(values.get(name, "") for name in names)])
    ranks = result.ranks()
    if ranks:
        found.append([f"mean rank of {len(ranks)}", "", *(f"{ranks[name]:.2f}" if name in ranks else "" for name in names)])
    return found


def contest_row(one: Contest) -> list[str]:
    """A comparison for people."""
    resolved = "" if one.is_resolved else ", not resolved"
    return [
        f"{one.first} against {one.second}",
        str(one.tables),
        f"{one.wins} : {one.losses}",
        f"{one.mean:+.2f}",
        f"{one.p_value:.3g}{resolved}",
    ]


def _value(one: Any) -> str:
    if one is None or one.value is None:
        return number(None)
    return number(one.value) + ("" if one.low is None else f" ({one.low:.3g} to {one.high:.3g})")


def _search(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "findings": "; ".join(one["findings"]), "wall_time": f"{one['wall_time']:.0f}"}
