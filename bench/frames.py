"""Tables for `bench tables`, made once and kept."""

import numpy
import pyarrow
import pyarrow.compute

_held = {}


def hold(rows):
    """A table of whole numbers and of their halves in one batch, and its size in bytes."""
    numbers = numpy.arange(rows)
    _held[rows] = pyarrow.table({"whole": numbers, "half": numbers / 2})
    return _held[rows].nbytes


def held(rows):
    return _held[rows]


def total(table):
    return pyarrow.compute.sum(table.column("half")).as_py()
