"""Values of every row of the value table, made in Python, by name; and what Python sees of values sent to it."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import uuid
from zoneinfo import ZoneInfo


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: int
    y: float


Pair = collections.namedtuple("Pair", "left right")

MADE = {
    "none": lambda: None,
    "booleans": lambda: [True, False],
    "text": lambda: ["", "蛇", "\0", "a\nb", "\ud800 alone \udc00", "😀"],
    "small_ints": lambda: [0, -1, 2**31, 2**53 - 1, -(2**53 - 1)],
    "large_ints": lambda: [2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**50],
    "floats": lambda: [0.5, -0.0, 5.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308],
    "bytes": lambda: [b"", b"\x00\xff", bytearray(b"ab"), memoryview(b"abcdef")[::2]],
    "lists": lambda: [[], [1, [2, [3]]]],
    "tuples": lambda: [(), (1,), (1, (2, [3]))],
    "dicts": lambda: [{}, {"b": 1, "a": 2, "": 3}, {"constructor": 1}],
    "odd_keys": lambda: [{1: "one"}, {"1": "a", 1: "b"}, {(1, 2): "tuple"}, {None: 0, True: 1}, {"__proto__": 1}],
    "sets": lambda: [set(), {1}, frozenset(["a"])],
    "complex": lambda: [complex(1, -0.0), complex(float("inf"), 2)],
    "decimals": lambda: [decimal.Decimal("1.10"), decimal.Decimal("-0.001"), decimal.Decimal("1E+30")],
    "naive": lambda: dt.datetime(2024, 2, 29, 12, 30, 15, 123456),
    "utc": lambda: dt.datetime(2024, 2, 29, 12, 30, 15, 123456, dt.timezone.utc),
    "offset": lambda: dt.datetime(2024, 2, 29, 12, 30, 15, 0, dt.timezone(dt.timedelta(hours=5, minutes=30))),
    "zone": lambda: dt.datetime(2024, 7, 1, 12, 0, 0, 0, ZoneInfo("Europe/Berlin")),
    "date": lambda: dt.date(2024, 2, 29),
    "time": lambda: dt.time(23, 59, 58, 999999),
    "timedelta": lambda: [dt.timedelta(days=-1, microseconds=1), dt.timedelta(days=400, seconds=5)],
    "uuid": lambda: uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "path": lambda: [pathlib.PurePosixPath("/a/b"), pathlib.Path("c")],
    "enums": lambda: [Color.RED, Color.PAIR, Level.HIGH],
    "dataclass": lambda: Point(1, 2.5),
    "namedtuple": lambda: Pair(1, [2]),
    "subclasses": lambda: [collections.OrderedDict(b=1, a=2), collections.Counter("aab")],
}


def make(name):
    return MADE[name]()


def types_of(values):
    return sorted({type(value).__name__ for value in values})


def facts(value):
    """What Python sees."""
    return [type(value).__name__, repr(value)]


def numpy_scalar(dtype, value):
    import numpy

    return numpy.dtype(dtype).type(value)


def numpy_array(dtype, shape):
    """Counts up from 0 in an array of this type and shape."""
    import math

    import numpy

    return numpy.arange(math.prod(shape)).reshape(shape).astype(dtype)


def numpy_strided():
    import numpy

    return numpy.arange(24).reshape(4, 6)[::2, ::-3].T


def numpy_facts(array):
    return [type(array).__name__, array.dtype.str, list(array.shape), array.tolist()]


def frame(kind):
    import pandas
    import pyarrow

    columns = {"n": [1, 2, None], "s": ["a", None, "蛇"]}
    if kind == "pandas":
        return pandas.DataFrame(columns)
    return pyarrow.table(columns)


def frame_facts(table):
    return [type(table).__name__, [str(name) for name in table.columns], len(table)]


class Money:
    """Crosses by an adapter."""

    def __init__(self, amount, currency):
        self.amount = amount
        self.currency = currency


def register_money():
    from snakepit_worker import adapters

    adapters.register(
        "test/money", Money, lambda money: [money.amount, money.currency], lambda payload: Money(*payload)
    )


def double_money(money):
    return Money(money.amount * 2, money.currency)


def wallet(currency):
    return {"coins": [Money(1, currency)]}


def endless_money(file):
    """Good money twice, then bad money for ever."""
    from meeting import touch

    try:
        yield Money(0, "EUR")
        yield Money(1, "EUR")
        while True:
            yield Money(2, "USD")
    finally:
        touch(file, "closed")


def pay(function, currency):
    from snakepit_worker import CallbackError

    try:
        return function(Money(1, currency))
    except CallbackError as error:
        return str(error)
