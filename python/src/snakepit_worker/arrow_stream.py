"""The Arrow IPC stream of a pyarrow table: how large it is, written where it is to be, and read in place.

Types that apache-arrow, the reader in TypeScript, lacks are cast to the nearest one that it has, values unchanged:
lists by view to lists, run-end encoded values to plain ones, dictionary indices of 64 bits to 32. Strings and binary by
view become large ones, since a view drags along all the buffers that it was ever cut from. Large types cross as they
are.
"""

from __future__ import annotations

from .adapters import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # pyarrow is optional; its objects are typed as what they are not: known.
    Table = Any
    DataType = Any

# Text of one batch beyond this is refused: the offsets of a string column end here, and so do many readers.
MOST_TEXT = (1 << 31) - 1
# Threads that copy, and from how many bytes of a buffer on they do. Two saturate the memory of most machines.
_COPY_THREADS = 2
_COPY_THRESHOLD = 1 << 22


def prepare(table: Table) -> tuple[int, Callable[[Any], None]]:
    """Size in bytes of a table's stream, and what writes it into a buffer of that size.

    Raises Refused with the column that cannot cross.
    """
    import pyarrow

    table = _carried(table)

    def write(sink: Any) -> None:
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            if table.num_rows == 0 and all(column.num_chunks for column in table.columns):
                # pyarrow leaves out empty batches, and with them the categories of a column
                chunks = [column.chunk(0) for column in table.columns]
                writer.write_batch(pyarrow.RecordBatch.from_arrays(chunks, schema=table.schema))
            else:
                writer.write_table(table)

    counter = pyarrow.MockOutputStream()
    write(counter)

    def fill(room: Any) -> None:
        sink = pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(room))
        sink.set_memcopy_threads(_COPY_THREADS)
        sink.set_memcopy_threshold(_COPY_THRESHOLD)
        write(sink)
        sink.close()

    return counter.size(), fill


def read(data: Any) -> Table:
    """The table of a stream, over the very bytes. Raises pyarrow's errors for bytes that are none."""
    import pyarrow

    with pyarrow.ipc.open_stream(pyarrow.py_buffer(data)) as reader:
        table = reader.read_all()
    # Sizes and offsets only. A stream whose buffers are too short would otherwise be read beyond its end.
    table.validate()
    return table


def _carried(table: Table) -> Table:
    """The table in types that apache-arrow has. Raises Refused with the column."""
    names = table.schema.names
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Refused(f"several columns are called {_quoted(twice)}, and columns are found by name; rename them")
    for position, field in enumerate(table.schema):
        kind = field.type
        target = _carried_type(kind, field.name)
        if target is not kind:
            table = table.set_column(position, field.with_type(target), _cast(table.column(position), target, field))
    if table.nbytes > MOST_TEXT:
        for name, column in zip(names, table.columns):
            for chunk in column.chunks:
                _check_text(chunk, name)
    return table


def _cast(column: Any, target: DataType, field: Any) -> Any:
    import pyarrow
    import pyarrow.compute

    try:
        if pyarrow.types.is_run_end_encoded(column.type):
            plain = [pyarrow.compute.run_end_decode(chunk) for chunk in column.chunks]
            column = pyarrow.chunked_array(plain, column.type.value_type)
        elif _is_list_view(column.type):
            lists = [_in_order(chunk) for chunk in column.chunks]
            column = pyarrow.chunked_array(lists, pyarrow.large_list(column.type.value_field))
        return column.cast(target)
    except pyarrow.ArrowException as error:
        raise Refused(f"the column {field.name!r} is {field.type}, which has no form in TypeScript ({error})") from None


def _in_order(views: Any) -> Any:
    """A list array of a list view array. pyarrow's own cast gives wrong offsets where there are nulls."""
    import pyarrow
    from pyarrow import compute

    lengths = compute.fill_null(compute.list_value_length(views), 0).cast(pyarrow.int64())
    offsets = pyarrow.concat_arrays([pyarrow.array([0], pyarrow.int64()), compute.cumulative_sum(lengths)])
    kind = pyarrow.large_list(views.type.value_field)
    return pyarrow.LargeListArray.from_arrays(offsets, compute.list_flatten(views), type=kind, mask=views.is_null())


def _is_list_view(kind: DataType) -> bool:
    return str(kind).startswith(("list_view", "large_list_view"))


def _carried_type(kind: DataType, column: str, is_inside: bool = False) -> DataType:
    """The type to cast to; the very same where nothing is to be done."""
    import pyarrow

    types = pyarrow.types
    if str(kind) in _CAST:
        return getattr(pyarrow, _CAST[str(kind)])()
    if types.is_dictionary(kind):
        index, value = kind.index_type, _carried_type(kind.value_type, column, True)
        if index.bit_width < 64 and value == kind.value_type:
            return kind
        return pyarrow.dictionary(pyarrow.int32() if index.bit_width == 64 else index, value, kind.ordered)
    is_view = _is_list_view(kind)
    if is_inside and (is_view or types.is_run_end_encoded(kind)):
        raise Refused(f"the column {column!r} holds {kind} inside other values, which cannot cross; cast it")
    if types.is_run_end_encoded(kind):
        return _carried_type(kind.value_type, column)
    if types.is_union(kind) or not (types.is_nested(kind) or is_view):
        return kind
    if types.is_map(kind):
        key, item = (_carried_field(field, column) for field in (kind.key_field, kind.item_field))
        if key.type == kind.key_type and item.type == kind.item_type:
            return kind
        return pyarrow.map_(key, item, kind.keys_sorted)
    before = [kind.field(index) for index in range(kind.num_fields)]
    fields = [_carried_field(field, column) for field in before]
    if not is_view and all(after is field for after, field in zip(fields, before)):
        return kind
    if types.is_struct(kind):
        return pyarrow.struct(fields)
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(fields[0], kind.list_size)
    return (pyarrow.large_list if str(kind).startswith("large") else pyarrow.list_)(fields[0])


def _carried_field(field: Any, column: str) -> Any:
    kind = field.type
    target = _carried_type(kind, column, True)
    return field if target is kind else field.with_type(target)


_CAST = {"string_view": "large_string", "binary_view": "large_binary"}


def _check_text(array: Any, column: str) -> None:
    """Refuses an array that has too much text, at any depth."""
    import pyarrow

    kind, types = array.type, pyarrow.types
    if types.is_large_string(kind) or types.is_large_binary(kind):
        offsets = array.buffers()[1]
        if offsets is not None and len(array) > 0:
            ends = memoryview(offsets)[8 * array.offset : 8 * (array.offset + len(array) + 1)].cast("q")
            check_size(ends[-1] - ends[0], column)
    elif isinstance(kind, pyarrow.BaseExtensionType):
        _check_text(array.storage, column)
    elif types.is_dictionary(kind):
        _check_text(array.dictionary, column)
    elif types.is_map(kind):
        _check_text(array.keys, column)
        _check_text(array.items, column)
    elif types.is_struct(kind) or types.is_union(kind):
        for index in range(kind.num_fields):
            _check_text(array.field(index), column)
    elif types.is_nested(kind):
        _check_text(array.flatten(), column)


def check_size(size: int, column: str) -> None:
    """Refuses more bytes of text in one batch of a column than apache-arrow can look at."""
    if size > MOST_TEXT:
        raise Refused(
            f"the column {column!r} has {size} bytes of text in one batch, and at most 2 GiB can cross; make smaller "
            "batches (pyarrow.Table.from_batches(table.to_batches(max_chunksize=...))), or send it in parts"
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))
