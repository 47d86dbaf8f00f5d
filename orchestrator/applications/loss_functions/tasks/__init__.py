"""Loss functions to write: ten built-in tasks, and any task of the user's own.

Each built-in task is one TOML file in this folder: what a person would ask for, a reference solution, worked examples
that the description states (visible), and tests on other inputs that decide (hidden).

Left out: how code is obtained and judged (`solve.py`), and tensors. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files

from orchestrator.errors import UsageError, no_such
from orchestrator.sources import parse
from orchestrator.types import Value


class Inputs(StrEnum):
    """What a loss is called with; decides how it is checked and what it can train."""

    BINARY_LOGITS = "binary_logits"
    BINARY_PROBABILITIES = "binary_probabilities"
    BINARY_MASK = "binary_mask"
    MULTICLASS_LOGITS = "multiclass_logits"
    ORDINAL_LOGITS = "ordinal_logits"
    REGRESSION = "regression"
    POSITIVE_REGRESSION = "positive_regression"
    PAIRED_EMBEDDINGS = "paired_embeddings"
    TRIPLET = "triplet"


class LossTask(Value):
    """A loss function that somebody wants."""

    name: str
    title: str
    description: str
    """Plain language. For built-in tasks it determines the value: formula, constants, reduction, worked examples."""
    signature: str
    """For example `focal_loss(logits, targets, gamma=2.0)`."""
    inputs: Inputs
    source: str = ""
    """The publication a built-in loss comes from."""
    reference: str = ""
    """A correct solution; empty where nobody knows one. Never shown to a model."""
    visible_tests: str = ""
    """pytest source of the worked examples in the description; feeds corrections."""
    hidden_tests: str = ""
    """pytest source that decides; feeds nothing."""
    stock: str = ""
    """Expression over the tensor parameters' names that a library user would write instead; empty: that of the input kind."""
    permutation_invariant: bool = True
    """Reordering the batch leaves the loss alone."""
    lower_is_better: bool = True
    """Better predictions give a lower loss."""
    extreme_inputs: bool = True
    """Very large inputs must give a finite loss and finite gradients."""
    of: str = ""
    """Where this is a task in other words: the task's name."""
    phrasing: str = ""
    """And what these words are called."""

    @property
    def entry_point(self) -> str:
        """The function's name."""
        return _parse(self.signature).name

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters without a default: the tensors, in order."""
        return _required(_parse(self.signature))


TENSORS: dict[Inputs, tuple[str, ...]] = {
    Inputs.BINARY_LOGITS: (
        "float tensor of raw logits (before sigmoid), any shape, for example (N,) or (N, 1, H, W)",
        "float tensor of the same shape, each value 0.0 or 1.0",
    ),
    Inputs.BINARY_PROBABILITIES: (
        "float tensor of probabilities between 0 and 1 (after sigmoid; exactly 0 and 1 occur), any shape",
        "float tensor of the same shape, each value 0.0 or 1.0",
    ),
    Inputs.BINARY_MASK: (
        "float tensor of raw logits (before sigmoid), shape (N, 1, H, W)",
        "float tensor of the same shape, each value 0.0 or 1.0",
    ),
    Inputs.MULTICLASS_LOGITS: (
        "float tensor of raw logits (before softmax), shape (N, C)",
        "long tensor of class indices 0..C-1, shape (N,)",
    ),
    Inputs.ORDINAL_LOGITS: (
        "float tensor of raw logits (before sigmoid), shape (N, K-1); column k says whether the label is greater than k",
        "long tensor of ordered labels 0..K-1, shape (N,)",
    ),
    Inputs.REGRESSION: (
        "float tensor of predicted numbers, any shape, for example (N,) or (N, D)",
        "float tensor of true numbers, same shape",
    ),
    Inputs.POSITIVE_REGRESSION: (
        "float tensor of predicted numbers, all greater than 0, any shape, for example (N,) or (N, D)",
        "float tensor of true numbers, all greater than 0, same shape",
    ),
    Inputs.PAIRED_EMBEDDINGS: (
        "float tensor of embeddings, shape (N, D)",
        "float tensor of embeddings, shape (N, D); row i belongs to row i of the first, all other rows do not",
    ),
    Inputs.TRIPLET: (
        "float tensor of embeddings, shape (N, D)",
        "float tensor, shape (N, D): row i should be close to row i of the first",
        "float tensor, shape (N, D): row i should be far from row i of the first",
    ),
}
"""What each tensor parameter is, in the words that a model reads."""


@cache
def builtin_tasks() -> dict[str, LossTask]:
    """The built-in tasks by name, in a fixed order."""
    sources = sorted((item for item in files(__name__).iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)
    tasks = [
        LossTask(name=item.name.removesuffix(".toml"), **tomllib.loads(item.read_text(encoding="utf-8"))) for item in sources
    ]
    return {task.name: task for task in tasks}


def custom_task(description: str, signature: str = "loss(pred, target)", inputs: Inputs | str | None = None) -> LossTask:
    """A task from a person's own words.

    `inputs` overrides what `infer_inputs` makes of the description and the signature.

    Raises:
        UsageError: the description is empty, the signature does not parse or has the wrong number of tensors, or
            `inputs` is unknown.
    """
    description = description.strip()
    if not description:
        raise UsageError("The task has no description.", remedy="Say in a sentence what the loss should do.")
    function = _parse(signature)
    required = _required(function)
    kind = _kind(inputs) if inputs is not None else infer_inputs(description, signature)
    wanted = len(TENSORS[kind])
    if len(required) != wanted:
        raise UsageError(
            f"The signature {signature!r} has {len(required)} parameters without a default, "
            f"but {kind.value} inputs are {wanted} tensors.",
            remedy="Give every other parameter a default, or name other inputs.",
        )
    signature = _normal(function)
    digest = hashlib.sha256("\n".join((description, signature, kind)).encode()).hexdigest()[:8]
    title = description.splitlines()[0]
    return LossTask(
        name=f"custom-{digest}",
        title=title if len(title) <= 72 else title[:71].rstrip() + "…",
        description=description,
        signature=signature,
        inputs=kind,
    )


def signature_of(code: str) -> str:
    """The signature of the one function that code defines, as `custom_task` takes it.

    Raises:
        UsageError: the code does not parse, or defines no function or several.
    """
    try:
        functions = [node for node in parse(code).body if isinstance(node, ast.FunctionDef)]
    except SyntaxError as error:
        raise UsageError(
            f"The loss to start from is not Python: {error}.", remedy="Name a file with the source of a loss."
        ) from None
    if len(functions) != 1:
        raise UsageError(
            f"The loss to start from has {len(functions)} functions.",
            remedy="Say which with --signature, as in loss(pred, target).",
        )
    return _normal(functions[0])


_KEYWORDS: tuple[tuple[Inputs, str], ...] = (
    (Inputs.ORDINAL_LOGITS, r"\bordinal|\bordered (labels|classes|categories|grades)|\bcumulative logits"),
    (Inputs.PAIRED_EMBEDDINGS, r"embedding|contrastive|\binfo-?nce|\bnt-?xent|\bsimclr|\bpaired views"),
    (Inputs.BINARY_MASK, r"segment|\bmasks?\b|\bpixels?\b|\bdice\b|\bjaccard|\biou\b|\btversky|\bvessels?\b"),
    (
        Inputs.MULTICLASS_LOGITS,
        r"\bmulti-?class|\bsoftmax|\bcategorical|\bclass ind(ex|ices)|\b([3-9]|\d\d+|several|many) classes",
    ),
    (Inputs.BINARY_LOGITS, r"\bbinary|\bsigmoid|\btwo classes|\bmulti-?label|\bpositives?\b|\bfraud|\bdetect|\bspam"),
    (
        Inputs.POSITIVE_REGRESSION,
        r"\bpercentage error|\bmape\b|\brelative error|\br?msle\b|\blogarithmic error|\bpositive numbers",
    ),
    (
        Inputs.REGRESSION,
        r"\bregress|\bquantile|\bhuber|\boutliers?|\bforecast|\b(squared|absolute) error|\bresiduals?|\bl[12]\b|\bprices?\b",
    ),
    (Inputs.MULTICLASS_LOGITS, r"\bclass(es|if)|\bcross.?entropy|\blabel"),
)


def infer_inputs(description: str, signature: str) -> Inputs:
    """The input kind that a description and a signature speak of.

    Evidence in this order: three tensors are a triplet; then the first match of the keyword table, from the most to the
    least specific; then a parameter called `logits` (classes) or `prob...`; else numbers. Probabilities instead of
    logits are taken only where the first parameter's name says so.

    Raises:
        UsageError: the signature does not parse.
    """
    required = _required(_parse(signature))
    if len(required) == 3:
        return Inputs.TRIPLET
    first = required[0].lower()
    kind = next((kind for kind, pattern in _KEYWORDS if re.search(pattern, description, re.IGNORECASE)), None)
    if kind is None:
        kind = Inputs.MULTICLASS_LOGITS if "logit" in first else Inputs.BINARY_LOGITS if "prob" in first else Inputs.REGRESSION
    if kind in (Inputs.BINARY_LOGITS, Inputs.BINARY_MASK) and "prob" in first:
        return Inputs.BINARY_PROBABILITIES
    return kind


def stub(task: LossTask) -> str:
    """The head of the function that a model is asked to complete: imports, signature, and a docstring with the shapes."""
    arguments = "\n".join(f"        {name}: {text}" for name, text in zip(task.parameters, TENSORS[task.inputs], strict=True))
    return (
        f"import torch\nimport torch.nn.functional as F\n\n\ndef {task.signature}:\n"
        f'    """{task.title}\n\n    Args:\n{arguments}\n\n'
        "    Returns:\n        scalar tensor (zero dimensions) that gradients flow through\n"
        '    """\n'
    )


def _parse(signature: str) -> ast.FunctionDef:
    """The signature as a function without a body; a leading `def` and a trailing colon are forgiven."""
    text = signature.strip().removeprefix("def ").removesuffix(":").strip()
    remedy = "Write it as loss(pred, target), constants with a default."
    try:
        body = parse(f"def {text}: ...").body
    except SyntaxError:
        body = []
    # One function and nothing after it: a signature such as "f(x): pass\nimport os" is more than a signature.
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or "\n" in text or len(body[0].body) != 1:
        raise UsageError(f"The signature {signature!r} is not a Python function signature.", remedy=remedy)
    function = body[0]
    if function.args.vararg or function.args.kwarg:
        raise UsageError(f"The signature {signature!r} has open-ended parameters.", remedy=remedy)
    if any(default is None for default in function.args.kw_defaults):
        raise UsageError(f"The signature {signature!r} has a keyword-only parameter without a default.", remedy=remedy)
    if not _required(function):
        raise UsageError(f"The signature {signature!r} has no parameters for tensors.", remedy=remedy)
    return function


def _required(function: ast.FunctionDef) -> tuple[str, ...]:
    positional = [*function.args.posonlyargs, *function.args.args]
    return tuple(argument.arg for argument in positional[: len(positional) - len(function.args.defaults)])


def _normal(function: ast.FunctionDef) -> str:
    # Annotations go: they may name what the module does not import.
    for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        argument.annotation = None
    return f"{function.name}({ast.unparse(function.args)})"


def _kind(inputs: Inputs | str) -> Inputs:
    try:
        return Inputs(inputs)
    except ValueError:
        raise no_such("input kind", str(inputs), (kind.value for kind in Inputs)) from None
