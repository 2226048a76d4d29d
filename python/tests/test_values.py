"""Packing and unpacking of values."""

from __future__ import annotations

import datetime
import enum
import math
import subprocess
import sys
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

import ormsgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakepit_worker.errors import SessionLost
from snakepit_worker.values import MAX_DEPTH, Packer, Unpacker, Unserializable, WireValueError


def no_ref(*_parts: object) -> object:
    raise AssertionError("no ref was sent")


plain = Packer()
unpacker = Unpacker(no_ref, lambda number: ("callback", number))


def there_and_back(value: object) -> Any:
    return unpacker.unpack(plain.pack_value(value))


def refused(value: object, packer: Packer = plain) -> Unserializable:
    with pytest.raises(Unserializable) as caught:
        packer.pack_value(value)
    return caught.value


def unreadable(data: bytes) -> WireValueError:
    with pytest.raises(WireValueError) as caught:
        unpacker.unpack(data)
    return caught.value


def extension(code: int, payload: object) -> bytes:
    data = payload if isinstance(payload, bytes) else ormsgpack.packb(payload)
    return ormsgpack.packb(ormsgpack.Ext(code, data))


def same(left: Any, right: Any) -> bool:
    """Equal and of the same types, all the way down. Sets and frozensets are equal."""
    if isinstance(left, (set, frozenset)):
        return isinstance(right, (set, frozenset)) and left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        if math.isnan(left):
            return math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same([*left.keys()], [*right.keys()]) and same([*left.values()], [*right.values()])
    return bool(left == right)


# ---- every row of the table, generated -----------------------------------------------------------------------------

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Africa/Monrovia"]
fixed_offsets = st.integers(-86_399, 86_399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds)))
zones = st.one_of(st.none(), st.just(datetime.timezone.utc), fixed_offsets, st.sampled_from(ZONES).map(ZoneInfo))

texts = st.text(st.characters(exclude_categories=[]) | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
integers = st.one_of(st.integers(), st.integers(-(2**70), 2**70), st.integers(0, 400).map(lambda bits: 2**bits - 1))
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: value != 0 or not value.is_signed())

# A busy machine makes single examples slow; what is tested is what arrives, not how fast.
settings.register_profile("snakepit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("snakepit")

ROWS: dict[str, st.SearchStrategy[Any]] = {
    "None": st.none(),
    "bool": st.booleans(),
    "int": integers,
    "float": st.floats(),
    "str": texts,
    "bytes": st.binary(),
    "complex": st.complex_numbers(),
    "Decimal": decimals,
    "date": st.dates(),
    "time": st.times(timezones=st.one_of(st.none(), st.just(datetime.timezone.utc), fixed_offsets)),
    "timedelta": st.timedeltas(),
}


@st.composite
def scalars(draw: st.DrawFn) -> object:
    return draw(ROWS[draw(st.sampled_from(sorted(ROWS)))])


@st.composite
def hashables(draw: st.DrawFn, depth: int = 2) -> object:
    kind = draw(st.sampled_from(["scalar", "scalar", "tuple", "set"] if depth else ["scalar"]))
    if kind == "scalar":
        value = draw(scalars())
        return 0 if value != value else value  # a key that does not equal itself cannot be compared after the journey
    items = draw(st.lists(hashables(depth - 1), max_size=3))
    return tuple(items) if kind == "tuple" else frozenset(items)


@st.composite
def values(draw: st.DrawFn, depth: int = 3) -> object:
    kind = draw(st.sampled_from(["scalar", "list", "tuple", "object", "map", "set"] if depth else ["scalar"]))
    if kind == "scalar":
        return draw(scalars())
    if kind == "set":
        return draw(st.sets(hashables(), max_size=3))
    items = draw(st.lists(values(depth - 1), max_size=3))
    if kind in ("list", "tuple"):
        return items if kind == "list" else tuple(items)
    keys = texts | st.just("__proto__") if kind == "object" else hashables()
    return dict(zip(draw(st.lists(keys, min_size=3, max_size=3)), items))


@pytest.mark.parametrize("row", ROWS)
def test_a_scalar_arrives_as_it_left(row: str) -> None:
    @given(ROWS[row])
    def check(value: object) -> None:
        assert same(there_and_back(value), value)

    check()


@given(values())
def test_nested_values_arrive_as_they_left(value: object) -> None:
    assert same(there_and_back(value), value)


@given(values())
def test_the_exact_way_packs_the_same_value_as_the_fast_one(value: object) -> None:
    # An int key sends the whole message the exact way.
    assert same(there_and_back({0: value})[0], there_and_back(value))


@given(st.datetimes(timezones=zones, allow_imaginary=False))
def test_a_datetime_keeps_instant_clock_and_zone(value: datetime.datetime) -> None:
    arrived = there_and_back(value)
    assert arrived.replace(tzinfo=None) == value.replace(tzinfo=None)
    assert arrived.utcoffset() == value.utcoffset()
    assert str(arrived.tzinfo) == str(value.tzinfo)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_never_do_more_than_raise(data: bytes) -> None:
    reader = Unpacker(lambda *parts: parts, lambda number: number)
    try:
        reader.unpack(data)
    except WireValueError:
        pass


# ---- subclasses and records ----------------------------------------------------------------------------------------


class Text(str):
    def __str__(self) -> str:
        return "not what it is"


class Whole(int):
    def __int__(self) -> int:
        return -1


class Real(float):
    pass


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, "two")


class Level(enum.IntEnum):
    LOW = 1
    HUGE = 2**70


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Account:
    _id: int
    names: list[str]
    origin: Point | None = None
    count: ClassVar[int] = 0
    hidden: str = field(default="h", repr=False)


@dataclass
class Slotted:
    __slots__ = ("a",)
    a: int


class Rows(list):  # type: ignore[type-arg]
    pass


SUBCLASSES: list[tuple[object, object]] = [
    (Text("hello"), "hello"),
    (Whole(7), 7),
    (Whole(2**80), 2**80),
    (Real(1.5), 1.5),
    (Color.RED, "red"),
    (Color.PAIR, (1, "two")),
    (Level.LOW, 1),
    (Level.HUGE, 2**70),
    (Access.READ | Access.WRITE, 3),
    (Point(1, 2.5), {"x": 1, "y": 2.5}),
    (Account(1, ["a"], Point(0, 0.5)), {"_id": 1, "names": ["a"], "origin": {"x": 0, "y": 0.5}, "hidden": "h"}),
    (Slotted(3), {"a": 3}),
    (Rows([1, (2,)]), [1, (2,)]),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (defaultdict(list, {"a": [1]}), {"a": [1]}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (Counter([1, 1]), {1: 2}),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"abcdef")[1:3], b"bc"),
    (memoryview(b"abcdef")[::2], b"ace"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (PurePosixPath("/a/b"), "/a/b"),
    (PureWindowsPath("c:/a"), "c:\\a"),
    (PurePosixPath("/a/\udcff"), "/a/\udcff"),
    (frozenset({1}), {1}),
    ({Level.LOW: "a", Color.RED: "b"}, {1: "a", "red": "b"}),
    ({Text("k"): 1}, {"k": 1}),
    ({Text("__proto__"): 1}, {"__proto__": 1}),
    ({uuid.UUID(int=5): 1}, {"00000000-0000-0000-0000-000000000005": 1}),
]


@pytest.mark.parametrize(("value", "expected"), SUBCLASSES, ids=lambda value: type(value).__name__)
def test_subclasses_and_records_arrive_as_what_they_are_made_of(value: object, expected: object) -> None:
    assert same(there_and_back(value), expected)
    assert same(there_and_back([value, {"in": value}]), [expected, {"in": expected}])
    assert same(there_and_back({0: value}), {0: expected})


def test_a_str_subclass_does_not_have_its_str_method_called() -> None:
    assert there_and_back(Text("kept")) == "kept"


def test_keys_that_become_equal_on_the_wire_are_refused() -> None:
    error = refused({"a": {Color.RED: 1, "red": 2}})
    assert "becomes equal" in error.reason
    assert error.path.startswith("result.a[")


def test_a_dataclass_without_a_value_for_a_field_is_refused() -> None:
    empty = Slotted.__new__(Slotted)
    assert "has no value" in refused([empty]).reason


def test_pydantic_models_are_objects_of_their_fields_and_extras() -> None:
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        model_config = pydantic.ConfigDict(extra="allow")
        name: str
        pair: tuple[int, int] = (1, 2)
        _secret: str = "s"

    class Names(pydantic.RootModel):  # type: ignore[misc, name-defined]
        root: list[str]

    assert same(there_and_back(User(name="a", other={1: 2})), {"name": "a", "pair": (1, 2), "other": {1: 2}})
    assert there_and_back([Names(["a"])]) == [["a"]]


def test_models_of_pydantic_1_are_objects_of_their_fields_and_extras() -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("pydantic 1 does not know this Python")
    pydantic = pytest.importorskip("pydantic.v1")

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str
        pair: tuple[int, int] = (1, 2)

        class Config:
            extra = "allow"

    assert same(there_and_back(User(name="a", other=1)), {"name": "a", "pair": (1, 2), "other": 1})


def test_types_made_at_run_time_are_not_kept_for_ever() -> None:
    from snakepit_worker import values

    for number in range(5_000):
        plain.pack_value(type(f"T{number}", (int,), {})(number))
    assert len(values._rules) < 4_000


# ---- what cannot cross ---------------------------------------------------------------------------------------------


class Loud:
    def __repr__(self) -> str:
        raise ValueError("no repr")


def test_a_failure_names_the_path_the_type_and_a_remedy() -> None:
    value = {"args": 1, "rows": [0, 0, 0, {"a b": (1, {2: object()})}]}
    error = refused(value)
    assert error.path == "result.rows[3]['a b'][1][2]"
    assert error.python_type == "object"
    assert error.repr.startswith("<object object at")
    assert "inside a session" in error.reason
    assert error.to_error() == {
        "_tag": "UnserializableResult",
        "path": error.path,
        "pythonType": "object",
        "repr": error.repr,
        "reason": error.reason,
    }


def test_a_failure_inside_a_message_is_named_from_the_value_on() -> None:
    def path(message: dict[str, object], root: str) -> str:
        with pytest.raises(Unserializable) as caught:
            plain.pack(message, root)
        return caught.value.path

    assert (
        path({"_tag": "Exit", "requestId": 1, "exit": {"_tag": "Success", "value": [print]}}, "result") == "result[0]"
    )
    assert path({"_tag": "Chunk", "requestId": 1, "values": [{"a": print}]}, "result[7]") == "result[7].a"
    assert path({"_tag": "Chunk", "requestId": 1, "values": [1, print]}, "result") == "result[1]"
    assert path({"_tag": "Request", "payload": {"args": [1, print], "kwargs": {}}}, "args") == "args[1]"
    assert path({"_tag": "Request", "payload": {"args": [], "kwargs": {"f": print}}}, "args") == "kwargs.f"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (print, "session"),
        (math, "session"),
        (object, "session"),
        ((number for number in [1]), "Snakepit.stream"),
        (iter([1]), "Snakepit.stream"),
        (range(3), "session"),
        (ValueError("x"), "session"),
        (..., "session"),
        (threading.Lock(), "session"),
        (Decimal("nan"), "BigDecimal"),
        (Decimal("-inf"), "BigDecimal"),
        (Decimal("-0.00"), "minus zero"),
        (datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(microseconds=5))), "whole number"),
        (datetime.time(1, tzinfo=ZoneInfo("Europe/Berlin")), "fixed offset"),
        (Loud(), "session"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_refused_with_a_hint(value: object, hint: str) -> None:
    assert hint in refused({"x": [value]}).reason


def test_a_repr_that_raises_or_is_long_does_no_harm() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 10_000

    assert refused(Loud()).repr
    assert len(refused(Long()).repr) == 200


def test_cycles_are_refused_where_they_close() -> None:
    loop: list[object] = [1]
    loop.append({"again": loop})
    error = refused(loop)
    assert error.path == "result[1].again"
    assert "it is also at result" in error.reason

    mixed: dict[str, object] = {}
    mixed["t"] = (1, mixed)
    assert refused({"m": mixed}).path == "result.m.t[1]"


def test_depth_is_bounded_without_help_of_the_recursion_limit() -> None:
    def nested(levels: int, wrap: Any) -> object:
        value: object = 1
        for _ in range(levels):
            value = wrap(value)
        return value

    for wrap in (lambda value: [value], lambda value: {"k": value}, lambda value: (value,), lambda value: {1: value}):
        assert same(there_and_back(nested(100, wrap)), nested(100, wrap))
        deep = nested(20_000, wrap)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(1_000_000)
        try:
            assert f"nested deeper than {MAX_DEPTH}" in refused(deep).reason
        finally:
            sys.setrecursionlimit(limit)
        while isinstance(
            deep, (list, dict, tuple)
        ):  # taken apart by hand, since it is too deep to be compared or freed
            deep = deep["k" if "k" in deep else 1] if isinstance(deep, dict) else deep[0]


def test_depth_of_a_frame_is_bounded_too() -> None:
    data = b"\x01"
    for _ in range(5_000):
        data = extension(1, b"\x91" + data)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        unreadable(data)
        unreadable(b"\x91" * 100_000)
    finally:
        sys.setrecursionlimit(limit)


# ---- refs ----------------------------------------------------------------------------------------------------------


class Session:
    """Keeps objects and remembers which refs were taken back."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.kept: list[object] = []
        self.dropped: list[tuple[str, str, int, str]] = []
        self.packer = Packer(self.keep, self.dropped.extend)
        self.unpacker = Unpacker(lambda _session, _worker, ref, _kind: self.kept[ref], lambda number: number)

    def keep(self, value: object) -> tuple[str, str, int, str]:
        if len(self.kept) == self.room:
            raise RuntimeError("the session is full")
        self.kept.append(value)
        return "session", "worker", len(self.kept) - 1, type(value).__qualname__


def test_only_the_leaf_becomes_a_ref() -> None:
    session = Session()
    leaf = object()
    value = {"rows": [1, (leaf, 2)], 3: {"leaf": leaf}}
    assert session.unpacker.unpack(session.packer.pack_value(value)) == value
    assert session.kept == [leaf, leaf]


def test_an_extension_that_the_worker_packed_itself_passes_both_ways() -> None:
    ready = ormsgpack.Ext(16, b"\x07")
    assert there_and_back([ready]) == [("callback", 7)]
    assert there_and_back({1: ready}) == {1: ("callback", 7)}


def test_a_failure_beside_a_ref_keeps_nothing() -> None:
    session = Session()
    error = refused([object(), {"bad": Decimal("nan")}], session.packer)
    assert error.path == "result[1].bad"
    assert session.kept == []


def test_refs_made_before_the_session_was_full_are_taken_back() -> None:
    session = Session(room=2)
    with pytest.raises(RuntimeError, match="full"):
        session.packer.pack_value([object(), object(), object()])
    assert [ref[2] for ref in session.dropped] == [0, 1]


def test_a_lost_ref_is_reported_as_lost_with_its_request() -> None:
    def resolve(session: str, *_rest: object) -> object:
        raise SessionLost(session, "it was released")

    frame = ormsgpack.packb({"id": 12, "args": [ormsgpack.Ext(15, ormsgpack.packb(["s1", "w", 1, "object"]))]})
    with pytest.raises(SessionLost) as caught:
        Unpacker(resolve, no_ref).unpack(frame)
    assert caught.value.session == "s1"
    assert caught.value.request_id == 12


# ---- what the host sends -------------------------------------------------------------------------------------------


def test_a_javascript_number_arrives_as_the_float_it_was_marked_as() -> None:
    assert same(unpacker.unpack(extension(12, b"\0\0\0\0\0\0\x14@")), 5.0)
    assert same(unpacker.unpack(extension(12, b"\0\0\0\0\0\0\0\x80")), -0.0)


def test_a_callback_arrives_as_what_the_worker_makes_of_its_number() -> None:
    assert unpacker.unpack(extension(16, 7)) == ("callback", 7)


def test_sets_in_sets_and_as_keys_are_frozen() -> None:
    assert unpacker.unpack(plain.pack_value({frozenset({1}), (2, frozenset({3}))})) == {
        frozenset({1}),
        (2, frozenset({3})),
    }
    assert unpacker.unpack(plain.pack_value({frozenset({1}): 2})) == {frozenset({1}): 2}


@pytest.mark.parametrize(
    ("code", "items", "shown"),
    [
        (3, [1, 2, True], "two members that are equal in Python: 1 and True"),
        (3, [b"a", b"a"], "two members that are equal in Python: b'a' and b'a'"),
        (
            3,
            [ormsgpack.Ext(3, ormsgpack.packb([1])), ormsgpack.Ext(3, ormsgpack.packb([1]))],
            "two members that are equal in Python: frozenset({1}) and",
        ),
        (4, [0, "zero", False, "no"], "two keys that are equal in Python: 0 and False"),
        (
            4,
            [ormsgpack.Ext(3, ormsgpack.packb([])), 1, ormsgpack.Ext(3, ormsgpack.packb([])), 2],
            "two keys that are equal in Python: frozenset() and",
        ),
    ],
)
def test_members_and_keys_that_python_takes_for_one_are_refused(code: int, items: list[object], shown: str) -> None:
    error = unreadable(ormsgpack.packb({"id": 7, "payload": {"args": [[ormsgpack.Ext(code, ormsgpack.packb(items))]]}}))
    assert error.path == "args[0][0]"
    assert shown in error.actual
    assert error.request_id == 7


def test_a_clock_time_that_another_time_zone_database_reads_differently_keeps_its_instant() -> None:
    # Berlin was at +1 that day; a host with other data says +3.
    moment: Any = unpacker.unpack(extension(7, [2024, 1, 1, 12, 0, 0, 0, ["Europe/Berlin", 10_800]]))
    assert moment == datetime.datetime(2024, 1, 1, 9, tzinfo=datetime.timezone.utc)
    assert str(moment.tzinfo) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("data", "expected", "actual"),
    [
        (extension(1, 5), "a tuple", "int instead of an array"),
        (extension(3, [[1]]), "a set", "cannot be in a set"),
        (extension(4, [[1], 2]), "a map", "be a key"),
        (extension(4, [1]), "a map", "no pairs"),
        (extension(5, b"123"), "a complex number", "16 bytes"),
        (extension(6, b"one"), "a decimal", "InvalidOperation"),
        (extension(6, b"NaN"), "a decimal", "finite"),
        (extension(7, [2024, 13, 1, 0, 0, 0, 0, None]), "a datetime", "month must be in 1..12"),
        (extension(7, [2024, 1, 1, 0, 0, 0, 0, "UTC"]), "a datetime", "zone is 'UTC'"),
        (extension(7, [2024, 1, 1, 0, 0, 0, 0, ["No/Where", 0]]), "a datetime", "tzdata"),
        (extension(7, [2024, 1, 1, None]), "a datetime", "4 items instead of 8"),
        (extension(8, ["x", 1, 1]), "a date", "TypeError"),
        (extension(9, [25, 0, 0, 0, None]), "a time", "hour must be in 0..23"),
        (extension(10, [1, 2]), "a timedelta", "ValueError"),
        (extension(11, b"\xff"), "text", "UnicodeDecodeError"),
        (extension(12, b"1"), "a float", "8 bytes"),
        (extension(13, ["no such", 1]), "an adapted value", "no adapter called 'no such'"),
        (extension(13, [1]), "an adapted value", "ValueError"),
        (extension(15, ["s", "w", "1", "t"]), "a ref", "not [session id"),
        (extension(16, "x"), "a callback", "not an integer"),
        (extension(14, [1, 2, 3, 4, False]), "bytes in shared memory", "shares none"),
        (extension(1, b"\x92\x01"), "a tuple", "end of file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_extension_fails_with_path_expectation_and_finding(data: bytes, expected: str, actual: str) -> None:
    call = b"\x82\xa2id\x2a\xa7payload\x81\xa4args\x92\x01\x81\xa1x" + data
    error = unreadable(call)
    assert error.path == "args[1].x"
    assert expected in error.expected
    assert actual in error.actual
    assert error.request_id == 42
    assert error.to_error() == {
        "_tag": "DecodeError",
        "path": "args[1].x",
        "expected": error.expected,
        "actual": error.actual,
    }


def test_the_path_reaches_into_extensions() -> None:
    error = unreadable(extension(1, b"\x92\x01" + extension(4, b"\x92\x05" + extension(8, [2024, 2, 30]))))
    assert error.path == "[1][5]"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x92\x01", b"\x81\x01\x02", b"\xa1\xff", b"\xdd\xff\xff\xff\xff"])
def test_bytes_that_are_no_messagepack_fail_without_a_path(data: bytes) -> None:
    error = unreadable(data)
    assert error.path == ""
    assert error.request_id is None


def test_a_memoryview_is_unpacked_like_bytes() -> None:
    assert unpacker.unpack(memoryview(b"__\x92\x01\x02")[2:]) == [1, 2]


# ---- the wire itself -----------------------------------------------------------------------------------------------


def test_a_proto_key_is_never_a_key_of_a_messagepack_map() -> None:
    for value in ({"__proto__": 1}, [{"a": ({"__proto__": {"x": 1}},)}], {1: {"__proto__": 2}}):
        assert b"\x81\xa9__proto__" not in plain.pack_value(value)
        assert there_and_back(value) == value
    assert there_and_back(["__proto__", b"\xa9__proto__"]) == ["__proto__", b"\xa9__proto__"]


def test_a_proto_key_is_found_in_a_large_value() -> None:
    assert there_and_back([{"__proto__": 1}, bytes(2_000_000)]) == [{"__proto__": 1}, bytes(2_000_000)]
    assert there_and_back(bytes(2_000_000)) == bytes(2_000_000)
    large: dict[str, object]
    for large in (
        {"exit": {"value": {"__proto__": bytes(2_000_000)}}},
        {"values": [[{"__proto__": bytes(2_000_000)}]]},
    ):
        assert unpacker.unpack(plain.pack(large)) == large
        assert b"\x81\xa9__proto__" not in plain.pack(large)


@settings(max_examples=20)
@given(st.lists(st.integers(-(2**65), 2**65) | texts | st.none()))
def test_long_lists_of_scalars_pack_the_same_both_ways(items: list[object]) -> None:
    assert there_and_back({1: items}) == {1: items}


def test_a_rule_that_changes_the_list_being_packed_does_no_harm_on_the_exact_way() -> None:
    items: list[object] = [{1: 2}, None, 3]

    class Clearing(enum.Enum):
        ONE = 1

    items[1] = Clearing.ONE
    assert there_and_back(items) == [{1: 2}, 1, 3]


def test_importing_values_imports_nothing_heavy() -> None:
    script = (
        "import sys, snakepit_worker.values as values\n"
        "packer = values.Packer(); packer.pack_value({'a': (1, 2.5)}); packer.pack_value({1: {2}})\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'polars', 'torch', 'decimal', 'pathlib', 'zoneinfo', 'difflib', 'json',"
        " 'traceback', 'logging'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    source = str(__import__("pathlib").Path(__file__).resolve().parents[1] / "src")
    # The package itself is replaced by a bare one, so that only what values.py imports is seen.
    bare = (
        "import sys, types; package = types.ModuleType('snakepit_worker');"
        f"package.__path__ = [{source + '/snakepit_worker'!r}]; sys.modules['snakepit_worker'] = package\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", bare + script], capture_output=True, text=True, check=False)
    if "No module named 'ormsgpack'" in done.stderr:
        done = subprocess.run([sys.executable, "-c", bare + script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
