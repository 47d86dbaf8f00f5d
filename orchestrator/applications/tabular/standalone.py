"""The winning code as one file that runs without Fumehood: `python best.py train.csv new.csv`.

`best.txt` in this folder is its template: reading, fitting and predicting as in the sandbox, around the candidate's code.

Left out: packages. It says which it needs.
"""

from __future__ import annotations

import json

from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.results import Outcome
from orchestrator.applications.tabular.table import MISSING, Table
from orchestrator.jobs.reports import render
from orchestrator.llm.extraction.pieces import is_main
from orchestrator.sources import parse


def standalone(job: TabularJob, table: Table, outcome: Outcome, headline: str) -> str:
    """The source of `best.py`. `headline` says in a few words what the code is worth."""
    candidate = outcome.candidate
    facts = {
        "target": table.target,
        "classes": list(table.classes),
        "columns": {name: "number" if kind.kind == "f" else "text" for name, kind in table.features.dtypes.items()},
        "names": list(job.names),
        "missing": [*MISSING, *job.missing],
        "encoding": job.encoding,
        "parameters": candidate.parameters,
        "seed": job.seed,
    }
    code = _without_main(candidate.code).strip() if candidate.form == "functions" else _quoted(candidate.code)
    return render(
        "applications/tabular/best.txt",
        target=table.target.replace("\\", "").replace('"', "'"),
        headline=headline,
        name=table.name.replace("\\", "").replace('"', "'"),
        form=candidate.form,
        code=code,
        facts=repr(json.dumps(facts)),
    )


def _without_main(code: str) -> str:
    """The code as an import executes it: what stands under `if __name__ == "__main__"` would run in our file."""
    lines = code.splitlines()
    for node in reversed(parse(code).body):
        if is_main(node):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def _quoted(code: str) -> str:
    escaped = code.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\\\n{escaped}\n"""'
