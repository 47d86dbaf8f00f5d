"""The soak, shortened: hostile and friendly runs side by side end as they must, and nothing grows."""

from __future__ import annotations

import pytest
from census import nothing_left

from orchestrator.checks.soak import KINDS, LIMITS, mixed, soak
from orchestrator.engine.engine import Engine
from orchestrator.settings import Settings

pytestmark = pytest.mark.docker


def test_half_of_the_mix_is_hostile_and_every_kind_has_its_turn():
    kinds = mixed()
    first = [next(kinds) for _ in range(80)]
    assert {kind.name for kind in first} == {kind.name for kind in KINDS}
    assert sum(kind.hostile for kind in first) == 40


async def test_mixed_runs_end_as_they_must_and_nothing_grows():
    engine = Engine(Settings(workers=2, isolation="namespace"), limits=LIMITS, preload=False)
    async with nothing_left() as census, engine:
        census.watch(engine)
        found = await soak(engine, 160, block=40)
    assert found.unexpected == []
    assert sum(found.statuses.values()) == 160
    assert [row.runs for row in found.rows] == [40, 80, 120, 160]
    drift = found.drift()
    assert drift["rss"] < 1.1
    assert drift["descriptors"] < 1.3
    assert found.rows[-1].tasks <= found.rows[0].tasks + 4
    assert len(census.made) < 30  # a worker serves many runs, hostile ones too
