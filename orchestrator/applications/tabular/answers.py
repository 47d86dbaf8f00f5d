"""The candidate in a model's answer, completed by what the prompt offered.

Small models write the features that they are asked for and leave out what they have just read, and improvements are asked for one
function alone. So an answer keeps the function that it does not have from what the prompt offered, or from what it improves, and
the imports that it uses: nothing that it wrote is changed.

Left out: anything that the prompt did not show.
"""

from __future__ import annotations

import ast

from orchestrator.llm.extraction import Extraction, extract
from orchestrator.llm.extraction.pieces import join, names_in, pieces
from orchestrator.sources import is_future

FEATURES, BUILD = "features", "build"


def functions_in(text: str, skeleton: str, offered: str) -> Extraction:
    """The module with `features`, `build`, or both.

    Args:
        text: the answer.
        skeleton: begin of the answer as the prompt ended in it: a body alone continues it.
        offered: what the prompt showed: imports and a `build`, or the module that is to be improved.
    """
    whole = extract(text)
    if not (whole.usable and _defines(whole.code)):
        continued = extract(text, entry_point=FEATURES, prompt=skeleton)
        whole = continued if continued.usable else whole
    if not whole.usable:
        return whole
    if not _defines(whole.code):
        reason = f"There is neither a function {FEATURES}(df) nor a function {BUILD}(columns)."
        return Extraction(draft=whole.code, reason=reason, problems=whole.problems)
    return whole.model_copy(update={"code": completed(whole.code, offered)})


def completed(code: str, offered: str) -> str:
    """Code with the offered functions that it lacks, and the offered imports that it or they use."""
    own = list(pieces(code))
    bound = {name for piece in own for name in piece.binds}
    functions = [piece for piece in pieces(offered) if not piece.is_import and not piece.binds <= bound]
    used = {name for piece in (*own, *functions) for name in names_in(piece.node)}
    imports = []
    for piece in pieces(offered):
        if isinstance(piece.node, ast.Import | ast.ImportFrom):
            wanted = [alias for alias in piece.node.names if (alias.asname or alias.name) in used - bound]
            if wanted:
                piece.node.names = wanted
                imports.append(ast.unparse(piece.node))
    head = "\n".join(imports)
    if any(is_future(piece.node) for piece in own):
        return join([*pieces(head), *own, *functions])
    return "\n\n\n".join(part.strip() for part in (head, code, join(functions)) if part.strip()) + "\n"


def _defines(code: str) -> bool:
    return any({FEATURES, BUILD} & piece.binds for piece in pieces(code))
