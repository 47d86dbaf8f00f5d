"""What a planning model proposes: why, which layers, and whether to go on.

An answer is a block of JSON with a reason (`why`), a decision and a list of layers, or a change of the list before; or a
sentence, a line `Decision: continue`, and a list of layers in a fence.
Small models write what follows from the input, a head of their own, or Python in place of JSON: what can only mean one thing is
taken as that, and said.

Left out: whether layers fit each other. The assembler says that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from orchestrator.applications.model_research.assemble import layer_shapes
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.layers import LAYERS
from orchestrator.applications.model_research.reading import INFERRED, is_deep, with_each
from orchestrator.errors import UsageError
from orchestrator.sources import plain_value
from orchestrator.types import Value

Decision = Literal["continue", "refine", "stop"]
WORDS = 60
"""Words of a reason that are kept."""
_FENCE = re.compile(r"```[\w-]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
_DECISION = re.compile(r"\bdecision\W{1,6}(continue|refine|stop)\b", re.IGNORECASE)
_WHY = re.compile(r'"(?:why|hypothesis|reason)"\s*:\s*"((?:[^"\\]|\\.){1,2000})"')
Layers = list[dict[str, Any]]


class Proposal(Value):
    """What is to be tried next."""

    hypothesis: str = ""
    """Why it should be better, in the model's words."""
    decision: Decision = "continue"
    config: ModelConfig
    notes: tuple[str, ...] = ()
    """What was read into the answer."""


class Unreadable(Exception):
    """No network can be made of an answer; the message says why, to the model."""


def proposal_of(
    text: str, *, class_name: str, input_shape: tuple[int, ...], outputs: int, before: Sequence[Mapping[str, Any]] = ()
) -> Proposal:
    """Read an answer. `before` are the layers that a change is made to.

    Raises:
        Unreadable: it has no layers, or they are not valid.
    """
    found = _layers(text, list(map(dict, before)))
    notes: list[str] = []
    layers = _named(_without_inferred(found, notes), len(input_shape) - 1, notes)
    while layers and layers[-1].get("type") in ("Softmax", "LogSoftmax"):
        notes.append(f"{layers.pop()['type']} at the end was left out: logits are wanted")
    try:
        config = ModelConfig(class_name=class_name, input_shape=input_shape, layers=layers)
        config = with_head(config, outputs, notes)
    except UsageError as error:
        raise Unreadable(f"{error.message} {error.remedy}".strip()) from error
    decision = _DECISION.search(text)
    return Proposal(
        hypothesis=_hypothesis(text),
        decision=decision[1].lower() if decision else "continue",
        config=config,
        notes=tuple(notes),
    )


def layers_in(text: str) -> Layers:
    """The layers in an answer, valid or not; none where there is no list of them."""
    try:
        return _layers(text, [])
    except Unreadable:
        return []


def with_head(config: ModelConfig, outputs: int, notes: list[str]) -> ModelConfig:
    """The network ending in as many numbers as are wanted: what is missing there is added, and noted.

    Raises:
        UsageError: the layers do not fit each other.
    """
    gives = [row.gives for row in layer_shapes(config) if not row.depth][-1]
    if gives == (outputs,):
        return config
    added: Layers = []
    if len(gives) > 1:
        added.append({"type": "GlobalAvgPool"} if len(gives) == 3 and math.prod(gives) > 4096 else {"type": "Flatten"})
    added.append({"type": "Linear", "out_features": outputs})
    notes.append(f"{' and '.join(str(one['type']) for one in added)} were added at the end, for {outputs} outputs")
    return ModelConfig(
        class_name=config.class_name,
        input_shape=config.input_shape,
        layers=[*(one.model_dump() for one in config.layers), *added],
    )


def _layers(text: str, before: Layers) -> Layers:
    """The layers in an answer: the last value in it that is a list of layers, an object that has one, or a change."""
    for source in reversed([*_FENCE.findall(text), *_bare(text)]):
        value = _value(source)
        if value is None or is_deep(value):
            continue
        if isinstance(value, dict):
            if before and any(name in value for name in ("replace", "insert", "remove")):
                return changed(before, value)
            value = next((value[name] for name in ("layers", "config", "model") if name in value), value)
            if isinstance(value, dict):
                value = value.get("layers", [value] if "type" in value else None)
        if isinstance(value, list) and value and all(isinstance(one, dict) and "type" in one for one in value):
            return value
    wanted = 'write [{"type": "Conv2d", "out_channels": 16, "kernel_size": 3}, ...] in a fence.'
    raise Unreadable(f"{_broken(text)}There is no list of layers: {wanted}")


def _broken(text: str) -> str:
    """Where the JSON of an answer breaks off or is not valid, in a sentence; nothing where there is none."""
    for source in reversed(_FENCE.findall(text)):
        if source.lstrip().startswith(("{", "[")):
            try:
                json.loads(source)
            except json.JSONDecodeError as error:
                return f"The JSON is not valid at `{source.split(chr(10))[error.lineno - 1].strip()[:80]}`. "
            except RecursionError:
                return "The JSON is nested too deeply. "
    return ""


def _bare(text: str) -> list[str]:
    """From the first bracket to the last, for answers without a fence."""
    start, end = text.find("["), text.rfind("]")
    return [text[start : end + 1]] if 0 <= start < end else []


def _value(source: str) -> Any:
    """A value written as JSON, or as Python writes it; None where it is neither."""
    text = re.sub(r"^\s*\w+\s*=\s*", "", source.strip())
    for read in (
        json.loads,
        plain_value,
        lambda text: json.loads(re.sub(r",\s*([\]}])", r"\1", re.sub(r"(?m)\s*(?://|#).*$", "", text))),
    ):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def changed(before: Layers, change: Mapping[str, Any]) -> Layers:
    """A list of layers with some replaced, inserted before a place, or removed; places are those of the list before.

    Raises:
        Unreadable: a place is not in it.
    """
    slots: list[Layers] = [[one] for one in before] + [[]]
    for what in ("remove", "replace", "insert"):
        given = change.get(what)
        if given is None:
            continue
        pairs = (
            given.items()
            if isinstance(given, dict)
            else [(place, None) for place in given]
            if isinstance(given, list)
            else [(given, None)]
        )
        for place, layer in pairs:
            slot = _slot(place, len(before), what)
            if what == "remove":
                slots[slot] = slots[slot][:-1]
            elif not isinstance(layer, dict):
                raise Unreadable(f"{what} names no layer for place {place}.")
            elif what == "replace":
                slots[slot] = [layer]
            else:
                slots[slot] = [layer, *slots[slot]]
    return [one for slot in slots for one in slot]


def _slot(place: Any, count: int, what: str) -> int:
    try:
        slot = int(place)
    except (TypeError, ValueError):
        slot = -1
    if not 0 <= slot < count + (what == "insert"):
        raise Unreadable(f"{what} names place {place}; the layers have the places 0 to {count - 1}.")
    return slot


def _without_inferred(layers: Layers, notes: list[str]) -> Layers:
    """Layers without what follows from their input, which models write all the same."""
    dropped: set[str] = set()

    def cleaned(layer: dict[str, Any]) -> dict[str, Any]:
        dropped.update(name for name in layer if name in INFERRED)
        return {name: value for name, value in layer.items() if name not in INFERRED}

    found: Layers = with_each(layers, cleaned)
    if dropped:
        notes.append(f"{', '.join(sorted(dropped))} follow from the input and were left out")
    return found


def _named(layers: Layers, axes: int, notes: list[str]) -> Layers:
    """Layers under names that there are: `GlobalAvgPool2d` and `batchnorm` can mean but one type for rows of so many axes."""

    def renamed(layer: dict[str, Any]) -> dict[str, Any]:
        name = layer.get("type")
        if isinstance(name, str) and name not in LAYERS:
            alike = [known for known in LAYERS if _stem(known) == _stem(name)]
            meant = alike if len(alike) == 1 else [known for known in alike if known.endswith(f"{axes}d")]
            if len(meant) == 1:
                notes.append(f"{name} was read as {meant[0]}")
                return {**layer, "type": meant[0]}
        return layer

    named: Layers = with_each(layers, renamed)
    return named


def _stem(name: str) -> str:
    """A type's name without case, underscores and its number of axes."""
    return re.sub(r"[123]d$", "", name.lower().replace("_", ""))


def _hypothesis(text: str) -> str:
    """What an answer says why, or its first sentences outside of fences."""
    if said := _WHY.search(text):
        return " ".join(said[1].split()[:WORDS])
    prose = _DECISION.sub("", _FENCE.sub(" ", text))
    prose = re.sub(r"\[.*\]", " ", prose, flags=re.DOTALL)
    words = re.sub(r"(?i)^\W*hypothesis\W*", "", re.sub(r"[#*`]+", "", prose).strip()).split()
    return " ".join(words[:WORDS])
