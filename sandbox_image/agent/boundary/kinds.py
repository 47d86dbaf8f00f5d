"""What expressions of the tests' are made of, and what becomes of it where values meet (`evidence.py`)."""

from __future__ import annotations

import enum


class Kind(enum.IntEnum):
    """What an expression is made of. Several together are the greatest of theirs."""

    NEUTRAL = 0
    """Written out, and no more than what a comparison gives: nothing, a truth, 0 or 1."""
    SMALL = 1
    """A tolerance."""
    WRITTEN = 2
    """Any other constant, a library's too."""
    OWN = 3
    """A variable of the tests', made without the candidate."""
    GIVEN = 4
    """A value of the candidate's, or what is computed from one."""
    GATHERED = 5
    """Several of its values side by side."""
    MET = 6
    """How its values differ from each other."""
    EVIDENCE = 7
    """What values of the candidate's and of the tests' own make together."""
    AGREEMENT = 8
    """Whether the candidate's values are alike: it says so of itself."""


THEIRS = (Kind.GIVEN, Kind.GATHERED, Kind.MET)
"""What consists of values that the candidate gave."""


def together(kinds: list[Kind]) -> Kind:
    """What is computed from values of these kinds."""
    kind = max(kinds, default=Kind.WRITTEN)
    return Kind.EVIDENCE if kind in THEIRS and Kind.OWN in kinds else kind


def compared(left: Kind, right: Kind, *, order: bool = False) -> Kind:
    """What a comparison says. `order` says that it asks which is greater."""
    less, more = sorted((left, right))
    if more is Kind.EVIDENCE and (less is Kind.MET or (order and less in THEIRS)):  # `abs(f(x) - want) < TOL`
        return Kind.AGREEMENT
    if more < Kind.GIVEN or Kind.EVIDENCE in (less, more):
        return Kind.EVIDENCE if more > Kind.OWN else more
    if less >= Kind.GIVEN or (more is Kind.AGREEMENT and less < Kind.OWN):
        return Kind.AGREEMENT
    neutral = less is Kind.NEUTRAL or (order and less is Kind.SMALL)
    return Kind.AGREEMENT if more is Kind.MET and neutral else Kind.EVIDENCE


def identical(left: Kind, right: Kind) -> Kind:
    """What a question for identity says: `(f(1) == f(2)) is True`."""
    less, more = sorted((left, right))
    if more < Kind.GIVEN:
        return more
    return Kind.AGREEMENT if more in (Kind.MET, Kind.AGREEMENT) and less < Kind.OWN else Kind.EVIDENCE


def chosen(kind: Kind, under: Kind) -> Kind:
    """What a value is that is taken where a condition of this kind holds: of the tests' own values, the condition says which."""
    return max(kind, under) if kind < Kind.GIVEN else kind


def filtered(kind: Kind, under: Kind) -> Kind:
    """What a list is of values that are taken where a condition of this kind holds: it says that some differ, or none."""
    return max(kind, Kind.MET) if under is Kind.AGREEMENT else chosen(kind, under)


def deciding(kind: Kind) -> Kind:
    """What a condition of this kind makes of what it decides."""
    return kind if kind > Kind.MET else Kind.NEUTRAL


def item(kind: Kind) -> Kind:
    """What the items of a value are."""
    return Kind.GIVEN if kind in THEIRS else max(kind, Kind.OWN)
