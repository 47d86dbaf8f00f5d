"""Train a model on what sandboxes found out about its answers.

    fumehood eval humaneval --n 10 --temperature 0.8 --repair 2
    fumehood collect last --out pairs --format preference-chat
    python examples/dpo.py pairs Qwen/Qwen2.5-Coder-0.5B-Instruct trained

Needs `pip install '.[training]'` in a clone; a GPU is advisable for anything but the smallest models.
"""

from __future__ import annotations

import argparse

import torch
from datasets import load_dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer


def main() -> None:
    """Read the pairs, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="folder that `fumehood collect` wrote")
    parser.add_argument("model", help="name on the hub, or folder")
    parser.add_argument("out", help="folder for the trained model")
    parser.add_argument("--steps", type=int, default=-1, help="default: three epochs")
    chosen = parser.parse_args()
    trainer = DPOTrainer(
        model=chosen.model,
        args=DPOConfig(
            chosen.out,
            max_steps=chosen.steps,
            beta=0.1,
            learning_rate=5e-7,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=load_dataset(chosen.pairs, "preference-chat", split="train"),
        processing_class=AutoTokenizer.from_pretrained(chosen.model),
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
