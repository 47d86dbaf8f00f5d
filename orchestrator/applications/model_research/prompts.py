"""What the planning model is asked, and nothing that it must not see: no row, no label, no number of a sealed row.

Every prompt is a conversation of its own with the goal, the data, what was tried, and what is left. Small models complete what
they have just read, so a prompt ends in the beginning of an answer, and shows a list of layers that works.

Left out: prompts for a model that writes code of a plan (`written.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.applications.model_research.goal import Goal
from orchestrator.jobs.classification import Failure
from orchestrator.llm.prompts import conversation
from orchestrator.scoring.metrics import Metric
from orchestrator.types import Message, Value

SYSTEM = "You are an expert in deep learning. You plan small, fast networks for PyTorch."
HISTORY = 5
"""How many earlier networks a prompt shows."""
_TYPES = {
    3: (
        "Conv2d(out_channels, kernel_size, stride), SeparableConv2d, BatchNorm2d, ReLU, GELU, SiLU, MaxPool2d(kernel_size), "
        "AvgPool2d, Dropout(p), Dropout2d(p), SqueezeExcite, Residual(layers), Repeat(times, layers), GlobalAvgPool, Flatten, "
        "Linear(out_features)"
    ),
    2: "Conv1d(out_channels, kernel_size), LSTM(hidden_size), GRU(hidden_size), TransformerEncoderLayer(nhead), LayerNorm, ReLU, "
    "Dropout(p), PoolSteps, GlobalAvgPool, Flatten, Linear(out_features)",
    1: "Linear(out_features), BatchNorm1d, LayerNorm, ReLU, GELU, Dropout(p), Residual(layers)",
}
"""Types that fit a row of so many axes, as a prompt shows them."""
_IDEAS = {
    3: (
        "twice the channels of a plain network, and BatchNorm2d after each convolution",
        "three or four convolutions with more channels towards the end, and Dropout before the outputs",
        "Residual blocks of two convolutions with BatchNorm2d",
        "Flatten and a Linear layer of 128 in place of GlobalAvgPool, so that places count",
    ),
    2: (
        "a wider GRU, and LayerNorm",
        "two Conv1d layers with ReLU, then GlobalAvgPool",
        "a TransformerEncoderLayer, then PoolSteps",
    ),
    1: (
        "two wide Linear layers, and BatchNorm1d after each",
        "Residual blocks of Linear layers with LayerNorm and GELU",
        "three Linear layers that get narrower, with Dropout between",
    ),
}
"""What a draft may begin from, one after the other: small models otherwise write down again the network that they are shown."""


class Brief(Value):
    """What a planning model may know."""

    goal: str
    card: str
    """The data: shape, classes, rows for training; what is made up says so."""
    wanted: str
    """What is measured, on validation rows."""
    types: str
    ideas: tuple[str, ...]
    """What a draft may begin from, in turns."""
    example: str
    """A list of layers that works for these rows, as JSON."""


def brief_of(goal: Goal, card: str, metric: Metric, input_shape: tuple[int, ...]) -> Brief:
    """The description of a search in prompts."""
    direction = "larger is better" if metric.greater_is_better else "smaller is better"
    bounds = [f"{metric.name} on validation rows decides ({direction})."]
    if goal.target is not None:
        bounds.append(f"It is to reach {goal.target:g}.")
    if goal.most_parameters is not None:
        bounds.append(f"At most {goal.most_parameters:,} parameters.")
    axes = min(len(input_shape), 3)
    return Brief(
        goal=goal.text,
        card=card,
        wanted=" ".join(bounds),
        types=_TYPES[axes],
        ideas=_IDEAS[axes],
        example=json.dumps(baseline_layers(input_shape)),
    )


def baseline_layers(input_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """A small usual network for rows of a shape, without its last layer: what others are held against."""
    if len(input_shape) == 3:
        return [
            {"type": "Conv2d", "out_channels": 16, "kernel_size": 3},
            {"type": "ReLU"},
            {"type": "MaxPool2d", "kernel_size": 2},
            {"type": "Conv2d", "out_channels": 32, "kernel_size": 3},
            {"type": "ReLU"},
            {"type": "GlobalAvgPool"},
        ]
    if len(input_shape) == 2:
        return [{"type": "GRU", "hidden_size": 32}, {"type": "PoolSteps"}]
    return [{"type": "Linear", "out_features": 64}, {"type": "ReLU"}]


def first(brief: Brief, history: Sequence[str], left: int, sample: int) -> tuple[Message, ...]:
    """Ask for a network, without one to change; drafts of a round see nothing of each other, and begin from different ideas."""
    different = "a network that differs from all of these" if history else "a network"
    idea = f"Plan {different}. One idea: {brief.ideas[(len(history) + sample) % len(brief.ideas)]}."
    return conversation(*_task(brief), *_tried(history), idea, _form(brief, left, decides=False), system=SYSTEM)


def repair(brief: Brief, failure: Failure, left: int) -> tuple[Message, ...]:
    """Ask for a network that can be built, showing the one that cannot; without its layers, for one as after an answer unread."""
    failed = failure.feedback.strip() + (f"\nHint: {failure.hint}" if failure.hint else "")
    if not failure.code.strip():
        return conversation(
            *_task(brief), f"An earlier answer could not be used: {failed}", _form(brief, left, decides=False), system=SYSTEM
        )
    return conversation(
        *_task(brief),
        "This plan does not work:",
        f"```json\n{failure.code.strip()}\n```",
        f"It failed:\n{failed}",
        f"Types of layers: {brief.types}. Write the list of layers again, with this mistake repaired and the rest unchanged. "
        "Answer with one json code block and nothing else. Begin with ```json",
        system=SYSTEM,
    )


def improve(brief: Brief, failure: Failure, history: Sequence[str], left: int) -> tuple[Message, ...]:
    """Ask for a better network: the best so far with one change."""
    return conversation(
        *_task(brief),
        *_tried(history),
        "This is the best network so far:",
        f"```json\n{failure.code.strip()}\n```",
        failure.feedback.strip(),
        "Make one change that should improve it (more channels, another block, normalisation, dropout, depth, pooling), and do "
        "not repeat what was tried. Decide: refine it, continue with something else, or stop if nothing more is worth trying.",
        _form(brief, left, decides=True),
        system=SYSTEM,
    )


def _task(brief: Brief) -> tuple[str, ...]:
    return (f"Goal: {brief.goal}", f"Data: {brief.card}", brief.wanted)


def _tried(history: Sequence[str]) -> tuple[str, ...]:
    return ("What was tried so far:\n" + "\n".join(f"- {line}" for line in history[-HISTORY:]),) if history else ()


def _form(brief: Brief, left: int, *, decides: bool) -> str:
    """How to answer: one block, for small models end after a sentence. Drafts have nothing to decide yet."""
    decision = '"decision" is refine, continue or stop; ' if decides else ""
    return (
        f"{left} more networks can be tried. Types of layers: {brief.types}. Leave out input sizes and the last Linear for the "
        "outputs: both are filled in. Answer with one json code block and nothing else. "
        f'In it "why" says in a sentence why this network; {decision}"layers" is the whole list. A plain network looks like this:'
        f"\n\n{_shown(brief.example, decides=decides)}\n\nThat one is known: write one that should do better. Begin with ```json"
    )


def _shown(layers: str, *, decides: bool) -> str:
    decision = '  "decision": "refine",\n' if decides else ""
    lines = ",\n".join(f"    {json.dumps(one)}" for one in json.loads(layers))
    return f'```json\n{{\n  "why": "Two convolutions see strokes and corners.",\n{decision}  "layers": [\n{lines}\n  ]\n}}\n```'
