"""Answers of many kinds, judged by what the extracted code does, and the time that extraction takes."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from orchestrator.llm.extraction import extract, normalised
from orchestrator.llm.extraction.parsing import MAX_DEPTH, MAX_SOURCE

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "extraction_cases"
PLACEHOLDERS = {"{NBSP}": "\u00a0", "{TAB}": "\t", "{FF}": "\f"}
STUB = 'def total(xs):\n    """Sum of the positive numbers."""\n'
TOTAL = "def total(xs):\n    return sum(x for x in xs if x > 0)\n"


def read_cases(name: str) -> dict[str, dict[str, str]]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    for placeholder, character in PLACEHOLDERS.items():
        text = text.replace(placeholder, character)
    cases = {}
    for case in text.split("#### ")[1:]:
        title, _, rest = case.partition("\n")
        assert title not in cases, f"two cases are called {title!r}"
        sections = [section.partition("\n") for section in rest.split("==== ")[1:]]
        cases[title] = {key: value.rstrip("\n") for key, _, value in sections}
    return cases


CASES = {title: case for name in ("effects", "marks", "calls", "programs") for title, case in read_cases(f"{name}.txt").items()}


@pytest.fixture(autouse=True)
def recursion_limit() -> Iterator[None]:
    """Programs that set it are executed here."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


def execute(code: str, name: str, given: str = "") -> tuple[dict[str, object], str]:
    names: dict[str, object] = {"__name__": name}
    written = io.StringIO()
    with contextlib.redirect_stdout(written), mock.patch("sys.stdin", io.StringIO(given)):
        exec(compile(code, "candidate.py", "exec"), names)
    return names, written.getvalue()


@pytest.mark.parametrize("title", CASES)
def test_what_is_extracted_does_what_the_answer_meant(title: str) -> None:
    case = CASES[title]
    entry_point = None if "program" in case else case.get("entry_point", "total")
    found = extract(case["answer"] + "\n", entry_point=entry_point, prompt=case.get("prompt", ""))
    if "reason" in case:
        assert not found.usable
        assert case["reason"] in found.reason
        return
    assert found.usable, found
    if "output" in case:
        assert execute(found.code, "__main__", case["input"])[1].strip() == case["output"]
    else:
        names, _ = execute(found.code, "candidate")
        assert eval(case["holds"], names), found.code


@pytest.mark.parametrize("title", [title for title, case in CASES.items() if "holds" in case])
def test_what_is_kept_is_kept_again(title: str) -> None:
    case = CASES[title]
    entry_point = None if "program" in case else case.get("entry_point", "total")
    once = extract(case["answer"] + "\n", entry_point=entry_point, prompt=case.get("prompt", ""))
    again = extract(f"````python\n{once.code}````", entry_point=entry_point, prompt=case.get("prompt", ""))
    assert normalised(again.code) == normalised(once.code)


@pytest.mark.parametrize("title", list(CASES)[::4])
def test_every_beginning_of_an_answer_is_read_without_an_exception(title: str) -> None:
    answer = CASES[title]["answer"]
    for end in range(0, len(answer), 7):
        for entry_point in ("total", None):
            found = extract(answer[:end], entry_point=entry_point)
            assert found.usable or found.reason.endswith(".")
        extract(answer[:end], entry_point="total", kind="tests")


def fenced(code: str) -> str:
    return f"```python\n{code}```\n"


GROWING: dict[str, Callable[[int], str]] = {
    "fences": lambda n: "```python\nx = 1\n```\n" * n,
    "opening fences": lambda n: "```python\nx\n" * n,
    "bare fences": lambda n: "```\nx\n" * n,
    "fences in a docstring": lambda n: '```python\n"""\n' + "```\n" * n,
    "blanks behind a fence": lambda n: "```" + " " * n + "x",
    "thinking sections": lambda n: "<think>a</think>\n" * n,
    "opening marks": lambda n: "<think>\n" * n,
    "closing marks": lambda n: "</think>\n" * n,
    "closing marks behind code": lambda n: "x = 1\n</think>\n" * n,
    "closing marks in a line": lambda n: "</think> a " * n,
    "closing marks in an open fence": lambda n: "<think>\n```\n" + "</think>\n" * n + "```\n",
    "end tokens": lambda n: "a</s> b " * n,
    "channels": lambda n: "<|channel|>commentary<|message|>x = 1<|end|>\n" * n,
    "quoted marks": lambda n: '"</think>" ' * n,
    "open quotes": lambda n: "' " * n + "</think>",
    "angle brackets": lambda n: "<|" * n,
    "JSON that opens": lambda n: '{"a": ' * n,
    "JSON on lines": lambda n: '{"a":\n' * n,
    "parameters": lambda n: "<parameter=code>" * n,
    "answers": lambda n: "<answer>" * n,
    "functions that call each other": lambda n: "".join(f"def f{i}(x): return f{i + 1}(x)\n" for i in range(n)) + TOTAL,
    "aliases": lambda n: "a0 = []\n" + "".join(f"a{i + 1} = a{i}\n" for i in range(n)) + "def total(xs): return a0\n",
    "changes": lambda n: "a = {}\n" + "a[1] = 2\n" * n + "def total(xs): return a\n",
    "definitions of one name": lambda n: "def g(): return 1\ng.x = g()\n" * n + "def total(xs): return g()\n",
    "bindings of one name": lambda n: "x = 1\ny = x\n" * n + "def total(xs): return y\n",
    "statements on a line": lambda n: "x = 1; " * n + "\ndef total(xs): return x\n",
    "lines that do not parse": lambda n: "x = (\n" * n,
    "a body that does not parse": lambda n: "    x = = 1\n" * n,
    "a body, then prose": lambda n: "    x = 1\n" * n + "    return x\nThat is all.\n",
    "prose": lambda n: "the quick brown fox.\n" * n,
    "tabs": lambda n: "def total(xs):\n" + "\t \t" * n + "x",
    "names in a body": lambda n: "    x\n" * n,
    "a string of JSON that is cut off": lambda n: '{"code": "' + "a\\n" * n,
    "broken lines between others": lambda n: "x = (\ny = 1\n" * n,
    "steps": lambda n: fenced("L = []\n") + fenced("L.append(1)\n" * (n // 100)) * 100 + fenced("def total(xs): return L\n"),
    "tables in steps": lambda n: (
        "".join(fenced(f"T{i} = []\nT{i}.append(T{max(i - 1, 0)})\n") for i in range(min(n, 900)))
        + fenced("def total(xs): return T899\n")
    ),
    "line numbers": lambda n: "".join(f"{i} x\n" for i in range(n)),
}


def seconds(act: Callable[[], object]) -> float:
    """Processor time of a call."""
    began = time.process_time()
    act()
    return time.process_time() - began


@pytest.mark.parametrize("title", GROWING)
@pytest.mark.parametrize("kind", ["candidate", "tests"])
def test_four_times_the_text_takes_less_than_ten_times_as_long(title: str, kind: str) -> None:
    make = GROWING[title]
    size = 4_000 // max(1, len(make(10)) // 10)

    def took(count: int) -> float:
        text = make(count)
        return seconds(lambda: extract(text, entry_point="total", prompt=STUB, kind=kind))  # type: ignore[arg-type]

    # The least of three, for a busy machine only ever adds; and of what follows, one of three that is quick is enough.
    once = min(took(size) for _ in range(3))
    # Quadratic work would take sixteen times as long.
    assert any(took(4 * size) < 10 * once + 0.2 for _ in range(3))


DEEP = {
    "terms": lambda n: "1" + " + 1" * n,
    "attributes": lambda n: "xs" + ".a" * n,
    "calls": lambda n: "xs" + "()" * n,
    "negations": lambda n: "not " * n + "1",
    "brackets": lambda n: "[" * n + "]" * n,
    "lambdas": lambda n: "lambda: " * n + "1",
    "conditions": lambda n: "1 if xs else " * n + "1",
}


@pytest.mark.parametrize("title", DEEP)
@pytest.mark.parametrize("depth", [900, 3_000, 30_000])
def test_what_is_nested_too_deeply_is_refused_in_one_sentence(title: str, depth: int) -> None:
    source = f"def total(xs):\n    return {DEEP[title](depth)}\n"
    for kind in ("candidate", "tests"):
        found = extract(f"```python\n{source}```", entry_point="total", kind=kind)  # type: ignore[arg-type]
        assert not found.usable
        assert found.reason.endswith(".")
    assert normalised(source)
    if title != "brackets":  # Python itself says that there are too many of them.
        found = extract(f"```python\n{source}```", entry_point="total")
        assert found.reason in {
            f"The code is not read: it is nested more than {MAX_DEPTH} levels deep.",
            f"The answer is longer than {MAX_SOURCE:,} characters.",
        }


def test_a_program_as_deep_as_programs_get_is_read() -> None:
    branches = "".join(f"    elif xs == {i}:\n        return {i}\n" for i in range(700))
    assert extract(f"def total(xs):\n    if not xs:\n        return 0\n{branches}", entry_point="total").usable


def test_thousands_of_places_in_an_f_string_take_no_time() -> None:
    assert (
        seconds(lambda: extract("```python\nx = f'" + "{1}" * 60_000 + "'\ndef total(xs): return 4\n```", entry_point="total"))
        < 2
    )


def test_a_huge_answer_is_refused_but_long_thinking_before_a_short_one_is_not() -> None:
    huge = extract(TOTAL + "x = 1\n" * 50_000, entry_point="total")
    assert huge.reason == f"The answer is longer than {MAX_SOURCE:,} characters."
    assert extract("<think>\n" + "hm, " * 200_000 + "</think>\n" + TOTAL, entry_point="total").code == TOTAL


@pytest.mark.parametrize("text", ['{"code": ' * 50_000, "[" * 50_000, '{"a": ' * 5_000 + "1" + "}" * 5_000])
def test_deep_json_is_no_reason_to_fail(text: str) -> None:
    assert not extract(text, entry_point="total").usable


def test_what_is_passed_in_a_demonstration_does_not_keep_it() -> None:
    found = extract(f"```python\n{TOTAL}\nitems = [1, 2]\nfor item in items:\n    print(total([item]))\n```", entry_point="total")
    assert found.code == TOTAL
    assert found.problems == ("dropped code that the entry point does not use",)


def test_state_of_the_tests_is_kept_by_what_changes_it() -> None:
    answer = (
        "```python\nCASES = []\nCASES.append(([1, -2], 1))\n\n\ndef add(case):\n    CASES.append(case)\n\n\nadd(([], 0))\nprint(CASES)\n\n\n"
        "def test_cases():\n    for given, wanted in CASES:\n        assert total(given) == wanted\n```"
    )
    found = extract(answer, entry_point="total", kind="tests")
    assert "CASES.append(([1, -2], 1))" in found.code
    assert "add(([], 0))" in found.code
    assert "print" not in found.code


@pytest.mark.parametrize("read", ["open(0).read()", "os.read(0, 9)", "os.fdopen(0).read()", "open('/dev/stdin').read()"])
def test_a_descriptor_is_known_as_the_input(read: str) -> None:
    found = extract(f"```python\ndef double(n):\n    return n * 2\n```\n```python\nprint(double(int({read})))\n```")
    assert read in found.code
    assert "def double" in found.code


ONE_TEST = "def test_a(): assert total([1]) == 1"
READ_BY_PYTEST = {
    "a fixture for every test": "@pytest.fixture(autouse=True)\ndef ready(): os.environ['A'] = '1'",
    "a fixture by its name": f"@pytest.fixture\ndef db(): yield 1\n@pytest.mark.usefixtures('db')\n{ONE_TEST}",
    "a fixture asked for": "@pytest.fixture\ndef db(): yield 1\ndef test_a(request): assert request.getfixturevalue('db')",
    "a fixture by another name": "@pytest.fixture(name='db')\ndef make_db(): return 1\ndef test_a(db): assert total([db]) == 1",
    "a module's setup": "def setup_module(module):\n    global K\n    K = 1\ndef test_a(): assert total([K]) == 1",
    "setup of each function": "CALLS = []\ndef setup_function(function): CALLS.append(1)",
    "teardown": "def teardown_module(): os.environ.pop('A', None)",
    "a mark for the module": "pytestmark = pytest.mark.parametrize('x', [1, 2])\ndef test_a(x): assert total([x]) == x",
    "plugins": "pytest_plugins = ['pytester']",
    "a hook": "def pytest_generate_tests(metafunc): metafunc.parametrize('x', [1])\ndef test_a(x): assert total([x])",
    "tests that are made": "def make(v):\n    def inner(): assert total([v]) == v\n    return inner\ntest_one = make(1)",
    "tests that are made by name": "def make(v):\n    def inner(): assert total([v]) == v\n    return inner\n"
    "for v in (1, 2):\n    globals()[f'test_{v}'] = make(v)",
}


@pytest.mark.parametrize("title", READ_BY_PYTEST)
def test_what_pytest_reads_by_itself_is_kept(title: str) -> None:
    source = READ_BY_PYTEST[title]
    whole = source if "assert" in source else f"{source}\n{ONE_TEST}"
    found = extract(f"```python\nimport os\nimport pytest\n{whole}\n```", entry_point="total", kind="tests")
    assert found.usable, found
    assert all(line in found.code for line in source.split("\n"))


@pytest.mark.parametrize(
    "source",
    ["@pytest.fixture\ndef db(): yield 1", "@pytest.fixture(autouse=False)\ndef db(): yield 1", "test_data = load()", "x = 'db'"],
)
def test_what_neither_tests_nor_pytest_read_goes(source: str) -> None:
    found = extract(f"```python\nimport pytest\n{source}\n{ONE_TEST}\n```", entry_point="total", kind="tests")
    assert found.code == f"from candidate import total\n\n\n{ONE_TEST}\n"
