"""Train a model that somebody else wrote, and predict rows after each epoch.

Runs inside the sandbox as text. Reads `training.json`, `train_x.npy`, `train_y.npy`, `validation_x.npy` and the module
`candidate_model`; writes `predictions.npy` and `training.npy`, what the model puts out for validation rows and for the first
training rows, before the training and after each epoch, (epochs + 1, rows, outputs) float32; `weights.pt`; and `log.json`.
Labels of validation rows are not here, and test rows are neither.
"""

import hashlib
import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]

CONFIG = json.loads(Path("training.json").read_text())
OUTPUTS: int = CONFIG["outputs"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Model = Callable[[torch.Tensor], torch.Tensor]


class TrainingFailed(Exception):
    """The model cannot be trained; the message says why."""


class Optimizer:
    """AdamW (Loshchilov and Hutter 2019) or SGD with momentum. Making one of torch.optim takes seconds: it imports a compiler."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self._steps = 0
        self._state = [(one, torch.zeros_like(one), torch.zeros_like(one)) for one in parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move each parameter that has a gradient, and forget the gradients."""
        self._steps += 1
        for parameter, mean, square in self._state:
            if parameter.grad is None:
                continue
            parameter.mul_(1 - rate * CONFIG["weight_decay"])
            if CONFIG["optimizer"] == "sgd":
                mean.mul_(0.9).add_(parameter.grad)
                parameter.sub_(mean, alpha=rate)
            else:
                mean.lerp_(parameter.grad, 1 - 0.9)
                square.lerp_(parameter.grad**2, 1 - 0.999)
                size = (square / (1 - 0.999**self._steps)).sqrt_().add_(1e-8)
                parameter.addcdiv_(mean, size, value=-rate / (1 - 0.9**self._steps))
            parameter.grad = None


def read(name: str) -> torch.Tensor:
    """A tensor from a `.npy` file."""
    return torch.from_numpy(np.load(name, allow_pickle=False)).to(DEVICE)


def built() -> Any:
    """The model, made after the seeds are set: importing it cannot move them.

    Raises:
        TrainingFailed: there is no such class, or it is no module with parameters.
    """
    # Isolated mode leaves the work folder off the path.
    sys.path.insert(0, str(Path.cwd()))
    import candidate_model  # type: ignore[import-not-found,unused-ignore]

    made = getattr(candidate_model, CONFIG["class_name"], None)
    if made is None:
        raise TrainingFailed(f"The module defines no class {CONFIG['class_name']}.")
    random.seed(CONFIG["seed"])
    np.random.seed(CONFIG["seed"] % 2**32)
    torch.manual_seed(CONFIG["seed"])
    model = made()
    if not isinstance(model, torch.nn.Module):
        raise TrainingFailed(f"{CONFIG['class_name']}() is no torch.nn.Module.")
    model = model.to(DEVICE)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingFailed("The model has no parameters to train.")
    return model


def put_out(model: Model, x: torch.Tensor) -> torch.Tensor:
    """(rows, outputs) of a batch.

    Raises:
        TrainingFailed: it is no tensor of that shape.
    """
    out = model(x)
    if not isinstance(out, torch.Tensor):
        raise TrainingFailed(f"forward(x) returned {type(out).__name__} instead of a tensor.")
    if tuple(out.shape) != (len(x), OUTPUTS):
        raise TrainingFailed(f"forward(x) returned the shape {tuple(out.shape)} instead of {(len(x), OUTPUTS)}.")
    return out.float()


@torch.no_grad()
def predicted(model: Any, x: torch.Tensor) -> np.ndarray[Any, Any]:
    """(rows, outputs) of all rows, in evaluation mode."""
    model.eval()
    found: np.ndarray[Any, Any] = torch.cat([put_out(model, rows) for rows in x.split(CONFIG["predict_batch"])]).cpu().numpy()
    return found


def batches(count: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """The places of all rows in an order drawn by chance, batch after batch."""
    rows = torch.from_numpy(rng.permutation(count)).to(DEVICE).split(CONFIG["batch"])
    # Batch norm has no variance of a single row.
    yield from rows[:-1] if len(rows) > 1 and len(rows[-1]) == 1 else rows


def loss_of(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of classes, mean squared error of numbers."""
    functional = torch.nn.functional
    return functional.cross_entropy(out, y) if CONFIG["classes"] else functional.mse_loss(out[:, 0], y)


def digest(model: Any) -> str:
    """Of all weights, so that two seeds can be told apart."""
    found = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        found.update(name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


class Training:
    """One training: what it predicted, and what its log says."""

    def __init__(self) -> None:
        self.validation: list[np.ndarray[Any, Any]] = []
        self.known: list[np.ndarray[Any, Any]] = []
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.log: dict[str, Any] = {"failure": "", "trace": "", "stopped": False, "parameters": 0, "initial": ""}

    def train(self) -> Any:
        """The trained model. What was reached is kept where this fails."""
        x, y, validation = read("train_x.npy"), read("train_y.npy"), read("validation_x.npy")
        rng = np.random.default_rng(CONFIG["seed"])
        model = built()
        self.log["parameters"] = sum(parameter.numel() for parameter in model.parameters())
        self.log["initial"] = digest(model)
        known = x[: CONFIG["known"]]
        optimizer = Optimizer([parameter for parameter in model.parameters() if parameter.requires_grad])
        self.look(model, validation, known)
        started, steps = time.monotonic(), CONFIG["epochs"] * -(-len(x) // CONFIG["batch"])
        done = 0
        for epoch in range(1, CONFIG["epochs"] + 1):
            begun, total, count = time.monotonic(), 0.0, 0
            model.train()
            for rows in batches(len(x), rng):
                loss = loss_of(put_out(model, x[rows]), y[rows])
                if not torch.isfinite(loss):
                    raise TrainingFailed(f"The loss became {loss.item()} in epoch {epoch}: the training diverged.")
                loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
                optimizer.step(CONFIG["learning_rate"] * (1 - done / steps if CONFIG["schedule"] == "linear" else 1))
                total, count, done = total + loss.item(), count + 1, done + 1
                if time.monotonic() - started > CONFIG["seconds"]:
                    self.log["stopped"] = True
                    break
            self.losses.append(total / count)
            self.seconds.append(time.monotonic() - begun)
            self.look(model, validation, known)
            print(f"epoch {epoch} of {CONFIG['epochs']}: training loss {self.losses[-1]:.4f}", flush=True)
            if self.log["stopped"]:
                break
        return model

    def look(self, model: Any, validation: torch.Tensor, known: torch.Tensor) -> None:
        """Predict as the model now is."""
        for kept, rows in ((self.validation, validation), (self.known, known)):
            kept.append(predicted(model, rows))

    def write(self) -> None:
        """All but the weights."""
        epochs = min(len(self.losses), len(self.validation) - 1, len(self.known) - 1)
        if epochs >= 0:
            np.save("predictions.npy", np.stack(self.validation[: epochs + 1]))
            np.save("training.npy", np.stack(self.known[: epochs + 1]))
        curves = {"losses": self.losses[: max(epochs, 0)], "seconds": self.seconds[: max(epochs, 0)]}
        Path("log.json").write_text(json.dumps(self.log | curves))


def main() -> None:
    """Train, and write what came of it."""
    torch.set_num_threads(CONFIG["threads"])
    training = Training()
    try:
        model = training.train()
        torch.save(model.state_dict(), "weights.pt")
    except TrainingFailed as failure:
        training.log["failure"] = str(failure)
    except Exception as error:
        training.log["failure"] = f"{type(error).__name__}: {error}"[:2000]
        training.log["trace"] = "".join(traceback.format_exception(error))[-4000:]
    training.write()


if __name__ == "__main__":
    main()
