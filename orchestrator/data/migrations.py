"""Run stores of earlier versions, brought to this one's schema: one function for each step.

Each step runs once, in one transaction with the note that it was taken, however many processes open the store at once.

Left out: the way back. A store is never read by a version that is older than its schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

_OWN_TESTS = {"tests_passed": "passed", "tests_failed": "failed", "tests_dropped": "dropped"}


def facts_of_evidence(attempt: dict[str, Any]) -> dict[str, Any]:
    """Schema 2: what decides something is a field; in schema 1 it stood in `evidence`, and a hint at the end of `feedback`."""
    evidence = dict(attempt.get("evidence") or {})
    moved: dict[str, Any] = {name: evidence.pop(name) for name in ("done", "same_as", "blamed", "extracted") if name in evidence}
    own_tests = {new: evidence.pop(old) for old, new in _OWN_TESTS.items() if old in evidence}
    if own_tests:
        moved["own_tests"] = own_tests
    if isinstance(evidence.get("score"), dict):  # of unit tests
        moved["details"] = {name: evidence.pop(name) for name in ("score", "seen") if name in evidence}
    elif "score" in evidence:
        moved["score"] = evidence.pop("score")
    feedback, _, hint = attempt.get("feedback", "").rpartition("\nHint: ")
    if feedback and "\n" not in hint and attempt.get("fault") == "candidate" and not attempt.get("hidden"):
        moved |= {"feedback": feedback, "hint": hint}
    return attempt | {"evidence": evidence} | moved


def _to_2(connection: Connection) -> None:
    _rewrite_attempts(connection, facts_of_evidence)


STEPS: dict[int, Callable[[Connection], None]] = {2: _to_2}
"""Schema -> how to come to it from the one before."""


def _rewrite_attempts(connection: Connection, rewrite: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite the record of each attempt; one that cannot be read stays as it is, and is refused when it is asked for."""
    table, key = "fumehood_attempts", 'run_id = :run_id AND task = :task AND "index" = :index'
    keys = connection.execute(text(f'SELECT run_id, task, "index" FROM {table}')).mappings().all()
    for one in map(dict, keys):
        record = connection.execute(text(f"SELECT record FROM {table} WHERE {key}"), one).scalar_one()
        try:
            changed = json.dumps(rewrite(json.loads(record)), ensure_ascii=False, separators=(",", ":"))
        except (ValueError, TypeError, AttributeError):
            continue
        connection.execute(text(f"UPDATE {table} SET record = :record WHERE {key}"), one | {"record": changed})
