"""Values on the wire: MessagePack and the extensions of `protocol/README.md`, section "Values".

Packing has two ways. The fast one is a single call of `ormsgpack.packb` with a hook for everything that is not
MessagePack's own; it carries nearly all messages. When it fails, or when a map may have a `__proto__` key, the exact
way walks the value in Python: it knows the path to what cannot cross, and it handles what the library has no hook for
(maps whose keys are not strings, lone surrogates, strided memoryviews). Refs are made only when that walk has found
that the rest of the message can be packed, so a failure leaves no ref behind.

Guarantees: a value arrives as its row of the table says, or packing raises `Unserializable` with the path to the leaf
that cannot cross. Neither cycles nor depth can exhaust the stack, whatever the recursion limit. Nothing here imports
a library that the user's code has not imported, except to decode a value that needs it.

ormsgpack turns whatever a hook raises into one TypeError without a cause. So hooks must be repeatable: the exact way
runs them again to learn the reason.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from _struct import Struct

import ormsgpack
from ormsgpack import Ext, packb, unpackb

from . import adapters, storage
from .adapters import ADAPTED, Formless, Refused
from .errors import DecodeError, UnserializableResult, WorkerFailure, bounded_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .adapters import Rule

    # session id, worker id, ref id, type name
    RefParts = tuple[str, str, int, str]
    Hook = Callable[[object], object]
    ExtHook = Callable[[int, bytes], object]

# The same failure, seen from the wire and from the values: see errors.py.
Unserializable = UnserializableResult
WireValueError = DecodeError

TUPLE, INT, SET, MAP, COMPLEX, DECIMAL, DATETIME, DATE, TIME, TIMEDELTA, TEXT, FLOAT = range(1, 13)
SHARED, REF, CALLBACK = 14, 15, 16
_PLACE = 0  # a rule with this code puts another value in the place of the object

OPTION = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# Levels of nesting that can be packed: lists and maps count one, extensions (tuples, sets, ...) two.
MAX_DEPTH = 250
# Extensions inside each other that the fast way follows. ormsgpack bounds the lists and maps between two extensions
# (254 levels when it packs, 1,022 when it unpacks), so this bounds the stack. What is deeper goes the exact way, which
# counts.
_FAST_EXTENSIONS = 6

# A key `__proto__` as MessagePack writes it. Found in other places too (a string, bytes), which only costs a walk.
_PROTO = b"\xa9__proto__"
_PROTO_SIZE = len(_PROTO)
_SCAN_LIMIT = 1 << 20

_COMPLEX = Struct("<dd")
_FLOAT = Struct("<d")
_MIN_INT, _MAX_INT = -(1 << 63), (1 << 64) - 1
# An Ext is what the worker itself has packed already, such as the ref that a call answers.
_SCALARS = frozenset({type(None), bool, int, float, str, bytes, Ext})
_RULES_LIMIT = 2048


class Packer:
    """Packs values and messages for the host. Safe to share between threads.

    `keep` makes a ref (session id, worker id, ref id, type name) of an object that cannot cross; None outside
    sessions. It is called once the whole message is known to be packable otherwise. When one call of it raises, the
    refs that were made for the same message before are handed to `drop`.
    """

    __slots__ = ("_drop", "_keep")

    def __init__(
        self,
        keep: Callable[[object], RefParts] | None = None,
        drop: Callable[[list[RefParts]], object] | None = None,
    ) -> None:
        self._keep = keep
        self._drop = drop

    def pack_value(self, value: object, root: str = "result") -> bytes:
        """The MessagePack of one value. Raises Unserializable with a path that starts with `root`."""
        try:
            packed = packb(value, _hook, OPTION)
        except TypeError:
            return self._pack_exactly(value, root)
        size = len(packed)
        # `find` takes half the time of `in` here. Large arrays and bytes have no keys and need not pay for the search.
        if size <= _PROTO_SIZE or (size > _SCAN_LIMIT and _is_flat(value)) or packed.find(_PROTO) < 0:
            return packed
        return self._pack_exactly(value, root)

    def pack(self, message: dict[str, object], root: str = "result") -> bytes:
        """The MessagePack of one message.

        `root` names the value inside it in the path of Unserializable: what stands under `exit.value`, or is the one
        item of `values`, is called `root` there (`root[i]` when there are more), and the payload's `args` and
        `kwargs` are called so.
        """
        try:
            packed = packb(message, _hook, OPTION)
        except TypeError:
            return self._pack_exactly(message, None, root)
        if (len(packed) > _SCAN_LIMIT and _is_flat(_carried(message))) or packed.find(_PROTO) < 0:
            return packed
        return self._pack_exactly(message, None, root)

    def _pack_exactly(self, value: object, root: str | None, message_root: str = "") -> bytes:
        storage.discard()  # what the fast way has taken
        walk = _Walk(value, root, message_root, self._keep is not None)
        tree = walk.tree(value, 0)
        if not walk.kept:
            return packb(tree, _tree_hook, OPTION)
        keep = self._keep
        assert keep is not None
        made: list[RefParts] = []
        try:
            for kept in walk.kept:
                kept.ref = keep(kept.value)
                made.append(kept.ref)
            return packb(tree, _tree_hook, OPTION)
        except BaseException:
            if self._drop is not None:
                self._drop(made)
            raise


class Unpacker:
    """Unpacks what the host sent. Safe to share between threads.

    `resolve` finds the object of a ref (session id, worker id, ref id, type name) or raises; `callback` makes the
    callable for a callback number. Both may be called twice for one frame, so they must change nothing. `hook` is the
    `ext_hook` for who unpacks a part of a frame with ormsgpack alone: its failures say neither path nor reason.
    """

    __slots__ = ("_deep_hook", "_readers", "hook")

    def __init__(
        self,
        resolve: Callable[[str, str, int, str], object],
        callback: Callable[[int], object],
    ) -> None:
        def read_ref(data: bytes, _hook: ExtHook) -> object:
            session, worker, ref, kind = unpackb(data)
            if not (type(session) is str and type(worker) is str and type(ref) is int and type(kind) is str):
                raise ValueError("not [session id, worker id, ref id, type name]")
            return resolve(session, worker, ref, kind)

        def read_callback(data: bytes, _hook: ExtHook) -> object:
            number = unpackb(data)
            if type(number) is not int:
                raise ValueError("not an integer")
            return callback(number)

        self._readers = {**_READERS, REF: read_ref, CALLBACK: read_callback}
        self.hook = _ext_hook(self._readers, 0, _FAST_EXTENSIONS)
        # For what is known not to be too deep.
        self._deep_hook = _ext_hook(self._readers, 0, MAX_DEPTH)

    def unpack(self, frame: bytes | memoryview) -> object:
        """The value in a frame, usually a message.

        Raises WireValueError when the bytes or a value in them do not decode, and passes on a WorkerFailure of
        `resolve` (SessionLost). Either carries the `request_id` of the message, if it has one that can be read.
        """
        try:
            return unpackb(frame, ext_hook=self.hook)
        except ValueError as error:
            return self._unpack_exactly(frame, error)

    def _unpack_exactly(self, frame: bytes | memoryview, error: ValueError) -> object:
        try:
            raw = unpackb(frame, ext_hook=_Extension)
        except ValueError as malformed:
            raise WireValueError("", "one MessagePack value", str(malformed)) from None
        try:
            self._examine(raw, [], 0)
        except WorkerFailure as failure:
            if isinstance(raw, dict):
                request = raw.get("id", raw.get("requestId"))
                failure.request_id = request if type(request) is int else None
            raise
        # Nothing is wrong with any value: it was nested too deeply for the fast way, or an exception came from outside.
        try:
            return unpackb(frame, ext_hook=self._deep_hook)
        except ValueError:
            raise WireValueError("", "a MessagePack message", str(error)) from None

    def _examine(self, raw: object, path: list[object], depth: int) -> None:
        """Decode every extension in `raw`, innermost first, to find the one that fails and its path."""
        if depth > MAX_DEPTH and isinstance(raw, (dict, list, _Extension)):
            raise WireValueError(_route(path, None, "value"), f"at most {MAX_DEPTH} levels of nesting", "more")
        if isinstance(raw, dict):
            for key, item in raw.items():
                path.append(key)
                self._examine(item, path, depth + 1)
                path.pop()
        elif isinstance(raw, list):
            path.append(0)
            for index, item in enumerate(raw):
                path[-1] = index
                self._examine(item, path, depth + 1)
            path.pop()
        elif isinstance(raw, _Extension):
            self._examine_extension(raw, path, depth)

    def _examine_extension(self, raw: _Extension, path: list[object], depth: int) -> None:
        expected = _EXPECTED.get(raw.code)
        where = _route(path, None, "value")
        if expected is None:
            known = ", ".join(map(str, sorted(self._readers)))
            raise WireValueError(where, f"an extension code of protocol version 1 ({known})", f"code {raw.code}")
        if raw.code in (TUPLE, SET, MAP, ADAPTED):
            try:
                items = unpackb(raw.data, ext_hook=_Extension)
            except ValueError as malformed:
                raise WireValueError(where, expected, str(malformed)) from None
            if raw.code == MAP and isinstance(items, list):
                for key, item in zip(items[::2], items[1::2]):
                    path.append((_short(key),))
                    self._examine(key, path, depth + 1)
                    self._examine(item, path, depth + 1)
                    path.pop()
            elif raw.code == ADAPTED and isinstance(items, list) and len(items) == 2:
                self._examine(items[1], path, depth + 1)
            else:
                self._examine(items, path, depth + 1)
        try:
            self._readers[raw.code](raw.data, self._deep_hook)
        except WorkerFailure:
            raise
        except Refused as refused:
            raise WireValueError(where, expected, str(refused)) from None
        except Exception as failure:
            actual = f"{type_name(type(failure))}: {failure}" if str(failure) else type_name(type(failure))
            raise WireValueError(where, expected, actual[:400]) from None


# ---- packing: the rules, one per type ------------------------------------------------------------------------------


def _whole(value: object) -> bytes:
    """Two's complement, big-endian, in as few bytes as hold the sign."""
    number = int.__int__(value)  # type: ignore[arg-type]
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)


def _complex(value: object) -> bytes:
    return _COMPLEX.pack(value.real, value.imag)  # type: ignore[attr-defined]


def _decimal(value: object) -> bytes:
    if not value.is_finite():  # type: ignore[attr-defined]
        raise Refused("TypeScript's BigDecimal has no NaN and no infinity; send a float")
    if value.is_zero() and value.is_signed():  # type: ignore[attr-defined]
        raise Refused("a decimal of minus zero cannot cross: TypeScript's BigDecimal has none; send a float")
    return type(value).__str__(value).encode("ascii")


def _date(value: object) -> list[object]:
    return [value.year, value.month, value.day]  # type: ignore[attr-defined]


def _timedelta(value: object) -> list[object]:
    return [value.days, value.seconds, value.microseconds]  # type: ignore[attr-defined]


def _datetime(value: datetime.datetime) -> list[object]:
    zone = _zone(value) if value.tzinfo is not None else None
    return [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, zone]


def _time(value: datetime.time) -> list[object]:
    zone = _zone(value) if value.tzinfo is not None else None
    return [value.hour, value.minute, value.second, value.microsecond, zone]


def _zone(value: datetime.datetime | datetime.time) -> object:
    """Offset in seconds, or [zone key, offset]: `key` is what zoneinfo calls it, `zone` what pytz does."""
    offset = value.utcoffset()
    zone = value.tzinfo
    if offset is None:
        raise Refused(f"its zone {bounded_repr(zone)} has no offset for it: a time needs a fixed offset, not a region")
    if offset.microseconds:
        raise Refused(f"its offset from UTC ({offset}) is not a whole number of seconds")
    seconds = offset.days * 86400 + offset.seconds
    if type(zone) is datetime.timezone:
        return seconds
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return [key, seconds] if isinstance(key, str) else seconds


def _member(value: object) -> object:
    return value._value_  # type: ignore[attr-defined]


def _text(value: object) -> object:
    return str.__str__(value)


def _number(value: object) -> object:
    return int.__int__(value)  # type: ignore[arg-type]


def _real(value: object) -> object:
    return float.__float__(value)  # type: ignore[arg-type]


def _bytes(value: object) -> object:
    return b"".join((value,))  # type: ignore[arg-type]


def _list(value: object) -> list[object]:
    return list(value)  # type: ignore[call-overload, no-any-return]


def _dict(value: object) -> object:
    return dict(value)  # type: ignore[call-overload]


# The nearest of these in the MRO of a type decides.
_BASES: dict[type, Rule] = {
    int: (_PLACE, _number),
    str: (_PLACE, _text),
    float: (_PLACE, _real),
    bytes: (_PLACE, _bytes),
    bytearray: (_PLACE, _bytes),
    list: (_PLACE, _list),
    dict: (_PLACE, _dict),
    tuple: (TUPLE, _list),
    set: (SET, _list),
    frozenset: (SET, _list),
    complex: (COMPLEX, _complex),
    datetime.datetime: (DATETIME, _datetime),  # type: ignore[dict-item]
    datetime.date: (DATE, _date),
    datetime.time: (TIME, _time),  # type: ignore[dict-item]
    datetime.timedelta: (TIMEDELTA, _timedelta),
    uuid.UUID: (_PLACE, str),
}

_FIRST_RULES: dict[type, Rule] = {**_BASES, int: (INT, _whole)}
_rules: dict[type, Rule] = dict(_FIRST_RULES)


def _forget_rules() -> None:
    global _rules
    _rules = dict(_FIRST_RULES)


adapters.watch(_forget_rules)


def _no_rule(value: object) -> object:
    raise Formless(_no_form(value))


def _find_rule(kind: type) -> Rule:
    if len(_rules) > _RULES_LIMIT:
        # Types made at run time must not be kept alive for ever.
        _forget_rules()
    rule = _rules[kind] = _make_rule(kind)
    return rule


def _make_rule(kind: type) -> Rule:
    adapted = adapters.rule_for(kind)
    if adapted is not None:
        return adapted
    if issubclass(kind, enum.Enum):
        return _PLACE, _member
    names = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and type(names) is tuple and all(type(name) is str for name in names):
        return _PLACE, lambda value: dict(zip(names, tuple.__iter__(value)))
    if dataclasses.is_dataclass(kind) and not issubclass(kind, dict):
        return _fields_rule(tuple(field.name for field in dataclasses.fields(kind)))
    for base in kind.__mro__:
        rule = _BASES.get(base)
        if rule is not None:
            return rule
        module = base.__module__
        if base.__name__ == "Decimal" and module == "decimal":
            return DECIMAL, _decimal
        if base.__name__ == "PurePath" and isinstance(module, str) and module.partition(".")[0] == "pathlib":
            return _PLACE, str
        if base.__name__ == "BaseModel" and module in ("pydantic.main", "pydantic.v1.main"):
            return _model_rule(kind)
    return _PLACE, _no_rule


def _fields_rule(names: tuple[str, ...]) -> Rule:
    def fields(value: object) -> object:
        try:
            return {name: getattr(value, name) for name in names}
        except AttributeError as error:
            raise Refused(f"one of its fields has no value: {error}") from None

    return _PLACE, fields


def _model_rule(kind: type) -> Rule:
    """The rule of a pydantic model: its fields and extras; a root model is what its `root` is."""
    if not hasattr(kind, "__pydantic_fields_set__"):
        return _PLACE, lambda value: dict(value.__dict__)  # version 1 keeps fields and extras there, and nothing else
    names = tuple(getattr(kind, "model_fields"))  # noqa: B009 - an attribute that no type of ours declares

    def fields(value: object) -> object:
        held = value.__dict__
        extra = getattr(value, "__pydantic_extra__", None)
        found = {name: held[name] for name in names if name in held}
        return {**found, **extra} if extra else found

    if getattr(kind, "__pydantic_root_model__", False):
        return _PLACE, lambda value: value.__dict__["root"]
    return _PLACE, fields


def _is_flat(value: object) -> bool:
    kind = type(value)
    if kind in (bytes, bytearray, memoryview):
        return True
    if kind.__module__ != "numpy" or kind.__name__ != "ndarray":
        return False
    return not value.dtype.hasobject  # type: ignore[attr-defined]


def _carried(message: dict[str, object]) -> object:
    """The one value that a message is about: of an exit, or of a chunk with one item."""
    exit_ = message.get("exit")
    if isinstance(exit_, dict):
        return exit_.get("value")
    items = message.get("values")
    return items[0] if isinstance(items, list) and len(items) == 1 else None


def _make_hook(level: int) -> Hook:
    """The hook for objects inside `level` extensions: each level has its own, which counts depth without state."""
    deeper: Hook | None = None

    def hook(value: object) -> object:
        nonlocal deeper
        kind = type(value)
        code, reduce = _rules.get(kind) or _find_rule(kind)
        payload = reduce(value)
        if code == _PLACE:
            return payload
        if type(payload) is not bytes:
            if deeper is None:
                deeper = _make_hook(level + 1) if level < _FAST_EXTENSIONS else _too_deep
            payload = packb(payload, deeper, OPTION)
        return Ext(code, payload)

    return hook


def _too_deep(_value: object) -> object:
    raise Refused("nested too deeply")


_hook = _make_hook(0)


# ---- packing: the exact way ----------------------------------------------------------------------------------------


class _Later:
    """An extension whose payload is a list that is packed at the end."""

    __slots__ = ("code", "items")

    def __init__(self, code: int, items: object) -> None:
        self.code = code
        self.items = items


class _Kept:
    """An object that becomes a ref."""

    __slots__ = ("ref", "value")
    ref: RefParts

    def __init__(self, value: object) -> None:
        self.value = value


def _tree_hook(node: object) -> object:
    if type(node) is _Later:
        return Ext(node.code, packb(node.items, _tree_hook, OPTION))
    if type(node) is _Kept:
        return Ext(REF, packb(list(node.ref)))
    raise TypeError(f"not a node: {type(node)}")


class _Walk:
    """One exact walk: `tree` answers what packb can pack with `_tree_hook`, or raises Unserializable."""

    __slots__ = ("_message_root", "_owners", "_path", "_refs", "_root", "_several", "kept")

    def __init__(self, value: object, root: str | None, message_root: str, refs: bool) -> None:
        self._root = root
        self._message_root = message_root
        items = value.get("values") if root is None and isinstance(value, dict) else None
        self._several = not (isinstance(items, list) and len(items) == 1)
        self._refs = refs
        self._path: list[object] = []
        # The containers that are being walked, outermost first, each with the length of its path.
        self._owners: list[tuple[object, int]] = []
        self.kept: list[_Kept] = []

    def tree(self, value: object, depth: int) -> object:
        kind = type(value)
        if kind is str:
            return self._string(value)  # type: ignore[arg-type]
        if kind is int:
            return value if _MIN_INT <= value <= _MAX_INT else Ext(INT, _whole(value))  # type: ignore[operator]
        if kind in _SCALARS or kind is bytearray:
            return value
        if kind is memoryview:
            return value if value.c_contiguous else value.tobytes()  # type: ignore[attr-defined]
        if depth > MAX_DEPTH:
            raise self._too_deep(value)
        self._owners.append((value, len(self._path)))
        if kind is list:
            node: object = self._items(value, depth + 1)  # type: ignore[arg-type]
        elif kind is dict:
            node = self._mapping(value, depth + 1)  # type: ignore[arg-type]
        else:
            node = self._ruled(value, kind, depth)
        self._owners.pop()
        return node

    def _ruled(self, value: object, kind: type, depth: int) -> object:
        code, reduce = _rules.get(kind) or _find_rule(kind)
        try:
            payload = reduce(value)
        except Formless as formless:
            if not self._refs:
                raise self._refuse(value, str(formless)) from None
            kept = _Kept(value)
            self.kept.append(kept)
            return kept
        except Refused as refused:
            raise self._refuse(value, str(refused)) from None
        except Exception as error:
            raise self._refuse(value, f"turning it into a value raised {type_name(type(error))}: {error}") from error
        if code == _PLACE:
            return self.tree(payload, depth + 1)
        if type(payload) is bytes:
            return Ext(code, payload)
        if code == ADAPTED:  # [adapter name, payload]; only the payload is part of what the user knows
            return _Later(code, [payload[0], self.tree(payload[1], depth + 2)])  # type: ignore[index]
        return _Later(code, self._items(payload, depth + 2))  # type: ignore[arg-type]

    def _string(self, value: str) -> object:
        try:
            value.encode()
        except UnicodeEncodeError:
            return Ext(TEXT, value.encode("utf-8", "surrogatepass"))
        return value

    def _items(self, items: list[object], depth: int) -> object:
        if _SCALARS.issuperset(map(type, items)):
            try:
                packb(items, None, OPTION)
                return items
            except TypeError:
                pass  # an int beyond 64 bits or a lone surrogate
        path = self._path
        path.append(0)
        nodes: list[object] = []
        # A copy, since a rule may run other code that changes the list.
        for index, item in enumerate(tuple(items)):
            path[-1] = index
            nodes.append(self.tree(item, depth))
        path.pop()
        return nodes

    def _mapping(self, mapping: dict[object, object], depth: int) -> object:
        path = self._path
        entries: list[object] = []
        plain = True
        changed = False
        for key, item in tuple(mapping.items()):
            if type(key) is str:
                path.append(key)
                node = self._string(key)
                plain = plain and type(node) is str and key != "__proto__"
            else:
                path.append((_short(key),))
                node = self.tree(key, depth + 1)
                plain = plain and type(node) is str and node != "__proto__"
                changed = changed or type(key) not in _SCALARS
            entries.append(node)
            entries.append(self.tree(item, depth))
            path.pop()
        if changed:
            self._check_keys(mapping, entries[::2])
        if plain:
            return dict(zip(entries[::2], entries[1::2]))
        return _Later(MAP, entries)

    def _check_keys(self, mapping: dict[object, object], keys: list[object]) -> None:
        """Different keys can become the same on the wire: an enum member and its value, a UUID and its text."""
        seen = set()
        for key, node in zip(mapping, keys):
            if type(node) is _Kept:
                continue
            packed = packb([node], _key_hook, OPTION)
            if packed in seen:
                self._path.append((_short(key),))
                raise self._refuse(key, "another key of the same dict becomes equal to it on the wire")
            seen.add(packed)

    def _too_deep(self, value: object) -> Unserializable:
        seen: dict[int, int] = {}
        for owner, length in [*self._owners, (value, len(self._path))]:
            first = seen.setdefault(id(owner), length)
            if first != length:
                inside = _route(self._path[:first], self._root, self._message_root, self._several)
                del self._path[length:]
                return self._refuse(owner, f"it contains itself: it is also at {inside}")
        return self._refuse(value, f"nested deeper than {MAX_DEPTH} levels (tuples and sets count two)")

    def _refuse(self, value: object, reason: str) -> Unserializable:
        where = _route(self._path, self._root, self._message_root, self._several)
        return Unserializable(where, type_name(type(value)), bounded_repr(value), reason)


def _key_hook(node: object) -> object:
    return id(node.value) if type(node) is _Kept else _tree_hook_with_keys(node)


def _tree_hook_with_keys(node: object) -> object:
    assert type(node) is _Later
    return Ext(node.code, packb(node.items, _key_hook, OPTION))


def _no_form(value: object) -> str:
    """Why an object of a type without a rule cannot cross, and what to do."""
    kind = type(value)
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        return (
            f"a {kind.__name__} has no form on the wire; call it with Snakepit.stream to receive its items, "
            "or inside a session to keep it as a ref"
        )
    if hasattr(kind, "__await__"):
        return f"a {kind.__name__} has no form on the wire; it was never awaited"
    return (
        f"{type_name(kind)} has no form on the wire; call it inside a session to keep it as a ref, "
        "return plain data, or register an adapter for the type"
    )


# ---- paths ---------------------------------------------------------------------------------------------------------


def _route(path: Iterable[object], root: str | None, message_root: str, several: bool = True) -> str:
    """`args[0].rows[3]`: str segments are keys, int segments indices, and a 1-tuple holds the repr of another key.

    Without a root the path starts in a message, and the part that leads to its value becomes `message_root`; `several`
    says whether a chunk has more than one item, so that they need their index.
    """
    segments = list(path)
    if root is None:
        root, segments = _strip_message(segments, message_root, several)
    parts = [root]
    for segment in segments:
        if type(segment) is str:
            parts.append(f".{segment}" if segment.isidentifier() else f"[{_short(segment)}]")
        elif type(segment) is tuple:
            parts.append(f"[{segment[0]}]")
        else:
            parts.append(f"[{segment}]")
    text = "".join(parts)
    if not root:
        text = text.removeprefix(".")
    return text if len(text) <= 500 else f"{text[:300]}...{text[-190:]}"


def _strip_message(segments: list[object], message_root: str, several: bool) -> tuple[str, list[object]]:
    head = segments[0] if segments else None
    second = segments[1] if len(segments) > 1 else None
    if head == "exit" and second == "value":
        return message_root, segments[2:]
    if head == "values":
        return message_root, segments[1 if several else 2 :]
    if head == "payload" and second in ("args", "kwargs"):
        return str(second), segments[2:]
    return "", segments


def _short(value: object) -> str:
    return bounded_repr(value, 60)


# ---- unpacking -----------------------------------------------------------------------------------------------------


class _Extension:
    """An extension that was left as it came."""

    __slots__ = ("code", "data")

    def __init__(self, code: int, data: bytes) -> None:
        self.code = code
        self.data = data


def _ext_hook(readers: dict[int, Callable[[bytes, ExtHook], object]], level: int, limit: int) -> ExtHook:
    """The hook for extensions inside `level` others, at most `limit`; see `_make_hook`."""
    deeper: ExtHook | None = None

    def hook(code: int, data: bytes) -> object:
        nonlocal deeper
        if deeper is None:
            deeper = _ext_hook(readers, level + 1, limit) if level < limit else _too_deep_to_read
        return readers[code](data, deeper)

    return hook


def _too_deep_to_read(_code: int, _data: bytes) -> object:
    raise ValueError("nested too deeply")


def _array(data: bytes, hook: ExtHook) -> list[object]:
    items = unpackb(data, ext_hook=hook)
    if type(items) is not list:
        raise ValueError(f"got {type_name(type(items))} instead of an array")
    return items


def _read_tuple(data: bytes, hook: ExtHook) -> object:
    return tuple(_array(data, hook))


def _read_int(data: bytes, _hook: ExtHook) -> object:
    return int.from_bytes(data, "big", signed=True)


def _read_set(data: bytes, hook: ExtHook) -> object:
    items = _array(data, hook)
    try:
        members = set(items)
    except TypeError:
        items = list(map(_hashable, items))
        members = set(items)
    if len(members) < len(items):
        raise _equal("members", items)
    return members


def _read_map(data: bytes, hook: ExtHook) -> object:
    items = _array(data, hook)
    if len(items) % 2:
        raise ValueError(f"got {len(items)} items, which are no pairs")
    keys = items[::2]
    try:
        mapping = dict(zip(keys, items[1::2]))
    except TypeError:
        keys = list(map(_hashable, keys))
        mapping = dict(zip(keys, items[1::2]))
    if len(mapping) < len(keys):
        raise _equal("keys", keys)
    return mapping


def _equal(what: str, items: list[object]) -> Refused:
    """JavaScript tells apart what Python takes for one: 1, true and 1n, or two objects with the same content."""
    first: dict[object, object] = {}
    for item in items:
        if item in first:
            return Refused(f"two {what} that are equal in Python: {_short(first[item])} and {_short(item)}")
        first[item] = item
    raise AssertionError("the items differ")


def _hashable(value: object) -> object:
    """A set inside a set, or as a key, is a frozenset in Python."""
    if type(value) is set:
        return frozenset(value)
    if type(value) is tuple:
        return tuple(map(_hashable, value))
    try:
        hash(value)
    except TypeError:
        raise Refused(f"{bounded_repr(value, 80)}, which cannot be in a set or be a key") from None
    return value


def _read_complex(data: bytes, _hook: ExtHook) -> object:
    return complex(*_COMPLEX.unpack(data))


def _read_decimal(data: bytes, _hook: ExtHook) -> object:
    from decimal import Decimal

    value = Decimal(data.decode("ascii"))
    if not value.is_finite():
        raise ValueError("it is not finite")
    return value


def _read_datetime(data: bytes, hook: ExtHook) -> object:
    *parts, zone = _array(data, hook)
    moment = datetime.datetime(*parts)  # type: ignore[arg-type]
    if len(parts) != 7:
        raise ValueError(f"got {len(parts) + 1} items instead of 8")
    if zone is None:
        return moment
    if type(zone) is int:
        return moment.replace(tzinfo=_fixed(zone))
    region, offset = _region(zone)
    moment = moment.replace(tzinfo=region)
    if moment.utcoffset() != offset:
        later = moment.replace(fold=1)
        if later.utcoffset() != offset:
            # The two sides have different time zone data. The instant is what must not change.
            utc = datetime.timezone.utc
            return (moment.replace(tzinfo=utc) - offset).astimezone(region)
        return later
    return moment


def _read_date(data: bytes, hook: ExtHook) -> object:
    year, month, day = _array(data, hook)
    return datetime.date(year, month, day)  # type: ignore[arg-type]


def _read_time(data: bytes, hook: ExtHook) -> object:
    hour, minute, second, micros, zone = _array(data, hook)
    value = datetime.time(hour, minute, second, micros)  # type: ignore[arg-type]
    if zone is None:
        return value
    return value.replace(tzinfo=_fixed(zone) if type(zone) is int else _region(zone)[0])


def _read_timedelta(data: bytes, hook: ExtHook) -> object:
    days, seconds, micros = _array(data, hook)
    return datetime.timedelta(days, seconds, micros)  # type: ignore[arg-type]


def _fixed(seconds: int) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(seconds=seconds)) if seconds else datetime.timezone.utc


def _region(zone: object) -> tuple[datetime.tzinfo, datetime.timedelta]:
    if not (type(zone) is list and len(zone) == 2 and type(zone[0]) is str and type(zone[1]) is int):
        raise ValueError(f"its zone is {bounded_repr(zone, 80)}, not an offset or [zone key, offset]")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(zone[0]), datetime.timedelta(seconds=zone[1])
    except ZoneInfoNotFoundError:
        raise Refused(f"the zone {zone[0]!r}, which this machine has no data for: install the package tzdata") from None


def _read_text(data: bytes, _hook: ExtHook) -> object:
    return data.decode("utf-8", "surrogatepass")


def _read_float(data: bytes, _hook: ExtHook) -> object:
    return _FLOAT.unpack(data)[0]


def _read_adapted(data: bytes, hook: ExtHook) -> object:
    name, payload = _array(data, hook)
    return adapters.decode(name, payload)


_READERS: dict[int, Callable[[bytes, ExtHook], object]] = {
    TUPLE: _read_tuple,
    INT: _read_int,
    SET: _read_set,
    MAP: _read_map,
    COMPLEX: _read_complex,
    DECIMAL: _read_decimal,
    DATETIME: _read_datetime,
    DATE: _read_date,
    TIME: _read_time,
    TIMEDELTA: _read_timedelta,
    TEXT: _read_text,
    FLOAT: _read_float,
    ADAPTED: _read_adapted,
    SHARED: lambda data, _hook: storage.load(data),
}

_EXPECTED = {
    TUPLE: "a tuple: an array",
    INT: "an integer: two's complement bytes",
    SET: "a set: an array of hashable items",
    MAP: "a map: an array of hashable keys, each before its value",
    COMPLEX: "a complex number: two float64",
    DECIMAL: "a decimal: a finite number in ASCII",
    DATETIME: "a datetime: [year, month, day, hour, minute, second, microsecond, zone]",
    DATE: "a date: [year, month, day]",
    TIME: "a time: [hour, minute, second, microsecond, zone]",
    TIMEDELTA: "a timedelta: [days, seconds, microseconds]",
    TEXT: "text: UTF-8 that may hold surrogates",
    FLOAT: "a float: one float64",
    ADAPTED: "an adapted value: [adapter name, payload]",
    SHARED: "bytes in shared memory: [segment, offset, length, region, writable]",
    REF: "a ref: [session id, worker id, ref id, type name]",
    CALLBACK: "a callback: its number",
}
