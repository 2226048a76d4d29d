"""Tables of any types, values and batches, there and back: bit by bit the same."""

from __future__ import annotations

import datetime
from typing import Any

import ormsgpack
import pytest

from snakepit_worker.values import Packer, Unpacker

pyarrow = pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pytest.importorskip("hypothesis")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from polars.testing import assert_frame_equal  # noqa: E402
from polars.testing.parametric import column, dataframes  # noqa: E402

packer = Packer()
unpacker = Unpacker(lambda *parts: parts, lambda number: number)
quick = settings(max_examples=150, deadline=None)


def there_and_back(value: object) -> Any:
    return unpacker.unpack(packer.pack_value(value))


def as_kind(kind: str, value: object) -> Any:
    stream = ormsgpack.unpackb(packer.pack_value(value), ext_hook=lambda _code, data: ormsgpack.unpackb(data))[1]
    return unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, ormsgpack.packb(["arrow", [kind, stream]]))))


def whole(bits: int, signed: bool = True) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


def integer(kind: Any, bits: int = 64, signed: bool = True) -> tuple[Any, st.SearchStrategy[Any]]:
    """A type whose values are made of integers, without a detour by objects that hold less."""
    return kind, whole(bits, signed)


SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    *(integer(getattr(pyarrow, f"int{bits}")(), bits) for bits in (8, 16, 32, 64)),
    *(integer(getattr(pyarrow, f"uint{bits}")(), bits, False) for bits in (8, 16, 32, 64)),
    (pyarrow.float16(), st.floats(width=16)),
    (pyarrow.float32(), st.floats(width=32)),
    (pyarrow.float64(), st.floats()),
    (pyarrow.bool_(), st.booleans()),
    (pyarrow.null(), st.none()),
    (pyarrow.string(), st.text()),
    (pyarrow.large_string(), st.text()),
    (pyarrow.binary(), st.binary()),
    (pyarrow.large_binary(), st.binary()),
    (pyarrow.binary(3), st.binary(min_size=3, max_size=3)),
    integer(pyarrow.date32(), 31),
    (pyarrow.date64(), whole(30).map(lambda days: days * 86_400_000)),
    (pyarrow.time32("s"), st.integers(0, 86_399)),
    (pyarrow.time64("ns"), st.integers(0, 86_399_999_999_999)),
    *(
        integer(pyarrow.timestamp(unit, zone))
        for unit in ("s", "us", "ns")
        for zone in (None, "Europe/Berlin", "+05:30")
    ),
    *(integer(pyarrow.duration(unit)) for unit in ("s", "ms", "ns")),
    (pyarrow.decimal128(38, 4), st.decimals(-(10**33), 10**33, places=4)),
    (pyarrow.decimal256(76, 10), st.decimals(-(10**60), 10**60, places=10)),
]


@st.composite
def columns(draw: st.DrawFn, length: int, depth: int = 2) -> Any:
    """An array of any type with nulls."""
    shape = draw(st.sampled_from(["scalar", "scalar", "dictionary", "list", "fixed", "struct", "map"]))
    if shape == "scalar" or depth == 0:
        kind, values = draw(st.sampled_from(SCALARS))
        return pyarrow.array(draw(st.lists(st.none() | values, min_size=length, max_size=length)), kind)
    mask = pyarrow.array(draw(st.lists(st.booleans(), min_size=length, max_size=length)), pyarrow.bool_())
    if shape == "dictionary":
        words = draw(st.lists(st.text(), min_size=1, unique=True))
        chosen = st.none() | st.integers(0, len(words) - 1)
        index = draw(st.sampled_from([pyarrow.int8(), pyarrow.uint16(), pyarrow.int32()]))
        indices = pyarrow.array(draw(st.lists(chosen, min_size=length, max_size=length)), index)
        return pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(words, pyarrow.string()))
    if shape == "struct":
        inner = [draw(columns(length, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        return pyarrow.StructArray.from_arrays(inner, [f"f{index}" for index in range(len(inner))], mask=mask)
    if shape == "fixed":
        return pyarrow.FixedSizeListArray.from_arrays(draw(columns(length * 2, depth - 1)), 2, mask=mask)
    sizes = draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
    ends = [sum(sizes[:count]) for count in range(length + 1)]
    items = draw(columns(ends[-1], depth - 1))
    if shape == "map":
        keys = pyarrow.array([str(index) for index in range(ends[-1])], pyarrow.string())
        return pyarrow.MapArray.from_arrays(pyarrow.array(ends, pyarrow.int32()), keys, items)
    large = draw(st.booleans())
    kind = pyarrow.LargeListArray if large else pyarrow.ListArray
    return kind.from_arrays(pyarrow.array(ends, pyarrow.int64() if large else pyarrow.int32()), items, mask=mask)


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """A table of some columns in some batches, cut out of larger ones."""
    length = draw(st.integers(0, 6))
    held = {f"c{index}": draw(columns(length)) for index in range(draw(st.integers(0, 4)))}
    table = pyarrow.table(held).replace_schema_metadata(draw(st.none() | st.just({"a": "b"})))
    start = draw(st.integers(0, length))
    return (
        pyarrow.concat_tables([table.slice(start), table.slice(0, start)])
        if draw(st.booleans())
        else table.slice(start)
    )


def stream(table: Any) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


@quick
@given(tables())
def test_any_table_arrives_as_it_was(table: Any) -> None:
    arrived = there_and_back(table)
    assert arrived.schema.equals(table.schema, check_metadata=True)
    arrived.validate(full=True)
    # What the stream says of the values is all of them: bits of NaNs, signs of zeros, nulls and batches.
    assert stream(arrived) == stream(table)


@quick
@given(tables())
def test_a_record_batch_arrives_as_a_table(table: Any) -> None:
    for batch in table.to_batches():
        assert stream(there_and_back(batch)) == stream(pyarrow.Table.from_batches([batch]))


moments = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
SERIES: list[st.SearchStrategy[Any]] = [
    st.lists(whole(64)).map(lambda values: pandas.Series(values, dtype="int64")),
    st.lists(whole(8, False)).map(lambda values: pandas.Series(values, dtype="uint8")),
    st.lists(st.floats(width=32)).map(lambda values: pandas.Series(values, dtype="float32")),
    st.lists(st.floats()).map(lambda values: pandas.Series(values, dtype="float64")),
    st.lists(st.booleans()).map(lambda values: pandas.Series(values, dtype="bool")),
    st.lists(st.none() | whole(64)).map(lambda values: pandas.Series(values, dtype="Int64")),
    st.lists(st.none() | st.booleans()).map(lambda values: pandas.Series(values, dtype="boolean")),
    st.lists(st.none() | st.text()).map(lambda values: pandas.Series(values, dtype="string")),
    st.lists(st.binary()).map(lambda values: pandas.Series(values, dtype="object")),
    st.lists(st.sampled_from(["a", "b", None])).map(
        lambda values: pandas.Series(pandas.Categorical(values, categories=["b", "a", "c"], ordered=True))
    ),
    st.lists(st.none() | moments).map(lambda values: pandas.Series(values, dtype="datetime64[us]")),
    st.lists(moments).map(lambda values: pandas.Series(values, dtype="datetime64[ns]").dt.tz_localize("UTC")),
    st.lists(moments).map(
        lambda values: pandas.Series(values, dtype="datetime64[us]").dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")
    ),
    st.lists(st.none() | st.timedeltas(datetime.timedelta(-9999), datetime.timedelta(9999))).map(
        lambda values: pandas.Series(values, dtype="timedelta64[us]")
    ),
    st.lists(st.none() | st.decimals(-(10**9), 10**9, places=2)).map(lambda v: pandas.Series(v, dtype="object")),
]


@st.composite
def frames(draw: st.DrawFn) -> Any:
    held = [draw(draw(st.sampled_from(SERIES))) for _ in range(draw(st.integers(0, 4)))]
    length = min(map(len, held), default=0)
    names = draw(st.sampled_from([[f"n{i}" for i in range(4)], [3, 1, 2, 0]]))
    columns = {name: series[:length].reset_index(drop=True) for name, series in zip(names, held)}
    frame = pandas.DataFrame(columns, index=pandas.RangeIndex(length))
    index = draw(st.sampled_from(["range", "step", "labels", "times", "two"]))
    if index == "step":
        frame.index = pandas.RangeIndex(3, 3 + 2 * length, 2, name="steps")
    elif index == "labels":
        frame.index = pandas.Index([f"row {i}" for i in range(length)], name="label")
    elif index == "times":
        frame.index = pandas.date_range("2024-03-30", periods=length, freq="D", tz="Europe/Berlin")
    elif index == "two":
        frame.index = pandas.MultiIndex.from_arrays([range(length), ["x"] * length], names=["i", None])
    return frame


@quick
@given(frames())
def test_any_pandas_frame_comes_back_with_its_index_and_types(frame: Any) -> None:
    arrived = as_kind("pandas", frame)
    pandas.testing.assert_frame_equal(arrived, frame, check_exact=True, check_freq=False)


POLARS = [
    polars.Int8, polars.Int64, polars.UInt64, polars.Float32, polars.Float64, polars.Boolean, polars.String,
    polars.Binary, polars.Date, polars.Time, polars.Datetime("us", "Europe/Berlin"), polars.Datetime("ms"),
    polars.Duration("ns"), polars.Decimal(38, 2), polars.Categorical, polars.Enum(["a", "b"]), polars.Null,
]  # fmt: skip


@quick
@given(st.data())
def test_any_polars_frame_comes_back_with_its_types(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(POLARS), max_size=4))
    nested = st.sampled_from([lambda kind: kind, polars.List, lambda kind: polars.Struct({"x": kind})])
    kinds = [data.draw(nested)(kind) if not kind.is_(polars.Categorical) else kind for kind in kinds]
    frame = data.draw(
        dataframes(
            [column(f"c{index}", dtype=kind, allow_null=True) for index, kind in enumerate(kinds)],
            min_size=0,
            max_size=6,
            allow_chunks=True,
        )
    )
    assert_frame_equal(as_kind("polars", frame), frame, check_exact=True)
    assert as_kind("polars", frame).schema == frame.schema
