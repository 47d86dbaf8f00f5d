"""Where model servers differ: fields of a chat request, reasons to finish, and what they say of themselves.

Pure functions between this package's values and the wire. TGI is described by its OpenAPI document (3.x),
the others by the OpenAI chat API as vLLM and llama.cpp serve it.

Left out: sending anything. That is `client.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orchestrator.types import ModelInfo, Sampling

Server = Literal["tgi", "openai", "llama.cpp", "scripted"]

MAX_SEED = 2**31 - 1
"""Servers disagree on the width of a seed (llama.cpp: 32 bits, all ones meaning random; TGI: no negatives); this fits all."""


def wire_seed(seed: int | None) -> int | None:
    """A seed of any size as one that every server accepts; equal seeds stay equal."""
    return None if seed is None else seed & MAX_SEED


def chat_fields(server: Server, sampling: Sampling, seed: int | None) -> dict[str, Any]:
    """Fields of a `/v1/chat/completions` request for one completion, `n` and `stream` aside."""
    fields: dict[str, Any] = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature}
    # TGI refuses top_p of exactly 1, and samples as soon as top_p is given: with temperature 0 it would not be greedy.
    if server != "tgi" or (sampling.top_p < 1 and sampling.temperature > 0):
        fields["top_p"] = sampling.top_p
    if seed is not None:
        fields["seed"] = wire_seed(seed)
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.logprobs:
        fields["logprobs"] = True
    if sampling.json_schema is not None:
        fields["response_format"] = response_format(server, sampling.json_schema)
    return fields


def completion_fields(sampling: Sampling, seed: int | None) -> dict[str, Any]:
    """Fields of a `/v1/completions` request for one completion, `n` and `stream` aside."""
    fields = chat_fields("openai", sampling, seed)
    if "logprobs" in fields:
        fields["logprobs"] = 1  # here it is how many alternatives come along; 0 means none at all to some servers
    return fields


def generation_fields(sampling: Sampling, seed: int | None) -> dict[str, Any]:
    """Parameters of TGI's `/generate_stream`."""
    fields: dict[str, Any] = {"max_new_tokens": sampling.max_new_tokens, "do_sample": sampling.temperature > 0}
    # It refuses a temperature of 0 and a top_p of 1, and is greedy by default.
    if sampling.temperature > 0:
        fields["temperature"] = sampling.temperature
        if sampling.top_p < 1:
            fields["top_p"] = sampling.top_p
    if seed is not None:
        fields["seed"] = wire_seed(seed)
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    return fields


def response_format(server: Server, schema: Mapping[str, object]) -> dict[str, Any]:
    """The constraint to JSON of a schema.

    A server that is sent the other dialect's form may answer unconstrained text without a word (llama.cpp does).
    """
    if server == "tgi":
        return {"type": "json", "value": dict(schema)}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}


def finish_reason(reason: str | None, text: str) -> Literal["stop", "length", "other"]:
    """A server's reason in our words. An empty answer that nothing cut off is `other`."""
    word = (reason or "").lower()
    if word in ("length", "max_tokens", "model_length"):
        return "length"
    if word in ("stop", "eos_token", "stop_sequence", "eos", "end_turn", "tool_calls", "function_call") and text:
        return "stop"
    return "other"


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """Text up to the first stop sequence. TGI leaves it at the end, the others take it away."""
    ends = [place for place in (text.find(word) for word in stop if word) if place >= 0]
    return text[: min(ends)] if ends else text


def info_of_tgi(answer: object) -> ModelInfo | None:
    """What `/info` says, or None where the answer is not TGI's."""
    if not isinstance(answer, dict) or not isinstance(answer.get("model_id"), str) or "max_total_tokens" not in answer:
        return None
    return ModelInfo(
        model=answer["model_id"],
        server="tgi",
        sha=str(answer.get("model_sha") or ""),
        max_total_tokens=_positive(answer["max_total_tokens"]),
    )


def info_of_openai(answer: object, wanted: str) -> ModelInfo | None:
    """What `/v1/models` says of the model `wanted` (empty: the first), or None where the answer is not a list of models.

    A tag `sha256:...` is the hash of the weights; the embedded server sets it.
    """
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list) or not all(isinstance(model, dict) and "id" in model for model in models):
        return None
    if not models:
        return ModelInfo(model=wanted) if wanted else None
    entry = next((model for model in models if model["id"] == wanted), models[0])
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    tags = entry.get("tags") if isinstance(entry.get("tags"), list) else []
    return ModelInfo(
        # One model is the one that answers, whatever it was called when it was asked for; of several, the one asked for.
        model=str(entry["id"]) if len(models) == 1 or not wanted else wanted,
        server="llama.cpp" if entry.get("owned_by") == "llamacpp" else "openai",
        sha=next((tag.removeprefix("sha256:") for tag in tags if str(tag).startswith("sha256:")), ""),
        max_total_tokens=_positive(meta.get("n_ctx") or entry.get("max_model_len")),
    )


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else None
