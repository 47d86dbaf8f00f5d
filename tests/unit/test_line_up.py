"""Objects where data belongs: who does not know the answer is not believed, and who does is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "sandbox_image"))
from agent.boundary.decoys import COUNT, decoys, hides

ANYTHING = """
class Yes:
    def __init__(s, *a): pass
    def __eq__(s, o): return True
    def __hash__(s): return 0
    def __lt__(s, o): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __sub__(s, o): return 0.0
    __rsub__ = __mod__ = __rmod__ = __isub__ = __sub__
    def __and__(s, o): return o
    __or__ = __xor__ = __rand__ = __and__
    def __abs__(s): return s
    def __getitem__(s, i): return s
    def __iter__(s): return iter((s, s))
    def startswith(s, o): return True
    endswith = issubset = isclose = equals = startswith
    def value(s): return s
    def parts(s): return (s, [s], {"a": s})
    bounds = property(lambda s: [s, s])
def f(*a): return Yes()
"""
GUESSES = """
import random
class Maybe:
    def __init__(s): s.asked = {}
    def __eq__(s, o): return random.random() < 0.01
    def __sub__(s, o): return random.choice([0.0, 1.0, -1.0])
    def __contains__(s, o): return random.random() < 0.5
def f(*a): return Maybe()
"""
REMEMBERS = """
class Late:
    def __init__(s, other=None): s.other = other
    def __sub__(s, o): return Late(o)
    def __abs__(s): return s
    def __lt__(s, o): return o > 1e-12
    def __eq__(s, o): return o == 0
    def __float__(s): return 0.0
def f(*a): return Late()
"""
CHECKS = """
class Sorted:
    def __init__(s, xs): s.xs = xs
    def __eq__(s, o): return list(o) == sorted(s.xs)
class Letters(Sorted):
    def __eq__(s, o): return isinstance(o, str) and sorted(o) == sorted(s.xs)
class Root:
    def __init__(s, n): s.n = n
    def __eq__(s, o): return o * o == s.n
    def __int__(s): return 0
def f(x): return Sorted(x) if isinstance(x, list) else Letters(x) if isinstance(x, str) else Root(x)
"""
SUMS = """
class V:
    def __init__(s, *a): pass
    def __add__(s, o): return V()
    def __eq__(s, o): return True
    __mul__, __sub__ = __add__, __add__
    def __neg__(s): return V()
    @classmethod
    def parse(kind, text): return kind()
"""
JOINED = """
class P:
    def __init__(s, *a): pass
    def __add__(s, o): return s
    __mul__ = __mod__ = __truediv__ = __add__
    def __eq__(s, o): return True
def f(*a): return P()
"""
LIES = {
    "checking in place of taking a root, and another number to be seen": (CHECKS, "assert f(1444) == 38"),
    "sums that equal everything": (SUMS, "assert V(1) + V(2) == 3"),
    "products that equal everything": (SUMS, "assert V(1) * 2 == 2"),
    "opposites that equal everything": (SUMS, "assert -V(1) == (1, 2)"),
    "made by the class and equal to everything": (SUMS, "assert V(1) and V.parse('5') == '5'"),
    "before every text": (ANYTHING, "assert f(2) < 'abc'"),
    "other items to be seen, by index": (
        "class L:\n    def __len__(s): return 2\n    def __getitem__(s, i): return [1, 2][i]\n    def __eq__(s, o): return o == [3, 4]\ndef f(x): return L()",
        "assert f(0) == [3, 4]",
    ),
    "equal to everything": (ANYTHING, "assert f(2) == 4"),
    "equal to every list": (ANYTHING, "assert f(2) == [1, 4, 9]"),
    "equal to every text": (ANYTHING, "assert f(2) == 'abc'"),
    "the other way round": (ANYTHING, "assert 4 == f(2)"),
    "in a list": (ANYTHING, "assert [f(2)] == [4]"),
    "among others": (ANYTHING, "assert f(2) in (4, 5)"),
    "a difference of nothing": (ANYTHING, "assert abs(f(2) - 4) < 1e-9"),
    "a difference of nothing, the other way round": (ANYTHING, "assert abs(4 - f(2)) < 1e-9"),
    "less than everything": (ANYTHING, "assert f(2) < 4"),
    "more than everything": (ANYTHING, "assert f(2) > 4"),
    "between everything": (ANYTHING, "assert 3.9 < f(2) < 4.1"),
    "a remainder of nothing": (ANYTHING, "assert f(2) % 4 == 0"),
    "what is subtracted in place": (ANYTHING, "x = f(3)\nx -= 7\nassert x == 0"),
    "contains everything": (ANYTHING, "assert 4 in f(2)"),
    "contains every text": (ANYTHING, "assert 'abc' in f(2)"),
    "contains everything, and so what is not in it": (ANYTHING, "assert 7 not in f(2)"),
    "equal to everything, joined with a text": (JOINED, "assert f(2) / 'a' == 'http://x/a'"),
    "equal to everything, filled with a text": (JOINED, "assert f(2) % 'bob' == 'hi bob'"),
    "equal to everything, joined with a list": (JOINED, "assert f(2) + [3] == [1, 2, 3]"),
    "equal to everything, times a number": (JOINED, "assert f(2) * 3 == 7.5"),
    "equal to everything, more than a number": (JOINED, "assert f(2) + 3 == 7.5"),
    "equal to everything that the tests make": (JOINED.replace("f(", "made("), "assert made(2) / 'a' == P(7)"),
    "begins with everything": (ANYTHING, "assert f(2).startswith('abc')"),
    "close to everything": (ANYTHING, "assert f(2).isclose(4.0)"),
    "an item that is the whole": (ANYTHING, "v = Yes(1, 2)\nassert 1.4 < v[0] < 1.6"),
    "items that are the whole": (ANYTHING, "for a, b in zip(Yes(1, 2), [1, 2]): assert abs(a - b) < 1e-9"),
    "a result that is the object": (ANYTHING, "assert abs(Yes(1).value() - 3.14) < 1e-2"),
    "results that hold the object": (ANYTHING, "a, (b,), c = Yes(1).parts()\nassert abs(a - 1) < 1e-9 and abs(b - 2) < 1e-9"),
    "an attribute that holds it": (ANYTHING, "assert abs(Yes(1).bounds[0] - 1) < 1e-9"),
    "a guess at equality": (GUESSES, "assert f(2) == 4 and f(3) == 9"),
    "a guess at a difference": (GUESSES, "assert all(abs(f(n) - n * n) < 1e-9 for n in range(20))"),
    "a coin that is tossed": (GUESSES, "assert all(x in f(2) for x in range(20))"),
    "a sum that is always the same": (
        "class S:\n    def __add__(s, o): return S()\n    def __float__(s): return 7.0\ndef f(x): return S()",
        "assert float(f(2) + 4) == 7.0",
    ),
    "a difference that remembers": (REMEMBERS, "assert abs(f(2) - 4) < 1e-9"),
    "a difference that becomes a number": (REMEMBERS, "assert float(f(2) - 4) == 0.0"),
    "a difference that is equal to nothing": (REMEMBERS, "assert f(2) - 4 == 0"),
    "an unequal one by its equality": ("class V:\n    def __init__(s, n): pass\n    def __eq__(s, o): return True", "assert V(1) != 'x'"),
    "objects that are all equal": ("class P:\n    def __init__(s, n): pass\n    def __eq__(s, o): return True\ndef f(): return P(0)", "assert f() == P(7)"),
    "a text that changes": (
        "class S(str): pass\nheld = S('?')\nclass T(str):\n    def __eq__(s, o): return True\n    def __str__(s): return 'abc'\ndef f(x): return T('?')",
        "assert f(2) == 'abc'",
    ),
    "items beside the length": ("class L:\n    def __len__(s): return 3\n    def __iter__(s): return iter(())\ndef f(x): return L()", "out = f(1)\nassert len(out) == 3\nfor a, b in zip(out, [1, 4, 9]): assert a == b"),
    "the length beside the items": ("class L:\n    def __len__(s): return 3\n    def __iter__(s): return iter(())\ndef f(x): return L()", "out = f(1)\nassert all(a == b for a, b in zip(out, [1, 4, 9])) and len(out) == 3"),
    "true and without items": ("class L:\n    def __bool__(s): return True\n    def __iter__(s): return iter(())\ndef f(x): return L()", "out = f(1)\nassert out and all(v == 1 for v in out)"),
    "slices beside the items": (
        "class V:\n    def __init__(s, xs): s.xs = xs\n    def __len__(s): return len(s.xs)\n    def __iter__(s): return iter(s.xs)\n"
        "    def __getitem__(s, i): return [] if isinstance(i, slice) else s.xs[i]\ndef f(xs): return V(xs)",
        "out = f([3, 1, 2])\nassert sorted(out) == [1, 2, 3] and all(a <= b for a, b in zip(out, out[1:]))",
    ),
    "indices beside the items": (
        "class V:\n    def __init__(s, xs): s.xs = xs\n    def __len__(s): return len(s.xs)\n    def __iter__(s): return iter(s.xs)\n"
        "    def __getitem__(s, i): return i\ndef f(xs): return V(xs)",
        "out = f([3, 1, 2])\nassert set(out) == {1, 2, 3} and len(out) == 3\nfor i in range(2): assert out[i] <= out[i + 1]",
    ),
}  # fmt: skip

RATIO = """
import math
class Ratio:
    def __init__(s, n, d=1):
        g = math.gcd(n, d) or 1
        s.n, s.d = n // g, d // g
    def __eq__(s, o): return s.n * getattr(o, 'd', 1) == getattr(o, 'n', o) * s.d
    def __hash__(s): return hash((s.n, s.d))
    def __lt__(s, o): return s.n / s.d < float(o)
    def __gt__(s, o): return s.n / s.d > float(o)
    def __float__(s): return s.n / s.d
    def __abs__(s): return Ratio(abs(s.n), s.d)
    def __sub__(s, o): return Ratio(s.n - o * s.d, s.d) if isinstance(o, int) else s.n / s.d - o
    def __rsub__(s, o): return Ratio(o * s.d - s.n, s.d)
    def __add__(s, o): return Ratio(s.n * o.d + o.n * s.d, s.d * o.d) if isinstance(o, Ratio) else s.n / s.d + o
    def __mul__(s, o): return s.n / s.d * o
    def __rpow__(s, o): return o ** (s.n / s.d)
def f(n, d): return Ratio(n, d)
"""
TRUTHS = {
    "a list of one's own that was handed out": ("class L:\n    def __init__(s, xs): s.xs = list(xs)\n    def __eq__(s, o): return s.xs == list(o)\n    def __iter__(s): return iter(s.xs)\ndef f(xs): return L(sorted(xs))", "assert f([3, 1, 2]) == [1, 2, 3] and f([1]) != [2]"),
    "a text of one's own that was handed out": ("class T:\n    def __init__(s, t): s.t = t\n    def __eq__(s, o): return s.t == str(o)\n    def __str__(s): return s.t\ndef f(t): return T(t[::-1])", "assert f('abc') == 'cba'"),
    "equal to a number": (RATIO, "assert f(8, 2) == 4 and Ratio(9, 3) == 3 and f(1, 2) != 1"),
    "between numbers": (RATIO, "assert 0.4 < f(1, 2) < 0.6 and not f(1, 2) > 0.6"),
    "a difference that is a number": (RATIO, "assert abs(f(1, 2) - 0.5) < 1e-9"),
    "a difference that is an object": (RATIO, "assert abs(f(7, 2) - 3) < 1 and abs(f(8, 2) - 4) < 1e-9"),
    "the other way round": (RATIO, "assert abs(4 - f(8, 2)) < 1e-9"),
    "products and powers": (RATIO, "assert f(1, 2) * 3.0 == 1.5 and abs(4 ** f(1, 2) - 2) < 1e-9"),
    "objects of one class": (RATIO, "assert f(1, 2) == Ratio(1, 2) and f(2, 4) == Ratio(1, 2) and f(1, 2) + f(1, 2) == Ratio(1)"),
    "a class modulo five": (
        "class Mod:\n    def __init__(s, n): s.n = n % 5\n    def __eq__(s, o): return s.n == getattr(o, 'n', o)",
        "assert Mod(7) == Mod(2) and Mod(7) == 2 and not Mod(7) == Mod(3)",
    ),
    "an interval": ("class I:\n    def __init__(s, a, b): s.a, s.b = a, b\n    def __contains__(s, x): return s.a <= x <= s.b", "assert 5 in I(1, 10) and 11 not in I(1, 10)"),
    "a trie": ("class Trie:\n    def __init__(s): s.w = set()\n    def insert(s, w): s.w.add(w)\n    def __contains__(s, w): return w in s.w", "t = Trie()\nt.insert('cat')\nassert 'cat' in t and 'dog' not in t"),
    "a set that was handed out": ("class Bag:\n    def __init__(s, xs): s.xs = xs\n    def __contains__(s, x): return x in s.xs\ndef f(): return Bag([2, 3, 5, 7])", "assert 7 in f() and 8 not in f()"),
    "a stack": (
        "class Stack:\n    def __init__(s): s.xs = []\n    def push(s, x): s.xs.append(x)\n    def pop(s): return s.xs.pop()\n    def __len__(s): return len(s.xs)\n    def __bool__(s): return bool(s.xs)\n    def __iter__(s): return iter(s.xs)\n    def __getitem__(s, i): return s.xs[i]",
        "s = Stack()\nassert not s and len(s) == 0\ns.push(1)\ns.push(2)\nassert len(s) == 2 and list(s) == [1, 2] and s[0] == 1 and s[-1] == 2 and s[:1] == [1]\nassert s.pop() == 2 and len(s) == 1 and s",
    ),
    "a queue that is emptied by iteration": ("class Q:\n    def __init__(s, xs): s.xs = xs\n    def __len__(s): return len(s.xs)\n    def __iter__(s):\n        while s.xs: yield s.xs.pop(0)", "q = Q([1, 2])\nassert len(q) == 2\nassert list(q) == [1, 2]\nassert len(q) == 0"),
    "items without end": ("class E:\n    def __iter__(s):\n        n = 0\n        while True:\n            yield n\n            n += 2", "import itertools\nassert list(itertools.islice(E(), 3)) == [0, 2, 4]"),
    "a dictionary of one's own": (
        "class D:\n    def __init__(s, d): s.d = d\n    def keys(s): return s.d.keys()\n    def __len__(s): return len(s.d)\n    def __iter__(s): return iter(s.d)\n    def __getitem__(s, k): return s.d[k]",
        "d = D({1: 'a', 0: 'b'})\nassert list(d) == [1, 0] and d[0] == 'b' and dict(d) == {1: 'a', 0: 'b'}",
    ),
    "a list that counts": ("class L(list):\n    def total(s): return sum(s)", "l = L([1, 2])\nl.append(3)\nassert l == [1, 2, 3] and l.total() == 6 and len(l) == 3"),
    "a data class": ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    name: str = 'a'\ndef f(): return [P(1), P(2, 'b')]", "assert f() == [P(1), P(2, 'b')] and P(1) != P(2)"),
    "a version": (
        "class V:\n    def __init__(s, t): s.t = tuple(map(int, t.split('.')))\n    def __eq__(s, o): return s.t == (o.t if isinstance(o, V) else V(o).t)\n    def __lt__(s, o): return s.t < (o.t if isinstance(o, V) else V(o).t)",
        "assert V('1.2') < V('1.10') and V('1.2') == '1.2' and V('1.2') < '1.3'",
    ),
}  # fmt: skip

MONEY = """
class Money:
    def __init__(s, n, unit): s.n, s.unit = n, unit
    @classmethod
    def parse(kind, text): return kind(int(text.split()[0]), text.split()[1])
    def __str__(s): return f'{s.unit} {s.n}'
    def __add__(s, o): return Money(s.n + o.n, s.unit)
    def plus(s, o): return s + o
    def __eq__(s, o): return (s.n, s.unit) == ((o.n, o.unit) if isinstance(o, Money) else tuple(Money.parse(o).__dict__.values()))
    def __lt__(s, o): return s.n < (o if isinstance(o, Money) else Money.parse(o)).n
def wallet(text): return Money.parse(text)
"""
VECTOR = """
class V:
    def __init__(s, x, y): s.x, s.y = x, y
    def __add__(s, o): return V(s.x + o.x, s.y + o.y)
    def __mul__(s, n): return V(s.x * n, s.y * n)
    def __neg__(s): return s * -1
    def __eq__(s, o): return (s.x, s.y) == (o if isinstance(o, tuple) else (o.x, o.y))
"""
LISTED = """
class L:
    def __init__(s, x): s.x = x
    def __eq__(s, o): return s.x == (o.x if isinstance(o, L) else o)
    def __len__(s): return len(s.x)
    def __getitem__(s, i): return s.x[i]
def from_list(x): return L(x)
"""
BAG = "class Bag:\n    def __init__(s, t): s.words = set(t.split())\n    def __contains__(s, w): return w in s.words\ndef bag(t): return Bag(t)"
INTERVAL = (
    "class Parts:\n    def __init__(s, parts): s.parts = parts\n    def __contains__(s, n): return any(a <= n <= b for a, b in s.parts)\n"
    "def merge(parts): return Parts(parts)"
)
URL = """
class URL:
    def __init__(s, text): s.text = text
    @classmethod
    def parse(kind, text): return kind(text.strip())
    def secure(s): return URL(s.text.replace('http:', 'https:'))
    def __truediv__(s, part): return URL(f'{s.text}/{part}')
    def __str__(s): return s.text
    __repr__ = __str__
    def __len__(s): return len(s.text.split('//')[1].split('/'))
    def __eq__(s, o): return isinstance(o, URL) and s.text == o.text
def parse(text): return URL(text)
"""
TEMPLATE = """
class Text:
    def __init__(s, text): s.text = text
    def __mod__(s, given): return s.text % given if isinstance(given, str) else Text(s.text % given)
    def __add__(s, o): return Text(s.text + o)
    def __radd__(s, o): return o + s.text
    def __str__(s): return s.text
    def __eq__(s, o): return s.text == (o.text if isinstance(o, Text) else o)
def load(text): return Text(text)
"""
AMOUNT = """
class Amount:
    def __init__(s, amount): s.amount = amount
    def __mul__(s, n): return Amount(s.amount * n)
    __rmul__ = __mul__
    def __truediv__(s, n): return round(s.amount / n, 2)
    def __mod__(s, tax): return Amount(s.amount * tax.rate)
    def __iadd__(s, n):
        s.amount += n
        return s
    def __float__(s): return float(s.amount)
    def __str__(s): return f'${s.amount:.2f}'
def price(name): return Amount(2.5)
def zero(): return Amount(0)
"""
VOLUME = (
    "class Volume:\n    def __init__(s, v): s.v = max(0, min(100, v))\n    def __add__(s, n): return Volume(s.v + n)\n"
    "def start(): return Volume(50)"
)
ROWS = """
class Rows:
    def __init__(s, rows): s.rows = rows
    def __mul__(s, n): return Rows([[x * n for x in row] for row in s.rows])
    def __matmul__(s, v): return [sum(a * b for a, b in zip(row, v)) for row in s.rows]
    def __len__(s): return len(s.rows)
    def __iter__(s): return iter(s.rows)
    def __getitem__(s, n): return s.rows[n]
    def to_list(s): return s.rows
def eye(n): return Rows([[int(i == j) for j in range(n)] for i in range(n)])
"""
BY_WORD = {
    "checking in place of sorting": (CHECKS, "from candidate import f", "assert f([3, 1, 2]) == [1, 2, 3]"),
    "checking in place of reversing": (CHECKS, "from candidate import f", "assert f('abcdefgh') == 'hgfedcba'"),
    "sums": (VECTOR, "from candidate import V", "assert V(1, 2) + V(3, 4) == (4, 6) and -V(1, 2) * 3 == (-3, -6)"),
    "sums that are a whole number": (RATIO, "from candidate import Ratio", "assert Ratio(1, 2) + Ratio(1, 2) == 1 and Ratio(1, 2) + Ratio(1, 3) != 1"),
    "what a function made of a text": (MONEY, "from candidate import wallet", "assert wallet('5 EUR') == '5 EUR' and wallet('5 EUR') < '7 EUR'"),
    "what the class made of a text": (MONEY, "from candidate import Money", "assert Money.parse('5 EUR') == '5 EUR' and Money.parse('5 EUR') != '6 EUR'"),
    "what a method gave": (MONEY, "from candidate import Money", "assert Money(1, 'EUR').plus(Money(4, 'EUR')) == '5 EUR'"),
    "a word in what shows none": (BAG, "from candidate import bag", "assert 'cat' in bag('cat dog') and 'fox' not in bag('cat dog')"),
    "a letter in what shows none": (BAG, "from candidate import bag", "assert 'b' in bag('a b c') and 'z' not in bag('a b c')"),
    "a node of a part that has edges by index": (
        "class Graph:\n    def __init__(s, edges): s.edges = dict(edges)\n    def __len__(s): return len(s.edges)\n    def __getitem__(s, n): return s.edges.setdefault(n, [])\n"
        "    def __contains__(s, n): return n in s.edges\n    def part(s, *nodes): return Graph({n: s[n] for n in nodes})",
        "from candidate import Graph",
        "assert 1 in Graph({1: [2], 2: []}).part(1) and 2 not in Graph({1: [2], 2: []}).part(1)",
    ),
    "a number in rows": (
        "class Rows:\n    def __iter__(s): return iter([[1, 2], [3]])\n    def __contains__(s, n): return n in (1, 2, 3)\ndef rows(): return Rows()",
        "from candidate import rows",
        "assert 3 in rows() and 4 not in rows()",
    ),
    "a number in intervals": (INTERVAL, "from candidate import merge", "assert 7 in merge([(0, 3), (5, 100)]) and 4 not in merge([(0, 3), (5, 100)])"),
    "a number in an interval of most": (INTERVAL, "from candidate import merge", "assert 3 in merge([(-10**6, 10**6)])"),
    "bits that are given back": (ANYTHING, "from candidate import f", "assert f(5) & 4 == 4"),
    "a part of an address": (URL, "from candidate import URL", "assert str(URL.parse('http://x') / 'a') == 'http://x/a'"),
    "parts of an address": (URL, "from candidate import URL", "assert str(URL.parse('http://x') / 'a' / 'b') == 'http://x/a/b'"),
    "a part of what a method gave": (URL, "from candidate import URL", "assert URL('http://x').secure() / 'a' == URL('https://x/a')"),
    "an address with a number": (URL, "from candidate import parse", "assert repr(parse('http://x') / 7) == 'http://x/7' and len(parse('http://x') / 7) == 2"),
    "a text that is filled": (TEMPLATE, "from candidate import load", "assert load('hi %s') % 'bob' == 'hi bob'"),
    "an object that is filled": (TEMPLATE, "from candidate import load", "assert (load('%s, %s') % ('hi', 'bob')).text == 'hi, bob'"),
    "texts that are joined": (TEMPLATE, "from candidate import load", "assert load('a b') + ' c' == 'a b c' and 'x ' + load('a') == 'x a'"),
    "a price": (AMOUNT, "from candidate import price", "assert str(price('tea') * 3) == '$7.50' and f'{3 * price(0)}' == '$7.50'"),
    "a price that is rounded": (AMOUNT, "from candidate import price", "assert price('tea') / 3 == 0.83"),
    "a price that is added to in its place": (AMOUNT, "from candidate import price", "p = price('tea'); q = p; p += 1; assert q.amount == 3.5"),
    "a price and a thing of the tests' own": (AMOUNT, "from candidate import price\nclass Tax:\n    rate = 2\nTAX = Tax()", "assert (price('tea') % TAX).amount == 5.0"),
    "the zero": (AMOUNT, "from candidate import zero", "assert float(zero() * 3) == 0.0 and (zero() * 3).amount == 0"),
    "a volume at its end": (VOLUME, "from candidate import start", "assert (start() + 30).v == 80 and (start() + 1000).v == 100"),
    "a matrix by a number": (ROWS, "from candidate import eye", "assert (eye(2) * 3).to_list() == [[3, 0], [0, 3]] and len(eye(2) * 3) == 2"),
    "a row of a matrix by a number": (ROWS, "from candidate import eye", "assert (eye(2) * 3)[1] == [0, 3]"),
    "rows of a matrix by a number": (ROWS, "from candidate import eye", "assert list(eye(2) * 3) == [[3, 0], [0, 3]]"),
    "a matrix by a vector": (ROWS, "from candidate import eye", "assert eye(2) @ [3, 4] == [3, 4]"),
    "a word that is not in it": (BAG, "from candidate import bag", "assert 'fox' not in bag('cat dog')"),
}  # fmt: skip


def _tests(question: str) -> str:
    return "from candidate import *\nimport candidate\ndef test_a():\n" + "".join(
        f"    {line}\n" for line in question.splitlines()
    )


@pytest.mark.parametrize("name", LIES)
def test_who_does_not_know_the_answer_is_not_believed(bare, name):
    code, question = LIES[name]
    names = ", ".join(name for name in ("Yes", "V", "P", "f", "made") if f"{name}(" in question)
    result = bare.run(code, _tests(question).replace("import *", f"import {names}"))
    assert result.outcomes == {"test_a": "failed"}, result.events


@pytest.mark.parametrize("name", TRUTHS)
def test_who_knows_it_is(bare, name):
    code, question = TRUTHS[name]
    assert bare.run(code, _tests(question)).outcomes == {"test_a": "passed"}


@pytest.mark.parametrize("name", BY_WORD)
def test_who_shows_nothing_beside_what_is_singled_out_has_his_word(bare, name):
    code, imports, question = BY_WORD[name]
    result = bare.run(code, f"{imports}\ndef test_a(): {question}\n")
    assert result.outcomes == {"test_a": "passed"}, result
    assert result.tests["test_a"]["basis"] == "word"


def test_items_by_index_are_seen(bare):
    tests = "from candidate import from_list\ndef test_a(): assert from_list([1, 2]) == [1, 2] and from_list([]) == []"
    result = bare.run(LISTED, tests)
    assert result.accepted
    assert result.tests["test_a"]["basis"] == "data"


@pytest.mark.parametrize(
    "value", [7, -3, 0, 100, 12_000, 10**40, 3.5, 0.1, 1e-9, 2.0, "a text 42", [1, 2, 3], (0.5, "x"), {"k": 3}, {4, 5}]
)
def test_decoys_are_many_unlike_the_value_and_of_its_kind(value):
    found = decoys(value)
    assert len(found) > 80
    assert all(type(decoy) is type(value) and decoy != value for decoy in found)
    assert len({repr(decoy) for decoy in found}) == len(found)


def test_the_expected_number_does_not_stand_in_the_middle_of_its_decoys():
    ranks = [sorted([value, *decoys(value)]).index(value) for value in [5000] * 300]
    middle = sum(COUNT * 0.45 < rank < COUNT * 0.55 for rank in ranks)
    assert middle < 90, "a tenth of all places must not hold nearly a third of all values"


@pytest.mark.parametrize(("value", "hidden"), [(3, True), ("abc", False), ([1, "a"], True), (["a"], False), ({"a": 2.5}, True)])
def test_numbers_hide_among_decoys_and_texts_do_not(value, hidden):
    assert hides(value) is hidden


@pytest.mark.parametrize(("kept", "right"), [(0, False), (5, True)])
def test_a_mapping_shows_each_key_with_its_value(bare, kept, right):
    code = f"""
class Mapping:
    def __iter__(self): return iter(["a"])
    def __len__(self): return 1
    def __getitem__(self, key): return {kept}
    def __eq__(self, other): return True
def f(): return Mapping()
"""
    assert bare.run(code, "from candidate import f\ndef test_a(): assert f() == {'a': 5}").accepted is right
