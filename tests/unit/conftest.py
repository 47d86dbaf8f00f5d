"""Candidates and tests in two processes joined by a socket, without Docker: one pair of zygotes for all tests, which only fork."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apart_harness import Apart


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"bare", "heavy"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def bare() -> Iterator[Apart]:
    """Without libraries."""
    apart = Apart(heavy=False)
    yield apart
    apart.close()


@pytest.fixture(scope="session")
def heavy() -> Iterator[Apart]:
    """With NumPy, PyTorch and pytest imported."""
    apart = Apart(heavy=True)
    yield apart
    apart.close()
