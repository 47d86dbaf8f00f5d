"""The embedded server with the real 0.5B model, through the real client."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_server import launcher
from llm_server.weights import KNOWN
from orchestrator.errors import CompletionError, PrerequisiteError
from orchestrator.llm.client import ModelClient
from orchestrator.types import Message, Sampling

pytestmark = pytest.mark.model

ASK = [Message(role="user", content="Write a Python function add(a, b). Answer with code only.")]
CONTEXT = 512


@pytest.fixture(scope="module")
def server() -> Iterator[launcher.RunningServer]:
    with launcher.start("0.5b", ctx=CONTEXT, parallel=2, api_key="secret") as running:
        yield running


@pytest.fixture
async def client(server):
    async with ModelClient(server.base_url, api_key="secret") as client:
        yield client


async def test_it_tells_the_hash_of_its_weights_and_its_limit(server, client):
    info = await client.info()
    assert info.server == "llama.cpp"
    assert info.sha == KNOWN["0.5b"].sha256 == server.sha256
    assert info.model == server.model
    assert info.max_total_tokens == CONTEXT


async def test_it_answers_and_counts(client):
    [completion] = await client.chat(ASK, Sampling(temperature=0, max_new_tokens=40))
    assert "def add" in completion.text
    assert completion.usage.prompt_tokens > 10
    assert 0 < completion.usage.completion_tokens <= 40


async def test_a_stream_is_the_answer_in_pieces_with_usage_and_logprobs(client):
    shown: list[str] = []
    [completion] = await client.chat(ASK, Sampling(temperature=0, max_new_tokens=12, logprobs=True), shown.append)
    assert len(shown) > 3
    assert "".join(shown) == completion.text
    assert completion.usage.completion_tokens == 12
    assert completion.finish_reason == "length"
    assert completion.logprobs is not None
    assert all(logprob <= 0 for logprob in completion.logprobs)


async def test_a_text_goes_on_without_a_chat(client):
    shown: list[str] = []
    greedy = Sampling(temperature=0, max_new_tokens=12, stop=("\n\n",))
    [completion] = await client.complete("def add(a, b):\n    return", greedy)
    [streamed] = await client.complete("def add(a, b):\n    return", greedy, shown.append)
    assert completion.text.startswith(" a + b")
    assert streamed.text.startswith(" a + b")
    assert "".join(shown).startswith(streamed.text)
    for usage in (completion.usage, streamed.usage):
        assert 5 < usage.prompt_tokens < 20
        assert 0 < usage.completion_tokens <= 12


async def test_the_same_seed_gives_the_same_answer_and_n_gives_several(client):
    hot = Sampling(temperature=1.5, top_p=1, max_new_tokens=12, seed=11)
    [first] = await client.chat(ASK, hot)
    [again] = await client.chat(ASK, hot)
    assert first.text == again.text
    several = await client.chat(ASK, hot.model_copy(update={"n": 3}))
    assert [completion.seed for completion in several] == [11, 12, 13]
    assert len({completion.text for completion in several}) > 1


async def test_json_follows_the_schema(client):
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"fault": {"enum": ["candidate", "tests"]}},
        "required": ["fault"],
        "additionalProperties": False,
    }
    [completion] = await client.chat(ASK, Sampling(temperature=0, max_new_tokens=24, json_schema=schema))
    assert json.loads(completion.text)["fault"] in ("candidate", "tests")


async def test_it_stops_where_it_is_told(client):
    [completion] = await client.chat(ASK, Sampling(temperature=0, max_new_tokens=40, stop=("(",)))
    assert "(" not in completion.text
    assert completion.finish_reason == "stop"


async def test_a_prompt_that_is_too_long_is_a_clear_error(client):
    with pytest.raises(CompletionError, match="too long") as raised:
        await client.chat([Message(role="user", content="word " * 2 * CONTEXT)], Sampling(max_new_tokens=4))
    assert raised.value.status_code == 400
    assert "--ctx" in raised.value.remedy


async def test_it_asks_for_its_key(server):
    async with ModelClient(server.base_url) as stranger:
        with pytest.raises(CompletionError) as raised:
            await stranger.chat(ASK, Sampling(max_new_tokens=1))
    assert raised.value.status_code == 401


def test_a_taken_port_is_named_before_anything_is_loaded(server):
    port = server.base_url.rsplit(":", 1)[1]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "llm_server", "--model", "0.5b", "--port", port], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 10


def test_a_file_that_does_not_load_ends_with_the_last_words_of_the_server(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(PrerequisiteError, match="could not be served"):
        launcher.start(str(tmp_path / "broken.gguf"), home=tmp_path)


def test_sigterm_closes_it_and_the_port_is_free_again():
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_server", "--model", "0.5b", "--port", "0", "--ctx", "256", "--parallel", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving qwen2.5-coder-0.5b-instruct-q4_k_m at http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(10) == 0
        finally:
            process.kill()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(line.split(":")[2].split()[0]))) != 0


def test_it_dies_with_whoever_started_it():
    program = (
        "import time\nfrom llm_server import launcher\n"
        "server = launcher.start('0.5b', ctx=256, parallel=1)\nprint(server.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()  # no handler, no clean-up
    _wait_until(lambda: not _runs(pid))


async def test_cancelled_while_it_starts_it_leaves_no_server_behind():
    before = _children()
    starting = asyncio.create_task(launcher.start_async("0.5b", ctx=256, parallel=1))
    await asyncio.to_thread(_wait_until, lambda: _children() != before)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.to_thread(_wait_until, lambda: _children() == before)


def test_one_that_does_not_answer_in_time_is_ended_and_said_to_be_late():
    before = _children()
    with pytest.raises(PrerequisiteError, match="did not answer in time"):
        launcher.start("0.5b", ctx=256, parallel=1, timeout=0.01)
    assert _children() == before


def test_closing_twice_is_fine():
    server = launcher.start("0.5b", ctx=256, parallel=1)
    assert server.alive
    server.close()
    server.close()
    assert not server.alive


def test_its_help_shows_how_to_use_it():
    done = subprocess.run([sys.executable, "-m", "llm_server", "--help"], capture_output=True, text=True, check=True)
    assert "--until-stdin-closes" in done.stdout
    assert "python -m llm_server --model 0.5b --port 0" in done.stdout


def _wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _children() -> set[str]:
    """Processes that this one started and that still run."""
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
