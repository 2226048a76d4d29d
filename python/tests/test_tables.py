"""Tables and pandas' scalars on the wire."""

from __future__ import annotations

import builtins
import datetime
from typing import Any

import ormsgpack
import pytest

from snakepit_worker.values import Packer, Unpacker, Unserializable, WireValueError

pyarrow = pytest.importorskip("pyarrow")

packer = Packer()
unpacker = Unpacker(lambda *parts: parts, lambda number: number)


def there_and_back(value: object) -> Any:
    return unpacker.unpack(packer.pack_value(value))


def as_kind(kind: str, value: object) -> Any:
    """What arrives in Python when the host sends the table of `value` on as `kind`."""
    _, stream = ormsgpack.unpackb(packer.pack_value(value), ext_hook=lambda _code, data: ormsgpack.unpackb(data))
    payload = ormsgpack.packb(["arrow", [kind, stream]])
    return unpacker.unpack(ormsgpack.packb(ormsgpack.Ext(13, payload)))


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


def test_a_pandas_frame_that_arrow_cannot_hold_is_refused_with_the_reason() -> None:
    pandas = pytest.importorskip("pandas")
    assert "Arrow" in refused(pandas.DataFrame({"a": [1, "x", object()]})).reason
    assert "uplicate" in refused(pandas.DataFrame([[1, 2]], columns=["a", "a"])).reason


def test_polars_frames_and_series_arrive() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert as_kind("polars", frame).equals(frame)
    assert there_and_back(frame).column_names == ["a", "b"]
    assert there_and_back(polars.Series("s", [1, 2])).to_pydict() == {"s": [1, 2]}


def test_a_table_can_be_asked_for_as_pyarrow() -> None:
    assert as_kind("pyarrow", table).equals(table)


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


def test_without_pyarrow_tables_fail_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    data = packer.pack_value(table)
    frame = pandas.DataFrame({"a": [1]})
    imported = builtins.__import__

    def without_pyarrow(name: str, *rest: Any, **options: Any) -> Any:
        if name == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
        return imported(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(WireValueError, match="pyarrow is not installed"):
        unpacker.unpack(data)
    with pytest.raises(Unserializable, match="install pyarrow"):
        packer.pack_value(frame)


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
