"""The loss contract as pytest: what every loss function must do, whatever it computes.

Runs inside the sandbox as text, apart from the candidate; `CONFIG` says which function to call and with what.
A failure is one line for a model to read: what was called, what was expected, what came back.

Left out: whether the value is the right one. Worked examples and hidden tests say that.
"""

from typing import Any, NoReturn

import candidate  # type: ignore[import-not-found,unused-ignore]
import pytest
import torch  # type: ignore[import-not-found,unused-ignore]

CONFIG: dict[str, Any] = {}
NAME: str = CONFIG["entry_point"]
KIND: str = CONFIG["inputs"]
NAMES: list[str] = CONFIG["parameters"]
SIGNATURE: str = CONFIG["signature"]

SHAPES = {
    "binary_logits": ((12,), (2, 1, 4, 6)),
    "binary_probabilities": ((12,), (2, 1, 4, 6)),
    "binary_mask": ((3, 1, 6, 6), (2, 1, 4, 7)),
    "multiclass_logits": ((8, 4), (5, 2), (3, 7)),
    "ordinal_logits": ((8, 4), (5, 1), (3, 6)),
    "regression": ((12,), (5, 3)),
    "positive_regression": ((12,), (5, 3)),
    "paired_embeddings": ((6, 8), (3, 5)),
    "triplet": ((8, 6), (3, 5)),
}[KIND]
"""Shapes of the first tensor; the first one is used wherever a single shape is enough."""

DIFFERENTIABLE = {"paired_embeddings": 2, "triplet": 3}.get(KIND, 1)
"""How many of the tensors, from the left, a network produces."""


def batch(shape: tuple[int, ...], wrong: float = 0.6, seed: int = 0, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Tensors as the task describes them; `wrong` goes from 0 (good predictions) to 1 (as bad as can be)."""
    rng = torch.Generator().manual_seed(seed)

    def normal() -> torch.Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=rng, dtype=torch.float64)

    right = 1 - 2 * wrong
    if KIND in ("binary_logits", "binary_probabilities", "binary_mask"):
        target = (uniform(0, 1) < 0.4).double()
        target.view(-1)[0] = 1.0
        pred = 3 * right * (2 * target - 1) * uniform(0.6, 1) + 0.1 * normal()
        tensors = [torch.sigmoid(pred) if KIND == "binary_probabilities" else pred, target]
    elif KIND == "multiclass_logits":
        target = torch.randint(shape[1], shape[:1], generator=rng)
        tensors = [2 * right * torch.eye(shape[1], dtype=torch.float64)[target] + 0.1 * normal(), target]
    elif KIND == "ordinal_logits":
        target = torch.randint(shape[1] + 1, shape[:1], generator=rng)
        far = torch.where(target * 2 > shape[1], 0, shape[1])
        grade = target + wrong * (far - target)
        tensors = [2 * (grade[:, None] - torch.arange(shape[1]) - 0.5) + 0.1 * normal(), target]
    elif KIND in ("regression", "positive_regression"):
        away = wrong * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) + 0.01 * normal()
        target = normal() if KIND == "regression" else uniform(0.5, 3)
        tensors = [target + 4 * away if KIND == "regression" else target * torch.exp(1.5 * away), target]
    elif KIND == "paired_embeddings":
        first = normal()
        tensors = [first, right * first + 0.3 * normal()]
    else:
        anchor = normal()
        tensors = [anchor, anchor + (0.1 + 2 * wrong) * normal(), anchor + (2.1 - 2 * wrong) * normal()]
    return [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]


def extreme(wrong: bool) -> list[torch.Tensor]:
    """The first shape with values so large that exp overflows; right or wrong everywhere."""
    tensors = batch(SHAPES[0], wrong=1.0 if wrong else 0.0)
    if KIND == "binary_probabilities":
        tensors[0] = tensors[0].round()
    elif KIND in ("regression", "positive_regression"):
        tensors[0] = tensors[0] * 1e4
    elif KIND in ("paired_embeddings", "triplet"):
        tensors = [tensor * 1e3 for tensor in tensors]
    else:
        tensors[0] = tensors[0].sign() * 1e4
    return tensors


def shown(tensors: list[torch.Tensor]) -> str:
    """The call in words."""
    shapes = ", ".join(f"{name} of shape {tuple(tensor.shape)}" for name, tensor in zip(NAMES, tensors, strict=True))
    return f"{NAME}({', '.join(NAMES)}) with {shapes}"


def fail(message: str) -> NoReturn:
    """End the test with one line instead of a traceback of this file."""
    pytest.fail(message, pytrace=False)


def call(tensors: list[torch.Tensor], note: str = "") -> torch.Tensor:
    """The candidate's value, or a failure if it is not a scalar tensor."""
    function = getattr(candidate, NAME, None)
    if function is None or not callable(function):
        fail(f"The module has no function {NAME}; expected: def {SIGNATURE}")
    with_note = f"while calling {shown(tensors)}{note}"
    try:
        value = function(*tensors)
    except Exception as error:
        error.add_note(with_note)
        raise
    if not isinstance(value, torch.Tensor):
        fail(f"{shown(tensors)} returned {type(value).__name__}; expected a scalar torch tensor (no .item(), no float())")
    if value.dim() != 0:
        fail(
            f"{shown(tensors)}{note} returned a tensor of shape {tuple(value.shape)}; "
            "expected a scalar (zero dimensions): reduce it, for example with .mean()"
        )
    return value


def gradients(tensors: list[torch.Tensor], note: str = "") -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Value and gradients for the tensors that a network produces (zeros where none arrives)."""
    leaves = [tensor.clone().requires_grad_(i < DIFFERENTIABLE) for i, tensor in enumerate(tensors)]
    value = call(leaves, note)
    if not value.requires_grad:
        fail(
            f"{shown(tensors)} returned a tensor without gradient although {NAMES[0]} requires one; expected it to be computed "
            f"from {NAMES[0]} by torch operations (no .item(), .detach(), .data, .numpy(), torch.tensor(...), comparisons alone)"
        )
    value.backward()  # type: ignore[no-untyped-call,unused-ignore]
    return value, [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves[:DIFFERENTIABLE]]


def close(first: float, second: float) -> bool:
    """Equal up to rounding in float32."""
    return abs(first - second) <= 1e-4 * max(1.0, abs(first), abs(second))


def test_contract_scalar() -> None:
    """A scalar comes back."""
    call(batch(SHAPES[0]))


def test_contract_finite() -> None:
    """Ordinary predictions, good and bad, cost a finite amount."""
    for wrong in (0.0, 0.5, 1.0):
        tensors = batch(SHAPES[0], wrong)
        value = call(tensors)
        if not torch.isfinite(value):
            fail(f"{shown(tensors)} and ordinary values returned {value.item()}; expected a finite number")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_contract_dtype(dtype: torch.dtype) -> None:
    """The value has the dtype of the inputs."""
    tensors = batch(SHAPES[0], dtype=dtype)
    value = call(tensors, f" in {dtype}")
    if value.dtype != dtype:
        fail(f"{NAME} with {NAMES[0]} of {dtype} returned {value.dtype}; expected {dtype} (no .float())")


def test_contract_device() -> None:
    """The value lies where the inputs lie."""
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        tensors = [tensor.to(device) for tensor in batch(SHAPES[0])]
        value = call(tensors, f" on {device}")
        if value.device != tensors[0].device:
            fail(f"{NAME} with {NAMES[0]} on {tensors[0].device} returned a value on {value.device}; expected the same device")


def test_contract_differentiable() -> None:
    """A finite gradient reaches the predictions."""
    for wrong in (0.0, 0.6, 1.0):
        tensors = batch(SHAPES[0], wrong)
        for name, gradient in zip(NAMES, gradients(tensors)[1], strict=False):
            if not torch.isfinite(gradient).all():
                fail(f"The gradient of {shown(tensors)} for {name} is inf or nan at ordinary values; expected finite numbers")


def test_contract_gradient_not_zero() -> None:
    """Bad predictions have a gradient that is not zero."""
    tensors = batch(SHAPES[0], wrong=0.6)
    if not any(gradient.abs().sum() > 0 for gradient in gradients(tensors)[1]):
        fail(
            f"The gradient of {shown(tensors)} is zero everywhere although the predictions are bad; "
            f"expected the loss to depend on {NAMES[0]} smoothly (no rounding, argmax or thresholds)"
        )


def test_contract_better_predictions() -> None:
    """The loss falls as predictions get better."""
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    costs = [sum(call(batch(SHAPES[0], wrong, seed)).item() for seed in range(4)) / 4 for wrong in levels]
    rising = costs if CONFIG["lower_is_better"] else costs[::-1]
    slack = 1e-6 * max(1.0, *(abs(cost) for cost in costs))
    if not (rising[0] + slack < rising[-1] and rising[0] <= min(costs) + slack and rising[-1] >= max(costs) - slack):
        given = ", ".join(f"{cost:.4g}" for cost in costs)
        wanted, other = ("rise", "fall") if CONFIG["lower_is_better"] else ("fall", "rise")
        falling = rising == sorted(rising, reverse=True) and rising[0] > rising[-1]
        sign = f"; they {other} throughout, so the sign is the wrong way round" if falling else ""
        fail(
            f"{NAME} gave [{given}] for predictions from very good to very bad; "
            f"expected them to {wanted} from left to right{sign}"
        )


def test_contract_every_class() -> None:
    """Bad predictions for the rows of one class alone cost more, and so do those that name another class."""
    if KIND not in ("binary_logits", "binary_probabilities", "binary_mask", "multiclass_logits", "ordinal_logits"):
        return
    shape = (4 * SHAPES[0][0], *SHAPES[0][1:])
    (good, target), (bad, _) = batch(shape, 0.0), batch(shape, 1.0)
    others = {"bad ones": bad} | ({"those of another class": good.roll(1, 1)} if KIND == "multiclass_logits" else {})
    best = call([good, target]).item()
    for label in target.unique():
        its = target == label
        for words, other in others.items():
            worse = call([torch.where(its if its.shape == good.shape else its[:, None], other, good), target]).item()
            if not (worse > best if CONFIG["lower_is_better"] else worse < best):
                fail(
                    f"{NAME} gave {best:.4g} for good predictions, and {worse:.4g} with {words} for the target {label.item():g}; "
                    "expected a worse value: it must say how well the right class is told from the others, for every class"
                )


def test_contract_permutation() -> None:
    """The order of the batch does not matter."""
    if not CONFIG["permutation_invariant"]:
        return
    for shape in SHAPES:
        tensors = batch(shape)
        order = torch.randperm(shape[0], generator=torch.Generator().manual_seed(1))
        value, other = call(tensors).item(), call([tensor[order] for tensor in tensors]).item()
        if not close(value, other):
            fail(f"{shown(tensors)} gave {value:.6g}, and {other:.6g} after reordering the batch alike in all; expected the same")


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_contract_extreme_inputs(wrong: bool) -> None:
    """Very large inputs give a finite value and finite gradients."""
    if not CONFIG["extreme_inputs"]:
        return
    tensors = extreme(wrong)
    low, high = tensors[0].min().item(), tensors[0].max().item()
    note = f" and {NAMES[0]} between {low:.4g} and {high:.4g}"
    value, grads = gradients(tensors, note)
    hint = "use a numerically stable form (logsigmoid, log_softmax, logsumexp, ..._with_logits, clamp) instead of log or exp"
    if not torch.isfinite(value):
        fail(f"{shown(tensors)}{note} returned {value.item()}; expected a finite number: {hint}")
    if not all(torch.isfinite(gradient).all() for gradient in grads):
        fail(f"The gradient of {shown(tensors)}{note} is inf or nan; expected finite numbers: {hint}")


def test_contract_inputs_unchanged() -> None:
    """The caller's tensors are left alone."""
    tensors = batch(SHAPES[0])
    before = [tensor.clone() for tensor in tensors]
    call(tensors)
    for name, tensor, copy in zip(NAMES, tensors, before, strict=True):
        if tensor.shape != copy.shape or not torch.equal(tensor, copy):
            fail(
                f"{NAME} changed its argument {name} in place; expected it unchanged: no in-place operations (those ending in _)"
            )


def test_contract_deterministic() -> None:
    """The same inputs give the same value."""
    tensors = batch(SHAPES[0])
    values = [call(tensors).item() for _ in range(3)]
    if not all(close(values[0], value) for value in values):
        fail(f"{shown(tensors)} gave {values} for the same inputs; expected the same value each time")


def test_contract_batch_of_one() -> None:
    """A batch may hold a single sample, whose classes are told from each other as in any other."""
    tensors = batch((1, *SHAPES[0][1:]))
    value = call(tensors)
    if not torch.isfinite(value):
        fail(f"{shown(tensors)} (a batch of one) returned {value.item()}; expected a finite number")
    if KIND != "multiclass_logits":  # ranks and contrasts have nothing to say of one sample
        return
    good, bad = (sum(call(batch((1, *SHAPES[0][1:]), wrong, seed)).item() for seed in range(4)) / 4 for wrong in (0.0, 1.0))
    if not (good < bad if CONFIG["lower_is_better"] else good > bad):
        fail(
            f"{shown(tensors)} (a batch of one) gave {good:.4g} for good predictions and {bad:.4g} for bad ones; expected a "
            "worse value for bad ones: classes are compared with each other (dim=1), and not samples (dim=0)"
        )


def test_contract_other_shapes() -> None:
    """Nothing depends on one particular shape."""
    for shape in SHAPES[1:]:
        tensors = batch(shape)
        value = call(tensors)
        if not torch.isfinite(value):
            fail(f"{shown(tensors)} returned {value.item()}; expected a finite number")
