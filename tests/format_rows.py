"""One small row of each known format, written for this purpose, with a right and a wrong answer to it.

The layouts are those of the data sets' own files (LeetCodeDataset v0.3.1, KodCode-V1, LiveCodeBench code_generation_lite,
BigCodeBench v0.1.4, ClassEval, APPS); of their content nothing is here.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any, NamedTuple


class Example(NamedTuple):
    """A row, and two answers to it."""

    row: dict[str, Any]
    right: str
    wrong: str


def packed(cases: list[dict[str, str]]) -> str:
    """As LiveCodeBench packs hidden tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


LEETCODE = Example(
    {
        "task_id": "longest-chain",
        "question_id": 9001,
        "difficulty": "Easy",
        "tags": ["Linked List"],
        "problem_description": "Return the length of a linked list.",
        "starter_code": "class Solution:\n    def chain(self, head: Optional[ListNode]) -> int:\n        ",
        "estimated_date": "2024-01-01",
        "prompt": "from typing import *\nfrom math import inf\n\n\nclass ListNode:\n    def __init__(self, val=0, next=None):\n"
        "        self.val = val\n        self.next = next\n\n\ndef list_node(values):\n    head = None\n"
        "    for value in reversed(values):\n        head = ListNode(value, head)\n    return head\n",
        "completion": "class Solution:\n    def chain(self, head: Optional[ListNode]) -> int:\n        n = 0\n        while head:\n"
        "            n, head = n + 1, head.next\n        return n\n",
        "entry_point": "Solution().chain",
        "test": "def check(candidate):\n    assert candidate(head = list_node([1, 2, 3])) == 3\n"
        "    assert candidate(head = list_node([])) == 0\n    assert candidate(head = None) != inf\n",
        "input_output": [{"input": "head = [1,2,3]", "output": "3"}],
        "query": "You are an expert.",
        "response": "Sure.",
    },
    "class Solution:\n    def chain(self, head: Optional[ListNode]) -> int:\n        return 1 + self.chain(head.next) if head else 0\n",
    "class Solution:\n    def chain(self, head: Optional[ListNode]) -> int:\n        return 3\n",
)
METHOD = Example(
    {
        "task_id": "leet/7",
        "prompt": "from typing import *\n",
        "entry_point": "Solution().largest",
        "test": "def check(candidate):\n    assert candidate(xs = [1, 5, 3]) == 5\n    assert candidate(xs = [-2]) == -2\n",
        "canonical_solution": "class Solution:\n    def largest(self, xs: List[int]) -> int:\n        return max(xs)\n",
    },
    "class Solution:\n    def largest(self, xs: List[int]) -> int:\n        return sorted(xs)[-1]\n",
    "class Solution:\n    def largest(self, xs: List[int]) -> int:\n        return 5\n",
)
KODCODE = Example(
    {
        "style": "instruct",
        "subset": "Prefill",
        "question_id": "Prefill_9001_I",
        "question": "Write a function that doubles each number of a list.",
        "solution": "def doubled(xs):\n    return [2 * x for x in xs]\n",
        "test": "from solution import doubled\n\ndef test_some():\n    assert doubled([1, 2]) == [2, 4]\n\n"
        "def test_none():\n    assert doubled([]) == []\n",
        "test_info": [
            {"docstring": "", "function_declaration": "def doubled(xs):", "function_name": "doubled", "parameter_list": "(xs)"}
        ],
        "gpt_pass_sequence": [1, 1],
        "gpt_difficulty": "easy",
        "metadata": {"row_id": 1},
    },
    "def doubled(xs):\n    return [x + x for x in xs]\n",
    "def doubled(xs):\n    return [2, 4]\n",
)
LCB_STDIN = Example(
    {
        "question_title": "Double",
        "question_content": "Read a number and print twice its value.",
        "platform": "atcoder",
        "question_id": "abc999_a",
        "contest_id": "abc999",
        "contest_date": "2024-01-01T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
        "private_test_cases": packed([{"input": "-3\n", "output": "-6", "testtype": "stdin"}]),
        "metadata": "{}",
    },
    "import sys\n\ndef main():\n    print(2 * int(sys.stdin.readline()))\n\nif __name__ == '__main__':\n    main()\n",
    "input()\nprint(4)\n",
)
LCB_CALL = Example(
    {
        "question_title": "Pairs",
        "question_content": "Return each number with its index.",
        "platform": "leetcode",
        "question_id": "9999",
        "contest_id": "weekly-999",
        "contest_date": "2024-01-01T00:00:00",
        "starter_code": "class Solution:\n    def pairs(self, xs: List[int], by: int) -> List[List[int]]:\n        ",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": "[5, 6]\n1", "output": "[[0, 5], [1, 6]]", "testtype": "functional"}]),
        "private_test_cases": packed([{"input": "[]\n2", "output": "[]", "testtype": "functional"}]),
        "metadata": json.dumps({"func_name": "pairs"}),
    },
    "from __future__ import annotations\n\nclass Solution:\n    def pairs(self, xs: List[int], by: int) -> List[List[int]]:\n"
    "        return list(zip(count(0, by), xs))\n",
    "class Solution:\n    def pairs(self, xs, by):\n        return [[0, 5], [1, 6]]\n",
)
BIGCODEBENCH = Example(
    {
        "task_id": "BigCodeBench/9001",
        "complete_prompt": 'import math\nLIMIT = 10\n\ndef task_func(x):\n    """Round x up, to LIMIT at most."""\n',
        "instruct_prompt": "Round x up.\nYou should write self-contained code starting with:\n```\nimport math\n```",
        "canonical_solution": "    return min(math.ceil(x), LIMIT)\n",
        "code_prompt": "import math\nLIMIT = 10\ndef task_func(x):\n",
        "test": "import unittest\n\nclass TestCases(unittest.TestCase):\n    def test_up(self):\n"
        "        self.assertEqual(task_func(1.5), math.ceil(1.5))\n\n    def test_limit(self):\n"
        "        self.assertEqual(task_func(99), LIMIT)\n",
        "entry_point": "task_func",
        "doc_struct": "{}",
        "libs": "['math']",
    },
    "    return LIMIT if x > LIMIT else -int(-x // 1)\n",
    "    return 2\n",
)
CLASSEVAL = Example(
    {
        "task_id": "ClassEval_9001",
        "skeleton": 'class Account:\n    """Money, with a day."""\n\n    def __init__(self):\n        self.sum = 0\n\n'
        '    def add(self, amount, day):\n        """Add an amount."""\n',
        "test": "import unittest\n\nclass AccountTestAdd(unittest.TestCase):\n    def test_add(self):\n        account = Account()\n"
        "        account.add(3, datetime(2024, 1, 1))\n        account.add(4, datetime(2024, 1, 2))\n"
        "        self.assertEqual(account.sum, 7)\n",
        "solution_code": "class Account:\n    def __init__(self):\n        self.sum = 0\n\n    def add(self, amount, day):\n"
        "        assert isinstance(day, datetime)\n        self.sum += amount\n",
        "import_statement": ["from datetime import datetime"],
        "class_description": "Money.",
        "methods_info": [{"method_name": "add"}],
        "class_name": "Account",
        "test_classes": ["AccountTestAdd"],
        "class_constructor": "class Account:",
        "fields": ["self.sum"],
    },
    "class Account:\n    def __init__(self):\n        self.sum = 0\n\n    def add(self, amount, day):\n        self.sum = self.sum + amount\n",
    "class Account:\n    def __init__(self):\n        self.sum = 0\n\n    def add(self, amount, day):\n        self.sum = amount\n",
)
APPS_STDIN = Example(
    {
        "problem_id": 9001,
        "question": "Read numbers, one a line, and print their mean.",
        "solutions": json.dumps(["import sys\nxs = [float(x) for x in sys.stdin.read().split()]\nprint(sum(xs) / len(xs))\n"]),
        "input_output": json.dumps({"inputs": ["1\n2\n", ["3", "4", "5"]], "outputs": ["1.5\n", ["4"]]}),
        "difficulty": "introductory",
        "url": "",
        "starter_code": "",
    },
    "xs = []\ntry:\n    while True:\n        xs.append(int(input()))\nexcept EOFError:\n    print(f'{sum(xs) / len(xs):.6f}')\n",
    "print(1.5)\n",
)
APPS_CALL = Example(
    {
        "problem_id": 9002,
        "question": "Return the numbers of a dict by size.",
        "solutions": json.dumps(["def by_size(d, n):\n    return sorted(d)[:n]\n"]),
        "input_output": json.dumps(
            {"fn_name": "by_size", "inputs": [[{"3": "c", "1": "a"}, 2], [{}, 5]], "outputs": [[[1, 3]], []]}
        ),
        "difficulty": "interview",
        "url": "",
        "starter_code": "def by_size(d, n):\n\t",
    },
    "def by_size(d, n):\n    return tuple(sorted(d.keys()))[:n]\n",
    "def by_size(d, n):\n    return [1, 3]\n",
)
MBPP_PLUS = Example(
    {
        "task_id": 9003,
        "code": "def twice(xs):\n    return [2 * x for x in xs]",
        "prompt": "Write a function that doubles numbers.",
        "source_file": "x.ipynb",
        "test_imports": [],
        "test_list": ["assert twice([1]) == [2]"],
        "test": "import numpy as np\n\ndef assertion(out, exp, atol):\n    assert out == exp\n\n"
        "inputs = [[[1]], [[3, 4]]]\nresults = [[2], [6, 8]]\n"
        "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(twice(*inp), exp, 0)\n",
    },
    "def twice(xs):\n    return [x + x for x in xs]\n",
    "def twice(xs):\n    return [2]\n",
)
OWN_CASES = Example(
    {"task_id": "own/io", "prompt": "Print the sum of two numbers.", "inputs": ["1 2\n", "5 5"], "outputs": ["3", "10"]},
    "print(sum(map(int, input().split())))\n",
    "print(3)\n",
)
EXAMPLES = {
    "LeetCodeDataset": LEETCODE,
    "a method in HumanEval's keys": METHOD,
    "KodCode": KODCODE,
    "LiveCodeBench, stdin": LCB_STDIN,
    "LiveCodeBench, calls": LCB_CALL,
    "BigCodeBench": BIGCODEBENCH,
    "ClassEval": CLASSEVAL,
    "APPS, stdin": APPS_STDIN,
    "APPS, calls": APPS_CALL,
    "MBPP+ of the hub": MBPP_PLUS,
    "one's own, inputs and outputs": OWN_CASES,
}
