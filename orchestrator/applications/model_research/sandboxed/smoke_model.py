"""Try a network: build it, put rows through it, and let it learn one batch by heart.

Runs inside the sandbox as text. Reads `smoke.json`, `rows.npy` and the module `network`; writes `smoked.json` after each stage,
so that it says how far a network came that is killed.
"""

import json
import math
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]

TASK = json.loads(Path("smoke.json").read_text())
FOUND: dict[str, Any] = {
    "reached": [],
    "failure": "",
    "traceback": "",
    "parameters": None,
    "unused": [],
    "losses": [],
    "goal": None,
    "step_seconds": None,
}
OUTPUTS: int = TASK["outputs"]
LEARNING_RATES = (3e-3, 3e-2)
"""The second for what has few weights, where the first leads nowhere in so few steps."""


class Failed(Exception):
    """The network did something else than was asked; the message says what."""


def reached(stage: str) -> None:
    """Note how far it came."""
    FOUND["reached"].append(stage)
    Path("smoked.json").write_text(json.dumps(FOUND))


def built(network: Any) -> Any:
    """The network, made without arguments after the seed was set."""
    torch.manual_seed(TASK["seed"])
    net = getattr(network, TASK["class_name"])()
    if not isinstance(net, torch.nn.Module):
        raise Failed(f"{TASK['class_name']} is not a torch.nn.Module.")
    parameters = sum(parameter.numel() for parameter in net.parameters())
    FOUND["parameters"] = parameters
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise Failed("It has no parameters to learn. Modules in a plain list do not count: take nn.ModuleList.")
    if parameters > TASK["most_parameters"]:
        raise Failed(f"It has {parameters:,} parameters, more than the {TASK['most_parameters']:,} that are allowed.")
    return net


def put_through(net: Any, rows: torch.Tensor) -> torch.Tensor:
    """What it gives for rows, if that is what was asked for."""
    out = net(rows)
    if not isinstance(out, torch.Tensor):
        raise Failed(f"forward returned {type(out).__name__} instead of a tensor.")
    wanted = (len(rows), OUTPUTS)
    if tuple(out.shape) != wanted:
        raise Failed(f"forward returned the shape {tuple(out.shape)} for {tuple(rows.shape)}: it must be {wanted}.")
    if out.dtype != torch.float32:
        raise Failed(f"forward returned {out.dtype} instead of torch.float32.")
    if not torch.isfinite(out).all():
        raise Failed("forward returned numbers that are not finite.")
    return out


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two outputs differ by rounding only."""
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-4 * max(1.0, float(one.abs().max()))))


@torch.no_grad()
def check_forward(net: Any, rows: torch.Tensor) -> None:
    """Two batch sizes, one of them 1; the same rows twice; and a row alone."""
    net.eval()
    out = put_through(net, rows[:5])
    alone = put_through(net, rows[:1])
    if not same(out, put_through(net, rows[:5])):
        raise Failed("In eval mode it gives different outputs for the same rows: F.dropout needs training=self.training.")
    if not same(out[:1], alone):
        raise Failed(
            "In eval mode the output of a row depends on the other rows of its batch: check batch_first=True, the axes of "
            "reshape, softmax and means, and that norms of the batch are modules."
        )


def loss_of(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of classes, mean square of numbers; written out, for the network may have changed torch's."""
    if OUTPUTS == 1:
        return ((out[:, 0] - target) ** 2).mean()
    return (torch.logsumexp(out, 1) - out.gather(1, target[:, None])[:, 0]).mean()


def targets(count: int) -> tuple[torch.Tensor, float]:
    """Targets for `count` rows, and half of the loss that the best constant has on them."""
    rng = torch.Generator().manual_seed(TASK["seed"])
    if OUTPUTS == 1:
        drawn = torch.randn(count, generator=rng)
        return drawn, float(drawn.var(correction=0)) / 2
    places = torch.arange(count) % min(OUTPUTS, count)
    counts = places.bincount().double() / count
    order = torch.randperm(count, generator=rng)
    return places[order], float(-(counts * counts.log()).sum()) / 2


def check_gradients(net: Any) -> None:
    """Finite, and somewhere there is one."""
    learnt = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    FOUND["unused"] = [name for name, parameter in learnt if parameter.grad is None or not parameter.grad.any()][:20]
    if len(FOUND["unused"]) == len(learnt):
        raise Failed("No parameter has a gradient: the output does not depend on them.")
    for name, parameter in learnt:
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise Failed(f"The gradient of {name} is not finite.")


@torch.no_grad()
def step(state: list[tuple[Any, Any, Any]], number: int, rate: float) -> None:
    """One step of Adam (Kingma and Ba 2015). torch.optim takes longer to import than this to run."""
    for parameter, mean, square in state:
        if parameter.grad is not None:
            mean.lerp_(parameter.grad, 1 - 0.9)
            square.lerp_(parameter.grad**2, 1 - 0.999)
            size = (square / (1 - 0.999**number)).sqrt() + 1e-8
            parameter -= rate / (1 - 0.9**number) * mean / size


def learn(net: Any, rows: torch.Tensor, rate: float) -> float:
    """Learn targets of one batch that no rule connects with the rows; returns the smallest loss."""
    target, FOUND["goal"] = targets(len(rows))
    FOUND["losses"] = []
    state = [
        (parameter, torch.zeros_like(parameter), torch.zeros_like(parameter))
        for parameter in net.parameters()
        if parameter.requires_grad
    ]
    net.train()
    started = time.perf_counter()
    for number in range(1, TASK["steps"] + 1):
        net.zero_grad()
        loss = loss_of(put_through(net, rows), target)
        if not math.isfinite(loss.item()):
            raise Failed(f"The loss became {loss.item()} in step {number}.")
        FOUND["losses"].append(loss.item())
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        check_gradients(net)
        if "backward" not in FOUND["reached"]:
            reached("backward")
        step(state, number, rate)
    FOUND["step_seconds"] = (time.perf_counter() - started) / TASK["steps"]
    with torch.no_grad():
        # Dropout alone may keep the loss up that it learns with.
        return float(min(*FOUND["losses"], loss_of(put_through(net.eval(), rows), target).item()))


def learn_by_heart(network: Any, rows: torch.Tensor) -> None:
    """Half of the loss of the best constant is what counts as learnt."""
    best = math.inf
    for rate in LEARNING_RATES:
        best = min(best, learn(built(network), rows, rate))
        if best <= FOUND["goal"]:
            return
    raise Failed(
        f"It cannot learn {len(rows)} rows by heart: after {TASK['steps']} steps the loss is {best:.3g}, and a constant "
        f"already reaches {2 * FOUND['goal']:.3g}."
    )


def main() -> None:
    """Stage after stage; what goes wrong stands in `smoked.json`."""
    torch.set_num_threads(1)  # sums in one order, so that a seed means the same everywhere
    rows = torch.from_numpy(np.load("rows.npy", allow_pickle=False))
    # Isolated mode leaves the work folder off the path.
    sys.path.insert(0, str(Path.cwd()))
    try:
        import network  # type: ignore[import-not-found,unused-ignore]

        reached("imported")
        net = built(network)
        reached("built")
        check_forward(net, rows)
        reached("forward")
        learn_by_heart(network, rows)
        reached("learnt")
    except Failed as failure:
        FOUND["failure"] = str(failure)
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("network.py")]
        FOUND["failure"] = f"{type(error).__name__}: {error}"[:1000]
        FOUND["traceback"] = "".join(traceback.format_list(frames[-4:]))[-2000:]
    Path("smoked.json").write_text(json.dumps(FOUND))


if __name__ == "__main__":
    main()
