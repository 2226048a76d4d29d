"""Stands for a library with a bug in its native code."""

import ctypes
import random
from pathlib import Path


def estimate_pi(points: int, seed: int, marks: str) -> float:
    """Estimates pi from random points; dies on every third seed, the first time."""
    mark = Path(marks) / str(seed)
    if seed % 3 == 0 and not mark.exists():
        mark.touch()
        ctypes.string_at(0)
    generator = random.Random(seed)
    return 4 * sum(generator.random() ** 2 + generator.random() ** 2 <= 1 for _ in range(points)) / points


def always_dies() -> None:
    """Reads address 0."""
    ctypes.string_at(0)
