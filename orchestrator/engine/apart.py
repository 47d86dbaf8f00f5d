"""Whether tests can be judged apart from the candidate: a reading of their source, before anything runs.

Only the tests are read, never the candidate. What this reading misses shows in the run, where the tests do what cannot be done to
a candidate judged apart (`RunReport.not_apart`): there the kind of thing that would have to cross decides, which the tests chose,
and not its size or depth, which a candidate may have given it.

Left out: judging itself. The agent in the sandbox does that.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import sys
from collections.abc import Collection, Iterator, Mapping

from orchestrator.sources import parse

_LIBRARIES = frozenset(("numpy", "torch", "pandas", "sklearn", "pytest", "_pytest", "typing_extensions"))
"""Beside the standard library: what tests may use apart. Objects of other libraries do not cross."""
_CODE_IN_TEXT = "run text as code"
_NAMED_BY_TEXT = "look things up by computed names"
_SHARE = "share files with the candidate"
"""Their folders are kept alike, so this is not a reason unless the tests have files of their own, or files hold code."""
_CODE = re.compile(r"\.(?:py|pyc|so|pth)(?![a-z])")
_FIXTURES = {
    **dict.fromkeys(("capsys", "capfd", "capsysbinary", "capfdbinary"), "read what the candidate prints"),
    "caplog": "read the candidate's log",
    "monkeypatch": "patch what the candidate uses (monkeypatch)",
    "mocker": "patch what the candidate uses (mocker)",
    **dict.fromkeys(("tmp_path", "tmpdir", "tmp_path_factory", "tmpdir_factory"), _SHARE),
    "pytester": "run pytest themselves",
}
_MODULES = {
    **dict.fromkeys(("subprocess", "runpy", "multiprocessing", "pty"), "start programs of their own"),
    **dict.fromkeys(("tempfile", "shutil", "pathlib", "glob"), _SHARE),
    **dict.fromkeys(("pickle", "marshal", "shelve", "copyreg"), "serialise objects"),
    **dict.fromkeys(("gc", "weakref", "tracemalloc", "ctypes"), "look at the memory of the interpreter"),
    **dict.fromkeys(("doctest", "trace", "bdb", "dis", "linecache"), "look into the candidate's code"),
    "logging": "look at what the candidate logs",
    **dict.fromkeys(("socket", "http", "urllib"), "share connections with the candidate"),
    **dict.fromkeys(("code", "codeop", "pydoc"), _CODE_IN_TEXT),
    "tarfile": "unpack archives, whose members may have any path",
}
"""Modules whose use in tests needs one interpreter, and why."""
_READING = frozenset(
    ("builtins.open", "pathlib", "glob", "os.listdir", "os.walk", "os.path.exists", "os.path.isfile", "os.path.getsize")
)
"""What tests that have files of their own read those with."""
_NAMES = {
    "unittest.mock.patch.dict": "patch what the candidate uses (mock.patch.dict)",
    **dict.fromkeys(("contextlib.redirect_stdout", "contextlib.redirect_stderr"), "read what the candidate prints"),
    "pytest.MonkeyPatch": "patch what the candidate uses (monkeypatch)",
    "pytest.importorskip": "import what may be missing",
    **dict.fromkeys(
        ("inspect.getsource", "inspect.getsourcelines", "inspect.getsourcefile", "inspect.getfile", "inspect.getmodule"),
        "read the candidate's source",
    ),
    **dict.fromkeys(("inspect.stack", "inspect.currentframe", "sys._getframe", "sys.settrace", "sys.setprofile"), "walk frames"),
    **dict.fromkeys(("importlib.reload", "importlib.util", "importlib.machinery"), "load the candidate's module again"),
    "sys.modules": "change sys.modules",
    "shutil.unpack_archive": "unpack archives, whose members may have any path",
    **dict.fromkeys(("sys.stdin", "sys.stdout", "sys.stderr", "sys.argv"), "share the interpreter's streams or arguments"),
    **dict.fromkeys(("sys.getsizeof", "sys.getrefcount"), "look at the memory of the interpreter"),
    **dict.fromkeys(
        ("sys.setrecursionlimit", "decimal.getcontext", "decimal.localcontext"), "set what holds for one interpreter"
    ),
    "string.Formatter": _NAMED_BY_TEXT,
    "types.new_class": "make classes otherwise than by a class statement",
    **dict.fromkeys(("functools.singledispatch", "functools.singledispatchmethod"), _CODE_IN_TEXT),
    **dict.fromkeys(("locale.setlocale", "os.environ", "os.putenv", "os.getenv", "os.chdir"), "set what holds for one process"),
    **dict.fromkeys(("numpy.seterr", "numpy.errstate", "torch.set_default_dtype"), "set what holds for one interpreter"),
    **dict.fromkeys(
        ("torch.set_default_device", "torch.set_default_tensor_type", "torch.autocast"), "set what holds for one interpreter"
    ),
    **dict.fromkeys(("torch.use_deterministic_algorithms", "torch.set_grad_enabled"), "set what holds for one interpreter"),
    **dict.fromkeys(
        ("torch.func", "torch.vmap", "torch.compile", "torch.jit", "torch.fx", "torch.export"), "transform the candidate's code"
    ),
    **dict.fromkeys(("torch.save", "torch.onnx", "torch.load", "pandas.read_pickle", "pandas.to_pickle"), "serialise objects"),
    **dict.fromkeys(("pandas.option_context", "pandas.set_option", "pandas.options"), "set what holds for one interpreter"),
    "sklearn.set_config": "set what holds for one interpreter",
    **dict.fromkeys(
        (
            *("sys.getrecursionlimit", "signal.getsignal", "threading.active_count", "threading.enumerate", "asyncio.all_tasks"),
            *("warnings.filters", "numpy.geterr", "numpy.get_printoptions", "torch.is_grad_enabled", "torch.get_default_dtype"),
            *("torch.is_inference_mode_enabled", "torch.get_num_threads", "torch.initial_seed", "os.getcwd", "pathlib.Path.cwd"),
        ),
        "look at what holds for one interpreter",
    ),
    **dict.fromkeys(
        ("os.system", "os.popen", "os.fork", "concurrent.futures.ProcessPoolExecutor"), "start programs of their own"
    ),
    **dict.fromkeys(("os.listdir", "os.remove", "os.unlink", "os.mkdir", "os.makedirs", "os.walk"), _SHARE),
    **dict.fromkeys(("os.path.exists", "os.path.isfile", "os.path.getsize"), _SHARE),
    **dict.fromkeys(
        ("dataclasses.fields", "dataclasses.asdict", "dataclasses.astuple", "dataclasses.replace"), "look into dataclasses"
    ),
    "dataclasses.is_dataclass": "look into dataclasses",
    "builtins.open": _SHARE,
    "sqlite3.connect": "share a data base with the candidate",
}
"""Functions whose use in tests needs one interpreter, by the path under which they were imported, and why."""
_DRAWS = frozenset(
    (
        *("random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform", "gauss", "normalvariate"),
        *("rand", "randn", "normal", "permutation", "integers", "getrandbits", "betavariate", "expovariate"),
    )
)
"""Functions that draw from a generator that all of one interpreter share."""
_RUNS_TEXT = frozenset(
    (
        *("builtins.eval", "builtins.exec", "builtins.compile", "timeit.timeit", "timeit.repeat", "timeit.Timer", "pandas.eval"),
        *("cProfile.run", "cProfile.runctx", "profile.run", "profile.runctx", "importlib.import_module", "pydoc.locate"),
    )
)
"""Functions that run the text that they are given, or import by it: apart, only what is written out in the tests."""
_LOOKS_UP = frozenset(("operator.attrgetter", "operator.methodcaller", "inspect.getattr_static"))
"""Functions that ask for attributes by the text that they are given."""
_FORMATS = ("format", "format_map")
_QUERIES = frozenset(("query", "eval"))
"""Methods of pandas' tables that run text."""
_BINDING = frozenset(("update", "setdefault", "__setitem__"))
"""Methods of a namespace by which names come that are written nowhere."""
_ATTRIBUTES = {
    **dict.fromkeys(("__globals__", "__closure__", "__subclasses__", "__mro_entries__"), "look into the candidate's objects"),
    "getfixturevalue": "ask for fixtures by computed names",
    **dict.fromkeys(("assertLogs", "assertNoLogs"), "read the candidate's log"),
}


def why_together(tests: str, module: str, files: Mapping[str, bytes] | None = None) -> str:
    """Why these tests need the candidate `module` in their own interpreter: one sentence; "" where they can be judged apart.

    `files` are the tests' own: modules among them are read as the tests are, and tests that have any may open files.
    Tests that do not parse, or are refused as too deep or too large, can be judged apart: they fail there as anywhere.
    """
    files = files or {}
    own = frozenset(path.partition("/")[0].removesuffix(".py") for path in files)
    sources = [tests, *(content.decode("utf-8", "replace") for path, content in files.items() if path.endswith(".py"))]
    for source in sources:
        try:
            tree = parse(source)
        except SyntaxError:
            continue
        reading = _Reading(tree, module, own)
        # What a module of theirs does with a text is not looked at in the run.
        if found := next(reading.reasons(), "") or (_NAMED_BY_TEXT if source is not tests and _names_by_text(tree) else ""):
            return f"The tests {found}, for which the candidate must be in their own interpreter."
    return ""


class _Reading:
    """What tests import, and what they do with it."""

    def __init__(self, tree: ast.Module, module: str, own: frozenset[str] = frozenset()) -> None:
        self._tree, self._module, self._own = tree, module, own
        self._paths: dict[str, str] = {}
        """Name in the tests -> what was imported under it."""
        self._names_code = any(
            isinstance(node, ast.Constant) and type(node.value) is str and _CODE.search(node.value) for node in ast.walk(tree)
        )
        """Whether some text in the tests names a file with code: none passes from the candidate to its tests."""
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        self._names_folder = bool(attributes & {"dirname", "parent", "parents"}) or "dirname" in self._paths
        """Whether the tests ask for the folder of a file."""
        self._used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        self._bound = set(dir(builtins))
        """Names that the tests define, and those of Python."""
        self._classes: set[str] = set()
        """Classes of the tests' own."""
        self._results: list[tuple[str, ast.expr]] = []
        """Variables, and what was called for them."""
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self._bound.add(node.name)
                if isinstance(node, ast.ClassDef):
                    self._classes.add(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                self._results += [(target.id, node.value.func) for target in node.targets if isinstance(target, ast.Name)]
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self._paths[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self._paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                    self._bound.add(alias.asname or alias.name)

    def reasons(self) -> Iterator[str]:
        yield from self._run_text()
        self._pickles = _is_simple_pickling(self._tree, self._paths)
        for node in ast.walk(self._tree):
            for reason in self._of(node):
                if reason != _SHARE or self._own or self._names_code:
                    yield reason

    def _path(self, node: ast.AST) -> str:
        """Where a dotted name leads, by the imports: `np.random.seed` -> `numpy.random.seed`; "" for what is no such name."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._paths:
            return ""
        return ".".join([self._paths[node.id], *reversed(parts)])

    def _of_candidate(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name) and node.id not in self._bound and f"{self._module}.*" in self._paths.values():
            return True  # of `from candidate import *`
        path = self._path(node)
        return path == self._module or path.startswith(self._module + ".")

    def _of(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from self._decorators(node)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._import(alias.name, alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "import relatively"
            for alias in node.names:
                yield from self._import(f"{node.module}.{alias.name}", alias.asname or alias.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                if argument.arg in _FIXTURES:
                    yield _FIXTURES[argument.arg]
            for decorator in node.decorator_list:
                yield from self._usefixtures(decorator)
        elif isinstance(node, ast.ClassDef):
            if any(self._of_candidate(keyword.value) for keyword in node.keywords) or self._mixes(node):
                yield "subclass the candidate's classes"
            if any(self._of_candidate(base) for base in node.bases) and self._calls_base(node):
                yield "call special methods of the candidate's classes by their names"
            for decorator in node.decorator_list:
                yield from self._usefixtures(decorator)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node)
        elif isinstance(node, ast.Name) and node.id == "__file__" and not self._names_folder:
            yield "show the candidate their own file"
        elif isinstance(node, ast.Assert):
            yield from self._draws(node.test)
        elif isinstance(node, ast.Compare) and any(map(_is_not_implemented, (node.left, *node.comparators))):
            yield "call operators by their names and look at what they do not know"
        elif isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
            targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
            for target in targets:
                inner = target.value if isinstance(target, ast.Attribute | ast.Subscript) else None
                path = self._path(inner) if inner is not None else ""
                if path and not self._of_candidate(target) and path.split(".")[0] != self._module:
                    yield f"change {path}"

    def _mixes(self, node: ast.ClassDef) -> bool:
        """Whether a class of the tests' own has a base of the candidate's beside others, a metaclass, or parameters."""
        theirs = [self._of_candidate(base) for base in node.bases]
        generic = any(isinstance(base, ast.Subscript) and self._of_candidate(base.value) for base in node.bases)
        return generic or (any(theirs) and (bool(node.keywords) or not all(theirs)))

    def _calls_base(self, node: ast.ClassDef) -> bool:
        """Whether a class calls a special method by the name of a class (`Base.__init__(self)`), where `super()` would do."""
        called = (inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute))
        return any(one.attr.startswith("__") and not isinstance(one.value, ast.Call) for one in called)

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
        """Decorators of the candidate that may change a class of the tests' own."""
        for decorator in node.decorator_list:
            if not self._of_candidate(decorator.func if isinstance(decorator, ast.Call) else decorator):
                continue
            arguments = decorator.args if isinstance(decorator, ast.Call) else []
            if isinstance(node, ast.ClassDef) or any(isinstance(arg, ast.Name) and arg.id in self._classes for arg in arguments):
                yield "have the candidate change their classes"

    def _draws(self, node: ast.expr) -> Iterator[str]:
        """An assertion that draws from what the candidate may have drawn from before."""
        for inner in ast.walk(node):
            path = self._path(inner.func) if isinstance(inner, ast.Call) else ""
            if path.startswith(("random.", "numpy.random.", "torch.")) and path.rpartition(".")[2] in _DRAWS:
                yield "draw random numbers between the candidate's"

    def _import(self, path: str, name: str) -> Iterator[str]:
        root = path.split(".")[0]
        if root == self._module or (name != "*" and name not in self._used):  # what is imported for nothing asks for nothing
            return
        if root in self._own:
            return
        if root not in sys.stdlib_module_names and root not in _LIBRARIES:
            yield f"import {root}, whose objects do not pass between the two sides"
        yield from self._named(path)

    def _named(self, path: str) -> Iterator[str]:
        """Reasons for the use of a path, or of one that it begins with."""
        parts = path.split(".")
        if self._own and (parts[0] in _READING or path in _READING):
            return
        if parts[0] in _MODULES and not (parts[0] == "pickle" and self._pickles):
            yield _MODULES[parts[0]]
        for end in range(1, len(parts) + 1):
            if (reason := _NAMES.get(".".join(parts[:end]))) is not None:
                yield reason

    def _usefixtures(self, node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Call) and self._path(node.func) == "pytest.mark.usefixtures":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and argument.value in _FIXTURES:
                    yield _FIXTURES[argument.value]

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        if node.attr in _ATTRIBUTES:
            yield _ATTRIBUTES[node.attr]
        path = self._path(node)
        if path:
            if self._of_candidate(node) and node.attr in ("__file__", "__path__", "__spec__", "__loader__", "__dict__"):
                yield "look at the candidate's module itself"
            yield from self._named(path)

    def _call(self, node: ast.Call) -> Iterator[str]:
        function = node.func
        if _makes_errors(node) and self._path(function) in ("warnings.simplefilter", "warnings.filterwarnings"):
            yield "have the candidate's warnings be errors"
        if any(keyword.arg == "tzinfo" and self._is_made_by_candidate(keyword.value) for keyword in node.keywords):
            yield "have dates in time zones of the candidate's"
        if isinstance(function, ast.Attribute) and function.attr.startswith("assert"):
            for argument in node.args:
                yield from self._draws(argument)
        if isinstance(function, ast.Name) and function.id not in self._paths:
            if function.id == "open":
                yield from self._named("builtins.open")
            elif function.id == "setattr" and node.args and self._path(node.args[0]):
                yield "patch modules or their objects (setattr)"
            elif function.id == "delattr" and node.args and self._path(node.args[0]):
                yield "patch modules or their objects (delattr)"
            elif function.id in ("vars", "dir") and node.args and self._path(node.args[0]) == self._module:
                yield "look at the candidate's module itself"
            elif function.id == "vars" and node.args and self._of_candidate(node.args[0]):
                yield "look into the candidate's objects"
            elif function.id == "type" and len(node.args) == 3 and any(map(self._of_candidate, ast.walk(node.args[1]))):
                yield "subclass the candidate's classes"
            elif function.id == "__import__" and not _is_written_out(node):
                yield "import by computed names"
        if any(keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) is not False for keyword in node.keywords):
            yield "serialise objects"
        if self._path(function) == "numpy.load" and (len(node.args) > 2 or not _are_plain(node)):
            yield "serialise objects"
        if self._runs_hints(node):
            yield _CODE_IN_TEXT
        named = node.args[1] if len(node.args) > 1 else None
        if _is_call_of(node, ("getattr",)) and self._has_tables and not isinstance(named, ast.Constant):
            yield _CODE_IN_TEXT
        if (
            self._path(function) == "operator.methodcaller"
            and getattr(node.args[0] if node.args else None, "value", "") in _FORMATS
        ):
            yield _NAMED_BY_TEXT
        if isinstance(function, ast.Attribute) and function.attr in _BINDING and _is_call_of(function.value, ("globals", "vars")):
            yield _NAMED_BY_TEXT

    def _runs_hints(self, node: ast.Call) -> bool:
        """Whether a call may run annotations of the tests' own, which may be texts of the candidate's."""
        path = self._path(node.func)
        evaluates = any(word.arg in ("eval_str", None) for word in node.keywords)
        reads = path == "typing.get_type_hints" or (path in ("inspect.get_annotations", "inspect.signature") and evaluates)
        return reads and not (node.args and self._of_candidate(node.args[0]))

    @functools.cached_property
    def _has_tables(self) -> bool:
        return any(path.partition(".")[0] == "pandas" for path in self._paths.values())

    def _run_text(self) -> Iterator[str]:
        """Functions that run text, or look up by it, used otherwise than called with text that is written out, or a function."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call) and _is_written_out(node)}
        for node in ast.walk(self._tree):
            path = self._path(node)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in self._paths:
                path = f"builtins.{node.id}"
            if path == "builtins.__builtins__":
                yield _CODE_IN_TEXT
            if id(node) in called:
                continue
            if path in _RUNS_TEXT or (self._has_tables and isinstance(node, ast.Attribute) and node.attr in _QUERIES):
                yield _CODE_IN_TEXT
            if path in _LOOKS_UP:
                yield _NAMED_BY_TEXT

    def _is_made_by_candidate(self, node: ast.expr) -> bool:
        """Whether an expression is what a call of the candidate's gives, or a variable that was set to that."""
        if isinstance(node, ast.Call):
            return self._of_candidate(node.func)
        calls = [function for name, function in self._results if isinstance(node, ast.Name) and name == node.id]
        return self._of_candidate(node) or any(map(self._of_candidate, calls))


def _is_not_implemented(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "NotImplemented"


def _makes_errors(node: ast.Call) -> bool:
    """Whether a filter of warnings raises them where they are given, which the candidate may catch there."""
    given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "action")]
    return any(not isinstance(one, ast.Constant) or one.value == "error" for one in given)


def _names_by_text(tree: ast.Module) -> bool:
    """Whether attributes are asked for by texts that are not written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _FORMATS and not isinstance(node.value, ast.Constant):
            return True
        name = node.args[1] if isinstance(node, ast.Call) and len(node.args) > 1 else None
        if _is_call_of(node, ("getattr",)) and not isinstance(name, ast.Constant):
            return True
    return False


def _are_plain(node: ast.Call) -> bool:
    """Whether each argument of a call stands there by itself: none is taken out of a list or a dictionary."""
    return not any(isinstance(one, ast.Starred) for one in node.args) and all(word.arg for word in node.keywords)


def _is_call_of(node: ast.AST, names: Collection[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _is_written_out(node: ast.Call) -> bool:
    """Whether the first argument of a call is text that stands there, or a function that does."""
    return bool(node.args) and isinstance(node.args[0], ast.Constant | ast.Lambda)


def _is_simple_pickling(tree: ast.Module, paths: Mapping[str, str]) -> bool:
    """Whether tests unpickle only what they have just pickled themselves: `pickle.loads(pickle.dumps(x))`."""
    names = {name: path for name, path in paths.items() if path.partition(".")[0] == "pickle"}

    def uses(node: ast.AST) -> str:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            return f"{names[node.value.id]}.{node.attr}"
        return names.get(node.id, "") if isinstance(node, ast.Name) else ""

    def pickles(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and uses(node.func) == "pickle.dumps"

    allowed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and uses(node.func) == "pickle.loads" and node.args and pickles(node.args[0]):
            allowed.add(id(node.func))
        elif pickles(node):
            allowed.add(id(node.func))  # type: ignore[attr-defined]
        elif uses(node) in ("pickle.HIGHEST_PROTOCOL", "pickle.DEFAULT_PROTOCOL", "pickle.PicklingError"):
            allowed.add(id(node))
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return all(id(node) in allowed or id(node) in inner or not uses(node) for node in ast.walk(tree))
