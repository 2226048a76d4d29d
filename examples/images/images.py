"""Ordinary numpy: an image is an array of rows, columns and three colours, each from 0 to 1."""

import numpy

import snakepit_worker


def blur(image: numpy.ndarray, radius: int) -> numpy.ndarray:
    """The mean of each pixel's neighbourhood, by sums along the two axes."""
    result = image
    for axis in (0, 1):
        padded = numpy.concatenate(
            [numpy.zeros_like(numpy.take(result, [0], axis)), numpy.cumsum(result, axis, dtype="f8")], axis
        )
        length = image.shape[axis]
        low = numpy.clip(numpy.arange(length) - radius, 0, length)
        high = numpy.clip(numpy.arange(length) + radius + 1, 0, length)
        counts = (high - low).reshape([-1 if other == axis else 1 for other in range(3)])
        result = (numpy.take(padded, high, axis) - numpy.take(padded, low, axis)) / counts
    return result.astype("f4")


def sharpen(image: numpy.ndarray, blurred: numpy.ndarray, amount: float) -> numpy.ndarray:
    """Unsharp masking, written where TypeScript reads it."""
    result = snakepit_worker.empty(image.shape, image.dtype)
    numpy.subtract(image, blurred, out=result)
    numpy.multiply(result, amount, out=result)
    numpy.add(result, image, out=result)
    numpy.clip(result, 0, 1, out=result)
    return result


def histogram(channel: numpy.ndarray) -> list[int]:
    """How many values fall into each of eight ranges."""
    return numpy.histogram(channel, bins=8, range=(0, 1))[0].tolist()
