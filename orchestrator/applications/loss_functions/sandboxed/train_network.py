"""Train a small network with a given loss and predict held-out rows, epoch by epoch.

Runs inside the sandbox as text. Reads `training.json`, `train_x.npy`, `train_y.npy`, `heldout_x.npy` and the module
`trained_loss`; writes `predictions.npy` (epochs, rows) and `curve.json`. Held-out labels are not here.

The kind of input decides what the network puts out and how a class is read from it:
binary losses get one logit (a mask loss gets the mini-batch as one image), class losses one logit for each class,
ordinal losses one for each threshold, regression losses the one-hot class, and losses over embeddings get an
embedding whose class is that of the nearest class mean.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]

CONFIG = json.loads(Path("training.json").read_text())
KIND: str = CONFIG["inputs"]
CLASSES: int = CONFIG["classes"]
EMBEDDING = 16
OUTPUTS = {
    "binary_logits": 1,
    "binary_probabilities": 1,
    "binary_mask": 1,
    "ordinal_logits": CLASSES - 1,
    "paired_embeddings": EMBEDDING,
    "triplet": EMBEDDING,
}.get(KIND, CLASSES)


Network = Callable[[torch.Tensor], torch.Tensor]


class TrainingFailed(Exception):
    """The loss cannot train; the message says why."""


class Adam:
    """Adam (Kingma and Ba 2015) with its usual constants. torch.optim takes a second to import: more than a training."""

    def __init__(self, parameters: list[torch.Tensor], learning_rate: float) -> None:
        self._rate = learning_rate
        self._steps = 0
        self._state = [(parameter, torch.zeros_like(parameter), torch.zeros_like(parameter)) for parameter in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move each parameter that has a gradient."""
        self._steps += 1
        for parameter, mean, square in self._state:
            if parameter.grad is not None:
                mean.lerp_(parameter.grad, 1 - 0.9)
                square.lerp_(parameter.grad**2, 1 - 0.999)
                size = (square / (1 - 0.999**self._steps)).sqrt() + 1e-8
                parameter -= self._rate / (1 - 0.9**self._steps) * mean / size


def read(name: str) -> torch.Tensor:
    """A tensor from a `.npy` file."""
    return torch.from_numpy(np.load(name, allow_pickle=False))


def drawn(labels: torch.Tensor, y: torch.Tensor, rng: torch.Generator, same: bool = True) -> torch.Tensor:
    """For each label the index of a random row of `y` with that label, or with any other."""
    order, counts = y.argsort(stable=True), y.bincount(minlength=CLASSES)
    first, many = (counts.cumsum(0) - counts)[labels], counts[labels]
    choices = many if same else len(y) - many
    place = (torch.rand(len(labels), generator=rng, dtype=torch.float64) * choices).long()
    # Rows in order of class: those of the label lie together, so the others are found by stepping over them.
    return order[first + place if same else place + many * (place >= first)]


def arguments(net: Network, x: torch.Tensor, y: torch.Tensor, rng: torch.Generator) -> Iterator[tuple[torch.Tensor, ...]]:
    """What the loss is called with, mini-batch after mini-batch, for one epoch."""
    for rows in torch.randperm(len(x), generator=rng).split(CONFIG["batch"]):  # type: ignore[no-untyped-call,unused-ignore]
        if KIND == "triplet":
            yield net(x[rows]), net(x[drawn(y[rows], y, rng)]), net(x[drawn(y[rows], y, rng, same=False)])
        elif KIND == "paired_embeddings":
            # One pair of each class, so that every other row of the batch really is a negative.
            each = torch.arange(CLASSES)
            yield net(x[drawn(each, y, rng)]), net(x[drawn(each, y, rng)])
        elif KIND in ("multiclass_logits", "ordinal_logits"):
            yield net(x[rows]), y[rows]
        elif KIND == "regression":
            yield net(x[rows]), torch.eye(CLASSES)[y[rows]]
        elif KIND == "positive_regression":
            yield torch.nn.functional.softplus(net(x[rows])) + 1e-3, 1 + torch.eye(CLASSES)[y[rows]]
        elif KIND == "binary_mask":
            yield net(x[rows]).reshape(1, 1, -1, 1), y[rows].float().reshape(1, 1, -1, 1)
        elif KIND == "binary_probabilities":
            yield torch.sigmoid(net(x[rows])[:, 0]), y[rows].float()
        else:
            yield net(x[rows])[:, 0], y[rows].float()


@torch.no_grad()
def predict(net: Network, x: torch.Tensor, y: torch.Tensor, heldout: torch.Tensor) -> torch.Tensor:
    """Classes of the held-out rows."""
    out = net(heldout)
    if KIND in ("triplet", "paired_embeddings"):
        known = net(x)
        if KIND == "paired_embeddings":
            out, known = torch.nn.functional.normalize(out), torch.nn.functional.normalize(known)
        means = torch.stack([known[y == label].mean(0) for label in range(CLASSES)])
        return torch.cdist(out, means).argmin(1)
    if KIND.startswith("binary"):
        return (out[:, 0] > 0).long()
    if KIND == "ordinal_logits":
        return (out > 0).sum(1)
    return out.argmax(1)


def train() -> tuple[list[torch.Tensor], list[float]]:
    """Predictions and mean loss after each epoch."""
    x, y, heldout = read("train_x.npy"), read("train_y.npy"), read("heldout_x.npy")
    # The network is made before the candidate is imported: it starts from the same weights whatever the candidate does.
    torch.manual_seed(CONFIG["seed"])
    rng = torch.Generator().manual_seed(CONFIG["seed"])
    hidden = CONFIG["hidden"]
    net = torch.nn.Sequential(torch.nn.Linear(x.shape[1], hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, OUTPUTS))
    optimizer = Adam(list(net.parameters()), CONFIG["learning_rate"])
    # Isolated mode leaves the work folder off the path.
    sys.path.insert(0, str(Path.cwd()))
    import trained_loss  # type: ignore[import-not-found,unused-ignore]

    loss_function = getattr(trained_loss, CONFIG["entry_point"])
    predictions, losses = [], []
    for epoch in range(1, CONFIG["epochs"] + 1):
        total, steps, pulled = 0.0, 0, False
        for tensors in arguments(net, x, y, rng):
            loss = loss_function(*tensors)
            if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
                raise TrainingFailed("The loss returned no scalar tensor.")
            if not torch.isfinite(loss):
                raise TrainingFailed(f"The loss became {loss.item()} in epoch {epoch}.")
            if not loss.requires_grad:
                raise TrainingFailed("The loss is constant: it has no gradient.")
            net.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
            gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
            if not all(torch.isfinite(gradient).all() for gradient in gradients):
                raise TrainingFailed(f"The gradient became inf or nan in epoch {epoch}.")
            pulled = pulled or any(bool(gradient.any()) for gradient in gradients)
            optimizer.step()
            total, steps = total + loss.item(), steps + 1
        if epoch == 1 and not pulled:
            raise TrainingFailed("The loss is constant: its gradient is zero everywhere.")
        losses.append(total / steps)
        predictions.append(predict(net, x, y, heldout))
    return predictions, losses


def main() -> None:
    """Train, and write what came of it."""
    torch.set_num_threads(1)  # sums in one order, so that a seed means the same everywhere
    failure = ""
    losses: list[float] = []
    try:
        predictions, losses = train()
        np.save("predictions.npy", torch.stack(predictions).numpy())
    except TrainingFailed as error:
        failure = str(error)
    Path("curve.json").write_text(json.dumps({"losses": losses, "failure": failure}))


if __name__ == "__main__":
    main()
