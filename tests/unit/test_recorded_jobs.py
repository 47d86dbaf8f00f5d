"""What all recorded jobs share, with a toy application: write a number for each step."""

from __future__ import annotations

import asyncio
import threading

import pytest

from orchestrator.data.store import RunStore
from orchestrator.errors import StoreError
from orchestrator.jobs import steps
from orchestrator.jobs.endpoint import ModelEndpoint
from orchestrator.jobs.job import JobResult, RecordedJob
from orchestrator.jobs.steps import Shared, Step, run_concurrently
from orchestrator.jobs.watcher import Watcher
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.settings import Settings
from orchestrator.types import Attempt, Completion, Limits, Message, Value


class Numbers(Value):
    count: int = 3


class Sum(JobResult):
    def summary(self):
        return {"text": self.text}


class Counting(RecordedJob[Numbers, Sum]):
    kind, name, job_type = "count", "count", Numbers
    endpoint = ModelEndpoint(base_url="", model="", parallel=1)
    limits = Limits()
    concurrency = 1

    async def load(self):
        return [Step("n", number) for number in range(self.job.count)]

    async def one(self, step):
        asked = Attempt(
            task=step.task,
            index=step.sample,
            messages=(Message(role="user", content=str(step.sample)),),
            completion=Completion(text=""),
        )
        completion = await self.ask(asked, lambda asked: self.model.chat(asked.messages, asked.sampling))
        await self.record(asked.model_copy(update={"completion": completion}))

    def result(self, run):
        found = Sum(run=run)
        found.text = " ".join(attempt.completion.text for attempt in self.attempts.values())
        return found


class Engine:
    image = "sha256:test"


class OffLoop(RunStore):
    """A store that refuses to be asked in the event loop."""

    def _session(self):
        assert threading.current_thread() is not threading.main_thread()
        return super()._session()


def counting(store, answers, **given):
    return Counting(Settings(), store, engine=Engine(), model=ScriptedModel(answers), **given)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'runs.sqlite3'}"


async def test_a_job_is_recorded_and_resumed_without_the_event_loop_waiting_for_the_disk(url):
    with OffLoop.open(url) as store:
        began = []
        work = counting(store, ["a", "b"], watcher=Watcher(on_start=began.append))  # and the model stops at the third
        result = await work.run_job(Numbers())
        assert work.error is not None
        assert (result.run.state, result.text, began[0].id) == ("interrupted", "a b", result.run.id)
        resumed = await counting(store, ["c"]).resume_job(result.run.id)
        assert (resumed.run.state, resumed.text, resumed.run.summary) == ("finished", "a b c", {"text": "a b c"})
        assert (await counting(store, []).resume_job(result.run.id)).text == "a b c"


async def test_what_is_being_written_is_written_under_a_cancellation(url):
    with RunStore.open(url) as store:
        writing, disk = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        add = store.add_attempt

        def slowly(run_id, attempt):
            loop.call_soon_threadsafe(writing.set)
            disk.wait(10)
            return add(run_id, attempt)

        store.add_attempt = slowly
        task = asyncio.create_task(counting(store, ["a", "b"]).run_job(Numbers(count=2)))
        await writing.wait()
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        disk.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        run = store.run("last")
        assert (run.state, run.summary) == ("interrupted", {"text": "a"})
        assert [attempt.completion.text for attempt in store.attempts(run.id)] == ["a"]


async def test_a_full_disk_ends_the_job_and_is_what_is_said(url):
    with RunStore.open(url) as store:
        store.add_attempt = store.finish = full
        with pytest.raises(StoreError, match="full"):
            await counting(store, ["a"]).run_job(Numbers())


def full(*what):
    raise StoreError("The disk is full.")


async def test_in_silence_the_count_is_told_again(monkeypatch):
    monkeypatch.setattr(steps, "REMINDER", 0.01)
    told: list[tuple[int, int]] = []
    reminded = asyncio.Event()

    async def one(step):
        await reminded.wait()

    def on_count(done, total):
        told.append((done, total))
        if len(told) == 4:
            reminded.set()

    work = run_concurrently([Step("a"), Step("b")], one, concurrency=2, on_silence=lambda step, exc: None, on_count=on_count)
    await asyncio.wait_for(work, 10)
    assert told[:4] == [(0, 2)] * 4
    assert told[-1] == (2, 2)
    counts = len(told)
    await asyncio.sleep(0.05)
    assert len(told) == counts  # nobody is reminded of what is over


async def test_shared_work_is_done_once_and_outlives_a_step_that_is_cancelled():
    begun, end = [], asyncio.Event()

    async def work(key):
        begun.append(key)
        await end.wait()
        return key.upper()

    shared = Shared(work)
    first, second = asyncio.create_task(shared.get("a")), asyncio.create_task(shared.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    end.set()
    assert await second == "A"
    assert begun == ["a"]
