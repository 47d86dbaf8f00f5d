"""Tables, columns and times of pandas between a candidate and its tests: values, and nothing that says of itself that it is right."""

from __future__ import annotations

import random
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "sandbox_image"))
from agent.boundary import values as plain

pd = pytest.importorskip("pandas", reason="the values are those of pandas")
np = pytest.importorskip("numpy", reason="columns are arrays")


DAYS = pd.date_range("2020-01-01", periods=3, freq="D")
TABLES = [
    pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, np.nan]}),
    pd.DataFrame(),
    pd.DataFrame(columns=["a", "b"]),
    pd.DataFrame(index=["x", "y"]),
    pd.DataFrame({"a": [1, 2], "b": ["p", "q"]}, index=["x", "x"]),
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([[1], {}], dtype=object)),
    pd.DataFrame(np.arange(6).reshape(2, 3), columns=["a", "a", "b"]),
    pd.DataFrame({"g": [1, 1, 2], "v": [1, 2, 3]}).groupby("g").agg({"v": ["sum", "mean"]}),
    pd.DataFrame({"x": [1, 2]}, index=pd.CategoricalIndex(["a", "b"])),
    pd.DataFrame({"t": DAYS, "day": DAYS.date}),
]
SERIES = [
    pd.Series([1, 2, 3], index=DAYS, name="n"),
    pd.Series([1, None], dtype="Int64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series(["a", pd.NA], dtype="string"),
    pd.Series(["b", "a", None], dtype="category"),
    pd.Series([[1], {"a": 2}, None]),
    pd.Series([], dtype=object),
    pd.Series(DAYS.tz_localize("Europe/Berlin")),
    pd.cut(pd.Series([1.0, 2.0, 3.0]), 2),
]
INDICES = [
    *(pd.RangeIndex(3, name="r"), DAYS, DAYS.tz_localize("UTC"), pd.timedelta_range("1h", periods=3, freq="h")),
    *(pd.Index([1, "a", None]), pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])),
]
SCALARS = [
    *(pd.Timestamp("2020-01-01 12:00:00.123456789"), pd.Timestamp("2020-01-01", tz="Europe/Berlin"), pd.Timedelta("1 days 3s")),
    *(pd.NaT, pd.NA),
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_arrives_as_it_was(table):
    pd.testing.assert_frame_equal(plain.loads(plain.dumps(table)), table)


@pytest.mark.parametrize("column", SERIES)
def test_a_column_arrives_as_it_was(column):
    pd.testing.assert_series_equal(plain.loads(plain.dumps(column)), column)


@pytest.mark.parametrize("index", INDICES)
def test_an_index_arrives_as_it_was(index):
    back = plain.loads(plain.dumps(index))
    pd.testing.assert_index_equal(back, index, exact=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)


@pytest.mark.parametrize("value", SCALARS)
def test_a_time_arrives_as_it_was(value):
    back = plain.loads(plain.dumps(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def _use(value):
    for name in ("describe", "sort_values", "sort_index", "unique", "to_dict", "value_counts", "to_numpy", "to_csv"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                getattr(value, name)()
            except Exception:
                continue
    for ask in (repr, hash, list, lambda v: v == v, lambda v: v + v, lambda v: v - v, plain.dumps):
        try:
            ask(value)
        except Exception:
            continue


def test_mutated_frames_are_garbled_or_tables_that_can_be_used():
    draw = random.Random(5)
    frames = [plain.dumps(value) for value in (*TABLES, *SERIES, *INDICES, *SCALARS)]
    used = 0
    for _ in range(1500):
        data = bytearray(draw.choice(frames))
        for _ in range(draw.choice((1, 1, 2, 4))):
            data[draw.randrange(len(data))] = draw.choice((0, 255, 128, draw.randrange(256)))
        try:
            value = plain.loads(bytes(data))
        except plain.Garbled:
            continue
        _use(value)
        used += 1
    assert used > 50


HONEST = {
    "tables go both ways": (
        "import pandas as pd\n"
        "def total(df, by): return df.groupby(by, as_index=False)['v'].sum()\n"
        "def first(s): return s.index[0], s.iloc[0]\n"
        "def parts(): return {'t': [pd.DataFrame({'a': [1]})], 'when': pd.Timestamp('2024-02-29'), 'cell': pd.Series([[1], None])}\n",
        "import unittest\nimport pandas as pd\nfrom candidate import total, first, parts\n"
        "class T(unittest.TestCase):\n"
        "    def test_total(self):\n"
        "        df = pd.DataFrame({'k': ['x', 'y', 'x'], 'v': [1, 2, 3]})\n"
        "        found = total(df, 'k')\n"
        "        self.assertIsInstance(found, pd.DataFrame)\n"
        "        pd.testing.assert_frame_equal(found, pd.DataFrame({'k': ['x', 'y'], 'v': [4, 2]}))\n"
        "        self.assertTrue((found['v'] == [4, 2]).all())\n"
        "        self.assertEqual(list(df.columns), ['k', 'v'])\n"
        "    def test_first(self):\n"
        "        s = pd.Series([1.5, 2], index=pd.date_range('2020', periods=2))\n"
        "        self.assertEqual(first(s), (pd.Timestamp('2020-01-01'), 1.5))\n"
        "    def test_parts(self):\n"
        "        found = parts()\n"
        "        self.assertEqual(found['when'].day, 29)\n"
        "        self.assertEqual(found['t'][0].shape, (1, 1))\n"
        "        self.assertEqual(found['cell'][0], [1])\n",
    ),
    "a table is changed in place": (
        "def fill(df): df['b'] = 1\ndef drop(df): df.drop(columns=['a'], inplace=True)\n",
        "import pandas as pd\nfrom candidate import fill, drop\n"
        "def test_a():\n    df = pd.DataFrame({'a': [1, 2]})\n    fill(df)\n    assert list(df.columns) == ['a', 'b']\n"
        "    drop(df)\n    assert list(df.columns) == ['b'] and df['b'].tolist() == [1, 1]\n",
    ),
    "estimators are known by their class": (
        "from sklearn.linear_model import LinearRegression\ndef fit(X, y): return LinearRegression().fit(X, y)\n",
        "import numpy as np\nfrom sklearn.base import BaseEstimator\nfrom sklearn.linear_model import LinearRegression, Ridge\n"
        "from candidate import fit\n"
        "def test_a():\n    X = np.arange(4.0).reshape(4, 1)\n    model = fit(X, 2 * X[:, 0])\n"
        "    assert isinstance(model, LinearRegression) and isinstance(model, BaseEstimator)\n"
        "    assert not isinstance(model, Ridge)\n    assert np.allclose(model.predict(X), 2 * X[:, 0])\n",
    ),
    "tests that know of missing items": (
        "import pandas as pd\ndef f(): return pd.Series([1, None], dtype='Int64')\n",
        "import pandas as pd\nfrom candidate import f\ndef test_a(): assert f().isna().tolist() == [False, True] and f().dtype == 'Int64'\n",
    ),
    "arrays of objects": (
        "import numpy as np\ndef pad(a): return np.append(a, [None, 'x'])\n",
        "import numpy as np\nfrom candidate import pad\n"
        "def test_a(): assert pad(np.array([1, 'a'], dtype=object)).tolist() == [1, 'a', None, 'x']\n",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_with_tables_is_accepted(heavy, name):
    code, tests = HONEST[name]
    result = heavy.run(code, tests, in_place="in place" in name, seconds=90)  # scikit-learn is long in coming
    assert result.accepted, result


def test_a_change_to_the_tests_table_is_noticed(heavy):
    code = "def mean(df):\n    df['v'] = 0\n    return 2.0\n"
    tests = (
        "import pandas as pd\nfrom candidate import mean\n"
        "def test_a():\n    df = pd.DataFrame({'v': [1, 3]})\n    assert mean(df) == 2.0\n    assert df['v'].tolist() == [1, 3]\n"
    )
    copies = heavy.run(code, tests)
    assert copies.accepted, copies
    assert copies.unsure
    assert not heavy.run(code, tests, in_place=True).accepted


LIAR = """
import pandas as pd
class X:
    _typ = "series"
    dtype = "int64"
    def __eq__(self, other): return True
    __ne__ = __lt__ = lambda self, other: False
    def __hash__(self): return 1
    def __sub__(self, other): return X()
    __rsub__ = __sub__
    def __abs__(self): return self
    def max(self): return 0.0
    def equals(self, other): return True
    def all(self): return True
    def __len__(self): return 2
    def __array__(self, *a, **k):
        import numpy as np
        return np.array([X(), X()], dtype=object)
class Table(pd.DataFrame):
    def equals(self, other): return True
    def __eq__(self, other): return True
"""
LIES = {
    "cells that equal everything": ("pd.DataFrame({'a': [X(), X()]})", "pd.testing.assert_frame_equal(f(), E)"),
    "cells under equals": ("pd.DataFrame({'a': [X(), X()]})", "assert E.equals(f())"),
    "cells compared one by one": ("pd.DataFrame({'a': [X(), X()]})", "assert (E == f()).all().all()"),
    "a column that is none": ("X()", "assert (E['a'] == f()).all()"),
    "a column that is none, subtracted": ("X()", "assert abs(E['a'] - f()).max() < 1e-6"),
    "a table that is none": ("X()", "assert f().equals(E)"),
    "a class below the table": ("Table({'a': [0, 0]})", "assert f().equals(E)"),
    "a class below the table, compared": ("Table({'a': [0, 0]})", "pd.testing.assert_frame_equal(f(), E)"),
    "an index that equals everything": ("pd.DataFrame({'a': [1, 2]}, index=[X(), X()])", "pd.testing.assert_frame_equal(f(), E)"),
    "an empty column": ("pd.Series([], dtype=float)", "pd.testing.assert_series_equal(f(), E['a'])"),
    "numbers that are missing": (
        "pd.DataFrame({'a': pd.array([pd.NA] * 2, dtype='UInt8')})",
        "assert (f()['a'] == E['a']).all()",
    ),
    "truth that is missing": ("pd.DataFrame({'a': pd.array([None] * 2, dtype='boolean')})", "assert (f()['a'] == E['a']).all()"),
    "texts that are missing": ("pd.Series([None, None], dtype='string')", "assert (f() == 'x').all()"),
    "an empty table": ("pd.DataFrame()", "pd.testing.assert_frame_equal(f(), E)"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_stands_for_a_table_has_no_say(heavy, name):
    made, asked = LIES[name]
    tests = f"import pandas as pd\nfrom candidate import f\nE = pd.DataFrame({{'a': [1, 2]}})\ndef test_a(): {asked}\n"
    result = heavy.run(f"{LIAR}\ndef f(): return {made}\n", tests)
    assert not result.accepted, result


def test_items_that_are_missing_stay_so_on_the_word(heavy):
    code = "import pandas as pd\ndef f(): return pd.Series([1, pd.NA, 3], dtype='Int64')\ndef g(): return [1, pd.NA]\n"
    tests = (
        "from candidate import f, g\ndef test_sum(): assert f().sum() == 4\ndef test_first(): assert f()[0] == 1 and g()[0] == 1\n"
        "def test_each(): assert max(abs(a - b) for a, b in zip(f(), [1, 2, 3])) < 1e-6\ndef test_one(): assert not g()[1] > 4\n"
    )
    result = heavy.run(code, tests)
    assert {name: test["basis"] for name, test in result.tests.items() if test["outcome"] == "passed"} == {
        "test_sum": "word",
        "test_first": "word",
    }
    assert result.outcomes["test_each"] == result.outcomes["test_one"] == "failed"


def test_a_failed_comparison_of_tables_stays_failed(heavy):
    code = "import pandas as pd\nclass T:\n    def __enter__(self): return 1\n    def __exit__(self, *a): return True\ndef f(): return pd.DataFrame({'a': [0]})\n"
    tests = (
        "import pandas as pd\nfrom candidate import f, T\n"
        "def test_a():\n    with T():\n        pd.testing.assert_frame_equal(f(), pd.DataFrame({'a': [1]}))\n"
    )
    assert not heavy.run(code, tests).accepted


STAYING = {
    "sums of months": "pd.Series([1, 2], index=pd.period_range('2024-01', periods=2, freq='M'))",
    "levels of periods": "pd.Series([1], index=pd.MultiIndex.from_tuples([(pd.Period('2024-01'), 1)]))",
    "levels of decimals": "pd.Series([1], index=pd.MultiIndex.from_tuples([(decimal.Decimal(1), 1)]))",
    "categories of decimals": "pd.Series(pd.Categorical([decimal.Decimal(1)]))",
    "columns of periods": "pd.DataFrame([[1]], columns=pd.period_range('2024-01', periods=1, freq='M'))",
}


@pytest.mark.parametrize("name", STAYING)
def test_a_table_whose_index_cannot_cross_stays_where_it_is(heavy, name):
    code = f"import decimal\nimport pandas as pd\ndef f(): return {STAYING[name]}\n"
    result = heavy.run(
        code, "from candidate import f\ndef test_a():\n    assert f() is not None\n    assert f().shape[0] in (1, 2)\n"
    )
    assert not result.tampered
    assert result.accepted, result
