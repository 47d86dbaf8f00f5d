"""The data card: what a collection holds, where it comes from, and what was left out and why.

The head is YAML as the hub reads it (JSON is YAML too, so strings are written as JSON). The card holds no date of its own
making: the same runs and options give the same card.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from orchestrator.training.preferences.answers import dataset_of
from orchestrator.training.preferences.choice import Choice, Rules
from orchestrator.training.preferences.contamination import WORDS, Contamination
from orchestrator.training.preferences.files import SPLIT
from orchestrator.training.preferences.formats import FORMATS
from orchestrator.types import RunRecord

LICENCES = {
    "humaneval": "MIT",
    "humaneval+": "Apache-2.0",
    "mbpp": "CC BY 4.0",
    "mbpp-sanitized": "CC BY 4.0",
    "mbpp+": "Apache-2.0",
}
"""Of the prompts of known benchmarks, as their publishers state them."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    choice: Choice,
    runs: Sequence[RunRecord],
    rules: Rules,
    formats: Sequence[str],
    *,
    title: str,
    version: str,
    licence: str = "other",
    reward: str = "recorded",
    together: bool = False,
    dropped_attempts: Mapping[str, int],
    contamination: Sequence[Contamination] = (),
    unchecked: Mapping[str, str] | None = None,
    decontaminated: bool = False,
) -> str:
    """The text of README.md. `unchecked` says for each benchmark that was not looked for why not."""
    present = [name for name in formats if FORMATS[name].items(choice)]
    parts = [
        _head(choice, present, title, licence),
        f"# {title}",
        "Answers of language models to programming tasks, each run and judged in a sandbox, made into preference and training"
        f" data by Fumehood {version}. Right means: accepted by tests, or by rows, that the model did not see.",
        "## Rows",
        _table(
            ("format", "rows", "columns"),
            [(name, len(FORMATS[name].items(choice)), ", ".join(FORMATS[name].rows(choice)[0])) for name in present],
        ),
        _table(("pairs", "count"), sorted(Counter(pair.kind for pair in choice.pairs).items())),
        _margins(choice),
        "Each format lies in a folder of its own, as JSON lines and as Parquet: `load_dataset(FOLDER, FORMAT)`. Line i of"
        " `provenance/pairs.jsonl` names the attempts behind row i of formats made of pairs, `examples.jsonl` those of"
        " `unpaired`, `right_examples.jsonl` those of `sft`.",
        "## Sources",
        _table(
            ("run", "tasks from", "model", "weights", "sandbox image", "seed", "temperature"),
            [_source(run) for run in runs],
        ),
        "## Licence",
        _licence(runs, licence),
        "## How it was made",
        _rules(rules, reward, together),
        "## Left out",
        _table(
            ("what", "why", "count"),
            [
                (what, why, count)
                for what, drops in (
                    ("attempt", dropped_attempts),
                    ("pair", choice.dropped_pairs),
                    ("example", choice.dropped_examples),
                )
                for why, count in sorted(drops.items(), key=lambda item: (-item[1], item[0]))
            ],
        ),
        "## Contamination",
        _contamination(contamination, unchecked or {}, decontaminated),
        "## Tasks",
        _tasks(choice),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(choice: Choice, formats: Sequence[str], title: str, licence: str) -> str:
    rows = max((len(FORMATS[name].items(choice)) for name in formats), default=0)
    lines = [
        "---",
        f"license: {json.dumps(licence)}",
        f"pretty_name: {json.dumps(title)}",
        "language: [en]",
        "task_categories: [text-generation]",
        "tags: [code, dpo, preference, execution-feedback]",
        f"size_categories: [{json.dumps(next((size for most, size in _SIZES if rows < most), 'n>1M'))}]",
    ]
    if formats:
        lines.append("configs:")
    for place, name in enumerate(formats):
        lines += [f"- config_name: {name}", *(["  default: true"] if place == 0 else [])]
        lines += ["  data_files:", f"  - split: {SPLIT}", f"    path: {name}/{SPLIT}.parquet"]
    return "\n".join([*lines, "---"])


def _margins(choice: Choice) -> str:
    known = sorted(pair.margin for pair in choice.pairs if pair.margin is not None)
    if not known:
        return ""
    return f"Margins of reward: {known[0]:.2f} to {known[-1]:.2f}, median {known[len(known) // 2]:.2f}."


def _source(run: RunRecord) -> tuple[str, ...]:
    model = run.model
    options = run.config.get("options")
    config = {**run.config, **options} if isinstance(options, dict) else run.config
    recorded = run.config.get("samples")
    return (
        run.id,
        dataset_of(run),
        model.model if model else "recorded completions" if recorded else "not recorded",
        (model.sha if model else "") or "not known",
        run.image or "not recorded",
        str(config.get("seed", "")),
        str(config.get("temperature", "")),
    )


def _licence(runs: Sequence[RunRecord], licence: str) -> str:
    names = sorted({dataset_of(run) for run in runs})
    lines = [f"- prompts of {name}: {LICENCES.get(name, 'ask whoever wrote them')}" for name in names]
    models = sorted({run.model.model for run in runs if run.model})
    lines += [f"- answers of {model}: what the licence of that model says of its output" for model in models]
    return f"Declared: `{licence}`. What it is made of:\n\n" + "\n".join(lines)


def _rules(rules: Rules, reward: str, together: bool) -> str:
    return "\n".join(
        (
            f"- pairs: {', '.join(rules.pairs)}; reward by `{reward}`, least margin of `reward` pairs {rules.min_margin:g}",
            f"- at most {rules.max_per_prompt} for a prompt and {rules.max_per_task} for a task; seed {rules.seed}",
            "- programs that differ in white space, comments or docstrings only are the same program; programs whose edit"
            f" similarity is at least {rules.near:g} count once",
            "- where rewards are measured on folds, the better side is better by more than their noise (paired, one-sided 90 %);"
            " an answer to a table is right where it betters the prior by more than that",
            "- no unscored answer, none whose tests were at fault, none that attacked its judge or was cut off as the better one",
            "- judged in the candidate's own interpreter (`together`): " + ("taken too" if together else "left out"),
            "- both sides of `correction` pairs are bare code, for the answers speak of what they correct",
        )
    )


def _contamination(found: Sequence[Contamination], unchecked: Mapping[str, str], decontaminated: bool) -> str:
    parts = [
        f"Rows (pairs and examples together) that share {WORDS} words in a row with a task or its reference, and rows whose"
        " program (of a pair: the better one) defines a function with a task's name."
    ]
    if decontaminated:
        parts.append("Rows with either were left out (`refused` above).")
    if found:
        parts.append(
            _table(
                ("benchmark", "rows", "by text", "by name", "either", "tasks found by text"),
                [(one.benchmark, one.rows, one.by_text, one.by_name, one.by_either, len(one.tasks)) for one in found],
            )
        )
    if taken := [one.benchmark for one in found if one.by_text]:
        parts.append(f"What was trained on these rows cannot be measured with: {', '.join(taken)}.")
    parts.append("\n".join(f"- not looked for: {name}. {why}" for name, why in unchecked.items()))
    return "\n\n".join(filter(None, parts))


def _tasks(choice: Choice) -> str:
    pairs = Counter("/".join(pair.group[:2]) for pair in choice.pairs)
    right = Counter("/".join(one.group[:2]) for one in choice.examples if one.label)
    wrong = Counter("/".join(one.group[:2]) for one in choice.examples if not one.label)
    names = sorted({*pairs, *right, *wrong})
    return _table(
        ("task", "pairs", "right examples", "wrong examples"), [(name, pairs[name], right[name], wrong[name]) for name in names]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "None."
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(str(cell).replace('|', '/').replace(chr(10), ' ') for cell in row)} |" for row in rows]
    return "\n".join(lines)
