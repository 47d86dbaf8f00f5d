"""Public suites of honest modules with their own tests, each read into pairs: what `fidelity.py` judges.

A suite is a repository at a commit and a function that reads it. Readers change form, never meaning: an import is renamed, a
helper file is put in place of its import, a doctest becomes asserts, a package becomes one module. Where that breaks something
plain pytest refuses the pair, and it does not count.

Left out: running anything.
"""

from __future__ import annotations

import ast
import doctest
import gzip
import json
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import library_tests
from library_tests import Library


@dataclass(frozen=True)
class Pair:
    """An honest module and its own tests."""

    suite: str
    name: str
    candidate: str
    tests: str
    """What the judge gets."""
    module: str = "candidate"
    entry_point: str = ""
    """For tests that define `check(candidate)`."""

    def for_pytest(self) -> str:
        """The tests as plain pytest can run them: a bare check or bare asserts become a test function."""
        if self.entry_point and "def check(" in self.tests:
            call = f"from {self.module} import {self.entry_point}\n\n\ndef test_check():\n    check({self.entry_point})\n"
            return f"from {self.module} import *\n{self.tests}\n\n{call}"
        if "def test" in self.tests:
            return self.tests
        body = textwrap.indent(self.tests, "    ")
        return f"from {self.module} import *\n\n\ndef test_all():\n{body}\n"


@dataclass(frozen=True)
class Suite:
    """Where honest modules come from."""

    name: str
    repository: str
    """`owner/name` on GitHub; empty for a file of the data folder."""
    commit: str
    read: Callable[[Path], Iterable[Pair]]
    """Pairs of a checkout, or of the data folder. Their `suite` is filled in by `pairs`."""

    def pairs(self, folder: Path) -> list[Pair]:
        """All pairs, in the order of the suite. A name that comes again gets a number."""
        seen: dict[str, int] = {}
        found = []
        for pair in self.read(folder):
            count = seen[pair.name] = seen.get(pair.name, 0) + 1
            found.append(replace(pair, suite=self.name, name=pair.name if count == 1 else f"{pair.name}#{count}"))
        return found


def _rows(path: Path) -> list[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def _mbpp(data: Path) -> Iterator[Pair]:
    for row in _rows(data / "mbpp" / "mbpp.jsonl"):
        tests = "\n".join(filter(None, [row.get("test_setup_code"), *row["test_list"]])).replace("\r\n", "\n")
        yield Pair("", str(row["task_id"]), row["code"].replace("\r\n", "\n"), tests)


def _humaneval(file: str) -> Callable[[Path], Iterator[Pair]]:
    def read(data: Path) -> Iterator[Pair]:
        for row in _rows(data / file):
            helpers = _helpers(row["prompt"], row["entry_point"], row["test"])
            candidate = row["prompt"] + row["canonical_solution"]
            yield Pair("", row["task_id"], candidate, helpers + row["test"], entry_point=row["entry_point"])

    return read


def _helpers(prompt: str, entry_point: str, tests: str) -> str:
    """Functions of the prompt, besides the one that is asked for, that the tests use."""
    tree = ast.parse(prompt + "\n    pass\n")
    used = library_tests.names_used(ast.parse(tests))
    helpers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name != entry_point and node.name in used]
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "".join(ast.unparse(node) + "\n" for node in [*imports, *helpers]) if helpers else ""


def _exercism(kind: str, solution: str) -> Callable[[Path], Iterator[Pair]]:
    def read(folder: Path) -> Iterator[Pair]:
        for exercise in sorted((folder / "exercises" / kind).iterdir()):
            config = exercise / ".meta" / "config.json"
            files = json.loads(config.read_text())["files"] if config.is_file() else {"solution": [], "test": []}
            if len(files["solution"]) != 1 or len(files["test"]) != 1 or not (exercise / ".meta" / solution).is_file():
                continue  # more than one module
            helpers = {path.stem: path.name for path in exercise.glob("*_data.py")}
            body = library_tests.inlined(ast.parse((exercise / files["test"][0]).read_text()).body, helpers, exercise)
            tests = ast.unparse(ast.Module(list(body), []))
            candidate = (exercise / ".meta" / solution).read_text()
            yield Pair("", exercise.name, candidate, tests, Path(files["solution"][0]).stem)

    return read


def _the_algorithms(folder: Path) -> Iterator[Pair]:
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder))
        if path.name != "__init__.py" and not name.startswith(("scripts/", "docs/")):
            candidate = path.read_text()
            with suppress(SyntaxError):
                if tests := asserts_of_doctests(candidate, path.stem if path.stem.isidentifier() else "candidate"):
                    yield Pair("", name, candidate, tests, path.stem if path.stem.isidentifier() else "candidate")


def asserts_of_doctests(source: str, module: str) -> str:
    """A test function for each docstring with examples. Empty where no example can be put as an assert.

    A value is compared with what its example shows; where that is no literal, by `repr`. Docstrings with an example that prints,
    or shows with an ellipsis or other directives, are left out.
    """
    tree = ast.parse(source)
    functions: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            examples = doctest.DocTestParser().get_examples(ast.get_docstring(node, clean=False) or "")
            with suppress(ValueError, SyntaxError):
                lines = [line for example in examples for line in _assert_of(example)]
                if any(line.startswith(("assert ", "with pytest")) for line in lines):
                    name = f"test_{getattr(node, 'name', 'module')}_{len(functions)}"
                    functions.append(f"def {name}():\n" + textwrap.indent("\n".join(lines), "    ") + "\n")
    if not functions:
        return ""
    used = library_tests.names_used(ast.parse("\n".join(functions)))
    imports = [ast.unparse(line) for line in tree.body if _imports(line) & used]
    own = sorted(used & (_bound(tree) - {name for line in tree.body for name in _imports(line)}))
    head = ["import pytest"] if any("pytest.raises" in text for text in functions) else []
    head += [*imports, *([f"from {module} import {', '.join(own)}"] if own else [])]
    return "\n".join(head) + "\n\n\n" + "\n\n".join(functions)


def _assert_of(example: doctest.Example) -> list[str]:
    """An example as lines of a test.

    Raises:
        ValueError: it prints, or its output is given loosely.
    """
    if example.options:
        raise ValueError("directives")
    source = example.source.rstrip("\n")
    if example.exc_msg is not None:
        kind = example.exc_msg.split(":")[0].strip().rpartition(".")[2]
        return [f"with pytest.raises({kind}):", textwrap.indent(source, "    ")]
    if not example.want:
        return [source]
    expression, want = ast.unparse(ast.parse(source, mode="eval")), example.want.strip()
    if "..." in want or expression.startswith("print("):
        raise ValueError("loose")
    try:
        ast.literal_eval(want)
    except (ValueError, SyntaxError):
        return [f"assert repr({expression}) == {want!r}"]
    return [f"assert ({expression}) == {' '.join(want.splitlines())}"]


def _imports(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return set()


def _bound(tree: ast.Module) -> set[str]:
    return {name for statement in tree.body for name in library_tests.names_bound(statement)}


def _deep_ml(folder: Path) -> Iterator[Pair]:
    for path in sorted((folder / "questions").rglob("solution.py")):
        tests = path.parent / "tests.json"
        if not tests.is_file():
            continue
        candidate = path.read_text()
        with suppress(SyntaxError, ValueError):
            cases = [_printed(str(row["test"]), str(row["expected_output"])) for row in json.loads(tests.read_text())]
            name = str(path.parent.relative_to(folder / "questions"))
            yield Pair("", name, candidate, _with_names(candidate, "candidate", cases))


def _printed(test: str, expected: str) -> list[str]:
    """Statements of which the last prints: what it prints is compared, as numbers where they are numbers."""
    *before, last = ast.parse(test).body
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == "print"):
        raise ValueError("prints nothing at its end")
    if len(last.value.args) != 1 or last.value.keywords:
        raise ValueError("prints more than one value")
    shown = ast.unparse(last.value.args[0])
    try:
        numeric = isinstance(ast.literal_eval(expected), int | float | list)
    except (ValueError, SyntaxError):
        numeric = False
    check = f"np.testing.assert_allclose({shown}, {expected.strip()}, rtol=1e-3)" if numeric else ""
    return [*map(ast.unparse, before), check or f"assert str({shown}) == {expected.strip()!r}"]


def _with_names(candidate: str, module: str, cases: list[list[str]]) -> str:
    """Test functions with the imports that they need, from the candidate or from where the candidate has them."""
    functions = [
        f"def test_{number}():\n" + textwrap.indent("\n".join(lines), "    ") + "\n" for number, lines in enumerate(cases)
    ]
    tree = ast.parse(candidate)
    used = library_tests.names_used(ast.parse("\n".join(functions)))
    imports = [ast.unparse(line) for line in tree.body if _imports(line) & used]
    own = sorted(used & (_bound(tree) - {name for line in tree.body for name in _imports(line)}))
    head = ["import numpy as np", *imports, *([f"from {module} import {', '.join(own)}"] if own else [])]
    return "\n".join(dict.fromkeys(head)) + "\n\n\n" + "\n\n".join(functions)


def _bigcodebench(folder: Path) -> Iterator[Pair]:
    for row in _rows(folder / "data" / "BigCodeBench.jsonl.gz"):
        candidate = row["prompt"] + row["canonical_solution"]
        tests = ast.parse(row["test"])
        missing = library_tests.names_used(tests) - _bound(tests)
        # The benchmark runs both in one namespace: what the tests take from the solution's imports they import here.
        given = ast.parse(candidate).body
        head = [ast.unparse(line) for line in given if _imports(line) & missing]
        own = sorted(missing & {name for line in given if not _imports(line) for name in library_tests.names_bound(line)})
        head.append(f"from candidate import {', '.join(own or [row['entry_point']])}")
        yield Pair("", row["task_id"], candidate, "\n".join(head) + "\n" + row["test"])


def _classeval(folder: Path) -> Iterator[Pair]:
    for row in json.loads((folder / "data" / "ClassEval_data.json").read_text()):
        head = "\n".join(row["import_statement"])
        candidate = f"{head}\n\n{row['solution_code']}\n"
        tests = f"from candidate import {row['class_name']}\n{head}\n{row['test']}"
        yield Pair("", row["task_id"], candidate, tests)


def _quixbugs(folder: Path) -> Iterator[Pair]:
    node = (folder / "python_testcases" / "node.py").read_text()
    for path in sorted((folder / "correct_python_programs").glob("*.py")):
        tests = folder / "python_testcases" / f"test_{path.name}"
        if not tests.is_file():
            continue
        data = folder / "json_testcases" / f"{path.stem}.json"
        rows = [json.loads(line) for line in data.read_text().splitlines() if line.strip()] if data.is_file() else []
        body: list[str] = []
        for statement in ast.parse(tests.read_text()).body:
            text = ast.unparse(statement)
            if text.startswith("if pytest.use_correct"):
                body.append(f"from {path.stem} import {path.stem}")
            elif text.startswith("from node import"):
                body.append(node)
            elif text.startswith("testdata = load_json_testcases"):
                body.append(f"testdata = {rows!r}")
            elif not text.startswith("from load_testdata"):
                body.append(text)
        yield Pair("", path.stem, path.read_text(), "\n".join(body).replace("pytest.run_slow", "True"), path.stem)


_SAME = """

def test_same_output():
    torch.manual_seed(42)
    inputs = get_inputs()
    torch.manual_seed(42)
    reference = Model(*get_init_inputs())
    torch.manual_seed(42)
    model = ModelNew(*get_init_inputs())
    with torch.no_grad():
        expected, actual = reference(*inputs), model(*inputs)
    assert actual.shape == expected.shape
    assert torch.allclose(actual, expected, atol=1e-2, rtol=1e-2)
"""


def _kernelbench(folder: Path) -> Iterator[Pair]:
    """The module as `ModelNew` against itself as `Model`, by KernelBench's own comparison, at sizes for a CPU."""
    for path in sorted((folder / "KernelBench").glob("level1/*.py")):
        small = ast.unparse(_Small().visit(ast.parse(path.read_text())))
        candidate = small.replace("Model", "ModelNew")
        yield Pair("", path.stem, candidate, f"from candidate import ModelNew\n{small}{_SAME}")


class _Small(ast.NodeTransformer):
    """Halves numbers at a module's top level until they are at most 16."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        value = node.value
        if type(value) is int:
            while value > 16:
                value //= 2
            return ast.Constant(value)
        return node


_LIBRARIES = (
    Library("more-itertools", "more_itertools", "tests/test_*.py"),
    Library(
        "toolz",
        "toolz",
        "toolz/tests/test_*.py",
        without=("curried", "sandbox"),
        drop=("functoolz._sigs.create_signature_registry()",),
    ),
    Library("sortedcontainers", "src/sortedcontainers", "tests/test_*.py"),
    Library("funcy", "funcy", "tests/test_*.py"),
    Library("pydash", "src/pydash", "tests/test_*.py", helpers={".helpers": "tests/helpers.py"}),
    Library("schema", "schema", "test_schema.py"),
    Library("voluptuous", "voluptuous", "voluptuous/tests/tests.py"),
    Library("semver", "src/semver", "tests/test_*.py", helpers={"coerce": "tests/coerce.py"}),
    Library("parse", "parse.py", "tests/test_*.py"),
    Library("tabulate", "tabulate", "test/test_*.py", helpers={"common": "test/common.py"}),
    Library("cachetools", "src/cachetools", "tests/test_*.py", helpers={".": "tests/__init__.py"}),
    Library("markupsafe", "src/markupsafe", "tests/test_*.py", module="markup"),  # the image has a package of that name
    Library("tenacity", "tenacity", "tests/test_*.py", without=("tornadoweb", "asyncio")),
)


def _library(name: str) -> Callable[[Path], Iterator[Pair]]:
    library = next(one for one in _LIBRARIES if one.name == name)
    return lambda folder: (Pair("", *row) for row in library_tests.pairs(library, folder))


def _boltons(folder: Path) -> Iterator[Pair]:
    """Each file of the package is a module of its own."""
    for path in sorted((folder / "boltons").glob("*utils.py")):
        tests = f"tests/test_{path.stem}*.py"
        library = Library("boltons", "boltons", tests, module=path.stem, file=path.stem)
        yield from (Pair("", *row) for row in library_tests.pairs(library, folder))


SUITES = (
    Suite("MBPP", "", "", _mbpp),
    Suite("HumanEval", "", "", _humaneval("humaneval/HumanEval.jsonl.gz")),
    Suite("HumanEval+", "", "", _humaneval("evalplus/HumanEvalPlus.jsonl.gz")),
    Suite(
        "exercism practice", "exercism/python", "9eb657d4507d91efef99f484e7f2a1f4074911b5", _exercism("practice", "example.py")
    ),
    Suite("exercism concept", "exercism/python", "9eb657d4507d91efef99f484e7f2a1f4074911b5", _exercism("concept", "exemplar.py")),
    Suite("TheAlgorithms", "TheAlgorithms/Python", "f5988cc09713315817df6a7e327e258013a94440", _the_algorithms),
    Suite("Deep-ML", "Open-Deep-ML/DML-OpenProblem", "04708b485a051316c25b91e4cb9a2ada0ccf7fbf", _deep_ml),
    Suite(
        "BigCodeBench",
        "bigcode-project/bigcodebench-annotation",
        "a3b89850db670d7302571142b881e4f85eef18e3",
        _bigcodebench,
    ),
    Suite("ClassEval", "FudanSELab/ClassEval", "eaeac44d0d5dcd8a95feec50726d66fedc73a98f", _classeval),
    Suite("QuixBugs", "jkoppel/QuixBugs", "4257f44b0ff1181dedaedee6a447e133219fcebf", _quixbugs),
    Suite("KernelBench level 1", "ScalingIntelligence/KernelBench", "423217d9fda91e0c2d67e4a43bf62f96f6d104f1", _kernelbench),
    Suite("boltons", "mahmoud/boltons", "967864f89791509f9eb36b22b4579d36b72a6df2", _boltons),
    *(
        Suite(name, repository, commit, _library(name))
        for name, repository, commit in (
            ("more-itertools", "more-itertools/more-itertools", "2fe1b2eeb9d75f994113fe3ac76d14b6bcd6fb10"),
            ("toolz", "pytoolz/toolz", "568c2b8393973cd172a466546c9d95779c452438"),
            ("sortedcontainers", "grantjenks/python-sortedcontainers", "3ac358631f58c1347f1d6d2d92784117db0f38ed"),
            ("funcy", "Suor/funcy", "70fb6e8b0d1d2d5a78f2a66e80a98d691366cc85"),
            ("pydash", "dgilland/pydash", "3585eb29018ea1535e7df4e10b33df68bbffcf9e"),
            ("schema", "keleshev/schema", "310a1239b62f500284ce3bd91b7dabf70467f23e"),
            ("voluptuous", "alecthomas/voluptuous", "87825d6dbdab8830fcc6d559ecb3b88bdf68af6d"),
            ("semver", "python-semver/python-semver", "d8813b67a2ec5d579365f51a6d8f96d02f3fcbc3"),
            ("parse", "r1chardj0n3s/parse", "738447715c76f8ebc460b33320307faccafbc599"),
            ("tabulate", "astanin/python-tabulate", "268615a5c27dc40e5c22454c07b44d5c50410da0"),
            ("cachetools", "tkem/cachetools", "28d4506f2a49d781ffbcecb095fa7aba5bb80aff"),
            ("markupsafe", "pallets/markupsafe", "1251593f6b0e3b45f2cc8aba662622bc22d6a5e2"),
            ("tenacity", "jd/tenacity", "c650fb45204635f07910948d5fc59a8c551ffdda"),
        )
    ),
)
"""All suites, with the commits that figures were taken at."""
