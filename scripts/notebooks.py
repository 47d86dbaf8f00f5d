"""Makes the notebooks under `examples/notebooks/`: runs each from its first cell to its last, and keeps what came out.

    python scripts/notebooks.py                          all of them, on the model that the settings name
    python scripts/notebooks.py mnist --pairs 2 --out /tmp/notebooks

Each is written when it has run through, so those that are there have really run, on the model that their outputs name.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
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


def _first(task: str, *more: str) -> str:
    """The cell that lets the model write."""
    words = textwrap.wrap(task, 100, drop_whitespace=False)
    text = "\n".join(f"    {json.dumps(part)}" for part in words)
    asked = ["TASK,", "rounds=4,", "samples=2,", "seed=0,", "write_tests=False,", f"limits={_LIMITS},", *more]
    return f"TASK = (\n{text}\n)\nresult = orchestrator.solve_loss(\n" + "\n".join(f"    {one}" for one in asked) + "\n)"


def _end_to_end(title: str, task: str, data: str) -> list[tuple[str, str]]:
    imports = "from IPython.display import Image, display\n\nimport orchestrator\n\nPAIRS = 5\n"
    return [
        ("markdown", f"# {title}, end to end\n\n{_END_TO_END}\n{_SETUP}"),
        ("code", imports + _first(task, f'train="{data}",', "train_seeds=PAIRS,")),
        ("markdown", "## The loss"),
        ("code", f"print(result.run.model.model)\n{_SHOW}"),
        ("markdown", f"## What it trains\n{_SEALED}"),
        ("code", _TRAINED),
    ]


def _corrected(title: str, task: str, data: str) -> list[tuple[str, str]]:
    return [
        ("markdown", f"# {title}: a wrong loss and its correction\n\n{_CORRECTED}\n{_SETUP}"),
        ("code", f"import orchestrator\n\nPAIRS = 3\n{_first(task)}\nprint(result.run.model.model)"),
        ("markdown", "## The answers"),
        ("code", _ANSWERS),
        ("markdown", "## What was wrong"),
        ("code", _WRONG),
        ("markdown", "## The correction"),
        ("code", _DIFFERENCE),
        ("markdown", f"## What both train\n{_SEALED}"),
        (
            "code",
            "for answer in filter(None, (wrong, right)):\n"
            f'    report = orchestrator.train_loss(TASK, answer.code, "{data}", seeds=PAIRS)\n'
            '    print(f"The {answer.verdict} one. {report.described()}")\n    print("Data:", report.data)',
        ),
    ]


_END_TO_END = """
A model writes a loss in answer to a description, sandboxes judge it, what fails goes back, and the accepted loss trains small
convolutional networks beside the stock loss. A description has no hidden tests, so *accepted* means that the loss contract is
met: read the code.
"""
_CORRECTED = """
A model writes a loss in answer to a description. What it gets wrong is found in a sandbox by the loss contract, and goes back
with what usually helps; then networks are trained with the wrong loss and with the corrected one.
"""
NOTEBOOKS = {
    "mnist": _end_to_end(
        "MNIST",
        "multi-class classification of handwritten digits: the usual cross-entropy of the logits for the target class, averaged "
        "over the batch",
        "mnist",
    ),
    "cifar10": _end_to_end(
        "CIFAR-10",
        "multi-class classification of images into 10 classes: the usual cross-entropy of the logits for the target class, "
        "averaged over the batch",
        "cifar10",
    ),
    "wrong-loss-cats-dogs": _corrected(
        "Cats and dogs",
        "binary classification of cats and dogs: binary cross-entropy with the sigmoid of the logits, written out without "
        "library losses, averaged over the batch",
        "cats-dogs",
    ),
    "wrong-loss-mnist": _corrected(
        "MNIST",
        "multi-class classification of digits: the usual cross-entropy of the logits for the target class, written out without "
        "library losses, averaged over the batch",
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


if __name__ == "__main__":
    main()
