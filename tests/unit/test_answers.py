"""What is code and what a chat's answer, and programs out of answers."""

from __future__ import annotations

import pytest

from orchestrator.llm.answers import is_answer
from orchestrator.llm.extraction import extract

PROMPT = 'def total(xs):\n    """Sum."""\n'
ANSWERS = {
    "a fence": "```python\ndef total(xs):\n    return sum(xs)\n```",
    "a greeting and a fence": "Sure!\n```python\ndef total(xs):\n    return sum(xs)\n```\nDone.",
    "a sentence and code": "Here is the function that you asked for:\n\ndef total(xs):\n    return sum(xs)\n",
    "a fence that only closes": "    return sum(xs)\n```\nThis sums them up.",
    "code and a sentence": "    return sum(xs)\n\nThis returns the sum of all numbers.",
    "thinking": "<think>\nSum them.\n</think>\ndef total(xs):\n    return sum(xs)\n",
    "an end token": "    return sum(xs)\n<|im_end|>",
    "a token of other brackets": "    return sum(xs)\n<\uff5cend\u2581of\u2581sentence\uff5c>",
    "parts": '[{"type": "text", "text": "def total(xs):\\n    return sum(xs)\\n"}]',
    "the call of a tool": "[TOOL_CALLS]python[ARGS]{",
    "JSON": '{"code": "def total(xs):\\n    return sum(xs)\\n"}',
}
CODE = {
    "a body": "    return sum(xs)\n",
    "a whole function": "def total(xs):\n    return sum(xs)\n",
    "a fence in a docstring": '    """\n    ```\n    total([1])\n    ```\n    """\n    return sum(xs)\n',
    "a tag in a string": "    return sum(xs) or '<think>'\n",
    "a syntax error": "    return sum(xs\n",
    "cut off in a later function": "    return sum(xs)\n\ndef main():\n    print(",
    "Python 2": "    return sum(xs)\n\nprint 'a', total([1])\n",
    "wrong indentation": " return sum(xs)\n   return 1\n",
    "a null byte": "    return sum(xs)\n\0",
    "half of a pair": "    # \ud835\n    return sum(xs)\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_chats_answer_is_known(name):
    assert is_answer(ANSWERS[name], PROMPT + ANSWERS[name])


@pytest.mark.parametrize("name", CODE)
def test_code_stays_code_whether_it_parses_or_not(name):
    assert not is_answer(CODE[name], PROMPT + CODE[name])


MAIN = "import sys\n\n\ndef main():\n    print(sys.stdin.read())\n\n\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    "text",
    [
        MAIN,
        f"```python\n{MAIN}```",
        f"First a try:\n```python\nprint(1)\n```\nBetter:\n```python\n{MAIN}```\nIt prints:\n```text\n5\n```\n",
        f"<think>\n```python\nprint(1)\n```\n</think>\n```py\n{MAIN}```",
        f"```python\n{MAIN}",
        f"~~~~ python\n{MAIN}~~~~\n",
        f"```python\r\n{MAIN.replace(chr(10), chr(13) + chr(10))}```",
    ],
)
def test_a_program_is_taken_whole(text):
    assert extract(text).code == MAIN


TWICE = "n = int(input())\nprint(2 * n)\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{TWICE}```\nInput:\n```\n3\n```\nOutput:\n```\n6\n```\n",
        f"```python\n{TWICE}```\nThe key line:\n```python\n2 * n\n```\n",
        f"First:\n```python\ndef f(n):\n    return n\nprint(f(int(input())))\n```\nBetter:\n```python\n{TWICE}```\n",
        f"```python\n{TWICE}```\nIt may be quicker with:\n```python\nimport sys\ninput = sys.stdin.readline\n```\n",
    ],
)
def test_examples_and_drafts_beside_a_program_are_not_it(text):
    assert extract(text).code == TWICE


def test_a_program_in_two_blocks_is_put_together():
    text = "```python\ndef f(n):\n    return 2 * n\n```\nThen:\n```python\nprint(f(int(input())))\n```\n"
    assert extract(text).code == "def f(n):\n    return 2 * n\n\n\nprint(f(int(input())))\n"


def test_no_program_is_said_with_a_reason():
    found = extract("I cannot do that.")
    assert (found.code, bool(found.reason)) == ("", True)
