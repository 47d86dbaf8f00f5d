"""The model client against servers that check every field they are sent."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest
from tgi_server import MAX_TOTAL_TOKENS, MODEL, SHA, Fault, ModelServer

from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.base import Model
from orchestrator.llm.client import ModelClient
from orchestrator.llm.dialects import chat_fields, cut_at_stop, info_of_openai, wire_seed
from orchestrator.types import Message, Sampling, Usage

ASK = [Message(role="system", content="You write code."), Message(role="user", content="Say hello")]
SCHEMA: dict[str, object] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
SAMPLING = Sampling()


@pytest.fixture
def tgi() -> Iterator[ModelServer]:
    with ModelServer("tgi") as server:
        yield server


@pytest.fixture
def openai() -> Iterator[ModelServer]:
    with ModelServer("openai") as server:
        yield server


@pytest.fixture(params=["tgi", "openai"])
def server(request: pytest.FixtureRequest) -> Iterator[ModelServer]:
    with ModelServer(request.param) as server:
        yield server


class Patience:
    """Waits no time and remembers how long it should have."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


async def ask(server: ModelServer, sampling: Sampling = SAMPLING, on_token=None, **options):
    """The completions, and the waits between tries."""
    patience = Patience()
    async with ModelClient(server.url, sleep=patience, **options) as client:
        return await client.chat(ASK, sampling, on_token), patience.waited


async def refusal(server: ModelServer, sampling: Sampling = SAMPLING, on_token=None, **options) -> CompletionError:
    with pytest.raises(CompletionError) as raised:
        await ask(server, sampling, on_token, **options)
    return raised.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- what the server is ------------------------------------------------------------------------------------------


async def test_it_is_a_model():
    assert isinstance(ModelClient("http://127.0.0.1:1"), Model)


async def test_tgi_tells_its_model_revision_and_limit(tgi):
    async with ModelClient(tgi.url) as client:
        info = await client.info()
    assert (info.model, info.server, info.sha, info.max_total_tokens) == (MODEL, "tgi", SHA, MAX_TOTAL_TOKENS)


async def test_an_openai_server_is_known_by_its_models(openai):
    async with ModelClient(openai.url) as client:
        info = await client.info()
    assert (info.model, info.server, info.sha, info.max_total_tokens) == (MODEL, "openai", "", 2048)


async def test_the_embedded_server_tells_the_hash_of_its_weights():
    entry = {"id": "m", "owned_by": "llamacpp", "tags": ["sha256:abc"], "meta": {"n_ctx": 1024}}
    info = info_of_openai({"data": [entry]}, "")
    assert info is not None
    assert (info.model, info.server, info.sha, info.max_total_tokens) == ("m", "llama.cpp", "abc", 1024)


async def test_the_server_is_asked_once(tgi):
    async with ModelClient(tgi.url) as client:
        await asyncio.gather(*(client.info() for _ in range(5)))
        await client.chat(ASK, SAMPLING)
    assert tgi.paths == ["/info", "/v1/chat/completions"]


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_the_url_may_end_in_the_route(openai, suffix):
    async with ModelClient(openai.url + suffix) as client:
        assert (await client.chat(ASK, SAMPLING))[0].text == "Hello there!"


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://host", "http://", "http://host:port", "http://host:99999", "http://[::1"]
)
def test_what_is_no_url_is_wrong_usage(url):
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8080"):
        ModelClient(url)


@pytest.mark.parametrize("options", [{"max_concurrency": 0}, {"timeout": 0}, {"retries": -1}, {"backoff": -1}])
def test_numbers_without_sense_are_wrong_usage(options):
    with pytest.raises(UsageError):
        ModelClient("http://127.0.0.1:8080", **options)


# -- a completion ------------------------------------------------------------------------------------------------


async def test_a_completion_comes_with_its_facts(server):
    [completion], waited = await ask(server, Sampling(seed=7, logprobs=True))
    assert completion.text == "Hello there!"
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(prompt_tokens=5, completion_tokens=2)
    assert completion.seed == 7
    assert completion.logprobs == (-0.5, -0.5)
    assert 0 < completion.wall_time < 10
    assert waited == []


async def test_the_sampling_is_sent_as_asked(server):
    await ask(server, Sampling(temperature=0.7, top_p=0.9, max_new_tokens=33, seed=5, stop=("END",)))
    [sent] = server.chats
    assert sent["messages"] == [message.model_dump() for message in ASK]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"], sent["seed"], sent["stop"]) == (0.7, 0.9, 33, 5, ["END"])
    assert sent["model"] == MODEL


async def test_tgi_is_greedy_at_temperature_0_because_top_p_would_make_it_sample(tgi):
    await ask(tgi, Sampling(temperature=0, top_p=0.5))
    assert tgi.chats[0]["temperature"] == 0
    assert "top_p" not in tgi.chats[0]


async def test_tgi_is_not_sent_the_top_p_of_1_that_it_refuses(tgi):
    await ask(tgi, Sampling(top_p=1))
    assert "top_p" not in tgi.chats[0]


@pytest.mark.parametrize("seed", [-3, 2**32 - 1, 2**70])
async def test_any_seed_is_one_that_every_server_takes(server, seed):
    [completion], _ = await ask(server, Sampling(seed=seed))
    assert completion.seed == seed
    assert 0 <= server.chats[0]["seed"] < 2**31
    assert wire_seed(seed) == server.chats[0]["seed"]


async def test_json_is_asked_of_tgi_by_value(tgi):
    await ask(tgi, Sampling(json_schema=SCHEMA))
    assert tgi.chats[0]["response_format"] == {"type": "json", "value": SCHEMA}


async def test_json_is_asked_of_others_by_json_schema(openai):
    await ask(openai, Sampling(json_schema=SCHEMA))
    assert openai.chats[0]["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


async def test_the_stop_sequence_is_not_part_of_the_text(server):
    server.reply = "one two END three"
    [completion], _ = await ask(server, Sampling(stop=("END",)))
    assert (completion.text, completion.finish_reason) == ("one two ", "stop")


@pytest.mark.parametrize(("text", "stop", "kept"), [("abc", (), "abc"), ("a b c", ("c", "b"), "a "), ("abc", ("",), "abc")])
def test_cut_at_stop(text, stop, kept):
    assert cut_at_stop(text, stop) == kept


async def test_an_answer_that_was_cut_off_says_so(server):
    server.reply = "one two three four"
    [completion], _ = await ask(server, Sampling(max_new_tokens=2))
    assert (completion.text, completion.finish_reason) == ("one two ", "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_empty_answer_is_a_completion(server, stream):
    server.reply = ""
    [completion], _ = await ask(server, on_token=(lambda _: None) if stream else None)
    assert (completion.text, completion.finish_reason) == ("", "other")


async def test_a_reason_nobody_knows_is_other(server):
    server.reason = "content_filter"
    [completion], _ = await ask(server)
    assert completion.finish_reason == "other"


# -- several completions -----------------------------------------------------------------------------------------


async def test_completion_i_is_drawn_with_seed_plus_i(server):
    server.reply = lambda body: f"drawn with {body['seed']}"
    completions, _ = await ask(server, Sampling(n=3, seed=10))
    assert [completion.text for completion in completions] == [f"drawn with {seed}" for seed in (10, 11, 12)]
    assert [completion.seed for completion in completions] == [10, 11, 12]
    assert all("n" not in sent for sent in server.chats)


async def test_tgi_ignores_n_and_still_gives_n(tgi):
    completions, _ = await ask(tgi, Sampling(n=3))
    assert len(completions) == 3
    assert len(tgi.chats) == 3


async def test_one_request_draws_several_where_the_server_can(openai):
    openai.reply = lambda body: f"number {body['index']}"
    completions, _ = await ask(openai, Sampling(n=3))
    assert [completion.text for completion in completions] == ["number 0", "number 1", "number 2"]
    assert len(openai.chats) == 1
    assert sum((completion.usage for completion in completions), Usage()) == Usage(prompt_tokens=5, completion_tokens=6)


async def test_a_server_that_refuses_n_is_asked_one_by_one_and_not_again(openai):
    openai.most_n = 1
    async with ModelClient(openai.url) as client:
        assert len(await client.chat(ASK, Sampling(n=2))) == 2
        assert len(await client.chat(ASK, Sampling(n=2))) == 2
    assert [sent.get("n", 1) for sent in openai.chats] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("bound", [1, 3])
async def test_no_more_requests_are_in_flight_than_allowed(server, bound):
    server.hold = 0.05
    async with ModelClient(server.url, max_concurrency=bound) as client:
        await asyncio.gather(*(client.chat(ASK, Sampling(n=2, seed=seed)) for seed in range(4)))
    assert len(server.chats) == 8
    assert server.busiest == bound


async def test_one_failure_of_several_stops_the_others(server):
    server.hold = 0.05
    async with ModelClient(server.url, max_concurrency=1) as client:
        await client.info()
        server.faults.append(Fault(status=500))
        with pytest.raises(CompletionError):
            await client.chat(ASK, Sampling(n=50, seed=1))
    assert len(server.chats) <= 2


# -- streams -----------------------------------------------------------------------------------------------------


async def test_tokens_are_shown_as_they_come(server):
    server.reply = "one two three"
    shown: list[str] = []
    [completion], _ = await ask(server, Sampling(seed=3, logprobs=True), shown.append)
    assert shown == ["one ", "two ", "three"]
    assert completion.text == "one two three"
    assert completion.usage == Usage(prompt_tokens=5, completion_tokens=3)
    assert completion.logprobs == (-0.5, -0.5, -0.5)
    assert (completion.finish_reason, completion.seed) == ("stop", 3)


async def test_characters_that_look_like_line_ends_do_not_tear_a_stream(server):
    server.reply = "a\u2028b \x85c \u00fc"
    [completion], _ = await ask(server, on_token=lambda _: None)
    assert completion.text == server.reply


async def test_of_several_completions_the_first_is_shown(server):
    server.reply = lambda body: f"seed {body['seed']}"
    shown: list[str] = []
    completions, _ = await ask(server, Sampling(n=3, seed=1), shown.append)
    assert "".join(shown) == completions[0].text == "seed 1"
    assert [completion.text for completion in completions] == ["seed 1", "seed 2", "seed 3"]


@pytest.mark.parametrize("kind", ["break", "end"])
async def test_a_broken_stream_starts_anew_and_shows_nothing_twice(server, kind):
    server.reply = "one two three four"
    shown: list[str] = []
    async with ModelClient(server.url, sleep=Patience()) as client:
        await client.info()
        server.faults.append(Fault(kind=kind, after=2))
        [completion] = await client.chat(ASK, SAMPLING, shown.append)
    assert completion.text == "one two three four"
    assert "".join(shown) == "one two three four"
    assert len(server.chats) == 2


async def test_a_stream_that_always_breaks_is_an_error(server):
    async with ModelClient(server.url, sleep=Patience(), retries=2) as client:
        await client.info()
        server.faults.extend([Fault(kind="end")] * 3)
        with pytest.raises(CompletionError, match="broke off"):
            await client.chat(ASK, SAMPLING, lambda _: None)
    assert len(server.chats) == 3


@pytest.mark.parametrize(
    ("error", "status", "tries"),
    [
        ({"error": "out of memory", "error_type": "generation"}, 424, 2),
        ({"error": "too many", "error_type": "overloaded"}, 429, 2),
        ({"error": "bad", "error_type": "validation"}, 422, 1),
        ({"error": {"message": "engine died", "code": 500}}, 500, 1),
    ],
)
async def test_an_error_inside_a_stream_is_what_its_type_says(tgi, error, status, tries):
    async with ModelClient(tgi.url, sleep=Patience(), retries=1) as client:
        await client.info()
        tgi.faults.extend([Fault(kind="body", body=f"data: {json.dumps(error)}\n\n", content_type="text/event-stream")] * 2)
        with pytest.raises(CompletionError) as raised:
            await client.chat(ASK, SAMPLING, lambda _: None)
    assert raised.value.status_code == status
    assert len(tgi.chats) == tries


async def test_a_server_that_cannot_count_streams_is_asked_without(server):
    server.counts_streams = False
    async with ModelClient(server.url) as client:
        for _ in range(2):
            [completion] = await client.chat(ASK, SAMPLING, lambda _: None)
            assert (completion.text, completion.usage) == ("Hello there!", Usage())
    assert ["stream_options" in sent for sent in server.chats] == [True, False, False]


async def test_an_error_of_the_listener_is_its_own(server):
    def fail(_: str) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await ask(server, on_token=fail)
    assert len(server.chats) == 1


async def test_many_streams_leave_no_connection_open(server):
    async with ModelClient(server.url) as client:
        for _ in range(12):
            await client.chat(ASK, SAMPLING, lambda _: None)
        assert client._http is not None
        assert len(client._http._transport._pool.connections) <= 1


# -- retries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [*(Fault(status=status) for status in (424, 429, 502, 503, 529)), Fault(kind="drop")], ids=str)
async def test_what_a_second_try_can_mend_is_tried_again(server, fault, stream):
    patience = Patience()
    async with ModelClient(server.url, sleep=patience) as client:
        await client.info()
        server.faults.extend([fault, fault])
        [completion] = await client.chat(ASK, SAMPLING, (lambda _: None) if stream else None)
    assert completion.text == "Hello there!"
    assert len(server.chats) == 3
    assert len(patience.waited) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 500, 501, 504])
async def test_every_other_refusal_is_final(server, status, stream):
    patience = Patience()
    async with ModelClient(server.url, sleep=patience) as client:
        await client.info()
        server.faults.append(Fault(status=status, message="because"))
        with pytest.raises(CompletionError) as raised:
            await client.chat(ASK, SAMPLING, (lambda _: None) if stream else None)
    assert raised.value.status_code == status
    assert not raised.value.retryable
    assert "because" in str(raised.value)
    assert patience.waited == []
    assert len(server.chats) == 1


async def test_retries_end(server):
    patience = Patience()
    async with ModelClient(server.url, sleep=patience, retries=3) as client:
        await client.info()
        server.faults.extend([Fault(status=503, message="loading")] * 9)
        with pytest.raises(CompletionError, match="loading") as raised:
            await client.chat(ASK, SAMPLING)
    assert (raised.value.status_code, raised.value.retryable) == (503, True)
    assert len(server.chats) == 4
    assert len(patience.waited) == 3


async def test_waits_double_with_jitter(server):
    patience = Patience()
    async with ModelClient(server.url, sleep=patience, retries=4, backoff=0.5) as client:
        await client.info()
        server.faults.extend([Fault(status=503)] * 4)
        await client.chat(ASK, SAMPLING)
    for place, waited in enumerate(patience.waited):
        assert 0.25 * 2**place <= waited <= 0.75 * 2**place


async def test_a_longer_wait_that_the_server_asks_for_is_honoured_up_to_a_minute(server):
    patience = Patience()
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    async with ModelClient(server.url, sleep=patience, backoff=0.1) as client:
        await client.info()
        server.faults.extend(Fault(status=429, headers={"retry-after": value}) for value in ("7", later, "9999", "soon"))
        await client.chat(ASK, SAMPLING)
    seven, date, long, unreadable = patience.waited
    assert seven == 7
    assert 27 <= date <= 30
    assert long == 60
    assert unreadable < 2


async def test_a_server_that_still_loads_is_waited_for(server):
    server.faults.extend([Fault(status=503, message="Loading model")] * 2)
    [completion], waited = await ask(server)
    assert completion.text == "Hello there!"
    assert len(waited) == 2


# -- refusals and nonsense ---------------------------------------------------------------------------------------


async def test_nobody_there_says_how_to_start_one():
    patience = Patience()
    async with ModelClient(f"http://127.0.0.1:{free_port()}", sleep=patience, retries=2) as client:
        with pytest.raises(CompletionError, match="No model server answers at") as raised:
            await client.chat(ASK, SAMPLING)
    assert "fumehood model serve" in raised.value.remedy
    assert raised.value.retryable
    assert len(patience.waited) == 2


async def test_a_key_is_sent_and_a_wrong_one_explained(server):
    server.api_key = "right"
    [completion], _ = await ask(server, api_key="right")
    assert completion.text == "Hello there!"
    error = await refusal(server, api_key="wrong")
    assert error.status_code == 401
    assert "FUMEHOOD_API_KEY" in error.remedy
    assert "wrong" not in str(error)


async def test_a_stored_hub_token_goes_to_nobody_else(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    await ask(server)
    await ask(server, on_token=lambda _: None)
    assert all("hf_secret" not in str(headers) for headers in server.headers)


async def test_an_unknown_model_is_named(openai):
    error = await refusal(openai, model="gpt-99")
    assert error.status_code == 404
    assert "gpt-99" in str(error)
    assert "--model" in error.remedy


async def test_a_prompt_that_is_too_long_is_said_to_be(server):
    with pytest.raises(CompletionError, match="too long") as raised:
        async with ModelClient(server.url) as client:
            await client.chat([Message(role="user", content="word " * 5000)], SAMPLING)
    assert raised.value.status_code == 422
    assert "4096" in str(raised.value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "body", ["<html><body>Welcome</body></html>", "", "null", "[]", "{}", '{"choices": []}', '{"choices": [1]}']
)
async def test_nonsense_is_said_to_be_and_not_tried_again(server, body, stream):
    patience = Patience()
    async with ModelClient(server.url, sleep=patience) as client:
        await client.info()
        kind = "text/html" if body.startswith("<") else "application/json"
        server.faults.append(Fault(kind="body", body=body, content_type=kind))
        with pytest.raises(CompletionError, match="is not a completion"):
            await client.chat(ASK, SAMPLING, (lambda _: None) if stream else None)
    assert patience.waited == []


async def test_a_web_site_is_no_model_server(server):
    server.faults.extend([Fault(kind="body", body="<html></html>")] * 2)
    error = await refusal(server)
    assert "is not a model server" in str(error)


async def test_silence_ends_in_a_time_out_that_is_not_tried_again(server):
    async with ModelClient(server.url, timeout=0.2) as client:
        await client.info()
        server.hold = 1.0
        with pytest.raises(CompletionError, match=r"silent for 0\.2 s"):
            await client.chat(ASK, SAMPLING)
    assert len(server.chats) == 1


async def test_closing_twice_is_fine_and_the_next_call_opens_again(server):
    client = ModelClient(server.url)
    await client.chat(ASK, SAMPLING)
    await client.close()
    await client.close()
    assert (await client.chat(ASK, SAMPLING))[0].text == "Hello there!"
    await client.close()


async def test_offline_mode_of_the_hub_does_not_cut_off_local_servers(server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    [completion], _ = await ask(server)
    assert completion.text == "Hello there!"


async def test_proxies_are_not_asked_for_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    [completion], _ = await ask(server)
    assert completion.text == "Hello there!"


def test_fields_of_a_default_request():
    assert chat_fields("tgi", SAMPLING, None) == {"max_tokens": 768, "temperature": 0.2, "top_p": 0.95}


# -- the continuation of a text ----------------------------------------------------------------------------------

PROMPT = "def add(a, b): return"


async def go_on(server: ModelServer, sampling: Sampling = SAMPLING, on_token=None, **options):
    """The continuations, and the waits between tries."""
    patience = Patience()
    async with ModelClient(server.url, sleep=patience, **options) as client:
        return await client.complete(PROMPT, sampling, on_token), patience.waited


@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_goes_on_with_its_facts(server, stream):
    server.reply = "a + b, I think"
    seen: list[str] = []
    [completion], waited = await go_on(server, Sampling(seed=7, logprobs=True), seen.append if stream else None)
    assert (completion.text, completion.finish_reason, completion.seed) == ("a + b, I think", "stop", 7)
    ends = 1 if server.dialect == "tgi" else 0  # TGI counts the token that ends the text
    assert completion.usage == Usage(prompt_tokens=4, completion_tokens=5 + ends)
    assert completion.logprobs == (-0.5,) * (5 + ends)
    assert "".join(seen) == (completion.text if stream else "")
    assert len(seen) == (5 if stream else 0)
    assert waited == []


async def test_tgi_generates_on_its_own_route(tgi):
    await go_on(tgi, Sampling(temperature=0.7, top_p=0.9, max_new_tokens=33, seed=2**40 + 5, stop=("END",)))
    assert tgi.paths == ["/info", "/generate_stream"]
    assert tgi.chats[0] == {
        "inputs": PROMPT,
        "parameters": {
            "details": True,
            "do_sample": True,
            "max_new_tokens": 33,
            "seed": 5,
            "stop": ["END"],
            "temperature": 0.7,
            "top_p": 0.9,
        },
    }


async def test_others_complete_on_the_route_of_openai(openai):
    await go_on(openai, Sampling(temperature=0.7, top_p=0.9, max_new_tokens=33, seed=5, stop=("END",), logprobs=True))
    assert openai.paths[-1] == "/v1/completions"
    assert openai.chats[0] == {
        "model": MODEL,
        "prompt": PROMPT,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 33,
        "seed": 5,
        "stop": ["END"],
        "logprobs": 1,
    }


async def test_greedy_generation_tells_tgi_no_temperature(tgi):
    await go_on(tgi, Sampling(temperature=0, top_p=0.5))
    assert tgi.chats[0]["parameters"]["do_sample"] is False
    assert not {"temperature", "top_p"} & set(tgi.chats[0]["parameters"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_continuation_ends_before_its_stop(server, stream):
    server.reply = "a + b END and more"
    [completion], _ = await go_on(server, Sampling(stop=("END",)), (lambda _: None) if stream else None)
    assert (completion.text, completion.finish_reason) == ("a + b ", "stop")


async def test_a_continuation_that_was_cut_off_says_so(server):
    server.reply = "one two three four"
    [completion], _ = await go_on(server, Sampling(max_new_tokens=2))
    assert (completion.text, completion.finish_reason) == ("one two ", "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_empty_continuation_is_a_completion(server, stream):
    server.reply = ""
    [completion], _ = await go_on(server, on_token=(lambda _: None) if stream else None)
    assert (completion.text, completion.finish_reason) == ("", "other")


async def test_several_continuations_have_a_seed_each(server):
    server.reply = lambda body: f"with {body['seed']}"
    drawn, _ = await go_on(server, Sampling(n=3, seed=5))
    assert [(item.text, item.seed) for item in drawn] == [("with 5", 5), ("with 6", 6), ("with 7", 7)]


async def test_several_continuations_without_a_seed_are_one_request(openai):
    openai.reply = lambda body: f"answer {body['index']}"
    drawn, _ = await go_on(openai, Sampling(n=3))
    assert [item.text for item in drawn] == ["answer 0", "answer 1", "answer 2"]
    assert len(openai.chats) == 1
    assert openai.chats[0]["n"] == 3


@pytest.mark.parametrize("status", [424, 429, 503])
async def test_a_continuation_is_tried_again(server, status):
    async with ModelClient(server.url, sleep=(patience := Patience())) as client:
        await client.info()
        server.faults.extend([Fault(status=status), Fault(kind="drop")])
        [completion] = await client.complete(PROMPT, SAMPLING)
    assert completion.text == "Hello there!"
    assert len(patience.waited) == 2


async def test_a_continuation_that_is_refused_is_not_tried_again(server):
    async with ModelClient(server.url, sleep=(patience := Patience())) as client:
        await client.info()
        server.faults.append(Fault(status=422, message="no", error_type="validation"))
        with pytest.raises(CompletionError) as raised:
            await client.complete(PROMPT, SAMPLING)
    assert (raised.value.status_code, patience.waited) == (422, [])


@pytest.mark.parametrize("kind", ["break", "end"])
async def test_a_continuation_that_breaks_off_starts_anew_and_shows_nothing_twice(server, kind):
    server.reply = "one two three four"
    seen: list[str] = []
    async with ModelClient(server.url, sleep=(patience := Patience())) as client:
        await client.info()
        server.faults.append(Fault(kind=kind, after=2))
        [completion] = await client.complete(PROMPT, SAMPLING, seen.append)
    assert completion.text == "".join(seen) == "one two three four"
    assert len(patience.waited) == 1


async def test_an_error_inside_a_generation_is_the_servers(tgi):
    body = 'data:{"error":"Request failed during generation","error_type":"generation"}\n\n'
    async with ModelClient(tgi.url, sleep=(patience := Patience())) as client:
        await client.info()
        tgi.faults.append(Fault(kind="body", body=body, content_type="text/event-stream"))
        [completion] = await client.complete(PROMPT, SAMPLING)
    assert completion.text == "Hello there!"
    assert len(patience.waited) == 1


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '{"choices": []}', '{"choices": [1]}', "<html></html>"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_continuation_that_is_nonsense_is_said_to_be(openai, body, stream):
    async with ModelClient(openai.url, sleep=(patience := Patience())) as client:
        await client.info()
        openai.faults.append(Fault(kind="body", body=body, content_type="application/json"))
        with pytest.raises(CompletionError, match="is not a completion"):
            await client.complete(PROMPT, SAMPLING, (lambda _: None) if stream else None)
    assert patience.waited == []


async def test_a_prompt_that_is_too_long_says_so(server):
    async with ModelClient(server.url) as client:
        with pytest.raises(CompletionError, match="too long"):
            await client.complete("word " * (MAX_TOTAL_TOKENS + 1), SAMPLING)


async def test_the_key_goes_with_a_continuation_and_no_other_does(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_hub")
    await go_on(server)
    assert "authorization" not in server.headers[-1]
    server.api_key = "mine"
    await go_on(server, api_key="mine")
    assert server.headers[-1]["authorization"] == "Bearer mine"


async def test_a_continuation_is_held_to_no_schema(server):
    with pytest.raises(UsageError, match="JSON schema"):
        await go_on(server, Sampling(json_schema=SCHEMA))
    assert server.paths == []


async def test_log_probabilities_of_a_continuation_as_llama_cpp_words_them(openai):
    said = {"text": "x", "finish_reason": "stop", "logprobs": {"content": [{"token": "x", "logprob": -0.25}]}}
    async with ModelClient(openai.url) as client:
        await client.info()
        openai.faults.append(Fault(kind="body", body=json.dumps({"choices": [said]}), content_type="application/json"))
        [completion] = await client.complete(PROMPT, Sampling(logprobs=True))
    assert (completion.text, completion.logprobs) == ("x", (-0.25,))
