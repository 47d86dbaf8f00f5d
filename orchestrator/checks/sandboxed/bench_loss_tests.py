"""The tests of the torch benchmark: values and a gradient."""

import torch
from candidate import focal_loss  # type: ignore[import-not-found]


def test_values() -> None:  # noqa: D103
    target = torch.tensor([1.0, 0.0, 1.0])
    loss = focal_loss(torch.tensor([0.0, 0.0, 0.0]), target)
    assert torch.isclose(loss, torch.tensor(0.25 * 0.6931472), atol=1e-6)
    assert focal_loss(torch.tensor([9.0, -9.0, 9.0]), target) < 1e-6


def test_gradient() -> None:  # noqa: D103
    pred = torch.zeros(4, requires_grad=True)
    focal_loss(pred, torch.tensor([1.0, 0.0, 1.0, 0.0])).backward()
    assert pred.grad is not None
    assert torch.equal(pred.grad.sign(), torch.tensor([-1.0, 1.0, -1.0, 1.0]))
