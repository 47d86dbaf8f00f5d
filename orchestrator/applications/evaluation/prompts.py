"""What a model is asked: the task, and of an answer that failed what visible tests say.

Left out: continuations of a text, which are the task's own (`samples`).
"""

from __future__ import annotations

from orchestrator.data.benchmarks import BenchmarkTask
from orchestrator.llm.prompts import block, conversation
from orchestrator.types import Attempt, Message

FIELDS = ("{prompt}", "{entry_point}")
"""What a template of the user's may hold."""


def ask(task: BenchmarkTask, failed: Attempt | None, *, system: str = "", template: str = "") -> tuple[Message, ...]:
    """A conversation of its own for each round: the task, and what failed of it, by visible evidence alone.

    `template` stands in for our own words about the task; what failed, and that it is to be corrected, comes after it.
    """
    if template:
        parts = [template.replace(FIELDS[0], task.prompt.strip()).replace(FIELDS[1], task.entry_point)]
    elif task.cases:
        parts = ["Solve this task with a Python program that reads stdin and writes to stdout.", task.prompt.strip()]
    elif task.continues:
        parts = ["Complete this Python function.", block(task.prompt)]
    else:
        name = f" Define `{task.entry_point}`." if task.entry_point else ""
        parts = [f"Solve this task in Python.{name}", task.prompt.strip()]
    if failed is not None:
        parts += [
            "This answer is wrong:",
            block(failed.code or failed.completion.text),
            f"It fails with:\n{failed.feedback.strip()[:1500]}",
            "Correct it.",
        ]
    if not template:
        what = "program" if task.cases else "function"
        parts.append(f"Answer with one python code block that holds the imports and the whole {what}, and nothing else.")
    return conversation(*parts, system=system)
