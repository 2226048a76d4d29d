"""What `payload.ts` calls: arrays that arrive, and arrays that are there already when they are asked for."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy

import snakepit_worker

_held: dict[str, numpy.ndarray] = {}


def size(array: numpy.ndarray) -> int:
    """Bytes of an array."""
    return array.nbytes


def checksum(array: numpy.ndarray) -> int:
    """CRC-32 of the bytes of an array."""
    return zlib.crc32(array.reshape(-1).view("u1"))


def hold(array: numpy.ndarray) -> None:
    """Keeps a copy of an array, for `held`."""
    _held["ordinary"] = array.copy()


def held(_which: str) -> numpy.ndarray:
    """That copy: an array as any numpy code makes it."""
    return _held["ordinary"]


def made_in_place(_which: str) -> numpy.ndarray:
    """An array of that size that was made in shared memory; filling it is not part of the measurement."""
    return snakepit_worker.empty(_held["ordinary"].shape, _held["ordinary"].dtype)


def filled_in_place(_which: str) -> numpy.ndarray:
    """The same with the items of the held array."""
    array = snakepit_worker.empty(_held["ordinary"].shape, _held["ordinary"].dtype)
    array[...] = _held["ordinary"]
    return array


def total(array: numpy.ndarray) -> float:
    """Sum of an array."""
    return float(array.sum())


@lru_cache(maxsize=1)
def thirds(count: int) -> numpy.ndarray:
    """0, 1/3, 2/3, ..., made once: what it costs to make them is no part of the measurement."""
    return numpy.arange(count) / 3


def ones(count: int) -> numpy.ndarray:
    """A result of a size."""
    return numpy.ones(count)


def keep_last(array: numpy.ndarray) -> None:
    """Keeps an array until the next one comes."""
    _held["last"] = array


def drop_last() -> None:
    """Lets go of it."""
    _held.pop("last", None)
