"""Tables of every type, made in Python, by name; and what Python sees of tables sent to it."""

import decimal

import pandas as pd
import polars as pl
import pyarrow as pa

D = decimal.Decimal


def _columns():
    """An array of three items, one of them null, for every type of Arrow that crosses."""
    made = {}
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        made[name] = pa.array([1, None, 2 ** (int(name.lstrip("uint")) - 1) - 1], getattr(pa, name)())
    for name in ("float16", "float32", "float64"):
        made[name] = pa.array([-0.0, None, float("nan")], getattr(pa, name)())
    for name in ("string", "large_string"):
        made[name] = pa.array(["", None, "蛇 \0 longer than twelve bytes"], getattr(pa, name)())
    for name in ("binary", "large_binary"):
        made[name] = pa.array([b"", None, b"\0\xff"], getattr(pa, name)())
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "Europe/Berlin", "+05:30"):
            made[f"timestamp {unit} {zone}"] = pa.array([2**60 + 1, None, -3], pa.timestamp(unit, zone))
        made[f"duration {unit}"] = pa.array([2**60 + 1, None, -3], pa.duration(unit))
    words = pa.array(["x", "y"])
    for name in ("int8", "uint16", "int32"):
        made[f"dictionary {name}"] = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], getattr(pa, name)()), words)
    return {
        **made,
        "bool": pa.array([True, None, False]),
        "null": pa.nulls(3),
        "fixed binary": pa.array([b"abc", None, b"def"], pa.binary(3)),
        "date32": pa.array([1, None, -3], pa.date32()),
        "date64": pa.array([86_400_000, None, 0], pa.date64()),
        "time32": pa.array([1, None, 86_399], pa.time32("s")),
        "time64": pa.array([1, None, 86_399_999_999_999], pa.time64("ns")),
        "interval": pa.array([(1, 2, 3), None, (-1, 0, 7)], pa.month_day_nano_interval()),
        "decimal128": pa.array([D("1.23"), None, D("-99999999999999999999.99")], pa.decimal128(38, 2)),
        "decimal256": pa.array([D("1.23"), None, D("-" + "9" * 50)], pa.decimal256(76, 2)),
        "ordered": pa.DictionaryArray.from_arrays(pa.array([1, None, 0]).cast("int8"), words, ordered=True),
        "list": pa.array([[1, None], None, []], pa.list_(pa.int32())),
        "large list": pa.array([["a", None], None, []], pa.large_list(pa.string())),
        "fixed list": pa.array([[1, None], None, [3, 4]], pa.list_(pa.int64(), 2)),
        "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
        "map": pa.array([[("k", 1)], None, [("l", None), ("m", 2)]], pa.map_(pa.string(), pa.int32())),
        "deep": pa.array([[{"a": [[1], None]}], None, []], pa.list_(pa.struct([("a", pa.list_(pa.list_(pa.int8())))]))),
        "list of dictionaries": pa.ListArray.from_arrays([0, 1, 1, 3], pa.array(["x", "y", "x"]).dictionary_encode()),
        "union": pa.UnionArray.from_sparse(
            pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(list("xyz"))]
        ),
        "uuid": pa.array([b"0123456789abcdef", None, b"0123456789abcdef"], pa.uuid()),
    }


def _variants(table):
    replaced = pa.table({"c": pa.array(["p", "q"]).dictionary_encode()})
    return {
        "whole": table,
        "no rows": table.slice(0, 0),
        "no batches": pa.Table.from_batches([], table.schema),
        "slices": pa.concat_tables([table.slice(1), table.slice(2, 1), table.slice(0, 0), table]),
        **({"other dictionaries": pa.concat_tables([table, replaced])} if table.schema == replaced.schema else {}),
    }


def names():
    """All columns, each with its variants."""
    return [[name, variant] for name, column in _columns().items() for variant in _variants(pa.table({"c": column}))]


def make(name, variant):
    return _variants(pa.table({"c": _columns()[name]}))[variant]


def difference(name, variant, arrived):
    """What is different about a table that came back; None when nothing is."""
    made = make(name, variant)
    arrived.validate(full=True)
    if not arrived.schema.equals(made.schema, check_metadata=True):
        return f"{arrived.schema} instead of {made.schema}"
    left, right = (
        [value for chunk in table.column(0).chunks for value in _storage(chunk)] for table in (arrived, made)
    )
    return None if left == right else f"{left} instead of {right}"


def _storage(column):
    """The values as they are stored: bits, where Python's own types would hold less."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _storage(column.storage)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return column.cast(pa.int64()).to_pylist()
    if pa.types.is_floating(kind):
        bits = getattr(pa, f"uint{kind.bit_width}")()
        return [
            None if value is None else kept for value, kept in zip(column.to_pylist(), column.view(bits).to_pylist())
        ]
    return column.to_pylist()


def echo(table):
    return table


def facts(table):
    """Type of a table, and its columns as text."""
    return [f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}", str(table)]


def as_pandas(table: pd.DataFrame):
    return facts(table)


def as_polars(table: "pl.DataFrame", *more: pl.LazyFrame, named: "pa.Table | None" = None):
    return [facts(table)[0], *(facts(each)[0] for each in more), None if named is None else facts(named)[0]]


def inside(tables: list):
    return [facts(table)[0] for table in tables]


class Model:
    def __init__(self, frame: pd.DataFrame):
        self.kind = facts(frame)[0]

    def fit(self, frame: pl.DataFrame):
        return [self.kind, facts(frame)[0]]


def frame(kind):
    """The same rows in each library."""
    columns = {"n": [1, 2, None], "s": ["a", None, "蛇"]}
    return {
        "pandas": lambda: pd.DataFrame({"n": pd.array(columns["n"], dtype="Int64"), "s": columns["s"]}),
        "pandas series": lambda: pd.Series([1, 2], name="n"),
        "pandas indexed": lambda: pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="key")),
        "pandas mixed": lambda: pd.DataFrame({"good": [1, 2], "bad": pd.Series([1, "x"], dtype=object)}),
        "polars": lambda: pl.DataFrame(columns),
        "polars series": lambda: pl.Series("n", [1, 2]),
        "polars lazy": lambda: pl.LazyFrame(columns),
        "pyarrow": lambda: pa.table(columns),
        "pyarrow batch": lambda: pa.record_batch(columns),
    }[kind]()


def frame_is(kind, arrived):
    """Whether a frame that came back is what was sent."""
    made = frame(kind)
    return type(arrived) is type(made) and bool(arrived.equals(made))


DECIMALS = ["1.25", "-0.01", None, "-1234567.89", "1234567.89", "0"]


def decimals():
    """The same decimals in 64, 128 and 256 bits, in two batches."""
    kinds = {"short": pa.decimal64(18, 2), "wide": pa.decimal128(38, 2), "widest": pa.decimal256(76, 2)}
    values = [None if text is None else D(text) for text in DECIMALS]
    table = pa.table({name: pa.array(values, kind) for name, kind in kinds.items()})
    return pa.concat_tables([table.slice(0, 4), table.slice(4)])


def decimal_texts():
    return DECIMALS


def counted(rows):
    """A table of so many rows in three batches: whole numbers, their halves, and text for every tenth."""
    import numpy as np

    numbers = np.arange(rows)
    table = pa.table({"n": numbers, "half": numbers / 2})
    third = rows // 3
    return pa.concat_tables([table.slice(0, third), table.slice(third, third), table.slice(2 * third)])


def stream(count, rows):
    for start in range(count):
        yield pa.table({"n": pa.array(range(start, start + rows))})


def place(table):
    """Whether the first buffer of values lies in a segment of shared memory, and the sum of the column."""
    import pyarrow.compute

    column = table.column(0)
    address = column.chunk(0).buffers()[1].address
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            if first <= address < last:
                return ["segment-" in line, pyarrow.compute.sum(column).as_py()]


KEPT = []


def keep(table):
    KEPT.append(table)


def kept_sum():
    import pyarrow.compute

    return pyarrow.compute.sum(KEPT[-1].column(0)).as_py()


def forget():
    KEPT.clear()
