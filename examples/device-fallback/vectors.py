"""Ordinary numpy, which knows nothing of Snakepit."""

from __future__ import annotations

import numpy


def similarities(count: int, dimensions: int) -> float:
    """The mean similarity of so many random vectors to each other; takes 8 * count * count bytes."""
    vectors = numpy.random.default_rng(1).normal(size=(count, dimensions))
    return float((vectors @ vectors.T).mean())


def project(rows: int, columns: int, weights: tuple[int, int]) -> int:
    """Multiplies a batch by weights, when their shapes fit each other."""
    batch = numpy.ones((rows, columns))
    matrix = numpy.ones(weights)
    return int((batch @ matrix).size)
