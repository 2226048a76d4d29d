"""pandas frames as Arrow tables and back, such that no value changes where pyarrow alone would change it.

Toward Arrow, pyarrow guesses a type for each column of Python objects. Columns that mix kinds, for which the guess
would change values, are refused. Back, integers with missing values become pandas' nullable integers, not floats.
"""

from __future__ import annotations

import datetime

from .adapters import Refused
from .errors import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    # pandas and pyarrow are optional; their objects are typed as what they are not: known.
    Frame = Any
    Table = Any


def to_arrow(frame: Frame) -> Table:
    """The pyarrow table of a frame, index and metadata included. Raises Refused with the column that cannot cross."""
    try:
        import pyarrow
    except ImportError:
        raise Refused("a table of pandas crosses as Arrow, and pyarrow is not installed: install pyarrow") from None
    if frame.columns.inferred_type.startswith("mixed"):
        # Names are text in Arrow. What is all integers comes back as such; of a mixture, pyarrow warns.
        frame = frame.set_axis(list(map(str, frame.columns)), axis="columns")
    if not frame.columns.is_unique:
        twice = ", ".join(map(repr, frame.columns[frame.columns.duplicated()].unique()))
        raise Refused(f"several columns are called {twice}, and columns are found by name; rename them")
    for what, values in _of_objects(frame):
        _check_objects(what, values)
    try:
        return pyarrow.Table.from_pandas(frame)
    except OverflowError as error:
        for what, values in _of_objects(frame):
            try:
                pyarrow.array(values, from_pandas=True)
            except OverflowError:
                raise Refused(f"the {what} has integers that its type in Arrow has no room for ({error})") from None
        raise Refused(str(error)) from None
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        # The last argument of pyarrow's errors names the column.
        raise Refused(": ".join(map(str, reversed(error.args)))) from None


def _of_objects(frame: Frame) -> Iterator[tuple[str, Any]]:
    """The columns of Python objects, and the levels of the index that are, each with what to call it."""
    for position, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes)):
        if dtype == "object":
            yield f"column {name!r}", frame.iloc[:, position]
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        if values.dtype == "object":
            yield f"index {values.name!r}", values


def _check_objects(what: str, values: Any) -> None:
    """Refuses Python objects whose Arrow form would not say what they were."""
    present = values.dropna()
    kinds = set(map(type, present))
    if len(kinds) > 1:
        named = ", ".join(sorted(map(type_name, kinds)))
        raise Refused(f"the {what} mixes {named}; a column of a table has one type: convert it with astype")
    for kind in kinds:
        if issubclass(kind, int) and not -(1 << 63) <= min(present) <= max(present) < 1 << 64:
            raise Refused(f"the {what} has integers of more than 64 bits, which tables have no type for")
        if issubclass(kind, (set, frozenset)):
            raise Refused(f"the {what} holds sets, which tables have no type for; convert them to lists")
        if issubclass(kind, datetime.datetime) and len({value.tzinfo for value in present}) > 1:
            raise Refused(
                f"the {what} has times of several zones, and a column has one: convert it with pandas.to_datetime"
            )
        if issubclass(kind, datetime.time) and any(value.tzinfo is not None for value in present):
            raise Refused(f"the {what} has times of day with a zone, which tables have no type for")


def from_arrow(table: Table) -> Frame:
    """The pandas frame of a pyarrow table."""
    import pandas

    table = _signed_dictionaries(table)
    frame = table.to_pandas()
    stored = table.schema.pandas_metadata or {}
    index = {name for name in stored.get("index_columns", ()) if isinstance(name, str)}
    position = 0
    for field, column in zip(table.schema, table.columns):
        if field.name in index:
            continue
        if _is_integer(field.type):
            # in place of floats, which have no room for large integers
            if column.null_count and frame.dtypes.iloc[position].kind in "fO":
                nullable = pandas.api.types.pandas_dtype(_NULLABLE[str(field.type)])
                frame.isetitem(position, nullable.__from_arrow__(column))
        elif any(map(_has_missing_integers, column.chunks)):
            frame.isetitem(position, _objects(column))
        position += 1
    return frame


_NULLABLE = {
    "int8": "Int8",
    "int16": "Int16",
    "int32": "Int32",
    "int64": "Int64",
    "uint8": "UInt8",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
}


def _is_integer(kind: Any) -> bool:
    return str(kind) in _NULLABLE


def _has_missing_integers(array: Any) -> bool:
    """Whether integers inside lists or structs have nulls, so that pyarrow would make floats of them."""
    import pyarrow

    kind = array.type
    if pyarrow.types.is_map(kind):
        return _is_missing(array.keys) or _is_missing(array.items)
    if pyarrow.types.is_struct(kind):
        return any(_is_missing(array.field(index)) for index in range(kind.num_fields))
    if pyarrow.types.is_nested(kind) and hasattr(array, "values"):
        return _is_missing(array.values)
    return False


def _is_missing(array: Any) -> bool:
    return bool(array.null_count) if _is_integer(array.type) else _has_missing_integers(array)


def _objects(column: Any) -> Any:
    """A column as lists, dicts and integers of Python."""
    import numpy

    values: Any = numpy.empty(len(column), dtype=object)
    for index, value in enumerate(column.to_pylist()):  # one by one, since numpy would look into lists
        values[index] = value
    return values


def _signed_dictionaries(table: Table) -> Table:
    """Dictionary indices that pandas has: signed ones. Raises pyarrow's error when there are too many categories."""
    import pyarrow

    for position, field in enumerate(table.schema):
        if pyarrow.types.is_dictionary(field.type) and pyarrow.types.is_unsigned_integer(field.type.index_type):
            wide = _SIGNED[field.type.index_type.bit_width]
            kind = pyarrow.dictionary(getattr(pyarrow, wide)(), field.type.value_type, field.type.ordered)
            table = table.set_column(position, field.with_type(kind), table.column(position).cast(kind))
    return table


_SIGNED = {8: "int16", 16: "int32", 32: "int64", 64: "int64"}
