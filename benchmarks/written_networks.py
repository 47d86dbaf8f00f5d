"""How often a model's network can be used, by the form of its answer: code in a block after a plan, or JSON held to a schema.

    python benchmarks/written_networks.py [--model 0.5b] [--answers 1] [--only NAME ...]

Each of eight configurations is asked for in both forms with the same seeds. An answer is usable where it reads as a module with
one network, and passes where its smoke test does too. Prints each answer as it comes, and the counts as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from typing import Any, get_args

from llm_server.launcher import start_async
from orchestrator.applications.model_research.written import Form, write_model_code
from orchestrator.engine.engine import Engine
from orchestrator.llm.client import ModelClient
from orchestrator.settings import Settings
from orchestrator.types import ExecutionResult, Limits, Program, Sampling


def layer(kind: str, **parameters: Any) -> dict[str, Any]:
    """A layer of a configuration."""
    return {"type": kind, **parameters}


def network(name: str, shape: tuple[int, ...], *layers: dict[str, Any]) -> dict[str, Any]:
    """A configuration."""
    return {"class_name": name, "input_shape": shape, "layers": [*layers]}


_HEAD = (layer("GlobalAvgPool"), layer("Linear", out_features=10))
NETWORKS = (
    network("Perceptron", (20,), layer("Linear", out_features=64), layer("ReLU"), layer("Linear", out_features=3)),
    network(
        "Regressor",
        (8,),
        layer("Linear", out_features=32),
        layer("Tanh"),
        layer("Dropout", p=0.1),
        layer("Linear", out_features=1),
    ),
    network("SmallCNN", (1, 28, 28), layer("Conv2d", out_channels=16), layer("ReLU"), layer("MaxPool2d"), *_HEAD),
    network(
        "DeeperCNN",
        (3, 32, 32),
        *(
            part
            for out in (16, 32)
            for part in (layer("Conv2d", out_channels=out), layer("BatchNorm2d"), layer("ReLU"), layer("MaxPool2d"))
        ),
        layer("Flatten"),
        layer("Linear", out_features=10),
    ),
    network(
        "ResidualNet",
        (1, 28, 28),
        layer("Conv2d", out_channels=16, stride=2),
        layer("Residual", layers=[layer("Conv2d", out_channels=16), layer("BatchNorm2d"), layer("ReLU")]),
        *_HEAD,
    ),
    network(
        "Branches",
        (3, 16, 16),
        layer("Parallel", branches=[[layer("Conv2d", out_channels=8)], [layer("Conv2d", out_channels=8, kernel_size=5)]]),
        layer("ReLU"),
        *_HEAD,
    ),
    network("Reader", (30, 4), layer("LSTM", hidden_size=32), layer("Linear", out_features=5)),
    network("Attender", (16, 32), layer("TransformerEncoderLayer"), layer("PoolSteps"), layer("Linear", out_features=4)),
)


async def main(model: str, answers: int, only: list[str]) -> None:
    """Ask for all of them, and print what came of it."""
    counts = {form: dict.fromkeys(("answers", "usable", "passed", "seconds", "tokens"), 0.0) for form in get_args(Form)}
    chosen = [one for one in NETWORKS if one["class_name"] in only]
    with await start_async(model) as server:
        async with Engine(Settings(workers=1)) as engine, ModelClient(server.base_url, timeout=1200) as client:
            for config, seed, form in itertools.product(chosen, range(answers), counts):
                usable = 0

                async def execute(program: Program, limits: Limits) -> ExecutionResult:
                    nonlocal usable
                    usable += 1  # nothing else comes here
                    return await engine.execute(program, limits)

                sampling = Sampling(temperature=0.2, max_new_tokens=900, seed=seed)
                written = await write_model_code(config, client, sampling=sampling, form=form, attempts=1, execute=execute)
                (answer,) = written.answers
                found = {
                    "answers": 1,
                    "usable": usable,
                    "passed": written.by == "model",
                    "seconds": answer.seconds,
                    "tokens": answer.usage.completion_tokens,
                }
                counts[form] = {name: count + found[name] for name, count in counts[form].items()}
                print(f"{form} {config['class_name']} {seed}: {answer.fault or 'passed'}", file=sys.stderr, flush=True)
    print(json.dumps({"model": model, **counts}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="0.5b")
    parser.add_argument("--answers", type=int, default=1, help="for each configuration and form")
    parser.add_argument("--only", nargs="+", default=[one["class_name"] for one in NETWORKS], help="of the configurations")
    given = parser.parse_args()
    asyncio.run(main(given.model, given.answers, given.only))
