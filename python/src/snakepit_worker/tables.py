"""Tables on the wire: the adapter `arrow`, and pandas' own scalars.

Frames of pandas, polars and pyarrow leave as the bytes of an Arrow IPC stream. A series is a table of one column,
named as the series or `0`. A pandas index crosses as pyarrow stores it: a default RangeIndex as metadata, any other
as a column that the metadata names. What arrives as bytes becomes a `pyarrow.Table`; what arrives as [kind, bytes] a
frame of that kind: `pandas`, `polars` or `pyarrow`.

Imported by `adapters.py` when the first table is seen or decoded.
"""

from __future__ import annotations

import sys

from .adapters import ADAPTED, Refused
from .errors import bounded_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .adapters import Rule

_PLACE = 0


def rule_for(kind: type, base: type) -> Rule | None:
    """The rule of a class whose MRO has `base`, one of the classes that `adapters.py` names."""
    library = base.__module__.partition(".")[0]
    return _RULES[library, base.__name__]


def _pandas_frame(frame: Any) -> list[object]:
    return ["arrow", _stream(_pyarrow("pandas").Table.from_pandas(frame))]


def _pandas_series(series: Any) -> list[object]:
    return _pandas_frame(series.to_frame())


def _polars_frame(frame: Any) -> list[object]:
    import io

    sink = io.BytesIO()
    # The oldest level has no string views, which other readers of Arrow may not know.
    frame.write_ipc_stream(sink, compat_level=sys.modules["polars"].CompatLevel.oldest())
    return ["arrow", sink.getvalue()]


def _polars_series(series: Any) -> list[object]:
    return _polars_frame(series.to_frame())


def _arrow_table(table: Any) -> list[object]:
    return ["arrow", _stream(table)]


def _stream(table: Any) -> memoryview:
    """The IPC stream of a pyarrow Table or RecordBatch."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return memoryview(sink.getvalue())


def _pyarrow(library: str) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise Refused(f"a table of {library} crosses as Arrow, and pyarrow is not installed: install pyarrow") from None
    return pyarrow


def decode(payload: object) -> object:
    """A table of bytes or [kind, bytes]. Raises Refused with what is wrong, a missing library included."""
    kind, data = payload if type(payload) is list and len(payload) == 2 else ("pyarrow", payload)
    read = _READERS.get(kind) if type(kind) is str else None
    if read is None or type(data) is not bytes:
        kinds = ", ".join(_READERS)
        raise Refused(f"{bounded_repr(payload, 80)} instead of bytes or [kind, bytes] with a kind of {kinds}")
    try:
        return read(data)
    except ImportError as error:
        raise Refused(
            f"a table of {len(data)} bytes as {kind}, and {error.name} is not installed in the worker's environment"
        ) from None
    except (ValueError, OSError) as error:  # pyarrow's errors are subclasses of these
        raise Refused(f"{len(data)} bytes that are no Arrow IPC stream ({error})") from None


def _read_pyarrow(data: bytes) -> Any:
    import pyarrow

    with pyarrow.ipc.open_stream(data) as reader:
        return reader.read_all()


def _read_pandas(data: bytes) -> Any:
    import pandas  # noqa: F401 - so that the library that is missing is named

    return _read_pyarrow(data).to_pandas()


def _read_polars(data: bytes) -> Any:
    import io

    import polars

    return polars.read_ipc_stream(io.BytesIO(data))


_READERS: dict[str, Callable[[bytes], object]] = {
    "pyarrow": _read_pyarrow,
    "pandas": _read_pandas,
    "polars": _read_polars,
}


# ---- pandas' scalars: subclasses of datetime and timedelta that can hold more --------------------------------------


def _timestamp(value: Any) -> object:
    if value.nanosecond:
        raise Refused("the timestamp has nanoseconds, which datetimes lose; send it as numpy.datetime64")
    return value.to_pydatetime()


def _timedelta(value: Any) -> object:
    if value.nanoseconds:
        raise Refused("the timedelta has nanoseconds, which timedeltas lose; send it as numpy.timedelta64")
    return value.to_pytimedelta()


def _refuse_missing(value: object) -> object:
    raise Refused(f"{type_name(type(value))}, pandas' missing value, has no form on the wire outside a table; use None")


_RULES: dict[tuple[str, str], Rule] = {
    ("pandas", "DataFrame"): (ADAPTED, _pandas_frame),
    ("pandas", "Series"): (ADAPTED, _pandas_series),
    ("pandas", "Timestamp"): (_PLACE, _timestamp),
    ("pandas", "Timedelta"): (_PLACE, _timedelta),
    ("pandas", "NaTType"): (_PLACE, _refuse_missing),
    ("pandas", "NAType"): (_PLACE, _refuse_missing),
    ("polars", "DataFrame"): (ADAPTED, _polars_frame),
    ("polars", "Series"): (ADAPTED, _polars_series),
    ("pyarrow", "Table"): (ADAPTED, _arrow_table),
    ("pyarrow", "RecordBatch"): (ADAPTED, _arrow_table),
}
