"""Numbers of types that round what they are compared with, and numbers that are not finite."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="narrow tensors are among them")

GIVEN = "import numpy as np, pandas as pd, torch\nfrom decimal import Decimal\ndef f(n): return [{0}][n]\n"
HEAD = """
import math, pytest, unittest
from candidate import f
def close(a, b, rel=1e-6): return abs(a - b) <= rel * max(1, abs(a), abs(b))
"""


def judged(apart, cases: dict[str, list[str]], head: str = HEAD) -> list[str]:
    """What each test rests on, or how it ended otherwise: each is a statement about `X`, which the candidate gives in some ways."""
    pairs = [(asked, given) for asked, all_given in cases.items() for given in all_given]
    body = "".join(f"def test_{place}():\n    {asked.replace('X', f'f({place})')}\n" for place, (asked, _) in enumerate(pairs))
    result = apart.run(GIVEN.format(", ".join(given for _, given in pairs)), head + body)
    found = [result.tests[f"test_{place}"] for place in range(len(pairs))]
    return [one["basis"] if one["outcome"] == "passed" else one["outcome"] for one in found]


HALVES = [
    *("np.float16('inf')", "np.array(np.inf, dtype=np.float16)", "torch.tensor(float('inf'), dtype=torch.float16)"),
    *("torch.tensor(float('inf')).to(torch.bfloat16)", "torch.tensor(float('inf')).to(torch.float8_e5m2)"),
]
ROUNDED = {
    "assert X == 2432902008176640000": HALVES,
    "assert X == pytest.approx(299792.458)": HALVES,
    "assert 2432902008176640000 in [X]": HALVES,
    "assert [X] == [2432902008176640000]": HALVES,
    "unittest.TestCase().assertAlmostEqual(X, 110250.0)": HALVES,
    "assert X == 3.141592653589793": [
        *("np.float16(3.1416)", "np.array(3.1416, np.float16)", "torch.tensor(3.1416, dtype=torch.bfloat16)"),
    ],
    "assert X == 1024": ["torch.tensor(0, dtype=torch.uint8)", "torch.tensor(0, dtype=torch.int8)"],
    "assert X == 2**32": ["torch.tensor(0, dtype=torch.int16)", "torch.tensor(0, dtype=torch.int32)"],
    "assert X['v'][0] == 4.4": ["{'v': [torch.tensor(4.4).to(torch.float8_e5m2)]}"],
}


def test_what_is_expected_is_not_rounded_to_the_type_of_the_answer(heavy):
    assert set(judged(heavy, ROUNDED)) == {"failed"}


def test_arrays_of_narrow_numbers_stay_as_they_are_on_the_word(heavy):
    given = ["pd.Series([3.1416] * 2, dtype='float16')", "np.full(2, 3.1416, np.float16)", "torch.full((2,), 3.1416).half()"]
    assert set(judged(heavy, {"assert (X == 3.141592653589793).all()": given})) == {"word"}
    code = """
import torch
def load(): return torch.tensor([[250, 3], [1, 2]], dtype=torch.uint8)
def invert(x): return ~x
def encoded(text): return torch.tensor(list(text), dtype=torch.uint8)
"""
    tests = """
from candidate import load, invert, encoded
def test_a(): assert invert(load()[0]).tolist() == [5, 252]
def test_b(): assert encoded(b"ab").numpy().tobytes() == b"ab"
"""
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert {test["basis"] for test in result.tests.values()} == {"word"}


def test_tests_that_speak_of_types_get_them_on_the_word(heavy):
    code = "import numpy as np, torch\ndef f(x): return x.astype(np.float16)\ndef g(x): return x.to(torch.uint8)\n"
    tests = (
        "import numpy as np, torch\nfrom candidate import f, g\ndef test_f():\n    assert f(np.ones(2)).dtype == np.float16\n"
        "def test_g(): assert g(torch.ones(2)).dtype == torch.uint8\n"
    )
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert {test["basis"] for test in result.tests.values()} == {"word"}


def test_a_narrow_number_that_is_right_is_accepted_on_data(heavy):
    code = "import numpy as np, torch\ndef f(n): return np.float16(n)\ndef g(x): return x.sum() + torch.tensor(1, dtype=torch.int8)\n"
    tests = "import torch\nfrom candidate import f, g\ndef test_a(): assert f(3) == 3\ndef test_b(): assert g(torch.tensor([2])).tolist() == 3\n"
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert {test["basis"] for test in result.tests.values()} == {"data"}


UNSEEN = {
    "assert close(X, 3)": ["float('inf')", "-np.inf", "np.float32('inf')"],
    "if abs(X - 2) > 1: pytest.fail('wrong')": ["float('nan')", "torch.tensor(float('nan'))"],
    "assert not abs(X - 4) > 1e-6": ["complex('nan')", "np.float64('nan')", "np.array(np.nan)"],
    "assert X > 10**9": ["Decimal('inf')", "float('inf')"],
    "assert max(abs(a - b) for a, b in zip(X, [0, 2, 3])) < 1e-6": ["[0.0, float('nan'), float('nan')]"],
    "assert max(abs(a - b) for a, b in zip(X, range(9))) < 1e-6": ["[0.0] + [float('nan')] * 8", "np.full(9, np.nan) * range(9)"],
    "assert not (X['v'] > 3).any()": ["pd.DataFrame({'v': [np.nan]})", "{'v': np.array([np.nan])}"],
    "assert (X - 2).abs().max() < 1e-6": ["pd.Series([2.0, np.nan])"],
}


def test_a_comment_or_a_name_speaks_of_nothing(heavy):
    code = "import numpy as np\ndef f(n): return float('nan') if n < 4 else np.ma.masked_all(3)\n"
    tests = f"""{HEAD}
import numpy as np
NA = 1
def test_a():
    'The mean, NaN aside.'
    na = f(3)  # no overflow, not inf
    if abs(na - 9) > 1e-6: pytest.fail("wrong")
def test_b():
    ma = f(4)  # moving average (ma)
    np.testing.assert_allclose(ma, [1.5, 2.5, 3.5])
"""
    result = heavy.run(code, tests)
    assert result.tests["test_a"]["basis"] == "word"
    assert result.tests["test_b"]["outcome"] == "failed"


def test_a_number_that_is_not_finite_is_no_evidence_for_tests_that_speak_of_none(heavy):
    other = "def test_other(): assert float('inf') > 3\n"
    found = judged(heavy, UNSEEN, HEAD + other)
    assert "data" not in found
    assert found.count("word") > 10, "else they fail for other reasons"


SEEN = {
    "assert X == float('inf')": ["float('inf')"],
    "assert X == [-math.inf] * 7": ["[float('-inf')] * 7"],
    "assert math.isnan(X)": ["float('nan')", "np.float32('nan')"],
    "assert X > 10.0**300": ["1e308"],
    "assert sum(X) > 1 and X[7] == 10.0**308": ["[1e308] * 8"],
    "assert str(X) == '[1.5 nan]'": ["np.array([1.5, np.nan])"],
}


def test_tests_that_speak_of_infinity_have_it_as_data(heavy):
    assert set(judged(heavy, SEEN)) == {"data"}


def test_a_default_that_nobody_looks_at_is_no_answer(heavy):
    code = "INF = float('inf')\ndef f(n, most=INF, *, least=-INF): return max(min(n, most), least)\n"
    result = heavy.run(code, "from candidate import f\ndef test_a(): assert f(3) == 3\n")
    assert result.tests["test_a"]["basis"] == "data"


def test_a_half_precision_network_goes_both_ways(heavy):
    code = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2, dtype=torch.bfloat16)
    def forward(self, x): return self.fc(x.to(torch.bfloat16)).float()
def features(x): return x.to(torch.bfloat16)
def total(h): return float(h.sum())
"""
    tests = """
import torch
from candidate import Net, features, total
def test_a():
    net = Net()
    out = net(torch.ones(4, 3))
    assert out.shape == (4, 2)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
def test_b(): assert total(features(torch.ones(3))) == 3
"""
    assert heavy.run(code, tests).accepted


def test_what_is_passed_back_has_its_own_type(heavy):
    code = """
import numpy as np, torch
def load(): return torch.full((2, 2), 255, dtype=torch.uint8), np.full(3, 0.5, np.float16)
def scaled(x): return x / 255 if x.dtype == torch.uint8 else x
def restore(state): torch.set_rng_state(state)
def state(): return torch.get_rng_state()
def kind(x): return str(x.dtype)
"""
    tests = """
from candidate import load, scaled, restore, state, kind
def test_a():
    image, halves = load()
    assert scaled(image).tolist() == [[1, 1], [1, 1]]
    assert kind(halves) == "float" + "16" and halves.tolist() == [0.5] * 3
def test_b(): restore(state())
"""
    result = heavy.run(code, tests)
    assert result.accepted, result
    assert result.tests["test_a"]["basis"] == "word"


def test_what_takes_part_in_gradients_keeps_its_type_on_the_word(heavy):
    code = "import torch\ndef f(x): return (x * 3.1416).to(torch.bfloat16)\n"
    tests = (
        "import torch\nfrom candidate import f\ndef test_a():\n    x = torch.ones(2, requires_grad=True)\n    y = f(x)\n"
        "    y.sum().backward()\n    assert (y == 3.141592653589793).all() and x.grad[0] > 3\n"
    )
    result = heavy.run(code, tests)
    assert result.tests["test_a"]["basis"] == "word"


def test_shared_values_are_kept_alike_across_their_types(heavy):
    code = """
import numpy as np, torch
A, T = np.zeros(3, np.float16), torch.zeros(3, dtype=torch.uint8)
def get(): return A, T
def bump(x): x += 1
def total(): return float(A.sum()), int(T.sum())
"""
    tests = """
from candidate import get, bump, total
def test_a():
    a, t = get()
    assert get()[0] is a and get()[1] is t
    bump(a)
    bump(t)
    assert a.tolist() == t.tolist() == [1, 1, 1]
    a[0], t[0] = 5, 7
    assert total() == (7.0, 9)
"""
    assert heavy.run(code, tests, in_place=True).accepted
