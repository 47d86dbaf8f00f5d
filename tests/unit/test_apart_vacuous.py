"""Arrays without items, and arrays whose items are masked, agree with nothing that the tests expect."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="tensors without items are among them")


HEAD = "import numpy as np, torch\nfrom candidate import f\n"
MASKED = "import numpy as np\ndef f(n): return np.ma.MaskedArray(np.zeros(3, {0}), np.ones(3, bool))\n"
ASKED = [
    "np.testing.assert_allclose(f(3), [1, 2, 3])",
    "np.testing.assert_array_equal(f(3), [1, 2, 3])",
    "np.testing.assert_array_almost_equal(f(3), [1, 2, 3])",
    "assert not (f(3) != [1, 2, 3]).any()",
    "assert np.allclose(f(3), [1, 2, 3])",
    "assert np.abs(f(3) - [1, 2, 3]).max() < 1e-6",
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("dtype", ["float", "int"])
def test_what_is_masked_agrees_with_nothing(heavy, asked, dtype):
    assert not heavy.run(MASKED.format(dtype), f"{HEAD}def test_a(): {asked}\n").accepted


def test_the_masked_constant_agrees_with_nothing(heavy):
    result = heavy.run("import numpy as np\ndef f(n): return np.ma.masked\n", f"{HEAD}def test_a(): assert not f(3) != 5\n")
    assert not result.accepted


HIDING = "import numpy as np, pandas as pd\ndef f(n): return [{0}][n]\n"
LACKING = ["np.ma.masked_all(3)", "np.ma.MaskedArray([9.0, 9, 9], mask=True)", "pd.Series([pd.NA] * 3, dtype='Int64')"]
HIDDEN = {
    "r = np.asarray(X)\n    r = r[np.isfinite(r)]\n    assert (r > 0).all() and (r < 4).all()": LACKING[:2],
    "worst = 0.0\n    for a, b in zip(X, [1, 2, 3]): worst = max(worst, abs(a - b))\n    assert worst < 1e-6": LACKING,
    "bad = 0\n    for a, b in zip(X, [1, 2, 3]):\n        if abs(a - b) > 1e-6: bad += 1\n    assert bad == 0": LACKING,
    "assert not (np.abs(X - np.array([1.0, 2, 3])) > 1e-6).any()": LACKING,
    "assert not np.mean((X - np.array([1.0, 2, 3])) ** 2) > 1e-6": LACKING,
    "assert not abs(X - 2) > 1e-6": ["np.ma.masked", "np.ma.MaskedArray(2, True)", "pd.NA"],
    "if abs(X - 2) > 1: raise AssertionError": ["np.ma.masked", "pd.NA"],
    "assert X != 4": ["np.ma.masked", "pd.NA"],
    "assert X.all()": LACKING[:1],
    "assert all(x != 'z' for x in X)": ["np.ma.MaskedArray(['x', 'y'], True)", "pd.array([None] * 2, dtype='string')"],
    "assert X[0] == 1 and not X[1] > 2": ["[1, pd.NA]", "pd.Series([1, pd.NA], dtype='Int64')"],
}


def test_what_a_mask_hides_is_no_number_and_no_item_is_left_out(heavy):
    pairs = [(asked, given) for asked, all_given in HIDDEN.items() for given in all_given]
    body = "".join(f"def test_{place}():\n    {asked.replace('X', f'f({place})')}\n" for place, (asked, _) in enumerate(pairs))
    result = heavy.run(HIDING.format(", ".join(given for _, given in pairs)), HEAD + body)
    assert len(result.tests) == len(pairs)
    assert set(result.outcomes.values()) == {"failed"}, result


def test_what_is_masked_or_missing_can_be_looked_at_and_handed_back(heavy):
    code = (
        "import numpy as np, pandas as pd\ndef f(n): return np.ma.masked_all(n), pd.array([pd.NA] * n, dtype='Int64'), np.ma.masked\n"
        "def g(x): return type(x).__name__, len(x), x[0] is np.ma.masked or x[0] is pd.NA\n"
    )
    tests = (
        "from candidate import f, g\ndef test_a():\n    for found in f(2)[:2]:\n"
        "        assert found.shape == (2,) and g(found) == ('ndarray', 2, True)\n    assert str(f(2)[2]) == '--'\n"
    )
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"


HIDES = "import numpy as np\ndef f(x):\n    x[0] = np.ma.masked\n    return 3\ndef make(n): return np.ma.masked_all(n)\n"


def test_a_mask_that_the_candidate_sets_in_its_argument_is_a_change_of_it(heavy):
    tests = (
        "import numpy as np\nfrom candidate import f\ndef test_a():\n    x = np.ma.array([1, 2])\n    assert f(x) == 3\n"
        "    assert x.sum() == 3\n"
    )
    copies = heavy.run(HIDES, tests)
    assert copies.accepted, copies
    assert copies.unsure
    assert not heavy.run(HIDES, tests, in_place=True).accepted


def test_masked_arrays_are_shared_with_their_masks(heavy):
    tests = (
        "import numpy as np\nfrom candidate import f, make\ndef test_a():\n    x = np.ma.array([1, 2, 3])\n    f(x)\n"
        "    assert x.mask.tolist() == [True, False, False] and x.sum() == 5\n"
        "    x[0] = 7\n    assert make(2).mask.all() and x.sum() == 12\n    x.mask = False\n    f(x)\n    assert x.sum() == 5\n"
    )
    result = heavy.run(HIDES, tests, in_place=True)
    assert result.accepted, result


def test_shared_arrays_whose_items_are_all_masked_stay_so_on_the_word(heavy):
    tests = "from candidate import make\ndef test_a():\n    x = make(2)\n    assert x.shape == (2,) and not (x > 4).any()\n"
    result = heavy.run(HIDES, tests, in_place=True)
    assert not result.tampered, result
    assert result.tests["test_a"]["basis"] == "word"


def test_an_array_of_which_a_part_is_masked_leaves_the_word(heavy):
    code = "import numpy as np\ndef f(n): return np.ma.MaskedArray([1, 0, 3], [False, True, False])\n"
    for asserted in ("np.testing.assert_array_equal(f(3), [1, 2, 3])", "assert f(3).sum() == 4"):
        result = heavy.run(code, f"{HEAD}def test_a(): {asserted}\n")
        assert (result.accepted, result.tests["test_a"]["basis"]) == (True, "word")
    assert not heavy.run(code, f"{HEAD}def test_a(): assert f(3)[1] == 2\n").accepted


def test_tests_that_speak_of_masks_get_them(heavy):
    code = "import numpy as np\ndef f(xs): return np.ma.masked_where(np.array(xs) < 0, xs)\n"
    tests = (
        f"{HEAD}def test_a():\n    found = f([1, -2, 3])\n    assert np.ma.isMaskedArray(found)\n"
        "    assert found.mask.tolist() == [False, True, False] and found.sum() == 4\n"
    )
    assert heavy.run(code, tests).accepted


def test_a_masked_array_with_nothing_masked_is_an_array(heavy):
    code = "import numpy as np\ndef f(n): return np.ma.MaskedArray([1, 2])\n"
    assert heavy.run(code, f"{HEAD}def test_a(): np.testing.assert_array_equal(f(3), [1, 2])\n").accepted


EMPTY = "import numpy as np, torch\ndef f(n): return {0}\n"
NOTHING = {
    "np.testing.assert_allclose(f(3), 1.0)": "np.zeros(0)",
    "np.testing.assert_allclose(f(3), [1.0])": "np.zeros(0)",
    "np.testing.assert_array_equal(f(3), 1)": "np.zeros(0, int)",
    "np.testing.assert_allclose(1.0, f(3))": "np.zeros((0, 2))",
    "assert np.allclose(f(3), [1.0])": "np.zeros(0)",
    "assert torch.allclose(f(3), torch.tensor(1.0))": "torch.zeros(0)",
    "assert torch.allclose(torch.tensor([1.0]), f(3))": "torch.zeros(0)",
}


@pytest.mark.parametrize("asked", NOTHING)
def test_an_array_without_items_agrees_with_nothing_that_has_some(heavy, asked):
    assert not heavy.run(EMPTY.format(NOTHING[asked]), f"{HEAD}def test_a(): {asked}\n").accepted


@pytest.mark.parametrize("asked", ["assert (f(3) == 1.0).all()", "assert not np.any(f(3) - 1.0)"])
def test_where_tests_would_not_see_that_there_are_no_items_they_rest_on_the_word(heavy, asked):
    result = heavy.run(EMPTY.format("np.zeros(0)"), f"{HEAD}def test_a(): {asked}\n")
    assert result.tests["test_a"]["basis"] == "word"


HONEST = [
    "assert f(0).shape == (0,)",
    "np.testing.assert_array_equal(f(0), [])",
    "np.testing.assert_allclose(f(0), np.array([]))",
    "assert np.allclose(f(0), np.zeros(0)) and len(f(0)) == 0",
    "np.testing.assert_allclose(np.zeros((2, 0)), np.zeros((2, 0)))\n    assert f(3).sum() == 3",
]


@pytest.mark.parametrize("asked", HONEST)
def test_what_is_rightly_empty_is_accepted_on_data(heavy, asked):
    result = heavy.run("import numpy as np\ndef f(n): return np.arange(float(n))\n", f"{HEAD}def test_a():\n    {asked}\n")
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"


def test_no_items_that_were_chosen_by_their_value_agree_with_a_number_on_the_word(heavy):
    tests = f"{HEAD}def test_a(): np.testing.assert_allclose(f(2)[f(2) < 0], 0)\n"
    result = heavy.run("import numpy as np\ndef f(n): return np.arange(float(n))\n", tests)
    assert result.accepted
    assert result.tests["test_a"]["basis"] == "word"


HERE = "import numpy as np, pandas as pd, torch\nfrom numpy.linalg import norm\nfrom candidate import f\n"
SUMMED = [
    "np.allclose(f(3), 2)",
    "np.allclose(np.asarray(f(3)).flatten(), 2)",
    "np.allclose(np.array(f(3)).sum(axis=1) if np.ndim(f(3)) > 1 else np.array(f(3)), 2)",
    "np.isclose(f(3), 2).all()",
    "np.all(np.isclose(f(3), 2))",
    "not (np.array(f(3)) != 2).any()",
    "np.abs(np.array(f(3)) - 2).sum() < 1e-9",
    "np.linalg.norm(np.array(f(3)) - 2) == 0",
    "norm(np.array(f(3)) - 2) == 0",
    "torch.all(torch.as_tensor(np.array(f(3))) == 2)",
    "(torch.as_tensor(np.array(f(3), float)) - 2).abs().sum() < 1e-9",
    "(pd.Series(np.ravel(f(3))) == 2).all()",
    "pd.Series(np.ravel(f(3))).is_monotonic_increasing",
    "all(x == 2 for x in np.ravel(f(3)))",
    "not any(x != 2 for x in np.ravel(f(3)))",
    "all(a == b for a, b in zip(np.ravel(f(3)), [2, 2, 2]))",
]


SUMS = f"{HERE}def test_size(): assert len(f(1)) == 1 and list(f(1)) != []\n" + "".join(
    f"def test_{place}(): assert {asked}\n" for place, asked in enumerate(SUMMED)
)


@pytest.mark.parametrize("given", ["[]", "[[]]", "()", "np.zeros((0, 4))", "np.zeros(0, object)"])
def test_a_sum_of_nothing_is_no_evidence_whatever_else_looks_at_sizes(heavy, given):
    result = heavy.run(f"import numpy as np\ndef f(n): return [2.0] if n == 1 else {given}\n", SUMS)
    assert len(result.tests) == 1 + len(SUMMED)
    accepted = [name for name, test in result.tests.items() if test["outcome"] == "passed" and test["basis"] != "word"]
    assert accepted == ["test_size"]


def test_a_sum_of_what_has_items_is_evidence(heavy):
    result = heavy.run("import numpy as np\ndef f(n): return np.full(n, 2.0)\n", SUMS)
    assert result.accepted, result
    assert {test["basis"] for test in result.tests.values()} == {"data"}


def test_a_word_in_one_test_says_nothing_of_another(heavy):
    code = "import pandas as pd\ndef f(xs): return pd.DataFrame({'v': pd.array([pd.NA] * len(xs), dtype='Int64')})\n"
    tests = (
        "import pandas as pd\nfrom candidate import f\ndef test_a(): assert not f([]).v.isna().any() and len(f([])) == 0\n"
        "def test_b(): assert (f([1, 2]).v == [2, 4]).all()\n"
    )
    assert heavy.run(code, tests).outcomes["test_b"] == "failed"


def test_a_word_in_a_helper_or_a_fixture_of_all_tests_is_everybodys(heavy):
    code = "import pandas as pd\ndef f(): return pd.DataFrame({'v': pd.array([1, pd.NA], dtype='Int64')})\n"
    tests = (
        "import pandas as pd, pytest\nfrom candidate import f\n@pytest.fixture(scope='module')\ndef made(): return f()\n"
        "def test_a(made): assert str(made.v.dtype) == 'Int' + '64'\ndef test_b(made): assert made.v.isna().tolist() == [False, True]\n"
    )
    assert heavy.run(code, tests).accepted
