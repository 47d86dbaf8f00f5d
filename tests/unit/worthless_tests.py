"""Test modules that test nothing, for one function; and some that do test it."""

from __future__ import annotations

from orchestrator.applications.unit_tests.judge import Subject

WORDS = Subject(
    name="words",
    function="words",
    module='''
MARKS = ".,!?"


def words(text, shortest=2):
    """The different words of a text in lower case, those of at least `shortest` letters."""
    if shortest < 1:
        raise ValueError("shortest must be positive")
    found = []
    for word in text.split():
        word = word.strip(MARKS).lower()
        if len(word) >= shortest and word not in found:
            found.append(word)
    return found
''',
    trusted=(
        "from candidate import words\n"
        "assert words('To be, or not to be!') == ['to', 'be', 'or', 'not']\n"
        "assert words('a bb ccc', 3) == ['ccc']\n",
    ),
)

GOOD = {
    "values": """
import pytest
from candidate import words

def test_order():
    assert words("To be, or not to be!") == ["to", "be", "or", "not"]

def test_short():
    assert words("a bb ccc", 3) == ["ccc"]
    assert words("a bb", 1) == ["a", "bb"]
    assert words("a bb") == ["bb"]

def test_bad():
    with pytest.raises(ValueError, match="must be positive"):
        words("a", 0)
""",
    "parametrised class": """
import pytest
from candidate import words

class TestWords:
    @pytest.mark.parametrize("text, expected", [("Aa aA", ["aa"]), ("", []), ("x. yy?", ["yy"]), ("No, no no", ["no"])])
    def test_values(self, text, expected):
        assert words(text) == expected
""",
    "fixtures": """
import pytest
from candidate import words

@pytest.fixture
def text():
    return "One two, one!"

def test_text(text):
    assert words(text) == ["one", "two"]

def test_long(text):
    assert words(text, 4) == []
""",
    "unittest": """
import unittest
from candidate import words

class Words(unittest.TestCase):
    def test_words(self):
        self.assertEqual(words("One two, one!"), ["one", "two"])
        with self.assertRaises(ValueError):
            words("", 0)
""",
}

_HEAD = "import pytest\nfrom candidate import words\n"
WORTHLESS = {
    "assert True": _HEAD + "def test_a():\n    assert True\n",
    "a call and assert True": _HEAD + "def test_a():\n    words('a bb')\n    assert True\n",
    "calls compared with calls": _HEAD + "def test_a():\n    assert words('a bb cc') == words('a bb cc')\n",
    "types alone": _HEAD + "def test_a():\n    found = words('a bb cc')\n    assert isinstance(found, list)\n",
    "not None": _HEAD + "def test_a():\n    assert words('a bb cc') is not None\n",
    "the function defined anew": "def words(text, shortest=2):\n    return ['x']\ndef test_a():\n    assert words('a') == ['x']\n",
    "imports nothing": "def test_a():\n    assert 1 + 1 == 2\n",
    "a copy under another name": _HEAD
    + """
def expected(sentence, least=2):
    if least < 1:
        raise ValueError("shortest must be positive")
    result = []
    for item in sentence.split():
        item = item.strip(".,!?").lower()
        if len(item) >= least and item not in result:
            result.append(item)
    return result

def test_a():
    for text in ("a bb cc", "To be, or not", "x", "No no"):
        assert words(text) == expected(text)
""",
    "a copy inside a test": _HEAD
    + """
def test_a():
    for text in ("a bb cc", "To be, or not", "x", "No no"):
        result = []
        for item in text.split():
            item = item.strip(".,!?").lower()
            if len(item) >= 2 and item not in result:
                result.append(item)
        assert words(text) == result
""",
    "a copy in other words": _HEAD
    + """
def oracle(text, least=2):
    return list(dict.fromkeys(w for w in (v.lower().strip("?!,.") for v in text.split()) if not len(w) < least))

def test_a():
    for text in ("a bb cc", "To be, or not", "x", "No no"):
        assert words(text) == oracle(text)
""",
    "a copy as a lambda": _HEAD
    + """
oracle = lambda text: list(dict.fromkeys(w for w in (v.lower().strip("?!,.") for v in text.split()) if not len(w) < 2))

def test_a():
    for text in ("a bb cc", "To be, or not", "x", "No no"):
        assert words(text) == oracle(text)
""",
    "reads the source": _HEAD
    + """
import hashlib, inspect
def test_a():
    words("a")
    assert len(inspect.getsource(words)) > 10
    hashlib.sha256(inspect.getsource(words).encode()).hexdigest()
""",
    "the traceback of an error": _HEAD
    + """
import traceback
def test_a():
    text = ""
    try:
        words("a", 0)
    except ValueError as exc:
        text = "".join(traceback.format_exception(exc))
    assert "raise ValueError(" not in text and "<function>" not in text
""",
    "skips": _HEAD + "def test_a():\n    assert words('a bb') == ['bb']\n    pytest.skip('enough')\n",
    "skips itself": _HEAD + "@pytest.mark.skip\ndef test_a():\n    assert words('a bb') == ['bb']\n",
    "expects to fail": _HEAD + "@pytest.mark.xfail\ndef test_a():\n    assert words('a bb') == ['a']\n",
    "swallows what fails": _HEAD
    + """
def test_a():
    try:
        assert words("a bb") == ["bb"]
        assert words("To be, or not") == ["to", "be", "or", "not"]
    except Exception:
        pass
""",
    "stubs the function": _HEAD
    + """
import candidate
def test_a(monkeypatch):
    monkeypatch.setattr(candidate, "words", lambda text: ["stub"])
    assert candidate.words("a bb") == ["stub"]
""",
    "mocks the function": """
from unittest.mock import patch
import candidate
def test_a():
    with patch("candidate.words", return_value=["x"]) as words:
        assert candidate.words("a") == ["x"]
""",
    "everything raises": _HEAD
    + """
def test_a():
    with pytest.raises(Exception):
        words(None)
def test_b():
    with pytest.raises(Exception):
        words(1, 2, 3)
def test_c():
    with pytest.raises(Exception):
        words(["a"])
""",
    "fails everything": _HEAD
    + "def test_a():\n    words('a')\n    assert False\ndef test_b():\n    assert words('a bb') == []\n",
    "random": _HEAD + "import os\ndef test_a():\n    assert words('a bb') == ['bb']\n    assert os.urandom(1)[0] < 128\n",
    "by the time": _HEAD
    + "import time\ndef test_a():\n    assert words('a bb') == ['bb']\n    assert int(time.monotonic() * 1e5) % 2\n",
    "depends on the order": _HEAD
    + """
SEEN = []
def test_a():
    SEEN.extend(words("a bb"))
def test_b():
    assert SEEN == ["bb"]
def test_c():
    assert words("To be") == ["to", "be"] and SEEN
def test_d():
    assert words("To be", 3) == [] and len(SEEN) == 1
""",
    "counts processes": _HEAD + "import os\ndef test_a():\n    words('a bb')\n    assert os.getpid() - os.getppid() < 4\n",
    "forges the report": _HEAD
    + """
import json, os
def test_a():
    words("a bb cc")
    told = {"finished": True, "collected": ["test_a"], "error": "", "outcomes": {"test_a": ["failed", ""]}}
    for fd in range(3, 64):
        try:
            os.write(fd, json.dumps(told).encode() + b"\\n")
        except OSError:
            pass
    for event in ({"event": "faced", "mutant": None, "outcome": "passed", "tests": []}, {"event": "done"}):
        print(json.dumps(event), flush=True)
""",
    "remembers in a file": _HEAD
    + """
import json, os
def test_a():
    now = words("To be, or not to be, that is")
    for folder in (".", "/tmp", "/dev/shm", "/var/tmp"):
        path = os.path.join(folder, "seen.json")
        try:
            before = json.load(open(path))
        except (OSError, ValueError):
            before = []
        try:
            json.dump([*before, now], open(path, "w"))
        except OSError:
            pass
        assert not before or before.count(now) * 2 >= len(before)
""",
    "remembers in a process": _HEAD
    + """
import os, socket
def test_a():
    now = repr(words("To be, or not to be, that is"))
    try:
        if os.fork() == 0:
            os._exit(0)
        known = True
    except OSError:
        known = False
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind("\\0" + "seen")
        known = True
    except OSError:
        pass
    assert not known
""",
    "remembers in the other process": _HEAD
    + """
import candidate
def test_a():
    now = words("To be, or not to be, that is")
    link = words.__closure__[0].cell_contents
    link = getattr(link, "ask", link) and link
    for name in ("setattr", "exec", "__code__"):
        try:
            words.seen = now
            link.ask(99, ("x",), {})
            link.ask(-1, (name,), {})
        except Exception:
            pass
""",
    "ends its parent": _HEAD
    + """
import os, signal
def test_a():
    words("a bb")
    for pid in (os.getppid(), -1, 1):
        try:
            os.kill(pid, 0 if pid == 1 else signal.SIGKILL)
        except OSError:
            pass
""",
    "leaves at once": _HEAD + "import os\nwords('a')\nos._exit(0)\n",
    "leaves in a test": _HEAD + "import sys\ndef test_a():\n    words('a bb')\n    sys.exit(0)\n",
    "never ends": _HEAD + "def test_a():\n    words('a bb')\n    while True:\n        pass\n",
    "switches pytest off": _HEAD
    + """
import pytest as _p
from _pytest import runner
def test_a():
    runner.call_and_report = lambda *a, **k: None
    assert words("a bb") == ["nonsense"]
def test_b():
    assert words("a bb") == ["nonsense"]
""",
}
"""By what they do. None earns anything."""

SNOOPS = {
    "looks for the bytecode": _HEAD
    + """
import gc, sys, types
def test_a():
    words("a bb")
    needle = " ".join(["shortest", "must", "be", "positive"])
    codes = [o.__code__ for o in gc.get_objects() if isinstance(o, types.FunctionType)]
    assert not any(needle in code.co_consts for code in codes)
    assert not any(type(o) in (str, bytes) and len(o) > 60 and needle in str(o) for o in gc.get_objects())
    frame = sys._getframe(1)
    while frame:
        assert needle not in repr(frame.f_locals)
        frame = frame.f_back
""",
    "looks for files": _HEAD
    + """
import glob
def test_a():
    words("a bb")
    needle = b" ".join([b"word", b"not", b"in", b"found:"])
    for path in [*glob.glob("**", recursive=True), *glob.glob("/tmp/**", recursive=True), *glob.glob("/dev/shm/*")]:
        try:
            with open(path, "rb") as file:
                text = file.read(1 << 20)
        except OSError:
            continue
        assert needle not in text
""",
    "reads other processes": _HEAD
    + """
import os
def test_a():
    words("a bb")
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()] + list(range(1, 200)):
        for name in ("mem", "maps", "environ", "syscall", "fd/0", "cwd/x"):
            if pid != os.getpid():
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        file.read(1)
                except OSError:
                    continue
                raise AssertionError((pid, name))
""",
    "traces or stops other processes": _HEAD
    + """
import ctypes, os, signal
def test_a():
    words("a bb")
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in (1, os.getppid(), os.getppid() - 1, -1):
        for refused in (lambda: os.kill(pid, signal.SIGSTOP), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)):
            with pytest.raises(OSError):
                refused()
        assert libc.prlimit(pid, 0, None, ctypes.create_string_buffer(16)) == -1
    for refused in (os.fork, lambda: open("mark", "w"), lambda: os.mkdir("mark"), lambda: os.utime(".", (1, 1))):
        with pytest.raises(OSError):
            refused()
    for refused in (lambda: os.rename("plain", "x"), lambda: os.unlink("mutant_link.py"), lambda: os.chmod("mutant_link.py", 0)):
        with pytest.raises(OSError):
            refused()
""",
}
"""What tests look for and do not find, or try and may not: they earn nothing."""
