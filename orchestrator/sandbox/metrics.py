"""What pools count, and the same as Prometheus text.

Counting is plain integers, so that a run pays nothing for it; Prometheus's library is imported when somebody asks for the text,
and reads what was counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Seconds, counted in buckets."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def cumulated(self) -> list[tuple[str, float]]:
        """(upper bound, how many were not above it), as Prometheus wants them."""
        total, pairs = 0, []
        for bound, count in zip([*map(str, _BOUNDS), "+Inf"], self.counts, strict=True):
            total += count
            pairs.append((bound, float(total)))
        return pairs


class Gauges(Protocol):
    """The figures of a pool at this moment."""

    name: str
    busy: int
    starting: int

    @property
    def idle(self) -> int:
        """Sandboxes that are ready."""

    def queued_by_priority(self) -> dict[int, int]:
        """How many wait with each priority."""


class Metrics:
    """The counters of one engine; its pools add to them."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        """(status, verdict) of finished runs; the verdict is empty where nothing was judged."""
        self.wait = Histogram()
        """From asking for a sandbox to having it."""
        self.run = Histogram()
        """From having a sandbox to giving it back."""
        self.starts = 0
        self.start_failures = 0
        self.recycled: Counter[str] = Counter()
        """Why sandboxes were destroyed."""
        self.retries = 0
        """Runs that were sent again because their sandbox died or the host was saturated."""
        self.tampered = 0
        self.cancelled = 0
        """Callers that went away, waiting or running."""
        self.refused = 0
        """Callers that got no sandbox: queue full, waited too long, pool closed."""

    def text(self, pools: Iterable[Gauges] = (), memory: tuple[int, int] | None = None) -> str:
        """Everything in Prometheus's text format; `memory` is (bytes reserved, bytes of the budget)."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry(pools, memory)).decode()

    def registry(self, pools: Iterable[Gauges] = (), memory: tuple[int, int] | None = None) -> CollectorRegistry:
        """A registry of its own, which shows what is counted at the moment it is read."""
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self, pools, memory))
        return registry


class _Collector:
    """Prometheus's way to ask."""

    def __init__(self, metrics: Metrics, pools: Iterable[Gauges], memory: tuple[int, int] | None) -> None:
        self._metrics, self._pools, self._memory = metrics, pools, memory

    def collect(self) -> Iterator[Any]:
        """One family after the other."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        counted = self._metrics
        queued = GaugeMetricFamily("fumehood_queued", "Runs that wait for a sandbox.", labels=["image", "priority"])
        running = GaugeMetricFamily("fumehood_running", "Sandboxes that are given away.", labels=["image"])
        idle = GaugeMetricFamily("fumehood_idle", "Sandboxes that are ready.", labels=["image"])
        starting = GaugeMetricFamily("fumehood_starting", "Sandboxes that are being started.", labels=["image"])
        for pool in self._pools:
            for priority, count in (pool.queued_by_priority() or {0: 0}).items():
                queued.add_metric([pool.name, str(priority)], count)
            running.add_metric([pool.name], pool.busy)
            idle.add_metric([pool.name], pool.idle)
            starting.add_metric([pool.name], pool.starting)
        yield from (queued, running, idle, starting)
        if self._memory is not None:
            yield GaugeMetricFamily("fumehood_memory_reserved_bytes", "Memory limits of all sandboxes together.", self._memory[0])
            yield GaugeMetricFamily("fumehood_memory_budget_bytes", "What they may be at most.", self._memory[1])
        runs = CounterMetricFamily("fumehood_runs", "Finished runs.", labels=["status", "verdict"])
        for (status, verdict), count in counted.runs.items():
            runs.add_metric([status, verdict], count)
        recycled = CounterMetricFamily("fumehood_worker_recycles", "Sandboxes that were destroyed.", labels=["reason"])
        for reason, count in counted.recycled.items():
            recycled.add_metric([reason], count)
        yield from (runs, recycled)
        for name, help_text, count in (
            ("fumehood_worker_starts", "Sandboxes that came up.", counted.starts),
            ("fumehood_worker_start_failures", "Sandboxes that did not come up.", counted.start_failures),
            ("fumehood_retries", "Runs that were sent again.", counted.retries),
            ("fumehood_tampered", "Runs in which an attack was seen.", counted.tampered),
            ("fumehood_cancelled", "Callers that went away.", counted.cancelled),
            ("fumehood_refused", "Callers that got no sandbox.", counted.refused),
        ):
            yield CounterMetricFamily(name, help_text, count)
        for name, help_text, histogram in (
            ("fumehood_wait_seconds", "From asking for a sandbox to having it.", counted.wait),
            ("fumehood_run_seconds", "From having a sandbox to giving it back.", counted.run),
        ):
            yield HistogramMetricFamily(name, help_text, histogram.cumulated(), histogram.sum)
