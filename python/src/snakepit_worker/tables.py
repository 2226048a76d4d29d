"""Tables on the wire: the adapter `arrow`, and pandas' own scalars.

Frames of pandas, polars and pyarrow leave as the bytes of an Arrow IPC stream. A series is a table of one column,
named as the series or `0`. A pandas index crosses as pyarrow stores it: a default RangeIndex as metadata, any other
as a column that the metadata names. What arrives as [kind, bytes] becomes a frame of that kind: `pandas`, `polars` or
`pyarrow`. What arrives as bytes becomes what the target's annotation asks for (see `arrivals.py`), else a
`pyarrow.Table`, or a polars frame where there is no pyarrow.

Imported by `adapters.py` when the first table is seen or decoded.
"""

from __future__ import annotations

import sys

from . import arrivals, storage
from .adapters import ADAPTED, Formless, Refused
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
    from . import pandas_frames

    return _arrow_table(pandas_frames.to_arrow(frame))


def _pandas_series(series: Any) -> list[object]:
    return _pandas_frame(series.to_frame())


def _polars_frame(frame: Any) -> list[object]:
    import io

    from . import arrow_stream

    polars = sys.modules["polars"]
    for name, dtype in frame.schema.items():
        _check_polars(name, dtype, polars)
    if frame.estimated_size() > arrow_stream.MOST_TEXT:
        for column in frame.get_columns():
            for chunk in column.get_chunks():
                _check_polars_text(column.name, chunk, polars)
    sink = io.BytesIO()
    # The oldest level has no string views, which drag along all buffers that they were ever cut from.
    frame.write_ipc_stream(sink, compat_level=polars.CompatLevel.oldest())
    return ["arrow", storage.store(sink.getbuffer())]


def _check_polars(column: str, dtype: Any, polars: Any) -> None:
    """Refuses what polars itself writes in a form that nothing else can read: objects, as their addresses, say."""
    if dtype in (polars.Object, polars.Int128, getattr(polars, "UInt128", None)):
        raise Refused(f"the column {column!r} is {dtype}, which Arrow has no type for; cast it")
    for inner in [getattr(dtype, "inner", None), *(field.dtype for field in getattr(dtype, "fields", ()))]:
        if inner is not None:
            _check_polars(column, inner, polars)


def _check_polars_text(column: str, series: Any, polars: Any) -> None:
    """Refuses a series that has too much text, at any depth."""
    from . import arrow_stream

    dtype = series.dtype
    if dtype == polars.String:
        arrow_stream.check_size(series.str.len_bytes().sum(), column)
    elif dtype == polars.Binary:
        arrow_stream.check_size(series.bin.size().sum(), column)
    elif isinstance(dtype, (polars.List, polars.Array)):
        _check_polars_text(column, series.explode(), polars)
    elif isinstance(dtype, polars.Struct):
        for field in dtype.fields:
            _check_polars_text(column, series.struct.field(field.name), polars)


def _polars_series(series: Any) -> list[object]:
    return _polars_frame(series.to_frame())


def _refuse_lazy(_frame: object) -> object:
    raise Formless(
        "a LazyFrame is a query that has not run; collect() it, or call inside a session to keep it as a ref"
    )


def _arrow_batch(batch: Any) -> list[object]:
    return _arrow_table(sys.modules["pyarrow"].Table.from_batches([batch]))


def _arrow_table(table: Any) -> list[object]:
    from . import arrow_stream

    size, fill = arrow_stream.prepare(table)
    stored = storage.write(size, fill)
    if stored is not None:
        return ["arrow", stored]
    if size > _MOST_INLINE:
        raise Refused(f"the table takes {size} bytes, and a message has room for less than 4 GiB; send it in parts")
    room = memoryview(sys.modules["pyarrow"].allocate_buffer(size))
    fill(room)
    return ["arrow", room]


# A length in MessagePack has 32 bits, and what stands around the bytes needs some of them.
_MOST_INLINE = (1 << 32) - (1 << 16)


# ---- what arrives --------------------------------------------------------------------------------------------------


def decode(payload: object) -> object:
    """A table of a stream or [kind, stream]. Raises Refused with what is wrong, a missing library included."""
    kind, stream = payload if type(payload) is list and len(payload) == 2 else (None, payload)
    if type(stream) is storage.Shared:
        # The table holds on to the buffer, and the buffer to the memory
        data: bytes | memoryview = stream.buffer
    elif type(stream) is bytes:
        data = stream
    else:
        raise _no_table(payload)
    if not (kind is None or (type(kind) is str and kind in _KINDS)):
        raise _no_table(payload)
    try:
        table = _read(data, kind)
    except (ValueError, OSError, NotImplementedError) as error:  # pyarrow's errors are subclasses of these
        raise Refused(f"{len(data)} bytes that are no Arrow IPC stream ({error})") from None
    if kind is not None:
        return convert(table, kind)
    arrivals.note(table)
    return table


def _no_table(payload: object) -> Refused:
    return Refused(f"{bounded_repr(payload, 80)} instead of bytes or [kind, bytes] with a kind of {', '.join(_KINDS)}")


def convert(table: object, kind: str) -> object:
    """A table that arrived, as another kind. Raises Refused when it cannot be that."""
    return _guarded(_FORMS[kind], table, f"a table as {kind}")


def _guarded(step: Callable[[Any], object], given: object, what: str) -> object:
    try:
        return step(given)
    except Refused:
        raise
    except ImportError as error:
        raise Refused(f"{what}, and {error.name} is not installed in the worker's environment: install it") from None
    except BaseException as error:
        # polars panics on types that it has not got, with an exception that is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise Refused(f"{what}, which fails: {type_name(type(error))}: {error}") from None


def _read(data: bytes | memoryview, kind: object) -> object:
    """A pyarrow table, or a polars frame where there is no pyarrow."""
    if _has("pyarrow"):
        from . import arrow_stream

        return arrow_stream.read(data)
    if kind in (None, "polars") and _has("polars"):
        import polars

        return _guarded(polars.read_ipc_stream, bytes(data), f"a table of {len(data)} bytes as polars")
    raise Refused(f"a table of {len(data)} bytes as {kind or 'pyarrow'}, and pyarrow is not installed: install pyarrow")


def _has(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


def _pyarrow(table: Any) -> Any:
    import pyarrow

    return table if isinstance(table, pyarrow.Table) else table.to_arrow()


def _pandas(table: Any) -> object:
    import pandas  # noqa: F401 - so that the library that is missing is named

    from . import pandas_frames

    return pandas_frames.from_arrow(_pyarrow(table))


def _pandas_column(table: Any) -> object:
    frame: Any = _pandas(table)
    _check_single(frame.shape[1])
    return frame.iloc[:, 0]


def _polars(table: Any) -> Any:
    import polars

    return table if isinstance(table, polars.DataFrame) else polars.from_arrow(table, rechunk=False)


def _polars_column(table: Any) -> object:
    frame = _polars(table)
    _check_single(frame.width)
    return frame.to_series()


def _check_single(columns: int) -> None:
    if columns != 1:
        raise Refused(f"a table of {columns} columns, and a Series is one")


def _batch(table: Any) -> object:
    import pyarrow

    table = _pyarrow(table).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pyarrow.RecordBatch.from_pylist([], schema=table.schema)


# What a table can become: the kinds that a sender may ask for, and those that only an annotation does.
_KINDS: dict[str, Callable[[Any], object]] = {"pyarrow": _pyarrow, "pandas": _pandas, "polars": _polars}
_FORMS: dict[str, Callable[[Any], object]] = {
    **_KINDS,
    "pyarrow.RecordBatch": _batch,
    "pandas.Series": _pandas_column,
    "polars.Series": _polars_column,
    "polars.LazyFrame": lambda table: _polars(table).lazy(),
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
    ("polars", "LazyFrame"): (_PLACE, _refuse_lazy),
    ("pyarrow", "Table"): (ADAPTED, _arrow_table),
    ("pyarrow", "RecordBatch"): (ADAPTED, _arrow_batch),
}
