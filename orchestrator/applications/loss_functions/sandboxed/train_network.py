"""Train a small network with a given loss and predict held-out rows, epoch by epoch.

Runs inside the sandbox as text. Reads `training.json`, `train_x.npy`, `train_y.npy`, `heldout_x.npy` and the module
`trained_loss`; writes `predictions.npy` (epochs, rows), `outputs.npy` (rows, outputs; after the last epoch, where the kind of
input is one of scores) and `curve.json`. Held-out labels are not here.

The loss runs in a process of its own, see `LossProcess`: it gets what the network put out and the labels of a mini-batch, and
gives a value and a gradient. Network, optimiser and rows are beyond its reach, so what the network learns it learns by the loss.

The kind of input decides what the network puts out and how a class is read from it:
binary losses get one logit (a mask loss gets the mini-batch as one image), class losses one logit for each class,
ordinal losses one for each threshold, regression losses the one-hot class, and losses over embeddings get an
embedding whose class is that of the nearest class mean. Rows of numbers are for a network with one hidden layer, images for a
convolutional one.
"""

import ctypes
import json
import math
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
SCORES = ("binary_logits", "binary_probabilities", "binary_mask", "multiclass_logits")
"""Kinds for which the network puts out logits of classes."""
AT_ONCE = 256
"""Rows that are predicted together: their activations are held in memory."""
PR_SET_DUMPABLE = 4
LENGTH = struct.Struct("<Q")
VALUE = struct.Struct("<d")

Network = Callable[[torch.Tensor], torch.Tensor]
Tensors = tuple[torch.Tensor, ...]


class TrainingFailed(Exception):
    """The loss cannot train; the message says why."""


class LossProcess:
    """The loss in a process of its own, forked before there are any rows to see.

    It waits until the rows are read and their files gone, and cannot look into the trainer, which is not dumpable by then.
    What it answers is bytes of a known number: nothing of it is unpickled or called.
    """

    def __init__(self) -> None:
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(self._in)
            os.close(self._out)
            try:
                serve(theirs, answers)
            finally:
                os._exit(0)
        os.close(theirs)
        os.close(answers)

    def __call__(self, tensors: Tensors) -> tuple[float, list[torch.Tensor]]:
        """The loss of a mini-batch, and its gradient by each tensor that comes from the network.

        Raises:
            TrainingFailed: it gave none.
        """
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        asked = pickle.dumps([(tensor.detach().numpy(), tensor.requires_grad) for tensor in tensors])
        try:
            write(self._out, asked)
            answer = read_one(self._in, most=VALUE.size + sum(4 * tensor.numel() for tensor in wanted) + 1000)
        except (OSError, EOFError):
            raise TrainingFailed("The loss ended the process that it ran in.") from None
        if answer[:1] != b"v":
            raise TrainingFailed(answer[1:].decode(errors="replace"))
        if len(answer) != 1 + VALUE.size + sum(4 * tensor.numel() for tensor in wanted):
            raise TrainingFailed("The loss gave gradients of another shape.")
        gradients, place = [], 1 + VALUE.size
        for tensor in wanted:
            found = np.frombuffer(answer, np.float32, tensor.numel(), place).reshape(tuple(tensor.shape))
            gradients.append(torch.from_numpy(found.copy()))
            place += 4 * tensor.numel()
        return VALUE.unpack_from(answer, 1)[0], gradients

    def close(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGKILL)


def serve(questions: int, answers: int) -> None:
    """The loss's side: import it when the first mini-batch comes, and answer until the trainer is gone."""
    # Isolated mode leaves the work folder off the path.
    sys.path.insert(0, str(Path.cwd()))
    loss_function = None
    while True:
        tensors = [torch.from_numpy(array).requires_grad_(by) for array, by in pickle.loads(read_one(questions))]
        try:
            if loss_function is None:
                import trained_loss  # type: ignore[import-not-found,unused-ignore]

                loss_function = getattr(trained_loss, CONFIG["entry_point"])
            write(answers, b"v" + valued(loss_function, tensors))
        except TrainingFailed as error:
            write(answers, b"f" + str(error).encode())
        except Exception as error:
            write(answers, b"f" + f"{type(error).__name__}: {error}"[:300].encode(errors="replace"))


def valued(loss_function: Callable[..., Any], tensors: list[torch.Tensor]) -> bytes:
    """The loss and its gradients as bytes."""
    loss = loss_function(*tensors)
    if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
        raise TrainingFailed("The loss returned no scalar tensor.")
    if torch.isfinite(loss) and not loss.requires_grad:
        raise TrainingFailed("The loss is constant: it has no gradient.")
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    found = torch.autograd.grad(loss, wanted, allow_unused=True) if loss.requires_grad else [None] * len(wanted)
    gradients = [torch.zeros_like(to) if by is None else by for to, by in zip(wanted, found, strict=True)]
    return VALUE.pack(loss.item()) + b"".join(by.detach().numpy().astype(np.float32).tobytes() for by in gradients)


def write(to: int, data: bytes) -> None:
    """Bytes with their number before them."""
    left = memoryview(LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(to, left) :]


def read_one(source: int, most: int | None = None) -> bytes:
    """What `write` wrote. Raises EOFError where the other side is gone, or writes more than `most` bytes."""
    (length,) = LENGTH.unpack(read_exactly(source, LENGTH.size))
    if most is not None and length > most:
        raise EOFError
    return read_exactly(source, length)


def read_exactly(source: int, length: int) -> bytes:
    """So many bytes. Raises EOFError."""
    pieces = []
    while length:
        piece = os.read(source, min(length, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


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


def taken(name: str) -> torch.Tensor:
    """A tensor from a `.npy` file, which is gone then: the loss shares this folder. Images travel as float16."""
    array = np.load(name, allow_pickle=False)
    Path(name).unlink()
    return torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)


def network(shape: tuple[int, ...]) -> Any:
    """One hidden layer for rows of numbers; for images, convolutions and pooling until a side has at most 8 pixels."""
    hidden = CONFIG["hidden"]
    if len(shape) == 1:
        return torch.nn.Sequential(torch.nn.Linear(shape[0], hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, OUTPUTS))
    channels, height, width = shape
    layers: list[Any] = []
    wide = CONFIG["channels"]
    while not layers or min(height, width) > 8:
        layers += [torch.nn.Conv2d(channels, wide, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2, ceil_mode=True)]
        channels, wide = wide, min(2 * wide, 64)
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    flat = channels * height * width
    ends = [torch.nn.Flatten(), torch.nn.Linear(flat, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, OUTPUTS)]
    return torch.nn.Sequential(*layers, *ends)


def drawn(labels: torch.Tensor, y: torch.Tensor, rng: torch.Generator, same: bool = True) -> torch.Tensor:
    """For each label the index of a random row of `y` with that label, or with any other."""
    order, counts = y.argsort(stable=True), y.bincount(minlength=CLASSES)
    first, many = (counts.cumsum(0) - counts)[labels], counts[labels]
    choices = many if same else len(y) - many
    place = (torch.rand(len(labels), generator=rng, dtype=torch.float64) * choices).long()
    # Rows in order of class: those of the label lie together, so the others are found by stepping over them.
    return order[first + place if same else place + many * (place >= first)]


def arguments(net: Network, x: torch.Tensor, y: torch.Tensor, rng: torch.Generator) -> Iterator[Tensors]:
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
def put_out(net: Network, x: torch.Tensor) -> torch.Tensor:
    """What the network makes of rows."""
    return torch.cat([net(part) for part in x.split(AT_ONCE)])  # type: ignore[no-untyped-call,unused-ignore]


def predicted(net: Network, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Classes of held-out rows, of what the network put out for them."""
    if KIND in ("triplet", "paired_embeddings"):
        known = put_out(net, x)
        if KIND == "paired_embeddings":
            out, known = torch.nn.functional.normalize(out), torch.nn.functional.normalize(known)
        means = torch.stack([known[y == label].mean(0) for label in range(CLASSES)])
        return torch.cdist(out, means).argmin(1)
    if KIND.startswith("binary"):
        return (out[:, 0] > 0).long()
    if KIND == "ordinal_logits":
        return (out > 0).sum(1)
    return out.argmax(1)


def train(loss_of: LossProcess) -> tuple[list[torch.Tensor], torch.Tensor, list[float]]:
    """Predictions after each epoch, outputs after the last, and the mean loss of each."""
    x, y, heldout = taken("train_x.npy"), taken("train_y.npy"), taken("heldout_x.npy")
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("The trainer cannot be closed to other processes.")
    torch.manual_seed(CONFIG["seed"])
    rng = torch.Generator().manual_seed(CONFIG["seed"])
    net = network(tuple(x.shape[1:]))
    optimizer = Adam(list(net.parameters()), CONFIG["learning_rate"])
    predictions, losses, out = [], [], torch.empty(0)
    for epoch in range(1, CONFIG["epochs"] + 1):
        total, steps, pulled = 0.0, 0, False
        for tensors in arguments(net, x, y, rng):
            loss, gradients = loss_of(tensors)
            if not math.isfinite(loss):
                raise TrainingFailed(f"The loss became {loss} in epoch {epoch}.")
            net.zero_grad()
            torch.autograd.backward([tensor for tensor in tensors if tensor.requires_grad], gradients)
            found = [*gradients, *(parameter.grad for parameter in net.parameters() if parameter.grad is not None)]
            if not all(torch.isfinite(gradient).all() for gradient in found):
                raise TrainingFailed(f"The gradient became inf or nan in epoch {epoch}.")
            pulled = pulled or any(bool(gradient.any()) for gradient in gradients)
            optimizer.step()
            total, steps = total + loss, steps + 1
        if epoch == 1 and not pulled:
            raise TrainingFailed("The loss is constant: its gradient is zero everywhere.")
        losses.append(total / steps)
        out = put_out(net, heldout)
        predictions.append(predicted(net, x, y, out))
    return predictions, out, losses


def main() -> None:
    """Train, and write what came of it."""
    torch.set_num_threads(1)  # sums in one order, so that a seed means the same everywhere
    failure = ""
    losses: list[float] = []
    loss_of = LossProcess()
    try:
        predictions, out, losses = train(loss_of)
        loss_of.close()
        np.save("predictions.npy", torch.stack(predictions).numpy())
        if KIND in SCORES:
            np.save("outputs.npy", out.numpy())
    except TrainingFailed as error:
        failure = str(error)
    Path("curve.json").write_text(json.dumps({"losses": losses, "failure": failure}))


if __name__ == "__main__":
    main()
