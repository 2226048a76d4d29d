"""Arrays that are looked at, kept, changed and made."""

import subprocess
import sys
import threading

import ml_dtypes  # noqa: F401 - from here on numpy knows bfloat16
import numpy

import snakepit_worker
from snakepit_worker import adapters

_kept = []


def look(array):
    """What the array is, and whether its memory is its own."""
    root = array
    while isinstance(root.base, numpy.ndarray):
        root = root.base
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "strides": list(array.strides),
        "writable": bool(array.flags.writeable),
        "shared": root.base is not None and type(root.base).__name__.startswith("c_char"),
    }


def total(array):
    return float(array.sum())


def nested(array):
    return array.tolist()


def tracked(array):
    """Whether the array has bytes, and whether Python has a resource tracker."""
    return [array.nbytes > 0, "multiprocessing.resource_tracker" in sys.modules]


def with_tracker():
    """Runs a program that makes shared memory of Python's own kind, beside the segments, and forgets to remove it."""
    code = "from multiprocessing import shared_memory; shared_memory.SharedMemory(create=True, size=8)"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


def fill(array, value):
    array[...] = value


def refill(array, values):
    """Yields the array again and again, each time with another value in it."""
    for value in values:
        array[...] = value
        yield array


def keep(array):
    _kept.append(array)


def kept_total():
    return [float(array.sum()) for array in _kept]


def drop():
    _kept.clear()


def ones(count):
    return numpy.ones(count)


def numbered(count):
    for index in range(count):
        yield numpy.full(20_000, float(index))


def echo(array):
    return array


def part(array, step):
    return array[::step]


def in_place(count, value):
    array = snakepit_worker.empty(count)
    array[...] = value
    return array


def undecodable(count):
    """What Python can make and TypeScript cannot read, between arrays that it can."""
    return [
        numpy.ones(count),
        {float("nan"): 1, float("inf") - float("inf"): 2},
        numpy.ones(count),
        (numpy.ones(count),),
    ]


def undecodable_items(count):
    yield numpy.ones(count)
    yield undecodable(count)


def call_with_undecodable(function, count):
    return function(undecodable(count))


class Adapted:
    """What an adapter of the program's own takes to TypeScript."""

    def __init__(self, array):
        self.array = array


adapters.register("sharing/adapted", Adapted, lambda value: value.array, Adapted)


def adapted(count):
    return [Adapted(numpy.ones(count)), numpy.ones(count)]


_handed = []


def hand_over(count):
    array = snakepit_worker.empty(count)
    array[...] = 1
    _handed.append(array)
    return array


def write_after():
    _handed[0][0] = 5


def call_with(function, count):
    return function(numpy.ones(count))


def total_of_answer(function):
    return float(function().sum())


def wait_for(function, array):
    """Tells that it runs, and waits until the answer comes; then looks at the array."""
    function()
    return float(array.sum())


def made(dtype, shape, layout, seed):
    """An array of random bytes in an unusual layout, and the bytes of its items in C order."""
    generator = numpy.random.default_rng(seed)
    kind = numpy.dtype(dtype)
    count = 1
    for length in shape:
        count *= length

    def items(lengths):
        size = kind.itemsize
        for length in lengths:
            size *= length
        raw = generator.integers(0, 2 if kind.kind == "b" else 256, size, dtype="u1")
        return raw.view(kind).reshape(lengths) if size else numpy.empty(lengths, kind)

    if layout == "transposed":
        array = items(shape[::-1]).T
    elif layout == "reversed":
        array = items(shape)[tuple(slice(None, None, -1) for _ in shape)]
    elif layout == "stepped":
        array = items([length * 2 for length in shape])[tuple(slice(None, None, 2) for _ in shape)]
    elif layout == "broadcast":
        array = numpy.broadcast_to(items([1] * len(shape)), shape)
    else:
        array = items(shape)
    # an index of all dimensions of none is an item
    array = numpy.asarray(array, kind)
    return (array, array.tobytes())


def bytes_of(array):
    """The bytes of the items in C order."""
    return array.tobytes()


def is_main_thread():
    return threading.current_thread() is threading.main_thread()
