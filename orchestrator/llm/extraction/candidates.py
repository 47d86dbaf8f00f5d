"""Statements of an answer -> the candidate: what the entry point reaches, or the whole program where none is asked for.

Left out: tests (`suites`).
"""

from __future__ import annotations

import ast
import re
import sys
import typing
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from orchestrator.llm.extraction.pieces import (
    DEFINITIONS,
    FUNCTIONS,
    Piece,
    Source,
    is_docstring,
    is_empty,
    is_main,
    is_test,
    join,
    names_in,
)
from orchestrator.llm.extraction.pruning import Keeper, Pool, is_star_import, why_dropped
from orchestrator.llm.extraction.refusals import unusable
from orchestrator.llm.extraction.result import Extraction
from orchestrator.llm.extraction.stub import Stub, continue_stub
from orchestrator.sources import imports, is_future


def candidate(
    sources: list[Source], entry_point: str, stub: Stub, problems: list[str], loose: Callable[[], Source]
) -> Extraction:
    """The candidate that defines an entry point.

    Args:
        entry_point: a name, or an expression such as `Solution().total` that begins with one.
        loose: the answer read without its fences; or its indented paragraphs, where it has none.
    """
    name = root_name(entry_point)
    chosen = _choose(sources, name)
    if chosen is None:
        # Perhaps the code stands outside the fences, or the fences cut it in two.
        outside = loose()
        if _choose([outside], name) is not None:
            problems.append("took code from outside the fences")
            sources, chosen = [*sources, outside], outside
    if chosen is None:
        continued = continue_stub(sources, stub) or continue_stub([loose()], stub)
        if continued is not None:
            problems.append("put the body under the stub")
            sources, chosen = [*sources, continued], continued
    if chosen is None:
        return unusable(sources, entry_point, problems)

    definitions = _definitions(chosen, name)
    entry = definitions[-1]
    known = name in entry.binds and not _is_completed(entry, name, sources)
    wrong = _wrong_kind(entry.node, entry_point, stub) if known else ""
    if wrong:
        return Extraction(draft=entry.source, reason=wrong, problems=(*problems, *chosen.problems))
    if len(definitions) > 1:
        problems.append("kept the last of several definitions")
    problems.extend(chosen.problems)
    _say_what_was_cut(chosen, problems)
    code = _assemble(entry, name, chosen, sources, stub, problems)
    return Extraction(code=code, usable=True, problems=tuple(dict.fromkeys(problems)))


def root_name(entry_point: str) -> str:
    """The name that an entry point begins with: `Solution` of `Solution().total`."""
    match = re.match(r"\s*(\w+)", entry_point)
    return match[1] if match else entry_point


def _say_what_was_cut(chosen: Source, problems: list[str]) -> None:
    if chosen.closed is False:
        problems.append("the fence was not closed")
    if chosen.broken:
        problems.append("dropped an unfinished tail" if chosen.broken[-1].at_end else "dropped what does not parse")


# The entry point


def _choose(sources: Sequence[Source], name: str) -> Source | None:
    """The last block that defines the entry point with a body; functions go before other definitions.

    A later `loss = loss(a, b)` in a demonstration is not a definition.
    """
    for kind in _KINDS:
        for source in reversed(sources):
            if any(kind(piece.node, name) for piece in _defining(source, name)):
                return source
    return None


def _defining(source: Source, name: str) -> list[Piece]:
    """The statements that bind a name, themselves or by a function that assigns it for the module."""
    return [piece for piece in source.naming(name) if name in piece.binds | piece.effects.changes_later]


def _definitions(chosen: Source, name: str) -> list[Piece]:
    """What defines the entry point in its block, by the first kind that does."""
    for kind in _KINDS:
        found = [piece for piece in _defining(chosen, name) if kind(piece.node, name)]
        if found:
            return found
    raise AssertionError(f"the chosen block does not define {name}")


def _is_definition(node: ast.stmt, name: str) -> bool:
    return isinstance(node, DEFINITIONS) and not is_empty(node)


def _is_value(node: ast.stmt, name: str) -> bool:
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or isinstance(node.value, ast.Constant):
        return False
    return not _calls(node, name)


def _calls(node: ast.stmt, name: str) -> bool:
    return any(isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id == name for item in ast.walk(node))


_COMPOUND = ast.If | ast.Try | ast.TryStar | ast.With | ast.For | ast.While | ast.Match


def _is_branch(node: ast.stmt, name: str) -> bool:
    """A definition inside `if`, `try`, `with`, or another statement that holds statements."""
    if not isinstance(node, _COMPOUND) or is_main(node):
        return False
    return any(isinstance(item, DEFINITIONS) and item.name == name and not is_empty(item) for item in ast.walk(node))


def _is_bound(node: ast.stmt, name: str) -> bool:
    """A value bound inside such a statement, or by `:=`, where it may be a function."""
    if not isinstance(node, _COMPOUND | ast.Expr) or is_main(node) or _calls(node, name):
        return False
    return any(isinstance(item, ast.Lambda) for item in ast.walk(node))


def _is_global(node: ast.stmt, name: str) -> bool:
    """A function that defines the entry point when it is called: `global total`, and a definition or value of it."""
    if not isinstance(node, FUNCTIONS) or node.name == name:
        return False
    items = list(ast.walk(node))
    if not any(isinstance(item, ast.Global) and name in item.names for item in items):
        return False
    defines = any(isinstance(item, DEFINITIONS) and item.name == name and not is_empty(item) for item in items)
    return defines or any(_is_value(item, name) and name in names_in(item) for item in items if isinstance(item, ast.stmt))


def _is_from_library(node: ast.stmt, name: str) -> bool:
    """`from math import gcd` defines `gcd`; what is imported from elsewhere is no answer."""
    if not isinstance(node, ast.ImportFrom):
        return False
    taken = [one for one in imports(node) if one.binds == name and not one.level]
    return any(one.module.partition(".")[0] in sys.stdlib_module_names for one in taken)


_KINDS: tuple[Callable[[ast.stmt, str], bool], ...] = (
    _is_definition,
    _is_branch,
    _is_value,
    _is_bound,
    _is_from_library,
    _is_global,
)


def _is_completed(entry: Piece, name: str, sources: Sequence[Source]) -> bool:
    """Does another statement change the class that is the entry point? It may get its method there."""
    pieces = [piece for source in sources for piece in source.pieces]
    return isinstance(entry.node, ast.ClassDef) and any(name in piece.effects.changes for piece in pieces)


def _names_bound_in(node: ast.ClassDef) -> set[str]:
    """Methods, and other names for a function: `f = lambda self: 4`."""
    items = list(ast.walk(node))
    return {item.name for item in items if isinstance(item, FUNCTIONS)} | {
        item.id for item in items if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)
    }


def _wrong_kind(node: ast.stmt, entry_point: str, stub: Stub) -> str:
    """Why this is not what was asked for: only a stub, or a method in the entry point, can say so."""
    name, _, method = entry_point.partition("().") if "()." in entry_point else entry_point.partition(".")
    if method and isinstance(node, ast.ClassDef):
        if not node.bases and method not in _names_bound_in(node):
            return f"The answer defines the class `{name}` without a method `{method}`."
        return ""
    asked = stub.function
    if asked is None:
        return ""
    if isinstance(node, ast.ClassDef):
        what = "an nn.Module" if any("Module" in part for base in node.bases for part in names_in(base)) else "a class"
        return f"The answer defines `{entry_point}` as {what}, where a function is asked for."
    if isinstance(node, ast.AsyncFunctionDef) and isinstance(asked, ast.FunctionDef):
        return f"The answer defines `{entry_point}` as a coroutine (`async def`), where a plain function is asked for."
    if isinstance(node, FUNCTIONS) and not _fits(node.args, asked.args):
        given, wanted = ", ".join(_positional(node.args)), ", ".join(_positional(asked.args))
        return f"The answer defines `{entry_point}({given})`, where `{entry_point}({wanted})` is asked for."
    return ""


def _positional(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]


def _fits(given: ast.arguments, asked: ast.arguments) -> bool:
    """Can the function be called as the one that is asked for?"""
    names, wanted = _positional(given), _positional(asked)
    needed = len(names) - len(given.defaults)
    lacks = any(default is None for default in given.kw_defaults)
    return (
        needed <= len(wanted) and (len(names) >= len(wanted) or given.vararg is not None) and not (lacks and not asked.kwonlyargs)
    )


# The program around it


def _assemble(entry: Piece, name: str, chosen: Source, sources: Sequence[Source], stub: Stub, problems: list[str]) -> str:
    """The entry point and everything it reaches, from its own block first, then from the other blocks, then from the prompt."""
    own = [piece for piece in chosen.pieces if piece is entry or not _is_other_definition(piece, name, entry)]
    keeper = Keeper(_pools(chosen, own, sources, stub), frozenset([name]), _is_test_of(name), problems)
    keeper.keep(entry)
    if name not in entry.binds:
        keeper.want(name)
    given = {piece.source for piece in stub.pieces if piece.is_import}
    after = False
    for piece in own:
        if is_star_import(piece.node) or piece.source in given or (after and _wraps(piece, name)):
            keeper.keep(piece)
        after = after or piece is entry
    # Whoever calls the entry point may count on the other functions that the prompt defines.
    for piece in stub.pieces:
        if isinstance(piece.node, ast.FunctionDef | ast.ClassDef):
            for other in piece.binds - {name}:
                keeper.want(other)
    keeper.prepare()
    for piece in chosen.pieces:
        if piece not in keeper and not is_docstring(piece.node):
            problems.append(why_dropped(piece, name, is_test))
    return _written(keeper, chosen)


def _is_test_of(name: str) -> Callable[[Piece], bool]:
    """Named as a test, and calling the entry point; one that does not may be a part of the program."""
    return lambda piece: is_test(piece.node) and name in piece.effects.calls_later


def _is_other_definition(piece: Piece, name: str, entry: Piece) -> bool:
    """Another function of the same name, a stub or an import among them; a value that wraps the function does not count."""
    if name not in piece.binds or piece is entry:
        return False
    return (isinstance(piece.node, DEFINITIONS) and is_empty(piece.node)) or piece.is_import


def _wraps(piece: Piece, name: str) -> bool:
    """`total = lru_cache(total)` after the definition: it binds the name to something made of the function, uncalled."""
    return name in piece.binds and _is_value(piece.node, name) and name in piece.effects.reads


def _pools(chosen: Source, own: Sequence[Piece], sources: Sequence[Source], stub: Stub) -> list[Pool]:
    """The chosen block, the others (the later a block, the more it is to be believed), and the prompt, which was there first."""
    blocks = {
        id(source): Pool(source.pieces, number, "merged definitions of another block") for number, source in enumerate(sources)
    }
    blocks[id(chosen)] = Pool(own, sources.index(chosen))
    others = [blocks[id(source)] for source in reversed(sources) if source is not chosen]
    return [blocks[id(chosen)], *others, Pool(stub.pieces, -1, "took definitions from the prompt")]


def _written(keeper: Keeper, chosen: Source) -> str:
    """The kept statements as a module; the text as it stood, comments included, where nothing was dropped or added."""
    kept = keeper.kept()
    if chosen.whole and kept and {id(piece) for piece in kept} | _docstrings(chosen) == {id(piece) for piece in chosen.pieces}:
        code = chosen.text.strip() + "\n"
    else:
        code = join(kept)
    return _with_typing(code, kept, keeper.missing())


def _docstrings(source: Source) -> set[int]:
    return {id(piece) for piece in source.pieces if is_docstring(piece.node)}


def _with_typing(code: str, kept: Sequence[Piece], missing: set[str]) -> str:
    """Names such as `List` in annotations, which the sites that models learn from provide, and which decide nothing."""
    names = missing & set(typing.__all__)
    if not names:
        return code
    annotated = {name for piece in kept for note in _annotations(piece.node) for name in names_in(note)}
    other = {
        item.id
        for piece in kept
        for item in _outside_annotations(piece.node)
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)
    }
    wanted = sorted((names & annotated) - other)
    return f"from typing import {', '.join(wanted)}\n\n{code}" if wanted and not _has_future(kept) else code


def _has_future(kept: Sequence[Piece]) -> bool:
    return any(is_future(piece.node) for piece in kept)


def _annotations(node: ast.AST) -> list[ast.expr]:
    found: list[ast.expr | None] = []
    for item in ast.walk(node):
        if isinstance(item, FUNCTIONS):
            found.append(item.returns)
        elif isinstance(item, ast.arg | ast.AnnAssign):
            found.append(item.annotation)
    return [annotation for annotation in found if annotation is not None]


def _outside_annotations(node: ast.AST) -> list[ast.AST]:
    skipped = {id(annotation) for annotation in _annotations(node)}
    found: list[ast.AST] = []
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if id(item) not in skipped:
            found.append(item)
            waiting += ast.iter_child_nodes(item)
    return found


# Without an entry point


def whole_program(sources: list[Source], problems: list[str], loose: Callable[[], Source]) -> Extraction:
    """No entry point is asked for: the last block that defines something, with what the others define.

    A program that reads its input, or is run, is kept as it is: only assertions and tests go.
    """
    _drop_handing_over(sources)
    chosen = _last_program(sources)
    if chosen is None and (chosen := _last_program([loose()])) is not None:
        problems.append("took code from outside the fences")
        sources = [*sources, chosen]
    if chosen is None:
        # Nothing but functions with the names of tests: one that returns a value is none.
        chosen = next((source for source in reversed(sources) if any(_gives_value(piece.node) for piece in source.pieces)), None)
    if chosen is None:
        return unusable(sources, None, problems)
    problems.extend(chosen.problems)
    _say_what_was_cut(chosen, problems)
    parts = [chosen, *_main_parts(chosen, sources)]
    others = [source for source in sources if source not in parts]
    keeper = Keeper(
        [
            *(Pool(source.pieces, sources.index(source)) for source in parts),
            *(Pool(source.pieces, sources.index(source), "merged definitions of another block") for source in reversed(others)),
        ],
        problems=problems,
    )
    for piece in (piece for source in parts for piece in source.pieces):
        if not isinstance(piece.node, ast.Assert) and (not is_test(piece.node) or _gives_value(piece.node)):
            keeper.keep(piece)
    if chosen in _whole(sources):  # what stands before a whole program are drafts of it
        others = [source for source in others if sources.index(source) > sources.index(chosen)]
    _merge_definitions(keeper, others)
    keeper.prepare()
    if any(piece not in keeper for piece in chosen.pieces):
        problems.append("dropped tests")
    return Extraction(code=_written(keeper, chosen), usable=True, problems=tuple(dict.fromkeys(problems)))


def _drop_handing_over(sources: Sequence[Source]) -> None:
    """Drop `final_answer(total)`, by which an agent of smolagents hands over what it made: no program has that function."""
    if any("final_answer" in _bound(source) for source in sources):
        return
    for source in sources:
        kept = [
            piece for piece in source.pieces if not (isinstance(piece.node, ast.Expr) and "final_answer" in piece.effects.calls)
        ]
        if kept and len(kept) < len(source.pieces):
            source.pieces, source.whole = kept, False
            source.problems.append("dropped the handing over of the answer")


def _gives_value(node: ast.stmt) -> bool:
    """A function that asserts nothing and returns something, which no test does."""
    items = list(ast.walk(node)) if isinstance(node, FUNCTIONS) else []
    returns = any(isinstance(item, ast.Return) and item.value is not None for item in items)
    return returns and not any(isinstance(item, ast.Assert) for item in items)


def _merge_definitions(keeper: Keeper, others: Sequence[Source]) -> None:
    """Nobody says which function will be called, so those that only an earlier block defines belong to the program too."""
    bound = {name for piece in keeper.kept() for name in piece.binds}
    for source in reversed(others):
        for piece in source.pieces:
            if isinstance(piece.node, DEFINITIONS) and not is_empty(piece.node) and not is_test(piece.node):
                for name in piece.binds - bound:
                    keeper.want(name)
        bound |= {name for piece in source.pieces for name in piece.binds}


def _last_program(sources: Sequence[Source]) -> Source | None:
    """The last block that defines something or is a whole program; else the last that reads its input, or does anything.

    Definitions that no block makes a program of, behind a whole program that has none of them, are a remark on it.
    """
    whole = next(reversed(_whole(sources)), None)
    defining = next((source for source in reversed(sources) if any(map(_defines, source.pieces))), None)
    if defining is None or whole is None:
        good = (_reads_input, _does_something)
        others = (source for act in good for source in reversed(sources) if any(map(act, source.pieces)))
        return whole or defining or next(others, None)
    if sources.index(whole) >= sources.index(defining):
        return whole
    remark = not (_runs(defining) or _main_parts(defining, sources) or _bound(defining) & _bound(whole))
    return whole if remark else defining


def _whole(sources: Sequence[Source]) -> list[Source]:
    """The blocks that read their input and write something, with nothing of the blocks before them."""
    found: list[Source] = []
    before: set[str] = set()
    for source in sources:
        bound = _bound(source)
        if _runs(source) and any(map(_writes, source.pieces)):
            needed = {name for piece in source.pieces for name in piece.effects.uses} - bound
            if needed.isdisjoint(before):
                found.append(source)
        before |= bound
    return found


def _writes(piece: Piece) -> bool:
    return "print" in piece.effects.calls | piece.effects.calls_later or any(
        isinstance(item, ast.Attribute) and item.attr == "stdout" for item in ast.walk(piece.node)
    )


def _defines(piece: Piece) -> bool:
    """A function or a class, in a branch too, or a name for a lambda."""
    node = piece.node
    if isinstance(node, DEFINITIONS):
        return not is_empty(node) and not is_test(node)
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Lambda)
    return any(_is_branch(node, name) for name in piece.binds)


def _bound(source: Source) -> set[str]:
    return {name for piece in source.pieces for name in piece.binds}


def _reads_input(piece: Piece) -> bool:
    calls = piece.effects.calls | piece.effects.calls_later
    return "input" in calls or any(map(_is_input, ast.walk(piece.node)))


def _is_input(node: ast.AST) -> bool:
    """`sys.stdin`, `fileinput`, or the descriptor 0 that is opened or read."""
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        return node.args[0].value in (0, "/dev/stdin") and names_in(node.func)[:1] in (["open"], ["read"], ["fdopen"])
    return (isinstance(node, ast.Attribute) and node.attr == "stdin") or (isinstance(node, ast.Name) and node.id == "fileinput")


def _runs(source: Source, given: Collection[str] = ()) -> bool:
    """Is input read when the block is executed, by its statements or by functions that these use?

    Args:
        given: names of other functions that read it.
    """
    readers = _readers(source, given)
    return any(id(piece) in readers and not _only_defines(piece) for piece in source.pieces)


def _readers(source: Source, given: Collection[str] = ()) -> dict[int, Piece]:
    """The statements of a block that read input, themselves or by what they use."""
    users: dict[str, list[Piece]] = defaultdict(list)
    for piece in source.pieces:
        for name in piece.effects.uses:
            users[name].append(piece)
    waiting = [piece for piece in source.pieces if _reads_input(piece)] + [piece for name in given for piece in users[name]]
    found: dict[int, Piece] = {}
    while waiting:
        piece = waiting.pop()
        if id(piece) not in found:
            found[id(piece)] = piece
            waiting += [user for name in piece.binds for user in users[name]]
    return found


def _only_defines(piece: Piece) -> bool:
    """A function, a class, or a name for a lambda: what it holds is executed when it is called."""
    node = piece.node
    return isinstance(node, DEFINITIONS) or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda))


def _does_something(piece: Piece) -> bool:
    node = piece.node
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    return not piece.is_import and not isinstance(node, ast.Pass | ast.Assert) and not is_test(node)


def _main_parts(chosen: Source, sources: Sequence[Source]) -> list[Source]:
    """Later blocks that make the chosen one a program: the last that reads input by what stands before it, where that does not.

    Where the chosen block reads and says nothing, it is the last that writes what became of it.
    """
    place = sources.index(chosen)
    before = sources[: place + 1]
    reads = _runs(chosen)
    if reads and any(map(_writes, chosen.pieces)):
        return []
    bound = {name for source in before for name in _bound(source)}
    readers = {name for source in before for piece in _readers(source).values() for name in piece.binds}
    found: list[Source] = []
    for source in sources[place + 1 :]:
        uses = any(piece.effects.uses & bound for piece in source.pieces)
        if uses and (any(map(_writes, source.pieces)) if reads else _runs(source, readers)):
            found = [source]
        bound |= _bound(source)
        readers |= {name for piece in _readers(source, readers).values() for name in piece.binds}
    return found
