"""What servers answer, read without trust: shapes of answers, wordings of errors, and nonsense."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tgi_server import MODEL, Fault, ModelServer

from orchestrator.errors import CompletionError, OrchestratorError, UsageError
from orchestrator.llm import wire
from orchestrator.llm.client import ModelClient
from orchestrator.llm.replies import Answer, error_in, is_too_long, message_of, pieces, refused_field
from orchestrator.types import Completion, Message, Sampling

ASK = [Message(role="user", content="Say hello")]
CODE = "def f():\n    return 1\n"


def whole(message: dict[str, Any], reason: str | None = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}]}


def event(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def stream(*events: object, end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(one)}\n\n" for one in events) + end


async def no_wait(_: float) -> None:
    pass


async def answer(body: str, *, asked_as_stream: bool = False, kind: str = "application/json", tries: int = 1) -> Completion:
    """The completion that a server's body is read as."""
    shown: list[str] = []
    with ModelServer("openai") as server:
        async with ModelClient(server.url, sleep=no_wait, retries=tries - 1) as client:
            await client.info()
            server.faults.extend([Fault(kind="body", body=body, content_type=kind)] * tries)
            [completion] = await client.chat(ASK, Sampling(), shown.append if asked_as_stream else None)
        assert len(server.chats) == 1
    if asked_as_stream:
        assert "".join(shown) == completion.text
    return completion


async def both(message: dict[str, Any], reason: str = "stop") -> list[Completion]:
    """The same message, whole and as a stream of one event and its end."""
    return [
        await answer(json.dumps(whole(message, reason))),
        await answer(stream(event(message), event({}, reason)), asked_as_stream=True, kind="text/event-stream"),
    ]


# -- shapes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "abc"}],
        [{"type": "text", "text": "a"}, {"type": "output_text", "text": "bc"}],
        [{"type": "text", "text": {"value": "abc"}}],
        ["a", "bc"],
        [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "abc"}],
        {"type": "text", "text": "abc"},
    ],
)
async def test_a_content_in_parts_is_their_text(content):
    assert {(one.text, one.finish_reason) for one in await both({"content": content})} == {("abc", "stop")}


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "abc"}]},
        {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "abc"}]},
        {"content": "abc", "reasoning_content": "hm"},
        {"content": "abc", "reasoning": "hm", "reasoning_content": None},
        {"content": "abc", "thinking": "hm"},
        {"content": "abc", "reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    ],
)
async def test_reasoning_is_kept_apart_from_the_answer(message):
    assert {(one.text, one.reasoning) for one in await both(message)} == {("abc", "hm")}


async def test_an_answer_cut_off_in_its_reasoning_is_empty():
    for one in await both({"content": None, "reasoning_content": f"Perhaps {CODE}"}, "length"):
        assert (one.text, one.finish_reason, one.reason) == ("", "length", "length")


async def test_reasoning_that_ended_by_itself_is_the_answer_where_there_is_no_other():
    """Servers that look for the end of a thought put all that a model without thoughts wrote there."""
    for one in await both({"content": None, "reasoning_content": CODE}):
        assert (one.text, one.finish_reason) == (CODE, "stop")


@pytest.mark.parametrize("content", [None, "", []])
async def test_a_content_of_nothing_is_an_empty_answer(content):
    for one in await both({"content": content}, "content_filter"):
        assert (one.text, one.finish_reason, one.reason) == ("", "other", "content_filter")


async def test_what_a_model_declines_is_its_answer():
    for one in await both({"content": None, "refusal": "I cannot help."}):
        assert one.text == "I cannot help."


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [{"index": 0, "function": {"name": "submit", "arguments": json.dumps({"code": CODE})}}]},
        {"tool_calls": [{"function": {"name": "submit", "arguments": {"code": CODE}}}]},
        {"function_call": {"name": "submit", "arguments": json.dumps({"code": CODE})}},
    ],
)
async def test_the_call_of_a_tool_is_an_answer(message):
    for one in await both({"content": None, **message}, "tool_calls"):
        told = one.text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
        assert json.loads(told) == {"name": "submit", "arguments": {"code": CODE}}
        assert one.finish_reason == "stop"


async def test_the_input_of_a_tool_that_takes_a_text_is_an_answer():
    for one in await both({"content": None, "tool_calls": [{"custom": {"name": "run", "input": CODE}}]}, "tool_calls"):
        assert json.loads(one.text.splitlines()[1]) == {"name": "run", "arguments": CODE}


async def test_the_call_of_a_tool_comes_in_bits():
    bits = [json.dumps({"code": CODE})[start : start + 7] for start in range(0, 60, 7)]
    events = [event({"tool_calls": [{"index": 0, "function": {"name": "submit", "arguments": ""}}]})]
    events += [event({"tool_calls": [{"index": 0, "function": {"arguments": bit}}]}) for bit in bits]
    body = stream(*events, event({}, "tool_calls"))
    one = await answer(body, asked_as_stream=True, kind="text/event-stream")
    assert json.loads(one.text.splitlines()[1])["arguments"] == {"code": CODE}


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
async def test_json_in_place_of_a_stream_is_read(kind):
    assert (await answer(json.dumps(whole({"content": "abc"})), asked_as_stream=True, kind=kind)).text == "abc"


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "application/octet-stream"])
async def test_a_stream_in_place_of_json_is_read(kind):
    assert (await answer(stream(event({"content": "a"}), event({"content": "b"}, "stop")), kind=kind)).text == "ab"


@pytest.mark.parametrize(
    "end",
    ['error: {"code": 500, "message": "died"}\n\n', 'event: error\ndata: {"message": "died"}\n\n'],
    ids=["a line", "a name"],
)
async def test_an_error_is_known_by_its_line_or_its_name(end):
    with pytest.raises(CompletionError, match="died") as raised:
        await answer(stream(event({"content": "a"}), end=end), asked_as_stream=True, kind="text/event-stream")
    assert not raised.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        ": ping\n\n" + stream(event({"content": "abc"}), event({}, "stop")),
        stream({"choices": [], "prompt_filter_results": []}, event({"content": "abc"}), event({}, "stop")),
        stream(event({"content": "abc"}), event({}, "stop")).replace("data: ", "data:"),
        stream(event({"content": "abc"}), event({}, "stop")).replace("\n\n", "\r\n\r\n"),
        stream(event({"content": "abc"}), event({}, "stop")).replace("\n\n", "\n"),
        "data: " + json.dumps(event({"content": "abc"}, "stop"), indent=1).replace("\n", "\ndata: ") + "\n\n",
        "event: message\nid: 3\n" + stream(event({"content": "abc"}, "stop")),
        "\ufeff" + stream(event({"content": "a"}), event({"content": "bc"}, "stop")),
        stream(event({"content": "abc"}), event({}, "stop")).replace("\n", "\r"),
        stream({"choices": [{"index": 1, "delta": {"content": "zz"}}]}, event({"content": "abc"}, "stop")),
    ],
    ids=[
        "pings",
        "events without choices",
        "no space",
        "carriage returns",
        "no empty lines",
        "an event of many lines",
        "names",
        "a byte order mark",
        "carriage returns alone",
        "another choice first",
    ],
)
async def test_a_stream_is_read_as_servers_write_it(body):
    assert (await answer(body, asked_as_stream=True, kind="text/event-stream")).text == "abc"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 7])
async def test_lines_end_alike_wherever_their_chunks_do(end, size):
    text = end.join(["\ufeffdata: {", "", "data: \u2028", "last"]).encode()

    async def chunks():
        for start in range(0, len(text), size):
            yield text[start : start + size]

    assert [line async for line in wire._lines(chunks())] == ["data: {", "", "data: \u2028", "last"]


async def test_choices_are_told_apart_by_their_index_and_else_by_their_place():
    async def drawn(indices: list[int | None]) -> list[str]:
        choices = [{"index": index, "message": {"content": f"{index}"}, "finish_reason": "stop"} for index in indices]
        with ModelServer("openai") as server:
            async with ModelClient(server.url) as client:
                await client.info()
                server.faults.append(Fault(kind="body", body=json.dumps({"choices": choices}), content_type="application/json"))
                return [one.text for one in await client.chat(ASK, Sampling(n=len(indices)))]

    assert await drawn([2, 0, 1]) == ["0", "1", "2"]
    assert await drawn([0, 0, 0]) == ["0", "0", "0"]
    assert await drawn([None, None]) == ["None", "None"]


async def test_counts_alone_are_of_the_first_answer_whatever_its_index():
    text = stream(
        {"choices": [{"index": 1, "delta": {"content": "abc"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    )
    found = await answer(text, asked_as_stream=True, kind="text/event-stream")
    assert (found.text, found.usage.completion_tokens) == ("abc", 4)


async def test_halves_of_characters_are_replaced():
    one = await answer('{"choices": [{"message": {"content": "a\\ud800b"}, "finish_reason": "stop"}]}')
    assert one.text == "a\ufffdb"
    assert Completion.model_validate_json(one.model_dump_json()) == one


def test_what_stands_beside_the_text_is_left_out_where_it_is_odd():
    told = {**whole({"content": "a"}), "usage": {"prompt_tokens": "many", "completion_tokens": -3}}
    told["choices"][0]["logprobs"] = {"content": [{"logprob": None}]}
    told["choices"][0]["finish_reason"] = 7
    [piece] = pieces(told)
    found = Answer()
    found.add(piece)
    done = found.completion()
    assert (done.text, done.finish_reason, done.usage.prompt_tokens, done.usage.completion_tokens) == ("a", "other", 0, 0)
    assert done.logprobs is None


# -- errors ------------------------------------------------------------------------------------------------------

TOO_LONG = [
    "This model's maximum context length is 8192 tokens. However, you requested 8203 tokens (7691 in the messages, 512 in the "
    "completion). Please reduce the length of the messages or completion.",
    "The prompt (length 10127) is longer than the maximum model length of 8192.",
    "The decoder prompt (length 10127) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no "
    "smaller than the number of text tokens.",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your "
    "request has 20 input tokens (5000 > 4096 - 20).",
    "max_tokens must be at least 1, got -523.",
    "You passed 8193 input tokens and requested 512 output tokens. However, the model's context length is only 8192 tokens.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 20 `max_new_tokens`",
    "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens.",
    "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens).",
    "the request exceeds the available context size, try increasing it",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "Context size has been exceeded.",
    "context size exceeded: 5000 > 4096",
    "input is too large to process. increase the physical batch size",
    "the input length exceeds the context length",
    "prompt too long; exceeded max context length by 12 tokens",
    "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only "
    "4096 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "prompt is too long: 208310 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
    "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "prompt token count of 200000 exceeds the limit of 128000",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Input tokens exceed the configured limit of 272000 tokens.",
    "Input is too long for requested model.",
    "Requested tokens (6000) exceed context window of 512",
    "Prompt length 5000 is greater than max_seq_len 4096",
    "Invalid request: Your request exceeded model token limit: 8192",
    "Please reduce the length of the messages or completion.",
    "total tokens 5000 exceed model limit 4096",
    "Range of input length should be [1, 30720]",
    "Prompt has 9000 tokens, but the max model length is 4096",
    "prompt tokens (9000) + max tokens (10) must be within 4096",
    "the prompt contains 5000 tokens, the limit is 4096",
    "Prompt has 9000 tokens, but max is 8192",
    "Your request was too long: 9000 tokens (max 8192)",
    "n_ctx exceeded",
    "Context window full",
    "Prompt length 9000 > max_seq_len 8192",
    "tokens in request more than max tokens allowed",
    "length of prompt_ids (5000) over context 4096",
    "Expected prompt with at most 4096 tokens but got 5000",
    "Input of 5000 tokens does not fit into the context of 4096",
    "Maximum prompt size is 4096 tokens, got 5000",
    "Conversation too big for context window",
    "too many total text bytes: 20000000 > 9437184",
    "Length of the prompt (9000) is over the model's context (8192)",
    "text too long, 9000 tokens, allowed 8192",
    "This text has 9,000 tokens; up to 8,192 are taken",
    "content of 20000000 characters is beyond 10485760",
]
"""Of vLLM, TGI, SGLang, llama.cpp, Ollama, LM Studio, OpenAI, Anthropic, Google, xAI, Mistral, Amazon and others."""

NOT_TOO_LONG = [
    "",
    "max_tokens is too large: 100000. This model supports at most 4096 completion tokens.",
    "temperature: Input should be less than or equal to 2",
    "temperature: Input should be greater than 0",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "n must be at most 1",
    "Rate limit reached: too many requests",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "`stop` supports up to 4 stop sequences. Given: 5",
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for this model",
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 9.00 GiB",
    "Expected input batch_size (9000) to match target batch_size (8192).",
    "shape '[1, 9000]' is invalid for input of size 8192",
    "index 9000 is out of bounds for dimension 0 with size 8192",
    "The text generation request timed out after 300 s (limit 60 s)",
    "request queue is full: 9000 waiting, limit 8192",
    "stop: text of length 40, at most 16 are allowed",
    "Limit of tokens per minute: this request has 9000 tokens, limit 8192",
    "text of length " + "9" * 5000,
]


@pytest.mark.parametrize("told", TOO_LONG)
def test_a_prompt_that_is_too_long_is_known_in_every_wording(told):
    assert is_too_long(told)


@pytest.mark.parametrize("told", NOT_TOO_LONG)
def test_other_refusals_are_not_taken_for_it(told):
    assert not is_too_long(told)


FIELDS = ("temperature", "top_p", "seed", "max_tokens", "logprobs", "stream_options")


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
        ),
        (
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
            "temperature",
        ),
        ("Unsupported parameter: 'top_p' is not supported with this model.", "top_p"),
        ("Unrecognized request argument supplied: seed", "seed"),
        ("seed: Extra inputs are not permitted", "seed"),
        ('Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed"),
        ("Unknown field: stream_options", "stream_options"),
        ("'logprobs' is not supported with this model", "logprobs"),
        ("`temperature` may only be set to 1 when thinking is enabled.", "temperature"),
        ("invalid temperature: only 1 is allowed for this model", "temperature"),
        ("temperature: must be 1 for reasoning models", "temperature"),
        ("This model does not allow the temperature parameter", "temperature"),
        ("The parameter seed is invalid for this model", "seed"),
        ("Parameter `logprobs` is disabled", "logprobs"),
        ("temperature must be 0 to 2", ""),
        ("top_p must be 0.1 or more", ""),
        ("temperature must be at most 1, 1.5 is not supported", ""),
        ("temperature: Input should be less than or equal to 2", ""),
        ("'temperature' does not support 3: it must be between 0 and 2", ""),
        ("This image format is not supported", ""),
        ("The temperature of the room is nice", ""),
        ("Unsupported parameter: 'reasoning_effort'", ""),
    ],
)
def test_a_field_that_a_server_does_not_take_is_known(told, field):
    assert refused_field(told, FIELDS) == field


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "m", "type": "t"}}, "m"),
        ({"error": "m", "error_type": "validation"}, "m"),
        ({"object": "error", "message": "m", "code": 400}, "m"),
        ({"detail": "m"}, "m"),
        ({"code": 1210, "msg": "m"}, "m"),
        ({"error_code": 17, "error_msg": "m"}, "m"),
        ({"errors": [{"message": "m"}]}, "m"),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "m", "input": 3}]}, "seed: m"),
        ({"error": {"message": "m", "param": "seed"}}, "m (seed)"),
        ({"error": {"message": None, "code": "context_length_exceeded"}}, "context_length_exceeded"),
        ({"error": {"message": {"error": {"message": "a\n b"}}}}, "a b"),
        ("text", "text"),
        (None, "null"),
    ],
)
def test_messages_of_errors(body, told):
    assert message_of(body) == told


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "m", "code": 429}}, 429),
        ({"error": {"message": "m", "code": "503"}}, 503),
        ({"error": {"message": "m", "type": "overloaded_error"}}, 429),
        ({"error": {"message": "m", "code": "context_length_exceeded", "type": "invalid_request_error"}}, 400),
        ({"error": {"message": "m", "code": 400, "status": "RESOURCE_EXHAUSTED"}}, 400),
        ({"error": "m", "error_type": "generation"}, 424),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 40303}, 400),
        ({"choices": [{"error": {"message": "m", "code": 502}, "finish_reason": "error"}]}, 502),
        ({"error": {"message": "m"}}, 500),
        ({"error": True}, 500),
        ({"status": "error", "message": "m"}, 500),
        ({"message": "m", "code": 400}, 400),
        ({"errors": ["m"], "status": 429}, 429),
        ({"error_code": 17, "error_msg": "m"}, 500),
        ({"error": True, "message": "m", "code": 503}, 503),
    ],
)
def test_an_errors_own_code_counts(body, status):
    said = error_in(body)
    assert said is not None
    assert said.status == status


@pytest.mark.parametrize(
    "body",
    [
        None,
        3,
        [],
        {},
        {"error": None, "choices": []},
        whole({"content": "detail"}),
        {"message": {"role": "assistant", "content": "a"}},
        {"token": {"text": "a"}, "details": None},
    ],
)
def test_what_is_no_error_is_none(body):
    assert error_in(body) is None


@pytest.mark.parametrize("asked_as_stream", [False, True])
@pytest.mark.parametrize("as_event", [False, True])
@pytest.mark.parametrize(("code", "tries"), [(429, 3), (503, 3), (400, 1), (500, 1)])
async def test_an_error_under_a_status_of_200_is_tried_again_by_its_own_code(asked_as_stream, as_event, code, tries):
    error = {"error": {"message": "because", "code": code}}
    body = stream(event({"content": "half"}), error, event({"content": "more"}, "stop")) if as_event else json.dumps(error)
    kind = "text/event-stream" if as_event else "application/json"
    with ModelServer("openai") as server:
        async with ModelClient(server.url, sleep=no_wait, retries=2) as client:
            await client.info()
            server.faults.extend([Fault(kind="body", body=body, content_type=kind)] * 3)
            with pytest.raises(CompletionError, match="because") as raised:
                await client.chat(ASK, Sampling(), (lambda _: None) if asked_as_stream else None)
        assert len(server.chats) == tries
    assert raised.value.status_code == code
    assert raised.value.prompt_refused is (code == 400)


@pytest.mark.parametrize("status", [200, 400, 413, 422, 500])
async def test_a_prompt_that_is_too_long_is_the_prompts_fault_under_any_status(status):
    told = "request (5000 tokens) exceeds the available context size (4096 tokens)"
    with ModelServer("openai") as server:
        async with ModelClient(server.url) as client:
            await client.info()
            body = json.dumps({"error": {"message": told}})
            fault = (
                Fault(kind="body", body=body, content_type="application/json")
                if status == 200
                else Fault(status=status, message=told)
            )
            server.faults.append(fault)
            with pytest.raises(CompletionError, match="too long") as raised:
                await client.chat(ASK, Sampling())
    assert raised.value.prompt_refused
    assert "new tokens" not in raised.value.remedy  # the prompt alone is too long


@pytest.mark.parametrize(
    ("status", "told", "refused"),
    [
        (400, "The response was filtered", True),
        (403, "Your input was flagged by moderation", True),
        (403, "forbidden", False),
        (401, "The prompt is too long", False),
        (404, "no such model", False),
        (500, "boom", False),
    ],
)
async def test_refusals_of_a_prompt_are_known(status, told, refused):
    with ModelServer("openai") as server:
        async with ModelClient(server.url) as client:
            await client.info()
            server.faults.append(Fault(status=status, message=told))
            with pytest.raises(CompletionError) as raised:
                await client.chat(ASK, Sampling())
    assert raised.value.prompt_refused is refused
    assert raised.value.said == told


# -- fields that a server does not take --------------------------------------------------------------------------


async def drawn(
    refuses: dict[str, str], times: int = 2, **options: Any
) -> tuple[list[Completion], list[dict[str, Any]], list[str]]:
    """Completions from a server that refuses fields; what was sent, and what was said of it."""
    notes: list[str] = []
    with ModelServer("openai") as server:
        server.refuses = refuses
        async with ModelClient(server.url, on_note=notes.append) as client:
            found = [(await client.chat(ASK, Sampling(seed=3), **options))[0] for _ in range(times)]
        return found, server.chats, notes


async def test_max_tokens_goes_by_its_other_name_where_it_must():
    found, sent, notes = await drawn(
        {
            "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        }
    )
    assert [one.text for one in found] == ["Hello there!"] * 2
    assert ["max_tokens" in body for body in sent] == [True, False, False]
    assert [body.get("max_completion_tokens") for body in sent] == [None, 768, 768]
    assert notes == []


async def test_a_temperature_or_seed_that_is_refused_is_left_out_and_said_once():
    found, sent, notes = await drawn(
        {
            "temperature": "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
            "seed": "Unrecognized request argument supplied: seed",
        }
    )
    assert [(one.seed, one.without) for one in found] == [(None, ("temperature", "seed"))] * 2
    assert len(sent) == 4
    assert not {"temperature", "seed"} & sent[-1].keys()
    assert ["takes no temperature" in notes[0], "takes no seed" in notes[1], len(notes)] == [True, True, 2]


async def test_a_value_that_is_out_of_range_is_refused_aloud():
    with pytest.raises(CompletionError, match="temperature must be at most"):
        await drawn({"temperature": "temperature must be at most 0.1"})


async def test_a_server_that_refuses_whatever_is_sent_ends_it():
    refuses = {
        name: f"{name} is not supported" for name in ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed")
    }
    with pytest.raises(CompletionError, match="max_completion_tokens is not supported"):
        await drawn(refuses)


# -- nonsense ----------------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    None,
    True,
    -1,
    10**40,
    1.5,
    "",
    "x",
    "\ud800",
    [],
    {},
    [None],
    [[]],
    {"a": None},
    [{"text": 3}],
    float("nan"),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in _places(item, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


FULL = {
    "id": "1",
    "choices": [
        {
            "index": 0,
            "message": {
                "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"text": "b"}]}],
                "reasoning_content": "b",
                "tool_calls": [{"index": 0, "function": {"name": "n", "arguments": "{}"}}],
                "function_call": {"name": "n", "arguments": {}},
                "refusal": "no",
            },
            "delta": {"content": "a"},
            "text": "a",
            "logprobs": {"content": [{"logprob": -0.5}], "token_logprobs": [-0.5]},
            "finish_reason": "stop",
            "error": None,
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "error": None,
    "token": {"text": "a", "special": False, "logprob": -0.5},
    "generated_text": "a",
    "details": {"finish_reason": "length", "generated_tokens": 1, "input_length": 1},
}
ERROR = {
    "error": {"message": "m", "type": "t", "code": 500, "param": "p"},
    "error_type": "t",
    "detail": [{"msg": "m", "loc": ["body", "x"]}],
}
MODELS = {"data": [{"id": MODEL, "owned_by": "x", "tags": ["sha256:a"], "meta": {"n_ctx": 1}, "max_model_len": 1}]}
INFO = {"model_id": MODEL, "model_sha": "a", "max_total_tokens": 1}


def _wrong(value: Any) -> list[str]:
    """A value with each of its places made wrong in each way, as JSON."""
    return [json.dumps(_with(value, path, new)) for path in _places(value) for new in VALUES]


def _garbage(chance: random.Random) -> list[str]:
    good = stream(event({"content": "a"}), event({"content": "b"}, "stop"))
    cut = [good[:end] for end in range(0, len(good), 3)]
    flipped = [
        "".join(chr(chance.randrange(1, 256)) if chance.random() < 0.05 else letter for letter in good) for _ in range(100)
    ]
    return [
        *cut,
        *flipped,
        "[" * 100_000,
        "data: " + "[" * 100_000 + "\n\n",
        "9" * 5000,
        "\x00",
        "data:",
        "data: [DONE]\n\n",
        "\ufeff{}",
    ]


async def _survives(client: ModelClient, ask: Any, on_token: Any = None) -> None:
    """One question ends in completions that can be stored, or in an error of ours."""
    try:
        for completion in await ask(client, on_token):
            assert Completion.model_validate_json(completion.model_dump_json()) == completion
    except OrchestratorError:
        pass


class Canned:
    """In place of HTTP: every answer is the next of a list, in a status and content type of its own."""

    def __init__(self, bodies: list[tuple[int, str, str]]) -> None:
        import httpx2

        self.left = iter(bodies)
        self.done = False

        def handle(request: httpx2.Request) -> httpx2.Response:
            status, kind, body = next(self.left, (0, "", ""))
            if not status:
                self.done = True
                return httpx2.Response(500)
            return httpx2.Response(
                status, content=body.encode("utf-8", "surrogatepass"), headers={"content-type": kind, "retry-after": "nan"}
            )

        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))


async def _fuzz(bodies: list[tuple[int, str, str]], ask: Any, on_token: Any, knows: bool) -> None:
    canned = Canned(bodies)
    while not canned.done:
        client = ModelClient("http://model", sleep=no_wait, retries=0)
        client._http = canned.http
        if knows:
            from orchestrator.types import ModelInfo

            client._info = ModelInfo(model="m", server="tgi" if knows == "tgi" else "openai")
        await _survives(client, ask, on_token)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("route", ["chat", "complete", "generate"])
async def test_no_foreign_exception_leaves_the_client_whatever_a_server_answers(route, watched):
    chance = random.Random(7)
    texts = [*_wrong(FULL), *_wrong(ERROR), *_garbage(chance)]
    texts += [f"data: {text}\n\n" for text in texts] + [
        stream(event({"content": "a"}), text, event({}, "stop")) for text in texts[:300]
    ]
    kinds = ["application/json", "text/event-stream", "text/plain; charset=nonsense", ""]
    bodies = [(chance.choice([200, 200, 200, 400, 422, 500, 304]), chance.choice(kinds), text) for text in texts]

    async def ask(client: ModelClient, on_token: Any) -> list[Completion]:
        sampling = Sampling(logprobs=True, seed=1)
        return await (client.chat(ASK, sampling, on_token) if route == "chat" else client.complete("p", sampling, on_token))

    await _fuzz(bodies, ask, (lambda _: None) if watched else None, "tgi" if route == "generate" else "openai")


async def test_nor_whatever_it_says_of_itself():
    texts = [*_wrong(INFO), *_wrong(MODELS), *_garbage(random.Random(7))]
    bodies = [answer for text in texts for answer in ((200, "application/json", text), (200, "", text))]

    async def ask(client: ModelClient, _: Any) -> list[Completion]:
        await client.info()
        return []

    await _fuzz(bodies, ask, None, False)


@pytest.mark.parametrize("key", ["ключ", "a\nb", "\x00"])
def test_a_key_that_cannot_be_sent_is_wrong_usage(key):
    with pytest.raises(UsageError, match="key"):
        ModelClient("http://127.0.0.1:8080", api_key=key)
