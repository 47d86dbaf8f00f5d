"""Preference and training data out of recorded attempts. Pure: attempts in, pairs and examples out.

    answers, dropped = answers_of(run, attempts)
    chosen = choose(answers, Rules(seed=1))
    chosen.pairs, chosen.examples, chosen.dropped

`formats` makes rows for trainers of them, `card` says where they come from, `files` writes both whole or not at all, and
`contamination` looks for benchmarks in them.

Left out: reading the run store and rewarding attempts; `training.collect` does, and `fumehood collect` calls it.
"""

from orchestrator.training.preferences.answers import Answer, answers_of
from orchestrator.training.preferences.choice import Choice, Example, Pair, PairKind, Rules, choose
from orchestrator.training.preferences.contamination import Contamination, Reference, check
from orchestrator.training.preferences.formats import FORMATS

__all__ = [
    "FORMATS",
    "Answer",
    "Choice",
    "Contamination",
    "Example",
    "Pair",
    "PairKind",
    "Reference",
    "Rules",
    "answers_of",
    "check",
    "choose",
]
