"""PyTorch loss functions from a description, with self-correction."""
