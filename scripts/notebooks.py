"""Makes the notebooks under `examples/notebooks/`: runs each from its first cell to its last, and keeps what came out.

    python scripts/notebooks.py                          all of them, on the model that the settings name
    python scripts/notebooks.py mnist --pairs 2 --out /tmp/notebooks

The model's answers are kept beside them in `answers.json`, by seed, so that they can be run again without a model.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from orchestrator.data.store import RunStore

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
ANSWERS = "answers.json"
MOST_BYTES = 200_000
"""Of the outputs of a notebook."""
PATIENCE = 3600
"""Seconds for a cell: on a CPU a model writes for minutes."""

_SETUP = """
Needs this project and Docker (`make setup`). The model is the one that the settings name: the embedded one, or that behind
`FUMEHOOD_BASE_URL`. The images are looked for in `FUMEHOOD_DATA`, then on the hub; where neither has them, images are made up
and every number says so.
"""
_SEALED = """
Each pair of trainings begins from the same weights and takes the same mini-batches, once with the model's loss and once with
the stock loss. The loss runs in a process of its own that sees neither images nor network, held-out labels never enter a sandbox,
and accuracy and cross-entropy are computed outside. An interval that holds 0 means that these pairs cannot tell the two apart.
"""
_SHOW = """
for outcome in result.outcomes:
    print(f"{outcome.verdict} after {outcome.rounds} rounds, decided by {outcome.decided_by}")
    print()
    print(outcome.code.strip())
"""
_TRAINED = """
for report in result.training:
    print(report.described())
    print("Data:", report.data)
    display(Image(filename=report.picture))
"""
_ANSWERS = """
answers = [attempt for attempt in result.attempts if attempt.kind == "candidate"]
for answer in answers:
    print(f"round {answer.round + 1}, answer {answer.sample + 1}: {answer.verdict}")
"""
_WRONG = """
right = next((answer for answer in answers if answer.verdict == "accepted"), None)
before = answers if right is None else answers[: answers.index(right)]
wrong = next((answer for answer in before if right and answer.index == right.parent), None)
wrong = wrong or next((answer for answer in before if answer.code), None)
if wrong is None:
    print("The first answer was right: another seed gives another story.")
else:
    print(wrong.code.strip())
    print("\\nWhat a correction is shown of it:\\n")
    print(wrong.feedback.strip() or "(nothing: only hidden tests fail)")
    if wrong.hint:
        print("Hint:", wrong.hint)
"""
_DIFFERENCE = """
from difflib import unified_diff

if right is None:
    print("No answer was accepted: more rounds, or a larger model, may give one.")
elif wrong is not None:
    print("\\n".join(unified_diff(wrong.code.splitlines(), right.code.splitlines(), "wrong", "right", lineterm="")))
"""


_LIMITS = "orchestrator.Limits(wall_time=300, cpu_time=60)"
"""Of each judgement: patient enough for a busy machine."""


def _end_to_end(title: str, what: str, task: str, data: str) -> list[tuple[str, str]]:
    return [
        ("markdown", f"# {title}, end to end\n\n{what}\n{_SETUP}"),
        (
            "code",
            f"from IPython.display import Image, display\n\nimport orchestrator\n\nPAIRS = 5\nresult = orchestrator.solve_loss(\n"
            f"    {task},\n    rounds=4,\n    samples=2,\n    seed=0,\n    write_tests=False,\n    limits={_LIMITS},\n"
            f'    train="{data}",\n    train_seeds=PAIRS,\n)',
        ),
        ("markdown", "## The loss"),
        ("code", f"print(result.run.model.model)\n{_SHOW}"),
        ("markdown", f"## What it trains\n{_SEALED}"),
        ("code", _TRAINED),
    ]


def _corrected(title: str, what: str, task: str, data: str) -> list[tuple[str, str]]:
    return [
        ("markdown", f"# {title}: a wrong loss and its correction\n\n{what}\n{_SETUP}"),
        (
            "code",
            f'import orchestrator\n\nPAIRS = 3\nresult = orchestrator.solve_loss(\n    "{task}",\n    rounds=4,\n    samples=2,\n'
            f"    seed=0,\n    write_tests=False,\n    limits={_LIMITS},\n)\nprint(result.run.model.model)",
        ),
        (
            "markdown",
            "## The answers\n\nVisible checks feed corrections; hidden tests decide, and nothing of them is shown to the model.",
        ),
        ("code", _ANSWERS),
        ("markdown", "## What was wrong"),
        ("code", _WRONG),
        ("markdown", "## The correction"),
        ("code", _DIFFERENCE),
        ("markdown", f"## What both train\n{_SEALED}"),
        (
            "code",
            "for answer in filter(None, (wrong, right)):\n"
            f'    report = orchestrator.train_loss("{task}", answer.code, "{data}", seeds=PAIRS)\n'
            '    print(f"The {answer.verdict} one. {report.described()}")\n    print("Data:", report.data)',
        ),
    ]


_WORDS = (
    '"cross-entropy over 10 classes of images with label smoothing 0.1, so that a network does not become "\n'
    '    "too sure of itself; the mean over the batch"'
)
NOTEBOOKS = {
    "mnist": _end_to_end(
        "MNIST",
        "A model writes cross-entropy with smoothed labels, and sandboxes judge it by the loss contract and hidden tests. What "
        "fails goes back; the accepted loss trains a small convolutional network beside the stock loss.",
        '"label_smoothing"',
        "mnist",
    ),
    "cifar10": _end_to_end(
        "CIFAR-10",
        "A loss in your own words: there are no hidden tests for it, so *accepted* means that it meets the loss contract, "
        "which is less. Read the code before you use it.",
        _WORDS,
        "cifar10",
    ),
    "wrong-loss-cats-dogs": _corrected(
        "Cats and dogs",
        "A model writes the focal loss for two classes; what is wrong with an answer is shown with its correction.",
        "focal",
        "cats-dogs",
    ),
    "wrong-loss-mnist": _corrected(
        "MNIST",
        "A model writes a loss for digits; what is wrong with an answer is shown with its correction.",
        "label_smoothing",
        "mnist",
    ),
}


def made(name: str) -> Any:
    """A notebook as it is before it has run."""
    cells = []
    for place, (kind, text) in enumerate(NOTEBOOKS[name]):
        new = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        cells.append(new(text.strip(), id=f"{name}-{place}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def run(name: str, folder: Path, pairs: int | None) -> Path:
    """Run a notebook and write it with its outputs.

    Raises:
        CellExecutionError: a cell failed.
        ValueError: its outputs are too large, or name places of this machine.
    """
    notebook = made(name)
    if pairs is not None:
        for cell in notebook.cells:
            cell.source = re.sub(r"^PAIRS = \d+$", f"PAIRS = {pairs}", cell.source, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as work:
        resources = {"metadata": {"path": work}}
        NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3", resources=resources, record_timing=False).execute()
    notebook.metadata = made(name).metadata
    check(notebook)
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def check(notebook: Any) -> None:
    """Refuse outputs that do not belong into a repository.

    Raises:
        ValueError: they are too large, or name places of this machine.
    """
    outputs = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    if len(outputs) > MOST_BYTES:
        raise ValueError(f"The outputs have {len(outputs)} bytes; at most {MOST_BYTES} are kept.")
    places = {str(Path.home()), str(FOLDER.parent.parent), tempfile.gettempdir(), sys.prefix} - {"/"}
    if named := [place for place in places if f"{place}/" in outputs]:
        raise ValueError(f"The outputs name {', '.join(named)}.")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NOTEBOOKS)}; none: all")
    parser.add_argument("--pairs", type=int, help="pairs of trainings, in place of the notebook's own number")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - NOTEBOOKS.keys():
        parser.error(f"There is no notebook {min(unknown)!r}.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.names or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as work:
            os.environ["FUMEHOOD_DB"] = f"sqlite:///{work}/runs.sqlite3"
            print(f"{run(name, chosen.out, chosen.pairs)} is written.", flush=True)
            with RunStore.open(os.environ["FUMEHOOD_DB"]) as store:
                attempts = [attempt for record in store.runs() for attempt in store.attempts(record.id)]
        kept = chosen.out / ANSWERS
        answers: dict[str, dict[str, str]] = json.loads(kept.read_text()) if kept.exists() else {}
        answers[name] = {str(attempt.sampling.seed): attempt.completion.text for attempt in attempts}
        kept.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
