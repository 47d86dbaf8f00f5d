"""Made-up images: for machines that have no real ones, and never without saying so.

Each class has a smooth pattern; a row is that pattern moved by a few pixels, dimmed and under noise. A small network learns it, a
constant does not. What it reaches here says nothing of real images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def images(shape: tuple[int, int, int], classes: int, rows: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(rows, channels, height, width) from 0 to 1, and their classes, as even as `rows` allows. The same seed, the same rows."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    patterns = _smooth(rng.normal(size=(classes, channels, height, width)))
    labels = rng.permutation(np.arange(rows) % classes)
    most = max(1, min(height, width) // 8)
    made = np.empty((rows, *shape), dtype=np.float32)
    for row, label in enumerate(labels):
        moved = np.roll(patterns[label], rng.integers(-most, most + 1, 2), axis=(1, 2))
        made[row] = rng.uniform(0.5, 1.0) * moved + rng.normal(scale=0.9, size=shape)
    return np.clip(0.5 + made / 6, 0, 1), labels.astype(np.int64)


def _smooth(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise without its fine parts, each pattern of mean 0 and spread 1."""
    wave = np.fft.fft2(noise)
    rows, columns = (np.fft.fftfreq(count)[:, None] for count in noise.shape[-2:])
    soft = np.fft.ifft2(wave * np.exp(-((rows**2 + columns.T**2) / 0.02))).real
    soft -= soft.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(soft / soft.std(axis=(1, 2, 3), keepdims=True), dtype=np.float64)
