"""Checkers of outputs: what passes, what does not, and what they say."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from orchestrator.errors import UsageError
from orchestrator.scoring import checkers
from orchestrator.scoring.checkers import QUOTED, by_name, floats

SAME = {
    "exact": [("", ""), ("a\n", "a\n"), ("a b\n\n", "a b\n\n")],
    "token": [("1 2\n3", "1\t2 \n\n 3\n"), ("", " \n"), ("é", "é\n")],
    "lines": [("a\nb\n", "a  \nb"), ("a\n\nb", "a\n\nb\n\n\n"), ("", "\n\n")],
    "unordered_lines": [("a\nb\na", "b\na\na\n"), ("", "\n")],
    "json": [('{"a": 1, "b": [true, null]}', '{"b":[true,null],\n"a":1.0}'), ("0", "-0.0"), ('{"": 1}', '{"": 1}')],
    "float": [
        ("1.0 x", "1.0000001 x"),
        ("0", "1e-10"),
        ("100", "1e2"),
        ("inf -inf", "Infinity -INF"),
        ("1e400", "1e400"),
        (".5", "+0.5"),
    ],
}
DIFFERENT = {
    "exact": [("a\n", "a"), ("a", "a "), ("a\n", "a\r\n"), ("a", "A"), ("", "\n")],
    "token": [("1 2", "12"), ("1", "1 1"), ("1 2", "1"), ("1", "1.0"), ("", "x"), ("a", "a\0")],
    "lines": [("a\nb", "a b"), ("a\nb", "a\n\nb"), (" a", "a"), ("a", "a\nb"), ("a\nb", "a")],
    "unordered_lines": [("a\nb", "a\nb\nb"), ("a\na\nb", "a\nb"), ("a\nb", "b\nc"), ("a\n\nb", "a\nb")],
    "json": [
        ("1", "true"),
        ("true", "1"),
        ("0", "false"),
        ("null", "0"),
        ("[1, 2]", "[2, 1]"),
        ('{"a": 1}', '{"a": 1, "a": 1}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"": 1}', "{}"),
        ("{}", '{"": 1}'),
        ("1", "NaN"),
        ("1", ""),
        ("1", "1 1"),
        ("1", "\ufeff1"),
        ("[]", "[" * 100_000),
        ("[]", "[" * 300 + "]" * 300),
        ("1", "9" * 5000),
        ('"1"', "1"),
    ],
    "float": [
        ("1", "1.00001"),
        ("1", "nan"),
        ("nan", "nan"),
        ("1", "inf"),
        ("inf", "-inf"),
        ("inf", "1e999"),
        ("1e999", "inf"),
        ("1e999", "2e999"),
        ("1000", "1_000"),
        ("16", "0x10"),
        ("3", "٣"),
        ("1", "1x"),
        ("x", "1"),
        ("1 2", "1"),
        ("1", "1 2"),
    ],
}


@pytest.mark.parametrize(("name", "pair"), [(name, pair) for name, pairs in SAME.items() for pair in pairs])
def test_what_is_right_passes(name, pair):
    assert by_name(name)(*pair) == ""


@pytest.mark.parametrize(("name", "pair"), [(name, pair) for name, pairs in DIFFERENT.items() for pair in pairs])
def test_what_is_wrong_does_not_pass_and_is_told_on_one_short_line(name, pair):
    said = by_name(name)(*pair)
    assert said
    assert len(said) < 3 * QUOTED
    assert said.isprintable()


def test_the_first_difference_is_named():
    assert checkers.token("1 2 3", "1 2 4") == "word 3: expected '3', got '4'"
    assert checkers.token("1 2", "1") == "word 2: expected '2', got the end of the output"
    assert checkers.lines("a\nb", "a\nc\n") == "line 2: expected 'b', got 'c'"
    assert checkers.exact("a\nb\n", "a\nc\n") == "character 3 (line 2): expected 'a\\nb\\n', got 'a\\nc\\n'"
    assert checkers.exact("ab", "a") == "character 2 (line 1): expected 'b', got the end of the output"
    assert checkers.unordered_lines("a", "b") == "line 1: 'b' is not expected, or not that often"
    assert checkers.json_equal('{"a": [1, 2]}', '{"a": [1, 3]}') == "value['a'][1]: expected 2, got 3"
    assert checkers.json_equal("[]", "{}") == "value: expected [], got {}"


def test_a_difference_deep_in_a_long_text_is_shown_where_it_is():
    expected = "x" * 100_000 + "right" + "y" * 100_000
    said = checkers.exact(expected, expected.replace("right", "wrong"))
    assert "right" in said
    assert "wrong" in said
    assert len(said) < 3 * QUOTED


def test_nan_is_right_only_by_policy_and_only_where_it_is_expected():
    check = floats(nan="equal")
    assert check("nan 1", "NaN 1") == ""
    assert check("1", "nan")
    assert check("nan", "1")


def test_tolerances_are_of_the_expected_number_and_named():
    check = by_name("float:0.1:0")
    assert check("100", "110") == ""
    assert check("100", "111")
    assert check("0", "1e-300")
    assert by_name("float:0:0.5")("0 10", "0.5 10.5") == ""
    for name in ("fuzzy", "float:x", "float:1:2:3", "float:nan", "float:-1", "exact:1", ""):
        with pytest.raises(UsageError):
            by_name(name)


def test_expected_output_that_is_no_json_is_the_authors_error():
    with pytest.raises(UsageError, match="expected output is not JSON"):
        checkers.json_equal("{", "{}")


@pytest.mark.parametrize("name", ["token", "lines", "unordered_lines", "float", "json", "exact"])
def test_a_flood_costs_no_memory_beyond_its_own(name):
    flood = "1 \n" * 2_000_000
    tracemalloc.start()
    try:
        assert by_name(name)("1", flood)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_any_two_texts_pass_if_and_only_if_they_are_equal():
    """Against the plain definitions, on small random texts that are often nearly equal."""
    rng = random.Random(7)
    definitions = {
        "exact": lambda text: text,
        "token": str.split,
        "lines": lambda text: "\n".join(line.rstrip() for line in text.split("\n")).rstrip().split("\n"),
        "unordered_lines": lambda text: sorted("\n".join(line.rstrip() for line in text.split("\n")).rstrip().split("\n")),
    }
    for _ in range(3000):
        one = "".join(rng.choice("ab \n\t") for _ in range(rng.randrange(8)))
        two = "".join(rng.choice((char, char, char, rng.choice("ab \n\t"), "")) for char in one)
        for name, plain in definitions.items():
            assert (by_name(name)(one, two) == "") is (plain(one) == plain(two)), (name, one, two)


def test_bytes_are_compared_and_shown_in_hexadecimal():
    check = checkers.same_bytes(b"abc")
    assert check(b"abc") == ""
    assert check(b"abd") == "byte 2: expected 63, got 64"
    assert check(b"ab") == "expected 3 bytes, got 2"


def test_tables_are_compared_cell_by_cell():
    check = checkers.csv_numbers('name,value\nx,1.5\n"a,b",nan\n', relative=0.01, nan="equal")
    assert check(b'name, value\r\nx,1.501\r\n\r\n"a,b",NaN') == ""
    assert check(b'name,value\nx,1.6\n"a,b",nan') == "row 2, cell 2: expected '1.5', got '1.6'"
    assert check(b"name,value\nx\n") == "row 2: expected 2 cells, got 1"
    assert check(b"name,value\n").startswith("row 2: expected")
    assert check(b'name,value\n"' + b"x" * 200_000).startswith("no CSV")
    assert check(b"\xff") == "byte 0: not UTF-8"


def test_artefacts_are_checked_by_path_and_others_do_not_matter():
    check = checkers.artefacts({"a.json": checkers.json_file('{"x": 1}'), "b": checkers.same_bytes(b"1")})
    assert check({"a.json": b'{"x":1}', "b": b"1", "c": b""}) == {"a.json": "", "b": ""}
    assert check({"a.json": b"["}) == {"a.json": check({"a.json": b"["})["a.json"], "b": "missing"}
    assert "not JSON" in check({"a.json": b"["})["a.json"]


@pytest.mark.parametrize(
    ("expected", "got", "right"),
    [
        ("7", "7.000", True),
        ("7", "7.0001", False),
        ("1000000007", "1000000008", False),
        ("-3", "-3", True),
        ("2.5", "2.5000001", True),
        ("2.5", "2.51", False),
        ("0.0", "0", True),
        ("1.0 x", "1 x", True),
        ("1.5", "nan", False),
        ("v1.2", "v1.2000", False),
        ("YES", "yes", False),
        ("3", "", False),
        ("3", "3 3", False),
        ("007", "7", False),
        ("7", "07", False),
        ("1e-05", "0.00001", True),
        ("2e-05", "0.00005", False),
        ("1e+20", "100000000000000000000.0", True),
        ("100000", "1e5", True),
        ("0", "-0.0", True),
        ("1", "+1", True),
        ("9007199254740993", "9007199254740992.0", False),
        ("1", "1e999999999", False),
        ("inf", "Infinity", True),
        ("nan", "nan", True),
    ],
)
def test_numbers_are_compared_by_value_and_whole_ones_exactly(expected, got, right):
    assert (checkers.number(expected, got) == "") is right
    assert checkers.by_name("number") is checkers.number
