"""The notebooks that are kept are those that the script makes, they ran without an error, and they are small."""

from __future__ import annotations

import ast
import json

import nbformat
import notebooks
import pytest

KEPT = sorted(notebooks.FOLDER.glob("*.ipynb"))


def sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_a_notebook_is_valid_and_its_cells_are_python(name):
    notebook = notebooks.made(name)
    nbformat.validate(notebook)
    for kind, source in sources(notebook):
        if kind == "code":
            ast.parse(source)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_notebook_is_what_the_script_makes_and_has_run(path):
    kept = nbformat.read(path, as_version=4)
    assert sources(kept) == sources(notebooks.made(path.stem))
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert [output for cell in code for output in cell.outputs if output.output_type == "error"] == []
    assert "pairs" in json.dumps([cell.outputs for cell in code])
    notebooks.check(kept)


@pytest.mark.parametrize(
    ("output", "message"), [("x" * notebooks.MOST_BYTES, "at most"), (f"{notebooks.FOLDER.parent.parent}/a", "name ")]
)
def test_outputs_that_do_not_belong_into_a_repository_are_refused(output, message):
    notebook = notebooks.made("mnist")
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=output)]
    with pytest.raises(ValueError, match=message):
        notebooks.check(notebook)
