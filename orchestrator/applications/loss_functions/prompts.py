"""What a model is asked for a loss function and for tests of it, and nothing that it must not see.

Every prompt is a conversation of its own that begins with the task and ends in the stub. Small models keep to a
signature that they have just read, and repeat themselves in conversations that grow (see `design/loop.md`).

A correction is built from a `Failure`, which has a place for visible evidence alone. Results of hidden tests are
of another type (`jobs.loop.Sealed`) and cannot be passed here.
"""

from __future__ import annotations

import ast

from orchestrator.jobs.classification import Failure
from orchestrator.llm.extraction import MODULE
from orchestrator.llm.prompts import block, conversation
from orchestrator.sources import parse
from orchestrator.types import Fault, Message, Value

SYSTEM = "You are an expert in Python and PyTorch. You answer with one python code block and nothing else."
IDIOMS = (
    "In PyTorch, `torch.where(condition, a, b)` chooses per element, `x.clamp(min=0)` is max(0, x), `x.flatten(1).sum(1)` sums "
    "per sample where x has more than one dimension, `x.unsqueeze(1)` adds a column for broadcasting, `F.logsigmoid(x)` and "
    "`F.log_softmax(x, 1)` are stable."
)
"""What small models most often get wrong about the library, whatever the task."""


class Brief(Value):
    """What the model may know about a task."""

    description: str
    """Plain language."""
    signature: str
    """For example `loss(pred, target)`."""
    entry_point: str
    stub: str
    """Head of the function, imports and docstring included, for the model to complete."""


def write_candidate(brief: Brief) -> tuple[Message, ...]:
    """Ask for the function, for the first time or afresh."""
    return _ask(
        _task(brief),
        f"Write the function `{brief.signature}`. {IDIOMS}\nAnswer with one python code block: the imports and the whole "
        "function, no docstring, no comments, no examples. Complete this:",
        block(brief.stub),
    )


def correct_candidate(brief: Brief, failure: Failure) -> tuple[Message, ...]:
    """Ask for a better function, showing the one that failed and how.

    The code to complete begins with a comment: the hint, where the failure has one. Small models write down what the
    message said and then repeat their mistake; what stands in their own code they follow.
    """
    return _ask(
        _task(brief),
        "This answer is wrong:",
        block(_without_comments(failure.code)) if failure.code.strip() else "(no code)",
        _complaint(failure),
        f"Write the corrected function `{brief.signature}`. {IDIOMS}\nAnswer with one python code block: the imports, the whole "
        "function, and in its first line a comment that names the mistake. No docstring, no examples. Complete this:",
        block(f"{brief.stub.rstrip()}\n    # {failure.hint or 'The mistake was'}"),
    )


def write_tests(brief: Brief) -> tuple[Message, ...]:
    """Ask for unit tests of the function, for the first time or afresh."""
    return _ask(
        _task(brief),
        _wanted_tests(brief),
        block(_head_of_tests(brief)),
    )


def correct_tests(brief: Brief, failure: Failure) -> tuple[Message, ...]:
    """Ask for better unit tests, showing those that are wrong and how."""
    return _ask(
        _task(brief),
        "These tests are wrong:",
        block(failure.code) if failure.code.strip() else "(no code)",
        _complaint(failure),
        _wanted_tests(brief),
        block(_head_of_tests(brief)),
    )


def ask_fault(brief: Brief, code: str, failure: Failure) -> tuple[Message, ...]:
    """Ask which of the two is wrong, a function or a test that it fails. Read the answer with `read_fault`."""
    return conversation(
        _task(brief),
        "This function:",
        block(code),
        "fails this test:",
        block(failure.code),
        failure.feedback.strip(),
        "Which of the two contradicts the task? Answer with one word: FUNCTION or TEST.",
        system="You are an expert in Python and PyTorch. You answer with one word.",
    )


def read_fault(answer: str) -> Fault | None:
    """What `ask_fault` was answered; None where the answer says neither or both."""
    words = answer.upper()
    function, test = "FUNCTION" in words, "TEST" in words
    if function == test:
        return None
    return Fault.CANDIDATE if function else Fault.TESTS


def _without_comments(code: str) -> str:
    """The same program: a model that reads in its own comment what the last mistake was writes both down again."""
    try:
        return ast.unparse(parse(code))
    except SyntaxError:
        return code


def _ask(*parts: str) -> tuple[Message, ...]:
    return conversation(*parts, system=SYSTEM)


def _task(brief: Brief) -> str:
    # First and alike in all prompts of a task: servers keep what they computed for a common beginning.
    return f"# Task\n{brief.description.strip()}"


def _complaint(failure: Failure) -> str:
    introduction = {
        Fault.FORMAT: "It cannot be used:",
        Fault.RESOURCE_LIMIT: "It was stopped:",
    }.get(failure.fault, "Running it gave:")
    hint = f"\nHint: {failure.hint}" if failure.hint else ""
    return f"{introduction}\n{failure.feedback.strip()}{hint}"


def _wanted_tests(brief: Brief) -> str:
    return (
        f"Write three short pytest functions that test `{brief.signature}`: a value that you are sure of, a property such as "
        f"an order between two values, and a gradient. Import it with `from {MODULE} import {brief.entry_point}` and do not "
        "write the function itself. Answer with one python code block, no explanations. Begin like this:"
    )


def _head_of_tests(brief: Brief) -> str:
    return f"import torch\nfrom {MODULE} import {brief.entry_point}\n\n\ndef test_"
