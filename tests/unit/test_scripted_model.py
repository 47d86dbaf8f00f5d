"""The scripted model keeps the Model contract without a model."""

from __future__ import annotations

import pytest

from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.base import Model
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.types import Message, Sampling, Usage

ASK = [Message(role="user", content="Say two words")]


def test_it_is_a_model():
    assert isinstance(ScriptedModel([]), Model)


async def test_answers_come_in_order_with_their_seeds_and_the_calls_are_kept():
    model = ScriptedModel(["one", "two", "three"])
    first = await model.chat(ASK, Sampling(n=2, seed=5))
    second = await model.chat(ASK, Sampling())
    assert [(answer.text, answer.seed) for answer in first + second] == [("one", 5), ("two", 6), ("three", None)]
    assert [(call.messages, call.sampling.n) for call in model.calls] == [(tuple(ASK), 2), (tuple(ASK), 1)]


async def test_a_script_that_is_used_up_is_an_error():
    model = ScriptedModel(["one"])
    await model.chat(ASK, Sampling())
    with pytest.raises(CompletionError, match="no answer left for call 2"):
        await model.chat(ASK, Sampling())


async def test_a_function_sees_the_messages_and_one_seed_for_each_completion():
    model = ScriptedModel(lambda messages, sampling: f"{messages[-1].content}: {sampling.n} {sampling.seed}")
    answers = await model.chat(ASK, Sampling(n=2, seed=1))
    assert [answer.text for answer in answers] == ["Say two words: 1 1", "Say two words: 1 2"]


@pytest.mark.parametrize("text", ["", "one", "def f():\n    return 1\n", "  two  spaces\n\n\n", "a\u2028b"])
async def test_the_pieces_of_a_stream_are_the_text(text):
    shown: list[str] = []
    [answer] = await ScriptedModel([text]).chat(ASK, Sampling(), shown.append)
    assert "".join(shown) == answer.text == text
    assert answer.finish_reason == ("stop" if text else "other")


async def test_only_the_first_of_several_is_streamed():
    shown: list[str] = []
    await ScriptedModel(["one", "two"]).chat(ASK, Sampling(n=2), shown.append)
    assert shown == ["one"]


async def test_an_answer_is_cut_at_the_tokens_asked_for():
    [answer] = await ScriptedModel(["one two three"]).chat(ASK, Sampling(max_new_tokens=2))
    assert (answer.text, answer.finish_reason) == ("one two ", "length")
    assert answer.usage == Usage(prompt_tokens=3, completion_tokens=2)


async def test_an_error_in_the_script_is_raised_in_its_place():
    model = ScriptedModel([CompletionError("the server is down", status_code=503), "back"])
    with pytest.raises(CompletionError, match="the server is down"):
        await model.chat(ASK, Sampling())
    assert (await model.chat(ASK, Sampling()))[0].text == "back"


async def test_it_tells_its_name_and_that_it_was_closed():
    model = ScriptedModel([], name="parrot")
    await model.close()
    await model.close()
    info = await model.info()
    assert (info.model, info.server, model.closed) == ("parrot", "scripted", True)


async def test_a_text_goes_on_from_the_same_script():
    model = ScriptedModel(["a + b", "no"])
    seen: list[str] = []
    drawn = await model.complete("def add(a, b): return", Sampling(n=2, seed=3), seen.append)
    assert [(item.text, item.seed) for item in drawn] == [("a + b", 3), ("no", 4)]
    assert "".join(seen) == "a + b"
    assert drawn[0].usage == Usage(prompt_tokens=4, completion_tokens=3)
    assert model.calls[0].prompt == "def add(a, b): return"
    with pytest.raises(CompletionError, match="no answer left"):
        await model.complete("x", Sampling())


async def test_a_function_sees_the_text_that_goes_on():
    model = ScriptedModel(lambda messages, sampling: f"{messages[0].content}!")
    assert (await model.complete("so", Sampling()))[0].text == "so!"


async def test_a_text_that_goes_on_is_held_to_no_schema():
    with pytest.raises(UsageError, match="JSON schema"):
        await ScriptedModel(["{}"]).complete("x", Sampling(json_schema={"type": "object"}))
