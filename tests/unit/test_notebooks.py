"""The notebooks that are kept are those that the script makes, they ran without an error, and they are small."""

from __future__ import annotations

import json

import nbformat
import notebooks
import pytest

KEPT = {name: notebooks.FOLDER / f"{name}.ipynb" for name in notebooks.NOTEBOOKS}


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_notebook_is_what_the_script_makes_and_has_run(name):
    kept = nbformat.read(KEPT[name], as_version=4)
    nbformat.validate(kept)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in notebooks.made(name).cells
    ]
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert [output for cell in code for output in cell.outputs if output.output_type == "error"] == []
    assert "pairs" in json.dumps([cell.outputs for cell in code])
    notebooks.check(kept)


def test_no_other_notebook_is_kept():
    assert {path.name for path in notebooks.FOLDER.iterdir()} == {*(path.name for path in KEPT.values()), notebooks.ANSWERS}


@pytest.mark.parametrize(
    ("output", "message"), [("x" * notebooks.MOST_BYTES, "at most"), (f"{notebooks.FOLDER.parent.parent}/a", "name ")]
)
def test_outputs_that_do_not_belong_into_a_repository_are_refused(output, message):
    notebook = notebooks.made("mnist")
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=output)]
    with pytest.raises(ValueError, match=message):
        notebooks.check(notebook)
