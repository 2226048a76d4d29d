"""What a table or an array becomes: what the target's annotation asks for, else it stays as it came.

Values are decoded before it is known whose arguments they are. So `tables.py` notes here each table that came without
a kind, and the invocation settles those that are arguments themselves; tables inside lists and dicts stay as they are.
Arrays are not noted, which would cost more than decoding them: once torch or jax is there, every ndarray among the
arguments is looked at. Targets are looked at once. An annotation that has no value at run time (its name is imported
for type checkers only) counts as none.
"""

from __future__ import annotations

import weakref
from sys import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # What an annotation makes of a table, and of an array.
    Want = tuple[str | None, str | None]
    # Of the parameters by position and by name, and of those that `*args` and `**kwargs` take.
    Wants = tuple[list[Want], dict[str, Want], Want, Want]

# The tables that are to be settled, by their ids. Empty for nearly all calls, which then pay for a look at it.
waiting: dict[int, weakref.ref[Any]] = {}

_known: weakref.WeakKeyDictionary[Any, Wants] = weakref.WeakKeyDictionary()

_NOTHING: Want = (None, None)

# By the first segment of a class's module, and its name.
_TABLES = {
    ("pandas", "DataFrame"): "pandas",
    ("pandas", "Series"): "pandas.Series",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars.LazyFrame",
    ("polars", "Series"): "polars.Series",
    ("pyarrow", "Table"): "pyarrow",
    ("pyarrow", "RecordBatch"): "pyarrow.RecordBatch",
}
_ARRAYS = {
    ("numpy", "ndarray"): "numpy",
    ("torch", "Tensor"): "torch",
    ("jax", "Array"): "jax",
}


def are_possible() -> bool:
    """Whether arguments can be any that `settle` changes."""
    return bool(waiting) or "torch" in modules or "jax" in modules


def note(table: Any) -> None:
    """Marks a table as one that its target's annotation may change."""
    key = id(table)
    waiting[key] = weakref.ref(table, lambda _: waiting.pop(key, None))


def settle(target: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as the target's annotations ask for them. Raises DecodeError for one that cannot be that."""
    if not any(_is_array(value) or id(value) in waiting for value in (*args, *kwargs.values())):
        return args, kwargs
    positions, names, more, others = _wants(target)
    settled = [
        _settled(value, positions[index] if index < len(positions) else more, f"args[{index}]")
        for index, value in enumerate(args)
    ]
    return settled, {name: _settled(value, names.get(name, others), f"kwargs.{name}") for name, value in kwargs.items()}


def _is_array(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"


def _settled(value: Any, want: Want, path: str) -> Any:
    if want is _NOTHING:
        return value
    is_array = _is_array(value)
    kind = want[is_array]
    if kind is None or kind == "numpy" or not (is_array or id(value) in waiting):
        return value
    from . import arrays, tables
    from .adapters import Refused
    from .errors import DecodeError

    try:
        return (arrays if is_array else tables).convert(value, kind)
    except Refused as refused:
        what = "an array" if is_array else "a table"
        raise DecodeError(path, f"{what} that can be a {kind}, as its annotation says", str(refused)) from None


def _wants(target: Any) -> Wants:
    import types

    function, skipped = target, 0
    if isinstance(target, types.MethodType):
        function, skipped = target.__func__, 1
    elif isinstance(target, type):
        function, skipped = getattr(target, "__init__"), 1  # noqa: B009 - of the class, not of an instance
    elif not isinstance(target, types.FunctionType):
        function, skipped = type(target).__call__, 1
    try:
        positions, names, more, others = _known.get(function) or _look(function)
    except (TypeError, ValueError, AttributeError):  # a function in C, or another one that tells nothing
        return [], {}, _NOTHING, _NOTHING
    return positions[skipped:], names, more, others


def _look(function: Any) -> Wants:
    import inspect

    positions: list[Want] = []
    names: dict[str, Want] = {}
    more = others = _NOTHING
    annotations = _annotations(function)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = annotations.get(name)
        want: Want = (_kind(annotation, _TABLES), _kind(annotation, _ARRAYS))
        if want == _NOTHING:
            want = _NOTHING
        if parameter.kind is parameter.VAR_POSITIONAL:
            more = want
        elif parameter.kind is parameter.VAR_KEYWORD:
            others = want
        else:
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positions.append(want)
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                names[name] = want
    wants = _known[function] = (positions, names, more, others)
    return wants


def _annotations(function: Any) -> dict[str, Any]:
    import sys
    import types
    import typing

    if sys.version_info >= (3, 14):
        import annotationlib

        found = annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    else:
        found = function.__annotations__
    resolved = {}
    for name, annotation in found.items():
        # One at a time, so that one without a value at run time does not hide the others.
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            resolved.update(typing.get_type_hints(alone, getattr(function, "__globals__", {})))
        except Exception:
            continue
    return resolved


def _kind(annotation: Any, kinds: dict[tuple[str, str], str]) -> str | None:
    """The kind of the first class in an annotation that has one: itself, or a member of a union."""
    import types
    import typing

    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType or origin is typing.Annotated:
        members = (_kind(member, kinds) for member in typing.get_args(annotation))
        return next((kind for kind in members if kind is not None), None)
    named = origin or annotation  # numpy.ndarray of numpy.ndarray[...]
    if not isinstance(named, type):
        return None
    return kinds.get((named.__module__.partition(".")[0], named.__name__.rpartition(".")[2]))
