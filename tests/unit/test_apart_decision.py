"""Which tests can be judged apart: decided by their source alone."""

from __future__ import annotations

import pytest

from orchestrator.engine.apart import why_together

APART = [
    "import pickle\nfrom candidate import f\nassert pickle.loads(pickle.dumps(f(1), protocol=pickle.HIGHEST_PROTOCOL)) == 1",
    "import random\nfrom candidate import f\nrandom.seed(1)\nxs = [random.random() for _ in range(9)]\nassert f(xs) == max(xs)",
    "from candidate import f\ndef test_a(): assert f(1) == 2",
    "import candidate\nassert candidate.f(1) == 2",
    "def check(candidate):\n    assert candidate(1) == 2",
    "from candidate import *\nimport math, random, itertools\nfrom collections import Counter\nassert math.isclose(f(1), 2)",
    "import pytest\nfrom candidate import f\ndef test_a():\n    with pytest.raises(ValueError): f(1)",
    "import pytest\nimport numpy as np, torch\nfrom candidate import f\n@pytest.fixture\ndef x(): return np.ones(3)\ndef test_a(x): assert np.allclose(f(x), 1)\ndef test_b(): torch.manual_seed(0); torch.autograd.gradcheck(f, torch.ones(2))",
    "import unittest\nfrom candidate import Stack\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(len(Stack()), 0)",
    "import candidate\ncandidate.counter = 0\nassert candidate.up() == 1",
    "from candidate import Stack\ns = Stack()\ns.size = 3\nassert s.size == 3",
    "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nfrom candidate import f\nassert f(1)",
    "from unittest.mock import Mock\nfrom candidate import f\ndef test_a():\n    m = Mock()\n    f(m)\n    m.assert_called_once()",
    "def test(:",
    "x = 'mock.patch and open(' # inspect.getsource",
    "import importlib\nm = importlib.import_module('candidate')\nassert m.f(1)",
    "class Mine:\n    x = 1\nm = Mine()\nm.x = 2\nsetattr(m, 'y', 3)",
    "import doctest, subprocess, pickle, seaborn\nfrom tempfile import mkdtemp\nfrom candidate import f\nassert f(1) == 2",
    "import pandas as pd\nfrom sklearn.metrics import f1_score\nfrom candidate import f\nassert f1_score(f(pd.Series([1, 0])), [1, 0]) == 1",
    "from candidate import f\ndef test_a(tmp_path):\n    (tmp_path / 'a.txt').write_text('1')\n    assert f(tmp_path) == 1",
    "import os, tempfile\nfrom candidate import f\nd = tempfile.mkdtemp()\nf(d)\nassert os.listdir(d) == ['out.csv']",
    "from candidate import f\nassert f(3) == eval('1 + 2') and 'eval(f(1))'",
    "import timeit\nfrom candidate import f\nassert timeit.timeit(lambda: f(1), number=1) < 1",
    "import re\nfrom candidate import f\nassert re.compile(f()).match('a')",
    "import pandas as pd\nfrom candidate import f, store\nassert f(pd.DataFrame({'a': [1]})).query('a > 0').shape == (1, 1)",
    "from candidate import db\nassert db().query(name()) == 1",
    "import numpy as np\nfrom candidate import f\nassert np.load(f(), allow_pickle=False)[0] == 1",
    "import typing, inspect\nfrom candidate import f, C\nassert typing.get_type_hints(C) and inspect.signature(f)",
    "import operator\nfrom candidate import f\nassert sorted(f(), key=operator.attrgetter('x'))",
    "from candidate import f\nassert f('{}').format(3) == '3' and getattr(f, name()) == 1",
    "import asyncio, inspect\nfrom candidate import f\ndef test_a():\n    assert inspect.signature(f) and asyncio.run(f()) == 1",
    "import asyncio\nfrom candidate import f\nasyncio.run(asyncio.wait_for(f(), 1))",
]
APART += [
    "import pytest\ndef test_a():\n    with pytest.warns(UserWarning): pass",
    "import warnings\nwarnings.simplefilter('always')",
    "from unittest import mock\n@mock.patch('candidate.g')\ndef test_a(g): pass",
    "from unittest.mock import patch\ndef test_a():\n    with patch('builtins.input', return_value='1'): pass",
    "import unittest.mock\ndef test_a():\n    with unittest.mock.patch.object(a, 'b'): pass",
    "from candidate import Base\nclass Mine(Base): pass",
    "import candidate as c\nclass Mine(c.shapes.Base):\n    def f(self): return super().__len__()",
]
TOGETHER = {
    "import threading\nfrom candidate import f\nn = threading.active_count()\nassert f(2) == 4 and threading.active_count() == n": "look at",
    "import asyncio\nfrom candidate import f\nasync def go(): return await f(2), len(asyncio.all_tasks())": "look at",
    "import torch\nfrom candidate import f\nassert f(2) == 4 and torch.is_grad_enabled()": "look at",
    "import warnings\nfrom candidate import f\nassert f(2) == 4 and not warnings.filters": "look at",
    "from pathlib import Path\nfrom candidate import f\nd = Path.cwd()\nassert f(2) == 4 and Path.cwd() == d": "look at",
    "def test_a(monkeypatch): pass": "monkeypatch",
    "def test_a(capsys): pass": "prints",
    "def test_a(capfd): pass": "prints",
    "def test_a(caplog): pass": "log",
    "def test_a(tmp_path): (tmp_path / 'made.py').write_text('x = 1')": "files",
    "import pytest\n@pytest.mark.usefixtures('tmp_path')\ndef test_a(): run('made.py')": "files",
    "from unittest import mock\n@mock.patch.dict('os.environ', {'A': '1'})\ndef test_a(): pass": "mock.patch.dict",
    "from candidate import P\nassert P(1).__eq__(3) is NotImplemented": "do not know",
    "import candidate\nsetattr(candidate, 'x', 1)": "setattr",
    "from candidate import C\nsetattr(C, 'x', 1)": "setattr",
    "from candidate import C\ndelattr(C, 'x')": "delattr",
    "import inspect, candidate\ns = inspect.getsource(candidate.f)": "source",
    "from inspect import getsource\nfrom candidate import f\ns = getsource(f)": "source",
    "from candidate import Base\nclass Mine(Base):\n    def __init__(self): Base.__init__(self)": "special methods",
    "from candidate import Meta\nclass Mine(metaclass=Meta): pass": "subclass",
    "import unittest\nfrom candidate import Base\nclass Mine(unittest.TestCase, Base): pass": "subclass",
    "import abc\nfrom candidate import Base\nclass Mine(Base, metaclass=abc.ABCMeta): pass": "subclass",
    "from candidate import Base\nclass Mine(Base[int]): pass": "subclass",
    "from candidate import Base\nMine = type('Mine', (Base,), {})": "subclass",
    "import importlib, candidate\nimportlib.reload(candidate)": "again",
    "from importlib import reload\nreload(x)": "again",
    "import candidate\ns = open(candidate.__file__).read()": "candidate",
    "import candidate\np = candidate.__file__": "module itself",
    "import candidate\nnames = vars(candidate)": "module itself",
    "import candidate\nd = candidate.__dict__": "module itself",
    "s = open('candidate.py').read()": "files",
    "from pathlib import Path\ns = Path('candidate.py').read_text()": "files",
    "import subprocess\nsubprocess.run('x')": "programs",
    "import runpy\nrunpy.run_path('candidate.py')": "programs",
    "import os\nos.system('x')": "programs",
    "import io, sys\nsys.stdout = io.StringIO()": "change sys",
    "import io, sys\nsys.stdin = io.StringIO('1')": "change sys",
    "import sys\nout = sys.stdout.getvalue()": "streams",
    "import os\nx = os.environ.get('A')": "one process",
    "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()): pass": "prints",
    "from contextlib import redirect_stdout\nwith redirect_stdout(x): pass": "prints",
    "import builtins\nbuiltins.input = lambda: '1'": "change builtins",
    "import time\ntime.sleep = lambda s: None": "change time",
    "import sys\ndel sys.modules['candidate']": "sys.modules",
    "import os\nos.environ['A'] = '1'": "change os.environ",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertLogs(): pass": "log",
    "import warnings\nwarnings.simplefilter('error')": "be errors",
    "import pandas as pd\nx = pd.read_pickle('x')": "serialise",
    "import seaborn as sns\nx = sns.heatmap(1)": "import seaborn",
    "import sklearn\nsklearn.set_config(transform_output='pandas')": "set what holds",
    "import pickle\nfrom candidate import f\nassert pickle.loads(f(1)) == 1": "serialise",
    "import pickle\nfrom candidate import f\nload = pickle.loads": "serialise",
    "from pickle import Unpickler\nUnpickler(None)": "serialise",
    "import random\nfrom candidate import f\nassert f() == random.random()": "random",
    "from candidate import C\nassert 'p' in vars(C)": "look into",
    "from candidate import f\n@f\nclass A: pass": "change their classes",
    "from candidate import f\nclass A: pass\n@f(A)\ndef g(): pass": "change their classes",
    "from datetime import datetime\nfrom candidate import Zone\nhere = Zone()\nx = datetime(2000, 1, 1, tzinfo=here)": "time zones",
    "import os\nfrom candidate import f\nassert f(os.path.abspath(__file__))": "their own file",
    "import sqlite3\nfrom candidate import f\nf(sqlite3.connect('x.db'))": "share a data base",
    "import torch\ntorch.set_default_dtype(torch.float64)": "set what holds",
    "import torch\nfrom candidate import f\ng = torch.compile(f)": "transform",
    "import torch\nfrom torch.func import grad\nfrom candidate import f\ng = grad(f)": "transform",
    "import numpy as np\nwith np.errstate(all='raise'): pass": "set what holds",
    "from multiprocessing import Pool\nPool(2)": "programs",
    "import sys\nsys.setrecursionlimit(10)": "set what holds",
    "import decimal\ndecimal.getcontext().prec = 50": "set what holds",
    "from . import candidate": "relatively",
    "import dataclasses\nfrom candidate import P\nassert dataclasses.asdict(P(1)) == {}": "dataclasses",
    "from candidate import f\nassert f.__globals__": "look into",
    "import weakref\nweakref.ref(x)": "memory",
    "from candidate import f\nassert eval(f(1)) == 3": "text as code",
    "from candidate import f\nns = {}\nexec(f(1), ns)": "text as code",
    "from candidate import f\nassert eval(compile(f(1), 'x', 'eval')) == 3": "text as code",
    "from candidate import f\nassert list(map(eval, f())) == [1]": "text as code",
    "import builtins\nfrom candidate import f\nrun = builtins.exec\nrun(f())": "text as code",
    "import timeit\nfrom candidate import f\nassert timeit.timeit(f(), number=1) < 1": "text as code",
    "from cProfile import run\nfrom candidate import f\nrun(f())": "text as code",
    "import code\nfrom candidate import f\ncode.InteractiveInterpreter().runsource(f())": "text as code",
    "from importlib import import_module\nfrom candidate import f\nassert import_module(f()).x": "text as code",
    "import pandas as pd\nfrom candidate import f\nassert len(pd.DataFrame({'a': [1]}).query(f())) == 1": "text as code",
    "import pandas as pd\nfrom candidate import f\nassert pd.eval(f()) == 1": "text as code",
    "import numpy as np\nfrom candidate import f\nassert np.load(f(), allow_pickle=True)[0] == 1": "serialise",
    "import numpy as np\nfrom candidate import f\nassert np.load(f(), None, True)[0] == 1": "serialise",
    "import numpy as np\nfrom candidate import f\nassert np.load(f(), **f.how)[0] == 1": "serialise",
    "import pandas as pd\nfrom candidate import f\nassert len(pd.DataFrame.query(pd.DataFrame(), f())) == 1": "text as code",
    "import pandas as pd\nfrom candidate import f\ndf = pd.DataFrame()\nassert list(map(df.eval, f())) == [1]": "text as code",
    "from candidate import f\nassert __builtins__['eval'](f()) == 1": "text as code",
    "import dataclasses, typing\nfrom candidate import f\nC = dataclasses.make_dataclass('C', f())\ntyping.get_type_hints(C)": "as code",
    "import typing\nfrom candidate import KIND\nclass C:\n    x: KIND\ntyping.get_type_hints(C)": "as code",
    "import inspect\nfrom candidate import KIND\ndef g(x: KIND): pass\ninspect.signature(g, eval_str=True)": "as code",
    "import functools\nfrom candidate import KIND\n@functools.singledispatch\ndef g(x): pass\n@g.register\ndef _(x: KIND): pass": "code",
    "import pandas as pd\nfrom candidate import name, f\nassert getattr(pd.DataFrame(), name())(f()) == 1": "as code",
    "import operator\nfrom candidate import f\nassert operator.methodcaller('format', 1)(f()) == '1'": "computed names",
    "from candidate import f\nglobals().update(f())\nassert x == 1": "computed names",
    "import operator\nfrom candidate import f\nassert operator.attrgetter(f())(f) == 1": "computed names",
    "import string\nfrom candidate import f\nassert string.Formatter().format(f(), 1) == '1'": "computed names",
    "import tarfile\nfrom candidate import f\ntarfile.open(f()).extractall('x')": "unpack archives",
    "import shutil\nfrom candidate import f\nshutil.unpack_archive(f(), 'x')": "unpack archives",
}


@pytest.mark.parametrize("tests", APART)
def test_these_can_be_judged_apart(tests):
    assert why_together(tests, "candidate") == ""


@pytest.mark.parametrize("tests", TOGETHER)
def test_these_need_one_interpreter_and_one_sentence_says_why(tests):
    why = why_together(tests, "candidate")
    assert TOGETHER[tests] in why
    assert why.startswith("The tests ")
    assert why.endswith("must be in their own interpreter.")
    assert "\n" not in why


def test_the_name_of_the_module_counts():
    tests = "from solution import Base\nclass Mine(Base):\n    def f(self): Base.__len__(self)"
    assert "special methods" in why_together(tests, "solution")
    assert "import solution" in why_together(tests, "candidate")


def test_modules_of_the_tests_look_up_nothing_by_computed_names():
    """What they do with a text is not looked at in the run."""
    tests = "import helper\nfrom candidate import f\nassert helper.shown(f()) == '3'"
    for source, why in (("def shown(x): return x.format(3)", "computed names"), ("def shown(x): return '{}'.format(x)", "")):
        assert why in why_together(tests, "candidate", {"helper.py": source.encode()})
    assert why_together(tests, "candidate", {"helper.py": b"def shown(x): return '{}'.format(getattr(x, 'a'))"}) == ""
