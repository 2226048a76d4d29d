"""Tables and pandas' scalars on the wire."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from snakepit_worker import storage
from snakepit_worker.shared_memory import SharedMemory
from snakepit_worker.values import Packer, Unpacker, Unserializable, WireValueError

pyarrow = pytest.importorskip("pyarrow")

packer = Packer()
unpacker = Unpacker(lambda *parts: parts, lambda number: number)


def there_and_back(value: object) -> Any:
    return unpacker.unpack(packer.pack_value(value))


def as_kind(kind: str, value: object) -> Any:
    """What arrives in Python when the host sends the table of `value` on as `kind`."""
    payload = ormsgpack.packb(["arrow", [kind, stream_of(value)]])
    return unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, payload)))


def stream_of(value: object) -> Any:
    """The bytes that the host gets for a table."""
    return ormsgpack.unpackb(packer.pack_value(value), ext_hook=lambda _code, data: ormsgpack.unpackb(data))[1]


def refused(value: object) -> Unserializable:
    with pytest.raises(Unserializable) as caught:
        packer.pack_value(["before", value])
    assert caught.value.path == "result[1]"
    return caught.value


table = pyarrow.table({"name": ["a", None], "count": pyarrow.array([1, 2], pyarrow.int16())})


def test_pyarrow_tables_and_batches_arrive_as_tables() -> None:
    assert there_and_back([table])[0].equals(table)
    assert there_and_back(table.to_batches()[0]).equals(table)
    assert there_and_back(table.slice(0, 0)).equals(table.slice(0, 0))


def test_a_table_beside_other_values_goes_the_exact_way_too() -> None:
    assert there_and_back({1: table})[1].equals(table)


def test_pandas_frames_arrive_with_their_index_and_types() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "whole": [1, 2, 3],
            "text": ["a", None, "c"],
            "kind": pandas.Categorical(["x", "y", "x"]),
            "when": pandas.date_range("2024-01-01", periods=3, tz="Europe/Berlin"),
            "nullable": pandas.array([1, None, 3], dtype="Int64"),
        }
    )
    assert there_and_back(frame).column_names == list(frame.columns)
    pandas.testing.assert_frame_equal(as_kind("pandas", frame), frame)
    indexed = frame.set_index("text")
    assert there_and_back(indexed).column_names[-1] == "text"
    pandas.testing.assert_frame_equal(as_kind("pandas", indexed), indexed)


def test_a_pandas_series_is_a_table_of_one_column() -> None:
    pandas = pytest.importorskip("pandas")
    assert there_and_back(pandas.Series([1, 2], name="count")).to_pydict() == {"count": [1, 2]}
    assert there_and_back(pandas.Series([1, 2])).to_pydict() == {"0": [1, 2]}


def test_integers_with_missing_values_stay_integers_in_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    large = 2**63 - 1
    frame = as_kind("pandas", pyarrow.table({"a": [large, None], "b": [1, 2], "c": pyarrow.array([1, None], "uint8")}))
    assert [str(kind) for kind in frame.dtypes] == ["Int64", "int64", "UInt8"]
    assert frame["a"][0] == large
    assert frame["a"][1] is pandas.NA


def test_integers_with_missing_values_inside_lists_and_structs_stay_integers_in_pandas() -> None:
    pytest.importorskip("pandas")
    large = 2**63 - 1
    held = {"list": [[large, None], None], "struct": [{"x": large}, {"x": None}]}
    arrived = as_kind("pandas", pyarrow.table(held))
    assert {name: arrived[name].tolist() for name in held} == held


def test_dictionaries_with_unsigned_indices_become_categoricals() -> None:
    pytest.importorskip("pandas")
    kinds = [pyarrow.uint8(), pyarrow.uint16(), pyarrow.uint32(), pyarrow.uint64()]
    for kind in kinds:
        column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([1, None, 0], kind), ["a", "b"])
        assert as_kind("pandas", pyarrow.table({"c": column}))["c"].tolist()[::2] == ["b", "a"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, "x"], "column 'a' mixes int, str"),
        ([1, 2.5], "column 'a' mixes float, int"),
        (["x", b"y"], "column 'a' mixes bytes, str"),
        ([True, 2], "column 'a' mixes bool, int"),
        ([{1}, {2}], "column 'a' holds sets"),
        ([object()], "column a with type object"),
        ([1j], "column a with type object"),
        ([2**70], "column 'a' has integers of more than 64 bits"),
        ([[2**70]], "column 'a' has integers that its type in Arrow has no room for"),
        ([-1, 2**64 - 1], "column 'a' has integers that its type in Arrow has no room for"),
        ([datetime.time(1, tzinfo=datetime.timezone.utc)], "times of day with a zone"),
        (
            [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)],
            "column 'a' has times of several zones",
        ),
    ],
)
def test_a_column_of_python_objects_that_would_change_is_refused_by_name(values: list[object], reason: str) -> None:
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(values, dtype=object)
    assert reason in refused(pandas.DataFrame({"before": 1, "a": column})).reason
    indexed = pandas.DataFrame({"b": range(len(values))}, index=pandas.Index(values, dtype=object, name="a"))
    assert "a" in refused(indexed).reason


def test_columns_of_python_objects_of_one_kind_arrive_with_what_is_missing() -> None:
    pandas = pytest.importorskip("pandas")
    held = {"text": ["a", None], "list": [[1, 2], None], "dict": [None, {"k": 1}], "none": [None, None]}
    frame = pandas.DataFrame({name: pandas.Series(values, dtype=object) for name, values in held.items()})
    assert there_and_back(frame).to_pydict() == held


def test_column_names_cross_as_text() -> None:
    pandas = pytest.importorskip("pandas")
    assert there_and_back(pandas.DataFrame([[1, 2]], columns=["id", 2020])).column_names == ["id", "2020"]
    years = pandas.DataFrame([[1, 2]], columns=[2020, 2021])
    assert there_and_back(years).column_names == ["2020", "2021"]
    pandas.testing.assert_frame_equal(as_kind("pandas", years), years)
    assert "called '1'" in refused(pandas.DataFrame([[1, 2]], columns=[1, "1"])).reason


def test_columns_of_the_same_name_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    assert "several columns are called 'a'" in refused(pandas.DataFrame([[1, 2]], columns=["a", "a"])).reason
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array(["x"])], ["a", "a"])
    assert "several columns are called 'a'" in refused(twice).reason


def test_text_beyond_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakepit_worker.arrow_stream.MOST_TEXT", 5)
    large = pyarrow.table({"notes": pyarrow.array(["abc", "def"], pyarrow.large_string())})
    assert "the column 'notes' has 6 bytes of text in one batch" in refused(large).reason
    there_and_back(large.slice(1))
    there_and_back(pyarrow.concat_tables([large.slice(0, 1), large.slice(1)]))
    monkeypatch.setattr("snakepit_worker.tables._MOST_INLINE", 100)
    assert "less than 4 GiB" in refused(large.slice(1)).reason


@pytest.mark.parametrize("wrap", ["list", "struct", "map", "dictionary"])
def test_text_inside_other_values_counts_too(monkeypatch: pytest.MonkeyPatch, wrap: str) -> None:
    monkeypatch.setattr("snakepit_worker.arrow_stream.MOST_TEXT", 5)
    kind = pyarrow.large_string()
    column = {
        "list": lambda: pyarrow.array([["abc"], None, ["def"]], pyarrow.list_(kind)),
        "struct": lambda: pyarrow.array([{"x": ["abc"]}, {"x": ["def"]}], pyarrow.struct([("x", pyarrow.list_(kind))])),
        "map": lambda: pyarrow.array([[(1, "abc")], [(2, "def")]], pyarrow.map_(pyarrow.int8(), kind)),
        "dictionary": lambda: pyarrow.array(["abc", "def"], kind).dictionary_encode(),
    }[wrap]()
    assert "the column 'c' has 6 bytes of text" in refused(pyarrow.table({"c": column})).reason


@pytest.mark.parametrize("wrap", ["plain", "binary", "list", "array", "struct"])
def test_text_of_polars_beyond_two_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch, wrap: str) -> None:
    polars = pytest.importorskip("polars")
    monkeypatch.setattr("snakepit_worker.arrow_stream.MOST_TEXT", 5)
    values = {
        "plain": ["abc", None, "def"],
        "binary": [b"abc", b"def"],
        "list": [["abc"], ["def"]],
        "array": polars.Series([["abc"], ["def"]], dtype=polars.Array(polars.String, 1)),
        "struct": [{"x": ["abc"]}, {"x": ["def"]}],
    }[wrap]
    assert "the column 'c' has 6 bytes of text" in refused(polars.DataFrame({"c": values})).reason
    parts = polars.concat([polars.DataFrame({"c": ["abc"]}), polars.DataFrame({"c": ["def"]})], rechunk=False)
    there_and_back(parts)


def test_polars_frames_and_series_arrive() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert as_kind("polars", frame).equals(frame)
    assert there_and_back(frame).column_names == ["a", "b"]
    assert there_and_back(polars.Series("s", [1, 2])).to_pydict() == {"s": [1, 2]}


def test_a_table_can_be_asked_for_as_pyarrow() -> None:
    assert as_kind("pyarrow", table).equals(table)


def test_types_that_typescript_lacks_are_cast_to_the_nearest_that_it_has() -> None:
    ends = pyarrow.RunEndEncodedArray.from_arrays(pyarrow.array([2, 3], pyarrow.int32()), ["a", "b"])
    wide = pyarrow.DictionaryArray.from_arrays(pyarrow.array([1, None, 0]), ["p", "q"])
    views = pyarrow.array([["a"], None, ["b", "c"]], pyarrow.list_view(pyarrow.string()))
    texts = pyarrow.array([["a"], None, ["longer than twelve bytes"]], pyarrow.list_(pyarrow.string_view()))
    inner = pyarrow.array(
        [{"m": [("k", b"v")]}, None, {"m": []}],
        pyarrow.struct([("m", pyarrow.map_(pyarrow.string_view(), pyarrow.binary_view()))]),
    )
    sent = pyarrow.table({"ends": ends, "wide": wide, "views": views, "texts": texts, "inner": inner})
    arrived = there_and_back(pyarrow.concat_tables([sent.slice(1), sent]))
    assert arrived.to_pylist() == [*sent.slice(1).to_pylist(), *sent.to_pylist()]
    assert [str(kind) for kind in arrived.schema.types] == [
        "string",
        "dictionary<values=string, indices=int32, ordered=0>",
        "list<item: string>",
        "list<item: large_string>",
        "struct<m: map<large_string, large_binary>>",
    ]


def test_run_end_encoded_values_inside_others_are_refused_by_column() -> None:
    ends = pyarrow.RunEndEncodedArray.from_arrays(pyarrow.array([2], pyarrow.int32()), ["a"])
    lists = pyarrow.ListArray.from_arrays([0, 2], ends)
    assert "the column 'runs' holds run_end_encoded" in refused(pyarrow.table({"runs": lists})).reason


def test_a_table_without_columns_keeps_its_rows() -> None:
    assert there_and_back(table.select([])).num_rows == 2
    assert there_and_back(pyarrow.table({})).num_columns == 0


def test_many_batches_stay_the_batches_they_were() -> None:
    dictionaries = [pyarrow.record_batch({"c": pyarrow.array(words).dictionary_encode()}) for words in ("ab", "xyz")]
    batches = pyarrow.Table.from_batches([*dictionaries, dictionaries[0].slice(1), dictionaries[0].slice(0, 0)])
    arrived = there_and_back(batches)
    assert [len(chunk) for chunk in arrived.column("c").chunks] == [2, 3, 1]
    assert arrived.to_pydict() == batches.to_pydict()


def test_metadata_of_the_schema_and_of_fields_arrives() -> None:
    field = pyarrow.field("a", pyarrow.int8(), nullable=False, metadata={"unit": "m"})
    sent = pyarrow.table({"a": pyarrow.array([1], pyarrow.int8())}).cast(pyarrow.schema([field], {"by": "me"}))
    assert there_and_back(sent).schema.equals(sent.schema, check_metadata=True)


def test_a_stream_with_buffers_too_short_is_refused_before_it_is_read() -> None:
    whole = pyarrow.table({"a": pyarrow.array([1, 2, 3, 4, 5, 6, 7, 8, 9])})
    stream = bytearray(stream_of(whole))
    # the length of the one buffer, in the metadata of the one batch
    place = stream.rindex((72).to_bytes(8, "little"), 0, stream.rindex((1).to_bytes(8, "little")))
    stream[place : place + 8] = (8).to_bytes(8, "little")
    payload = ormsgpack.packb(["arrow", ["pyarrow", bytes(stream)]])
    with pytest.raises(WireValueError, match="Buffer #1 too small"):
        unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, payload)))


def test_a_lazy_frame_is_refused_with_what_to_do() -> None:
    polars = pytest.importorskip("polars")
    assert "collect() it" in refused(polars.LazyFrame({"a": [1]})).reason


def test_what_polars_alone_can_read_is_refused_by_column() -> None:
    polars = pytest.importorskip("polars")
    objects = polars.Series([object()], dtype=polars.Object)
    assert "the column 'o' is Object" in refused(polars.DataFrame({"o": objects})).reason
    inside = polars.DataFrame({"s": polars.Series([{"x": 1}], dtype=polars.Struct({"x": polars.Int128}))})
    assert "the column 's' is Int128" in refused(inside).reason


def test_a_table_that_polars_has_no_types_for_is_refused() -> None:
    pytest.importorskip("polars")
    payload = ormsgpack.packb(["arrow", ["polars", stream_of(pyarrow.table({"a": pyarrow.nulls(2, _INTERVAL)}))]])
    with pytest.raises(WireValueError, match="a table as polars, which fails"):
        unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, payload)))


_INTERVAL = pyarrow.month_day_nano_interval()


@pytest.mark.parametrize(
    ("payload", "actual"),
    [
        (5, "instead of bytes or [kind, bytes]"),
        (["excel", b""], "a kind of pyarrow, pandas, polars"),
        (["pyarrow", "text"], "instead of bytes"),
        (b"no stream at all", "no Arrow IPC stream"),
    ],
)
def test_a_bad_table_fails_with_what_is_wrong(payload: object, actual: str) -> None:
    data = ormsgpack.packb({"args": [ormsgpack.Ext(13, ormsgpack.packb(["arrow", payload]))]})
    with pytest.raises(WireValueError) as caught:
        unpacker.unpack(data)
    assert caught.value.path == "args[0]"
    assert actual in caught.value.actual


def test_without_pyarrow_pandas_frames_fail_and_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    data = ormsgpack.packb(ormsgpack.Ext(13, ormsgpack.packb(["arrow", ["pandas", stream_of(table)]])))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(WireValueError, match="install pyarrow"):
        unpacker.unpack(data)
    with pytest.raises(Unserializable, match="install pyarrow"):
        packer.pack_value(pandas.DataFrame({"a": [1]}))


def test_without_pyarrow_polars_frames_still_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert as_kind("polars", frame).equals(frame)
    assert there_and_back(frame).equals(frame)


# ---- shared memory --------------------------------------------------------------------------------------------------


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Path]:
    """A segment that the host has granted to this worker, in use for everything, however small."""
    path = tmp_path / "segment-1"
    path.write_bytes(bytes(1 << 20))
    storage.use(SharedMemory([str(tmp_path / "segment-")], lambda *_: [1, 0, 1 << 20]), 0)
    yield path
    storage.discard()
    storage.use(None)


def parts_of(_code: int, data: bytes) -> Any:
    return ormsgpack.unpackb(data, ext_hook=parts_of)


def place_of(packed: bytes) -> list[Any]:
    """[segment, start, offset, length, region] of the bytes of a packed table."""
    name, place = ormsgpack.unpackb(packed, ext_hook=parts_of)
    assert name == "arrow"
    return place  # type: ignore[no-any-return]


def arriving(place: list[Any], kind: str) -> Any:
    """What arrives when the host sends what stands in a place on as `kind`."""
    where, start, offset, length, _ = place
    shared = ormsgpack.Ext(14, ormsgpack.packb([where, start + offset, length, 7, False]))
    return unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, ormsgpack.packb(["arrow", [kind, shared]]))))


def test_a_table_is_written_to_shared_memory_and_read_where_it_lies(segment: Path) -> None:
    sent = pyarrow.table({"n": pyarrow.array(range(1000)), "s": [str(number) for number in range(1000)]})
    place = place_of(packer.pack_value(sent))
    where, start, offset, length, region = place
    assert (where, region) == (1, None)
    stream = segment.read_bytes()[start + offset : start + offset + length]
    assert pyarrow.ipc.open_stream(stream).read_all().equals(sent)

    arrived = arriving(place, "pyarrow")
    assert arrived.equals(sent)
    numbers = arrived.column("n").chunk(0).buffers()[1]
    assert not numbers.is_mutable
    at = stream.index(bytes(memoryview(sent.column("n").chunk(0).buffers()[1])[:8000]))
    with segment.open("r+b") as file:
        file.seek(start + offset + at)
        file.write((77).to_bytes(8, "little"))
    assert arrived.column("n")[0].as_py() == 77


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_come_and_go_through_shared_memory(segment: Path, library: str) -> None:
    frame = pytest.importorskip(library).DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    arrived = arriving(place_of(packer.pack_value(frame)), library)
    assert type(arrived) is type(frame)
    assert arrived.equals(frame)
    assert segment.exists()


def test_a_table_keeps_its_shared_memory_for_as_long_as_it_lives(segment: Path) -> None:
    place = place_of(packer.pack_value(table))
    assert segment.exists()
    shared = storage.memory
    assert shared is not None
    arrived = arriving(place, "pyarrow")
    views = shared.take_views()
    assert views is not None
    assert shared.keep(views) == [7]
    column = arrived.column("count")
    del arrived
    assert shared.released() == []
    assert column.to_pylist() == [1, 2]
    del column
    assert shared.released() == [7]


# ---- pandas' scalars -----------------------------------------------------------------------------------------------


def test_timestamps_and_timedeltas_arrive_as_python_has_them() -> None:
    pandas = pytest.importorskip("pandas")
    assert there_and_back(pandas.Timestamp("2024-01-01 12:00", tz="UTC")) == datetime.datetime(
        2024, 1, 1, 12, tzinfo=datetime.timezone.utc
    )
    zoned = there_and_back(pandas.Timestamp("2024-07-01 12:00", tz="Europe/Berlin"))
    assert str(zoned.tzinfo) == "Europe/Berlin"
    assert there_and_back(pandas.Timedelta("1 day 2 seconds")) == datetime.timedelta(1, 2)


def test_nanoseconds_and_missing_values_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    assert "nanoseconds" in refused(pandas.Timestamp(1)).reason
    assert "nanoseconds" in refused(pandas.Timedelta(1)).reason
    assert "use None" in refused(pandas.NaT).reason
    assert "use None" in refused(pandas.NA).reason
