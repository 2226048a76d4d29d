"""Stands for cupy: arrays whose memory the CPU cannot read, as far as anybody can tell."""

import numpy


class ndarray:
    """What `cupy.ndarray` looks like from outside."""

    __module__ = "cupy"

    def __init__(self, items):
        self._items = items
        self.dtype = items.dtype
        self.shape = items.shape
        self.device = 0

    def get(self):
        return self._items.copy()


def on_device(count):
    return ndarray(numpy.arange(count, dtype="f4"))


def doubled(tensor):
    return ndarray(tensor._items * 2)


def is_same(tensor, other):
    return tensor is other


def total(tensor):
    return float(tensor._items.sum())
