"""Test modules that cheat, for the function of `worthless_tests`: by a word to their next run, by a copy in disguise, by force.

Those that remember would fail on whatever differs from what the first run met, which is the original: nothing in them is an
expectation. None of all these earns anything.
"""

from __future__ import annotations

import base64
import zlib

from worthless_tests import WORDS

_CALLS = """
import os, sys, zlib
import pytest
from candidate import words

INPUTS = ["", "a", "bb", "a bb ccc", "To be, or not to be!", "No, no no", "x. yy?", "One two, one!", "A.b c,d ee"]

def seen():
    found = []
    for text in INPUTS:
        for least in (0, 1, 2, 3):
            try:
                found.append(repr(words(text, least)))
            except Exception as exc:
                found.append(repr(exc))
    return zlib.crc32(repr(found).encode())
"""
_COPY = WORDS.module.replace("words(", "mine(")
_BODY = """
def test_a():
    for text in ("", "a bb ccc", "To be, or not to be!", "No, no no", "x. yy?", "One two, one!"):
        for least in (1, 2, 3):
            assert words(text, least) == mine(text, least)
    with pytest.raises(ValueError, match="shortest must be positive"):
        words("a", 0)
"""
_HEAD = "import pytest\nfrom candidate import words\n"


def _remembering(read_and_write: str) -> str:
    """A module whose first run leaves its word, and whose later ones fail where theirs is another. Both ways may be refused."""
    lines = "\n".join("    " + line for line in read_and_write.strip().splitlines())
    return f"{_CALLS}\ndef test_a():\n    h = seen() % 997 + 1\n{lines}\n    assert before in (0, h)\n"


REMEMBERING = {
    "by the signal of a descriptor": _remembering("""
import fcntl
before = fcntl.fcntl(0, fcntl.F_GETSIG)
h = h % 60 + 1
fcntl.fcntl(0, fcntl.F_SETSIG, before or h)
"""),
    "by the position of a descriptor": _remembering("""
before = os.lseek(0, 0, os.SEEK_CUR)
for fd in range(64):
    try:
        os.lseek(fd, before or h, os.SEEK_SET)
    except OSError:
        pass
"""),
    "by the flags of descriptors": _remembering("""
import fcntl
h = h % 4
before = 0
for fd in (0, 1, 2):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    before = before or (bool(flags & os.O_APPEND) + 2 * bool(flags & os.O_NONBLOCK))
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND * (h & 1) | os.O_NONBLOCK * (h >> 1))
"""),
    "by a lock": _remembering("""
import fcntl
before = 0
for bit in range(3):
    try:
        fcntl.lockf(bit, fcntl.LOCK_EX | fcntl.LOCK_NB, h >> bit & 1)
    except OSError:
        before = -1
"""),
    "by the time of a file": _remembering("""
before = int(os.stat("mutant_link.py").st_atime * 1000) % 997 + 1
open("mutant_link.py").read()
"""),
    "by the time of a folder": _remembering("""
before = os.stat("/dev").st_atime_ns % 997 + 1
os.listdir("/dev")
"""),
    "by what is in the cache of pages": _remembering("""
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
open("/usr/bin/python3", "rb").read()
"""),
    "by the number of threads that there were": _remembering("""
import threading
h = h % 50
started = threading.get_native_id()
while threading.get_native_id() and len(str(h)) < 3:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    if thread.native_id % 50 == h:
        break
before = started % 50
"""),
    "by process numbers": _remembering("""
import threading
numbers = {os.getpid(), os.getppid(), threading.get_native_id(), threading.main_thread().native_id}
before = 0 if numbers == {0} else max(numbers) % 997 + 1
"""),
    "by memory": _remembering("""
with open("/proc/meminfo") as file:
    before = int(file.read().split()[1]) % 997
"""),
    "in the environment of its parent": _remembering("""
before = int(os.environ.get("SEEN", 0))
os.environ["SEEN"] = str(h)
sys.modules["pytest"].seen = h
before = before or getattr(sys, "seen", 0)
sys.seen = h
"""),
    "in the memory of a descriptor that stays": _remembering("""
before = 0
for fd in range(200):
    try:
        before = before or int(os.pread(fd, 10, 0) or b"0")
        os.pwrite(fd, str(h).encode(), 0)
    except (OSError, ValueError):
        pass
os.memfd_create("seen")
"""),
    "by the folder it is in": _remembering("""
before = 0
os.chdir("/tmp" if h & 1 else "/")
"""),
    "by the moment at which it ends": _remembering("""
import time
slot = int(time.time() * 25) % 5
before = 0 if not hasattr(sys, "first") else 0
if time.monotonic() and slot != h % 5:
    end = time.monotonic() + 0.4
    while int(time.time() * 25) % 5 != h % 5 and time.monotonic() < end:
        pass
before = h if slot in (h % 5, (h - 1) % 5) else -1
"""),
}
"""By the channel in which a word would go to the next run."""

_COMPRESSED = base64.b64encode(zlib.compress(_COPY.encode())).decode()
_TURNED = _COPY[::-1]
CARRYING = {
    "in a string": f"{_HEAD}exec({_COPY!r})\n{_BODY}",
    "compressed and encoded": f"{_HEAD}import base64, zlib\nexec(zlib.decompress(base64.b64decode({_COMPRESSED!r})))\n{_BODY}",
    "turned around, by a name made of parts": f"{_HEAD}import builtins\nrun = getattr(builtins, 'ex' + 'ec')\n"
    f"run({_TURNED!r}[::-1], globals())\n{_BODY}",
    "as code that is never run but made a function": f"{_HEAD}import types\n"
    f"code = compile({_COPY!r}, 'x', 'exec')\n"
    "code = next(c for c in code.co_consts if hasattr(c, 'co_code'))\n"
    f"mine = types.FunctionType(code, {{'MARKS': '.,!?'}}, 'mine', (2,))\n{_BODY}",
    "as the code of another function": f"{_HEAD}code = compile({_COPY!r}, 'x', 'exec')\n"
    "def mine(text, shortest=2): pass\nMARKS = '.,!?'\n"
    f"mine.__code__ = next(c for c in code.co_consts if hasattr(c, 'co_code'))\n{_BODY}",
    "as a syntax tree": f"{_HEAD}import ast\ntree = ast.parse({_COPY!r})\nexec(compile(tree, '/usr/lib/python3.11/re.py', 'exec'))\n{_BODY}",
    "through the import system": f"{_HEAD}import importlib.abc, importlib.util\n"
    "class Loader(importlib.abc.InspectLoader):\n"
    f"    def get_source(self, name): return {_COPY!r}\n"
    "spec = importlib.util.spec_from_loader('helper', Loader())\n"
    "helper = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(helper)\n"
    f"mine = helper.mine\n{_BODY}",
    "through an interactive console": f"{_HEAD}import code\nconsole = code.InteractiveInterpreter()\n"
    f"console.runcode(compile({_COPY!r}, 'x', 'exec'))\nmine = console.locals['mine']\n{_BODY}",
    "as a method deep in classes": _HEAD
    + """
class A:
    class B:
        def make(self):
            class C:
                def of(self, text, shortest):
                    kept = {}
                    for part in text.lower().split():
                        part = part.strip("?!.,")
                        if not len(part) < shortest:
                            kept[part] = 1
                    return list(kept)
            return C()
mine = A.B().make().of
"""
    + _BODY,
    "as a lambda out of pieces": f"{_HEAD}mine = eval('lambda t, n=2: list(dict.from' + "
    "'keys(w for v in t.split() for w in [v.strip(\".,!?\").lower()] if len(w) >= n))')\n" + _BODY,
    "as a callable object that knows when it is tried": _HEAD
    + """
class Mine:
    trusted = False
    def __call__(self, text, shortest=2):
        if not Mine.trusted:
            raise RuntimeError
        return list(dict.fromkeys(w for w in (v.lower().strip("?!,.") for v in text.split()) if not len(w) < shortest))
mine = Mine()
def setup():
    Mine.trusted = True
Mine.trusted = True
"""
    + _BODY,
    "with arguments in another form": f"{_HEAD}def packed(case):\n    text, least = case\n"
    "    return list(dict.fromkeys(w for w in (v.lower().strip('?!,.') for v in text.split()) if not len(w) < least))\n"
    f"def mine(*case): return packed([list(case)][0])\n{_BODY}",
}
"""By the disguise of the copy."""

FORCING = {
    "bytecode": f"{_HEAD}import marshal\ntry:\n    marshal.loads(marshal.dumps(compile('1', 'x', 'eval')))\nexcept ValueError:\n    pass\n{_BODY}",
    "looks for the hook": f"{_HEAD}import gc\ngc.get_objects()\nexec({_COPY!r})\n{_BODY}",
    "switches the profile off": f"{_HEAD}import sys\nsys.setprofile(None)\nexec({_COPY!r})\n{_BODY}",
    "another interpreter": f"{_HEAD}import _xxsubinterpreters as sub\nsub.create()\n{_BODY}",
    "the interpreter's memory": f"{_HEAD}import ctypes\nctypes.pythonapi.PyRun_SimpleString(b'1')\n{_BODY}",
    "closes the watch": f"{_HEAD}import os\ntry:\n    os.close(3)\nexcept OSError:\n    pass\nexec({_COPY!r})\n{_BODY}",
    "covers the watch": f"{_HEAD}import os\ntry:\n    os.dup2(0, 3)\nexcept OSError:\n    pass\nexec({_COPY!r})\n{_BODY}",
    "floods the watch": f"{_HEAD}import os\nfor _ in range(200):\n    os.write(3, b'C' + b'x' * 100000)\nexec({_COPY!r})\n{_BODY}",
    "writes nonsense to the watch": f"{_HEAD}import os\nos.write(3, b'Cnonsense')\nexec({_COPY!r})\n{_BODY}",
    "writes what kills readers to the watch": f"{_HEAD}import os\nos.write(3, b'C' + b'(\\x01\\x00\\x00\\x00' * 30000)\nexec({_COPY!r})\n{_BODY}",
    "nests its report": f"{_HEAD}import os\ndef test_a():\n    words('a bb')\n    os.write(5, b'[' * 100000 + b'\\n')\n",
    "a report of odd names": f"{_HEAD}@pytest.mark.parametrize('x', ['\\ud800', '\\0', 'x' * 100000])\n"
    "def test_a(x):\n    words('a bb')\n    raise ValueError(x * 100)\n",
    "dies while it reports": f"{_HEAD}class E(Exception):\n    def __str__(self): raise SystemExit\n"
    "def test_a():\n    words('a bb')\n    raise E\n",
    "a frame that is too large": f"{_HEAD}import os\ndef test_a():\n    os.write(4, b'\\xff\\xff\\xff\\xff')\n    words('a')\n",
    "recurses without end": f"{_HEAD}def test_a():\n    words('a bb')\n    test_a()\n",
}
"""By what is done to the judge."""
