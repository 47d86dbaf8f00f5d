"""What prompts are made of. What they say is the application's: each has its own `prompts.py`.

Left out: chat templates, which are the server's work, and whether an answer is any good.
"""

from __future__ import annotations

from orchestrator.types import Message


def conversation(*parts: str, system: str = "") -> tuple[Message, ...]:
    """A conversation of its own: what the model is, and one question of several paragraphs."""
    question = Message(role="user", content="\n\n".join(parts))
    return (Message(role="system", content=system), question) if system else (question,)


def block(code: str) -> str:
    """Code as a block of Markdown."""
    return f"```python\n{code.strip()}\n```"
