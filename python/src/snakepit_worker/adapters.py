"""Adapters: how types outside the value table cross the wire.

An adapter has a name, which both sides know, and turns objects of one class and its subclasses into a payload of
values that do cross, and back. The adapters that ship, `tensor` and `arrow`, live in `arrays.py` and `tables.py` and
are imported when the first array or table is seen: numpy, pandas, polars, pyarrow and torch are recognised by the
name of the module that defines a class and are never imported to recognise something.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # How values.py encodes a type: an extension code and a function to its payload (bytes, or a list of values), or the
    # code 0 and a function to a value that stands for the object.
    Rule = tuple[int, Callable[[object], object]]

ADAPTED = 13


class Refused(Exception):
    """A value cannot cross exactly. Its only argument is the reason, with a remedy."""


class Formless(Refused):
    """The same for a value that is kept in Python as a ref when the call is in a session."""


def register(
    name: str,
    kind: type,
    encode: Callable[[Any], object],
    decode: Callable[[Any], object],
) -> None:
    """Let objects of `kind`, and of its subclasses, cross as `[name, encode(object)]`.

    `encode` answers anything that can cross (dicts, lists, bytes, numbers, other adapted objects) and must not change
    the object: it is called a second time when the first attempt to pack a message fails. `decode` gets what arrives
    under `name`, from Python or from TypeScript, and answers the object. Of several adapters that match a class, the
    one nearest in its method resolution order is used. Registering the same name and kind again replaces the adapter.

    Raises TypeError when `kind` is not a class or crosses as it is (`dict`, `str`, ...), and ValueError when
    the name or the kind is taken.
    """
    if not isinstance(kind, type):
        raise TypeError(f"an adapter needs a class, got {kind!r}")
    if kind in _PLAIN:
        raise TypeError(f"{kind.__name__} crosses as it is and cannot have an adapter; register a subclass of it")
    if name in _SHIPPED:
        raise ValueError(f"the adapter name {name!r} is taken by snakepit itself; choose another one")
    named = _kinds.get(name)
    if named is not None and named is not kind:
        raise ValueError(f"the adapter name {name!r} is taken by {_qualified(named)}; choose another one")
    kept = _by_kind.get(kind)
    if kept is not None and kept[0] != name:
        raise ValueError(f"{_qualified(kind)} already crosses through the adapter {kept[0]!r}")

    def payload(value: object) -> object:
        return [name, encode(value)]

    _kinds[name] = kind
    _decoders[name] = decode
    _by_kind[kind] = (name, (ADAPTED, payload))
    for forget in _watchers:
        forget()


def rule_for(kind: type) -> Rule | None:
    """The rule of the nearest registered or shipped adapter in the MRO of `kind`, if there is one."""
    for base in kind.__mro__:
        registered = _by_kind.get(base)
        if registered is not None:
            return registered[1]
        module = base.__module__
        # A class can set __module__ to anything, None included.
        if isinstance(module, str) and (stem := _RECOGNISED.get((module.partition(".")[0], base.__name__))) is not None:
            if stem == "arrays":
                from . import arrays

                return arrays.rule_for(kind, base)
            if stem == "devices":
                from . import devices

                return devices.rule_for(kind, base)
            from . import tables

            return tables.rule_for(kind, base)
    return None


def decode(name: object, payload: object) -> object:
    """The object that `payload` stands for under the adapter called `name`.

    Raises Refused when no such adapter is registered in this process.
    """
    known = _decoders.get(name) if type(name) is str else None
    return (known or _find_decoder(name))(payload)


def _find_decoder(name: object) -> Callable[[Any], object]:
    decode: Callable[[Any], object]
    if name == "tensor":
        from . import arrays

        decode = arrays.decode
    elif name == "device":
        from . import devices

        decode = devices.decode
    elif name == "arrow":
        from . import tables

        decode = tables.decode
    else:
        names = ", ".join(sorted([*_SHIPPED, *_kinds]))
        raise Refused(f"no adapter called {name!r} is registered in this worker (known: {names})")
    _decoders[str(name)] = decode
    return decode


def watch(forget: Callable[[], None]) -> None:
    """Call `forget` whenever an adapter is registered, so that rules cached per type are dropped."""
    _watchers.append(forget)


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_PLAIN = frozenset({type(None), bool, int, float, str, bytes, bytearray, memoryview, list, tuple, dict, object})
_SHIPPED = frozenset({"tensor", "arrow", "device"})
# Of registered adapters, by name.
_kinds: dict[str, type] = {}
_by_kind: dict[type, tuple[str, Rule]] = {}
# Of registered adapters, and of the shipped ones that were used: an import for each value takes long.
_decoders: dict[str, Callable[[Any], object]] = {}
_watchers: list[Callable[[], None]] = []

# (first segment of __module__, __name__) of the classes that arrays.py and tables.py know.
_RECOGNISED = {
    ("numpy", "ndarray"): "arrays",
    ("numpy", "MaskedArray"): "arrays",
    ("numpy", "generic"): "arrays",
    ("torch", "Tensor"): "arrays",
    ("cupy", "ndarray"): "devices",
    ("jaxlib", "ArrayImpl"): "devices",
    ("jax", "ArrayImpl"): "devices",
    ("pandas", "DataFrame"): "tables",
    ("pandas", "Series"): "tables",
    ("pandas", "Timestamp"): "tables",
    ("pandas", "Timedelta"): "tables",
    ("pandas", "NaTType"): "tables",
    ("pandas", "NAType"): "tables",
    ("polars", "DataFrame"): "tables",
    ("polars", "Series"): "tables",
    ("polars", "LazyFrame"): "tables",
    ("pyarrow", "Table"): "tables",
    ("pyarrow", "RecordBatch"): "tables",
}
