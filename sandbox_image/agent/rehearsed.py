"""Tests that a zygote has pytest run before it forks, so that pytest's code is warm in each child: see `pytest_run.py`."""

from __future__ import annotations

import pytest


@pytest.fixture
def numbers() -> list[int]:
    """What a test is given."""
    return [3, 1, 2]


def test_fails() -> None:
    """Comes first: pytest forgets what failed last when the next test begins."""
    assert len("text") == 5


def test_uses_a_fixture(numbers: list[int]) -> None:
    """Passes."""
    assert sorted(numbers) == [1, 2, 3]


@pytest.mark.parametrize(("text", "length"), [("", 0), ("ab", 2)])
def test_has_parameters(text: str, length: int) -> None:
    """Passes."""
    assert len(text) == length


def test_expects_an_error() -> None:
    """Passes."""
    with pytest.raises(ValueError, match="invalid"):
        int("x")
