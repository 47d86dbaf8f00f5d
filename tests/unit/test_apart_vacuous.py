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


def test_one_masked_item_agrees_with_nothing(heavy):
    code = "import numpy as np\ndef f(n): return np.ma.MaskedArray([1, 0, 3], [False, True, False])\n"
    assert not heavy.run(code, f"{HEAD}def test_a(): np.testing.assert_array_equal(f(3), [1, 2, 3])\n").accepted


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
    "assert f(0).size == 0\n    np.testing.assert_allclose(f(2)[f(2) < 0], 0)",
]


@pytest.mark.parametrize("asked", HONEST)
def test_what_is_rightly_empty_is_accepted_on_data(heavy, asked):
    result = heavy.run("import numpy as np\ndef f(n): return np.arange(float(n))\n", f"{HEAD}def test_a():\n    {asked}\n")
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "data"
