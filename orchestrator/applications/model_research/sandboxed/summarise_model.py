"""Summarise a network with torchinfo.

Runs inside the sandbox as text. Reads `summary.json` and the module `network`; writes `summarised.json`.
"""

import json
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]
import torchinfo  # type: ignore[import-not-found,unused-ignore]

TASK = json.loads(Path("summary.json").read_text())
COLUMNS = ("input_size", "output_size", "num_params", "mult_adds")


def main() -> None:
    """One row of zeros goes through it, so that multiply-adds are those of one row."""
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path.cwd()))
    import network  # type: ignore[import-not-found,unused-ignore]

    torch.manual_seed(0)
    net = getattr(network, TASK["class_name"])()
    rows = torch.zeros(1, *TASK["input_shape"])
    found = torchinfo.summary(
        net, input_data=rows, col_names=COLUMNS, col_width=18, depth=9, row_settings=("var_names",), verbose=0, device="cpu"
    )
    layers = [
        {
            "name": layer.var_name,
            "kind": layer.class_name,
            "depth": layer.depth,
            "takes": layer.input_size,
            "gives": layer.output_size,
            "parameters": layer.num_params,
            "multiply_adds": layer.macs if layer.is_leaf_layer else 0,
        }
        for layer in found.summary_list
    ]
    result = {
        "parameters": found.total_params,
        "trainable": found.trainable_params,
        "multiply_adds": found.total_mult_adds,
        "layers": layers,
        "text": str(found),
    }
    Path("summarised.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
