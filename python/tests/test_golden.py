"""The golden vectors: what the worker packs and unpacks is what the contract says."""

from __future__ import annotations

import datetime
import importlib.util
import json
import math
import struct
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import ormsgpack
import pytest

from snakepit_worker import adapters, storage
from snakepit_worker.errors import SessionLost
from snakepit_worker.values import Packer, Unpacker

FOLDER = Path(__file__).resolve().parents[2] / "protocol" / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


class Ref:
    """What the tests keep for a ref: it packs as the ref it came from."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self.parts == other.parts

    __hash__ = None  # type: ignore[assignment]


class Callback(Ref):
    """What the tests make of a callback."""


class Point:
    """An object of a type with an adapter of its own."""

    def __init__(self, payload: object) -> None:
        self.payload = payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.payload == other.payload

    __hash__ = None  # type: ignore[assignment]


def shared(place: Any) -> storage.Shared:
    return storage.Shared(tuple(place[:4]), place[2], place[4])


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "load", lambda data: shared(ormsgpack.unpackb(data)))


adapters.register("point", Point, lambda point: point.payload, Point)

packer = Packer(keep=lambda value: value.parts)  # type: ignore[attr-defined]
unpacker = Unpacker(Ref, Callback)


def vector(name: str) -> tuple[dict[str, Any], bytes]:
    return json.loads((FOLDER / f"{name}.json").read_text()), (FOLDER / f"{name}.bin").read_bytes()


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def from_notation(value: Any) -> Any:
    """The Python value that a notation stands for."""
    if isinstance(value, list):
        return [from_notation(item) for item in value]
    if not isinstance(value, dict):
        return value
    sigil = next(iter(value), "")
    if len(value) == 1 and sigil.startswith("$"):
        return SIGILS[sigil](value[sigil])
    return {key: from_notation(item) for key, item in value.items()}


def zone(value: Any) -> datetime.tzinfo | None:
    if value is None:
        return None
    if isinstance(value, list):
        return ZoneInfo(value[0])
    return datetime.timezone(datetime.timedelta(seconds=value))


def moment(parts: Any) -> datetime.datetime:
    *numbers, where = parts
    first = datetime.datetime(*numbers).replace(tzinfo=zone(where))
    if isinstance(where, list) and first.utcoffset() != datetime.timedelta(seconds=where[1]):
        return first.replace(fold=1)
    return first


def adapted(parts: Any) -> Any:
    name, payload = from_notation(parts)
    if name == "point":
        return Point(payload)
    if name == "tensor":
        numpy = pytest.importorskip("numpy")
        dtype, shape, data = payload
        if dtype == "|O":
            items = numpy.empty(len(data), dtype=object)
            for index, item in enumerate(data):
                items[index] = item
            return items.reshape(shape)
        if isinstance(dtype, list):
            return numpy.frombuffer(data, RECORDS[json.dumps(dtype)]).reshape(shape)
        return numpy.frombuffer(data, dtype).reshape(shape)
    pyarrow = pytest.importorskip("pyarrow")
    if isinstance(payload, list):
        pytest.importorskip(payload[0])
    table = pyarrow.table(
        {
            "name": pyarrow.array(["a", "b", None], pyarrow.string()),
            "count": pyarrow.array([1, 2, 3], pyarrow.int32()),
            "share": pyarrow.array([0.5, None, 2.5], pyarrow.float64()),
        }
    )
    kind = payload[0] if isinstance(payload, list) else "pyarrow"
    if kind == "polars":
        return pytest.importorskip("polars").from_arrow(table)
    return table.to_pandas() if kind == "pandas" else table


# numpy's own notation has tuples where the wire has lists.
RECORDS: dict[str, Any] = {
    json.dumps([["x", "<i4"], ["", "|V4"], ["y", "<f8", [2]]]): {
        "names": ["x", "y"],
        "formats": ["<i4", ("<f8", (2,))],
        "offsets": [0, 8],
        "itemsize": 24,
    },
    json.dumps([["a", [["b", "|i1"]]], ["c", "|u1"]]): [("a", [("b", "|i1")]), ("c", "|u1")],
}

SIGILS: dict[str, Any] = {
    "$int": int,
    "$float": float,
    "$double": float,
    "$bytes": bytes.fromhex,
    "$tuple": lambda items: tuple(from_notation(items)),
    "$set": lambda items: {frozenset(each) if isinstance(each, set) else each for each in from_notation(items)},
    "$map": lambda pairs: {from_notation(key): from_notation(item) for key, item in pairs},
    "$complex": lambda parts: complex(*map(float, parts)),
    "$decimal": Decimal,
    "$datetime": moment,
    "$date": lambda parts: datetime.date(*parts),
    "$time": lambda parts: datetime.time(*parts[:4]).replace(tzinfo=zone(parts[4])),
    "$timedelta": lambda parts: datetime.timedelta(*parts),
    "$text": lambda units: struct.pack(f"<{len(units)}H", *units).decode("utf-16-le", "surrogatepass"),
    "$adapted": adapted,
    "$shared": shared,
    "$ref": lambda parts: Ref(*parts),
    "$callback": Callback,
}


def same(left: Any, right: Any) -> bool:
    """Equal and of the same types, all the way down; nan is nan, and minus zero is not zero."""
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
    if isinstance(left, datetime.datetime):
        return left == right and str(left.tzinfo) == str(right.tzinfo) and left.utcoffset() == right.utcoffset()
    if hasattr(left, "dtype") and hasattr(left, "tobytes"):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        return same(left.tolist(), right.tolist()) if left.dtype == object else left.tobytes() == right.tobytes()
    if isinstance(left, storage.Shared):
        return (left.exporter, left.size, left.is_writable) == (right.exporter, right.size, right.is_writable)
    if hasattr(left, "equals"):
        return bool(left.equals(right))
    return bool(left == right)


def test_the_generator_writes_exactly_these_files() -> None:
    generated = {str(each["name"]): (each, data) for each, data in generator().vectors()}
    assert sorted(generated) == NAMES
    for name in NAMES:
        assert generated[name] == vector(name), name
    assert {path.stem for path in FOLDER.glob("*.bin")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_decodes_to_its_value(name: str) -> None:
    expected, data = vector(name)
    value = from_notation(expected["value"])
    assert same(unpacker.unpack(data), value)


@pytest.mark.parametrize("name", [name for name in NAMES if vector(name)[0]["python"] == "exact"])
def test_a_value_packs_to_the_bytes_of_its_vector(name: str) -> None:
    expected, data = vector(name)
    value = from_notation(expected["value"])
    if expected["kind"] == "message":
        assert packer.pack(value).hex() == data.hex()
    else:
        assert packer.pack_value(value).hex() == data.hex()


def test_the_errors_of_the_worker_itself_have_the_shape_of_their_vectors() -> None:
    expected, _ = vector("message-exit-fail-session-lost")
    error = expected["value"]["exit"]["cause"][0]["error"]
    assert SessionLost("session-9", "it was released").to_error() == error
