"""Evaluation of models on benchmarks: pass@k with intervals."""
