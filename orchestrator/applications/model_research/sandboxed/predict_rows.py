"""Predict rows with a model that was trained before.

Runs inside the sandbox as text. Reads `training.json`, `rows_x.npy`, `weights.pt` and the module `candidate_model`; writes
`predictions.npy`, (rows, outputs) float32. No label is here, and no row that was trained on.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]

CONFIG = json.loads(Path("training.json").read_text())


@torch.no_grad()
def main() -> None:
    """Build the model as for the training, give it its weights, and predict."""
    torch.set_num_threads(CONFIG["threads"])
    # Isolated mode leaves the work folder off the path.
    sys.path.insert(0, str(Path.cwd()))
    import candidate_model  # type: ignore[import-not-found,unused-ignore]

    random.seed(CONFIG["seed"])
    np.random.seed(CONFIG["seed"] % 2**32)
    torch.manual_seed(CONFIG["seed"])
    model = getattr(candidate_model, CONFIG["class_name"])()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.load_state_dict(torch.load("weights.pt", map_location="cpu", weights_only=True))
    model.to(device).eval()
    x = torch.from_numpy(np.load("rows_x.npy", allow_pickle=False))
    found = torch.cat([model(rows.to(device)).float().cpu() for rows in x.split(CONFIG["predict_batch"])])
    np.save("predictions.npy", found.numpy())


if __name__ == "__main__":
    main()
