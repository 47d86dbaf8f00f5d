"""The parts that run beside tests in a sandbox, called here: the boundary, coverage, simple tests, inputs, the filter."""

from __future__ import annotations

import ast
import multiprocessing
import socket
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.applications.unit_tests.judge import _shipped

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory):
    """The modules as they lie in the sandbox."""
    folder = tmp_path_factory.mktemp("shipped")
    for name, text in _shipped().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "plain" or name.startswith("mutant_"):
            del sys.modules[name]


@pytest.fixture
def ask():
    """Call functions of another side; what they are is said when it is called."""
    import mutant_link

    threads = []

    def connect(*functions, errors=()):
        ours, theirs = socket.socketpair()
        far = mutant_link.Link(mutant_link.Wire(theirs), record=True)
        for function in functions:
            far.export(function)
        thread = threading.Thread(target=far.serve)
        thread.start()
        near = mutant_link.Link(mutant_link.Wire(ours))
        near.errors.update(errors)
        threads.append((thread, near, theirs))
        return lambda number, *args, **kwargs: near.ask(number, args, kwargs)

    yield connect
    for thread, near, theirs in threads:
        near.wire.close()
        thread.join()
        theirs.close()


@pytest.mark.parametrize("value", [None, True, 3, 10**30, 2.5, "ü", b"x", [1, [2]], (1, "a"), {"a": {1, 2}}, range(3)])
def test_plain_values_cross_and_come_back(ask, value):
    call = ask(lambda x: x)
    back = call(0, value)
    assert back == value
    assert type(back) is type(value)


def test_what_a_function_does_to_its_arguments_is_seen(ask):
    def work(items, table):
        items.append(4)
        table.clear()
        return items

    items, table = [1], {"a": 1}
    assert ask(work)(0, items, table) is items
    assert items == [1, 4]
    assert table == {}


def test_iterators_come_as_iterators(ask):
    found = ask(lambda n: (i * i for i in range(n)))(0, 3)
    assert next(found) == 0
    assert list(found) == [1, 4]


def test_functions_among_arguments_and_results_are_called_across(ask):
    call = ask(lambda function: [function(1), function(2)], lambda n: lambda x: x + n)
    assert call(0, lambda x: x * 10) == [10, 20]
    assert call(1, 5)(2) == 7


def test_exceptions_cross_by_class_and_arguments(ask):
    class Own(ValueError):
        pass

    def work(kind):
        raise {"own": Own, "key": KeyError, "exit": SystemExit}[kind]("why")

    call = ask(work, errors={"Own": Own})
    for kind, expected in (("own", Own), ("key", KeyError), ("exit", SystemExit)):
        with pytest.raises(expected) as caught:
            call(0, kind)
        assert caught.value.args == ("why",)
        assert "work" not in [entry.name for entry in caught.traceback]


def test_what_is_printed_is_printed_on_the_other_side(ask, capsys):
    ask(lambda: print("hello"))(0)
    assert capsys.readouterr().out == "hello\n"


def test_objects_do_not_cross(ask):
    call = ask(lambda: object(), lambda x: x)
    for number, args in ((0, ()), (1, (object(),))):
        with pytest.raises(TypeError, match="cannot be passed"):
            call(number, *args)


def test_nothing_but_calls_reaches_the_other_side(ask):
    call = ask(lambda: 1)
    for number in (1, 99, "__code__"):
        with pytest.raises((IndexError, TypeError)):
            call(number)


def test_a_side_that_has_ended_is_an_error(ask):
    import mutant_link

    ours, theirs = socket.socketpair()
    theirs.close()
    link = mutant_link.Link(mutant_link.Wire(ours))
    with pytest.raises(ConnectionError):
        link.ask(0, (), {})
    ours.close()


def taped(reference, mutant, calls, *, whole=True):
    """Whether a mutant differs when it is called as the reference was, and whether that is loud."""
    import mutant_inputs
    import mutant_link
    from plain import values as plain

    first = mutant_link.Link(mutant_inputs.Queue([b"C" + plain.dumps((0, args, {})) for args in calls]), record=True)
    first.export(reference)
    first.serve()
    tape = mutant_link.Tape(first.frames, first.explicit, whole=whole)
    second = mutant_link.Link(tape)
    second.export(mutant)
    second.serve()
    return tape.differs, tape.loud


def test_a_replay_tells_quiet_faults_from_loud_ones():
    calls = [(1,), (2,)]
    assert taped(lambda x: x + 1, lambda x: 1 + x, calls) == (False, False)
    assert taped(lambda x: x + 1, lambda x: x + 2, calls) == (True, False)
    assert taped(lambda x: x + 1, lambda x: str(x), calls) == (True, True)
    assert taped(lambda x: x + 1, lambda x: x / 0, calls) == (True, True)
    assert taped(lambda x: x + 1, lambda x: x + 1 if x < 2 else 9 / 0, calls) == (True, True)


def test_a_replay_that_need_not_be_whole_ends_at_the_first_difference():
    seen = []
    calls = [(1,), (2,), (3,)]
    assert taped(lambda x: x + 1, lambda x: seen.append(x) or x * 2, calls, whole=False) == (True, False)
    assert seen == [1, 2]
    assert taped(lambda x: x + 1, lambda x: x / 0, calls, whole=False) == (True, True)


def coverage(source, *calls):
    import mutant_coverage

    marks = mutant_coverage.Marks()
    tree = mutant_coverage.marked(source, "f", marks)
    names = dict(marks.names)
    exec(compile(tree, "<f>", "exec"), names)
    marks.reset()
    results = [names["f"](*args) for args in calls]
    return results, marks.found()


SIGN = '''
def f(x):
    """Sign."""
    if x > 0:
        return 1
    elif x < 0:
        return -1
    return 0
'''


def test_lines_and_branches_that_were_passed_are_counted():
    assert coverage(SIGN, (5,)) == ([1], {"lines": [2, 5], "branches": [1, 4], "missed": [6, 7, 8]})
    assert coverage(SIGN, (5,), (-5,), (0,)) == ([1, -1, 0], {"lines": [5, 5], "branches": [4, 4], "missed": []})


def test_marks_change_nothing_in_what_a_function_does():
    source = '''
def f(items, limit=3):
    """Text."""
    global SEEN
    SEEN = []
    def inner(x):
        return x if x else None
    found = [inner(x) for x in items if x != limit if x]
    for x in items:
        try:
            if x == limit: break
            SEEN.append(10 / x)
        except ZeroDivisionError as exc:
            SEEN.append(str(exc))
        finally:
            found.append(-1)
    else:
        found.append("end")
    n = 0
    while n < 2:
        n += 1
    match n:
        case 1: found.append("one")
        case 2: found.append("two")
    with open("/dev/null") as file:
        found.append(file.read())
    return found, SEEN
'''
    plain_names: dict[str, object] = {}
    exec(source, plain_names)
    for items in ([], [1, 0], [1, 3, 2]):
        results, found = coverage(source, (items,))
        assert results[0] == plain_names["f"](items)
    assert found["branches"][1] == 2 * 6 + 2  # a condition, two filters, an if, a for, a while: two each; two cases


def light(source, **options):
    import mutant_light

    made = mutant_light.code_of(source, "/nowhere/test_candidate.py")
    if made is None:
        return None
    return mutant_light.run(made, "/nowhere/test_candidate.py", options.get("shuffle"), first=options.get("first", False))


def test_simple_tests_run_as_pytest_would_run_them():
    source = """
import pytest
def helper(): raise AssertionError
def test_a(): assert 1 == 1
class TestB:
    def test_c(self): self.x = 1; assert self.x
    def test_d(self): assert not hasattr(self, "x")
@pytest.mark.parametrize("a, b", [(1, 1), pytest.param(2, 3, id="odd")])
@pytest.mark.parametrize("c", [0, 1])
def test_e(a, b, c): assert a == b
def test_f(): pytest.skip("no")
def test_g():
    with pytest.raises(ValueError): int("x")
    assert 0.1 + 0.2 == pytest.approx(0.3)
def test_h(): pytest.fail("why")
"""
    told = light(source)
    outcomes = {name: outcome for name, (outcome, _) in told["outcomes"].items()}
    assert told["finished"]
    assert told["collected"] == list(outcomes)
    assert len(outcomes) == 10
    assert sorted(outcomes[f"test_e[{place}]"] for place in range(4)) == ["failed", "failed", "passed", "passed"]
    assert all(outcomes[name] == "passed" for name in ("test_a", "TestB::test_c", "TestB::test_d", "test_g"))
    assert outcomes["test_f"] == "skipped"
    assert outcomes["test_h"] == "failed"


def test_the_first_failure_ends_a_run_where_that_is_wanted():
    told = light("def test_a(): assert 0\ndef test_b(): assert 0\n", first=True)
    assert len(told["collected"]) == 2
    assert len(told["outcomes"]) == 1


def test_the_order_is_that_of_the_seed():
    source = "".join(f"def test_{letter}(): pass\n" for letter in "abcdefgh")
    orders = [light(source, shuffle=seed)["collected"] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_a_module_that_cannot_be_run_is_a_collection_error():
    told = light("import nothing_of_this_name\ndef test_a(): pass\n")
    assert told["finished"]
    assert "nothing_of_this_name" in told["error"]


@pytest.mark.parametrize(
    "source",
    [
        "def test_a(monkeypatch): pass",
        "import pytest\n@pytest.fixture\ndef x(): return 1\ndef test_a(x): pass",
        "import pytest\n@pytest.mark.skip\ndef test_a(): pass",
        "import pytest\n@pytest.mark.xfail\ndef test_a(): pass",
        "import pytest as p\ndef test_a(): pass",
        "import unittest\nclass TestA(unittest.TestCase):\n    def test_a(self): pass",
        "def setup_module(): pass\ndef test_a(): pass",
        "class TestA:\n    def setup_method(self): pass\n    def test_a(self): pass",
        "class TestA:\n    def __init__(self): pass\n    def test_a(self): pass",
        "async def test_a(): pass",
        "def test_a(): yield",
        "if True:\n    def test_a(): pass",
        "test_a = lambda: None",
        "from somewhere import *\ndef test_a(): pass",
        "pytestmark = []\ndef test_a(): pass",
        "import pytest\nmark = pytest\ndef test_a(): pass",
        "import functools\n@functools.cache\ndef test_a(): pass",
        "import pytest\n@pytest.mark.parametrize('a', [1], indirect=True)\ndef test_a(a): pass",
    ],
)
def test_what_needs_more_of_pytest_is_not_simple(source):
    assert light(source) is None


def inputs_of(source, function, trusted=(), seed=0):
    import mutant_inputs
    from plain import values as plain

    names: dict[str, object] = {}
    exec(compile(source, "<function>", "exec"), names)
    job = {"about": {"functions": [{"name": function}]}, "function": function, "trusted": trusted, "seed": seed}
    frames = mutant_inputs.frames(names, job, lambda exc: False)
    return [plain.loads(frame[1:])[1:] for frame in frames]


def test_inputs_come_from_the_tasks_tests_and_are_varied():
    source = "def f(x):\n    return 10 // x\n"
    found = inputs_of(source, "f", ["def check(candidate):\n    assert candidate(5) == 2\n    assert candidate(0) == 1\n"])
    assert ((5,), {}) in found
    assert len(found) > 3
    assert ((0,), {}) not in found  # the reference does not answer it
    assert found == inputs_of(
        source, "f", ["def check(candidate):\n    assert candidate(5) == 2\n    assert candidate(0) == 1\n"]
    )


def test_inputs_come_from_examples_and_from_annotations():
    assert ((3, "a"), {}) in inputs_of('def f(n, s):\n    """\n    >>> f(3, "a")\n    6\n    """\n    return s * n\n', "f")
    found = inputs_of("def f(n: int, s: str):\n    return s * n\n", "f")
    assert found
    assert all(type(n) is int and type(s) is str for (n, s), _ in found)


def test_an_input_that_takes_long_is_left_out():
    found = inputs_of("def f(n):\n    while n > 6: pass\n    return n\n", "f", ["def test_a(): f(5)\n"])
    assert found
    assert all(n <= 6 for (n,), _ in found)


def _in_the_cage(pipe):
    import contextlib
    import fcntl
    import os
    import resource

    import mutant_cage

    def locked():
        fcntl.flock(0, fcntl.LOCK_EX)

    tries = {
        "fork": os.fork,
        "thread": threading.Thread(target=int).start,
        "read": Path(__file__).read_text,
        "write": lambda: os.close(os.open("/tmp/mutant-cage", os.O_CREAT | os.O_WRONLY)),
        "look at a file": Path(__file__).stat,
        "look at a descriptor": lambda: os.fstat(0),
        "list": lambda: list(Path("/").iterdir()),
        "follow": Path("/dev/stdin").readlink,
        "folder": Path("/tmp/mutant-cage-folder").mkdir,
        "kill": lambda: os.kill(os.getppid(), 0),
        "socket": lambda: socket.socket(),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "priority": lambda: os.nice(1),
        "time of a file": lambda: os.utime(__file__),
        "lock": locked,
        "owner": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, 1),
        "signal of a descriptor": lambda: fcntl.fcntl(0, fcntl.F_SETSIG, 5),
        "size of a pipe": lambda: fcntl.fcntl(0, 1031, 4096),
        "terminal": lambda: fcntl.ioctl(0, 0x5413, b"12345678"),
        "counts": lambda: resource.getrusage(resource.RUSAGE_SELF),
        "close the watch": lambda: os.close(mutant_cage.WATCH),
        "cover the watch": lambda: os.dup2(0, mutant_cage.WATCH),
    }
    mutant_cage.hide()
    mutant_cage.shut()
    refused = []
    for name, work in tries.items():
        try:
            work()
        except (PermissionError, RuntimeError):
            refused.append(name)
    worked = []
    with contextlib.suppress(OSError):
        near, far = socket.socketpair()
        near.setblocking(False)
        far.sendall(b"x")
        worked.append(near.recv(1))
    with contextlib.suppress(OSError):
        os.dup(0)
        worked.append(os.getpid())
    pipe.send((refused, worked, list(tries)))


def test_the_filter_leaves_computing_and_nothing_that_lasts_or_has_a_name():
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_the_cage, args=(theirs,))
    process.start()
    theirs.close()
    refused, worked, tried = ours.recv()
    process.join()
    assert refused == tried
    assert worked == [b"x", 0]


def _with_own_descriptors(pipe):
    import os

    import mutant_cage

    socks = [sock.detach() for pair in (socket.socketpair(), socket.socketpair()) for sock in pair]
    before = os.lseek(0, 0, os.SEEK_CUR)
    low = os.dup(pipe.fileno())
    mutant_cage.own_descriptors(low, *socks[:2])
    found = [fd for fd in range(200) if _is_open(fd)]
    os.write(mutant_cage.WATCH, repr((before, found)).encode())
    os._exit(0)


def _is_open(fd):
    import os

    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_test_process_has_six_descriptors_and_all_are_its_own():
    context = multiprocessing.get_context("fork")
    ours, theirs = socket.socketpair()
    process = context.Process(target=_with_own_descriptors, args=(theirs,))
    process.start()
    assert ours.recv(1000) == b"(0, [0, 1, 2, 3, 4, 5])"
    process.join()
    ours.close()
    theirs.close()


async def _steps(n):
    for i in range(n):
        if i % 2 == 0:
            yield i


def test_what_an_async_generator_gives_is_given_as_one(ask):
    import asyncio

    async def gathered(flow):
        return [item async for item in flow]

    assert asyncio.run(gathered(ask(_steps)(0, 5))) == [0, 2, 4]


def test_what_is_shipped_needs_nothing_of_the_orchestrator():
    for path in (ROOT / "orchestrator/applications/unit_tests/sandboxed").glob("mutant_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith(("orchestrator", "sandbox_image")) for name in names)
