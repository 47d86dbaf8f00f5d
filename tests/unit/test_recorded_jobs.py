"""Working through what is left of a job."""

from __future__ import annotations

import asyncio

from orchestrator.jobs import job as recorded_jobs


async def test_in_silence_the_count_is_told_again(monkeypatch):
    monkeypatch.setattr(recorded_jobs, "_REMINDER", 0.01)
    told: list[tuple[int, int]] = []
    reminded = asyncio.Event()

    async def one(key):
        await reminded.wait()

    def on_count(done, total):
        told.append((done, total))
        if len(told) == 4:
            reminded.set()

    await asyncio.wait_for(recorded_jobs.work_through(["a", "b"], one, 2, lambda key, exc: None, on_count), 10)
    assert told[:4] == [(0, 2)] * 4
    assert told[-1] == (2, 2)
    counts = len(told)
    await asyncio.sleep(0.05)
    assert len(told) == counts  # nobody is reminded of what is over
