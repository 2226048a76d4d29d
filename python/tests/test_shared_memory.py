"""Shared memory as a worker sees it: places that the host names, room that it grants, and who still looks at what."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ormsgpack import Ext, packb, unpackb

from snakepit_worker import storage
from snakepit_worker.adapters import Refused
from snakepit_worker.errors import CallCancelled
from snakepit_worker.gate import Gate, Running
from snakepit_worker.shared_memory import FreeList, SharedMemory
from snakepit_worker.values import Packer, Unpacker

SIZE = 1 << 16


class Host:
    """Makes segments, and grants each as a whole."""

    def __init__(self, folder: Path) -> None:
        self.prefix = str(folder / "segment-")
        self.segments = 0
        self.is_full = False

    def make(self, content: bytes = b"") -> int:
        self.segments += 1
        with open(f"{self.prefix}{self.segments}", "wb") as file:
            file.write(content)
            file.truncate(SIZE)
        return self.segments

    def grant(self, size: int, most: int) -> list[int] | None:
        return None if self.is_full or size > SIZE else [self.make(), 0, SIZE]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def memory(host: Host) -> Iterator[SharedMemory]:
    memory = SharedMemory([host.prefix], host.grant)
    storage.use(memory, 100)
    yield memory
    storage.use(None)


def test_free_parts_are_joined_and_used_from_the_beginning() -> None:
    free = FreeList(256)
    assert [free.take(64), free.take(64), free.take(128), free.take(64)] == [0, 64, 128, None]
    free.give(128, 128)
    free.give(0, 64)
    assert free.take(192) is None
    free.give(64, 64)
    assert free.take(256) == 0
    assert free.used == 256


def test_the_bytes_of_a_place_are_those_of_the_segment(host: Host, memory: SharedMemory) -> None:
    segment = host.make(b"\0" * 64 + b"hello")
    shared = storage.load(bytes(_place(segment, 64, 5, 7, False)))
    assert bytes(shared.buffer) == b"hello"
    assert shared.buffer.readonly
    assert not storage.load(bytes(_place(segment, 64, 5, 7, True))).buffer.readonly


@pytest.mark.parametrize(
    "place",
    [
        [1, 0, SIZE + 1, 7, False],
        [1, -8, 8, 7, False],
        [1, SIZE, 1, 7, False],
        [1, 0, -1, 7, False],
        [99, 0, 8, 7, False],
        ["1", 0, 8, 7, False],
        ["../../etc/passwd", 0, 8, 7, False],
        [1, 0, 8, 7],
        [1, 0, 8, 7, 1],
        "place",
    ],
)
def test_a_place_that_is_none_is_refused(host: Host, memory: SharedMemory, place: object) -> None:
    host.make()
    with pytest.raises(Refused):
        storage.load(bytes(_packed(place)))


def test_what_is_still_looked_at_is_kept_and_released_once_it_is_not(host: Host, memory: SharedMemory) -> None:
    segment = host.make(b"kept")
    first = storage.load(bytes(_place(segment, 0, 4, 7, False)))
    storage.load(bytes(_place(segment, 0, 4, 8, False)))
    views = memory.take_views()
    assert views is not None
    view = first.buffer[1:3]
    del first
    gc.collect()
    assert SharedMemory.keep(views) == [7]
    assert memory.released() == []
    assert bytes(view) == b"ep"
    del view
    gc.collect()
    assert memory.released() == [7]
    assert memory.take_views() is None


def test_room_is_granted_once_and_used_again_when_the_host_is_done(host: Host, memory: SharedMemory) -> None:
    stored = storage.store(b"x" * 1000)
    storage.commit()
    assert isinstance(stored, Ext)
    segment, start, offset, size, region = _parts(stored)
    assert (segment, start, offset, size, region) == (1, 0, 0, 1000, None)
    assert Path(f"{host.prefix}1").read_bytes()[:1000] == b"x" * 1000
    assert _start(storage.store(b"y" * 1000)) == 1024
    storage.commit()
    memory.free([[1, 0]])
    assert _start(storage.store(b"z" * 1000)) == 0
    assert host.segments == 1


def test_small_bytes_and_those_without_room_stay_where_they_are(host: Host, memory: SharedMemory) -> None:
    assert storage.store(b"small") == b"small"
    host.is_full = True
    assert storage.store(b"x" * 1000) == b"x" * 1000
    storage.use(memory, 100, is_strict=True)
    with pytest.raises(Refused, match="zero_copy_unavailable"):
        storage.store(b"x" * 1000)


def test_grants_that_hold_nothing_are_given_back(memory: SharedMemory) -> None:
    storage.store(b"x" * 1000)
    storage.commit()
    memory.free([[1, 0]])
    assert memory.trim() == [[1, 0, 0]]
    assert memory.trim() == []


def test_the_free_end_of_a_grant_is_given_back_and_not_used_any_more(host: Host, memory: SharedMemory) -> None:
    for _ in range(3):
        storage.store(b"x" * 1000)
    storage.commit()
    memory.free([[1, 0]])
    assert memory.trim() == [[1, 0, 3072]]
    assert memory.trim() == []
    assert _start(storage.store(b"y" * 1000)) == 0
    storage.store(b"z" * 1000)
    storage.commit()
    assert host.segments == 2
    memory.free([[1, 0], [1, 1024], [1, 2048], [2, 0]])
    assert memory.trim() == [[1, 0, 0], [2, 0, 0]]


class Impatient:
    """A lock that another thread waits for, to trim the memory as soon as it is free."""

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        if self.depth == 1:
            self.memory.trim()
        self.depth -= 1


def test_room_that_was_just_granted_is_not_given_back_before_it_is_used(memory: SharedMemory) -> None:
    storage.use(memory, 100, is_strict=True)
    memory._lock = Impatient(memory)  # type: ignore[assignment]
    assert _start(storage.store(b"x" * 1000)) == 0


def test_a_message_that_is_not_sent_gives_its_room_back(memory: SharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(4000)
    with pytest.raises(Exception, match="no form on the wire"):
        Packer().pack({"exit": {"value": [array, object()]}})
    storage.discard()
    assert memory.trim() == [[1, 0, 0]]


def test_an_array_made_in_place_is_named_and_not_copied(memory: SharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    from snakepit_worker import empty

    array = empty((100, 60))
    array[...] = 3
    part = array[10:50]
    frame = Packer().pack({"exit": {"value": part}})
    storage.commit()
    places: list[list[object]] = []

    def hook(code: int, data: bytes) -> object:
        if code == storage.SHARED:
            places.append(unpackb(data))
            return None
        return unpackb(data, ext_hook=hook)

    unpackb(frame, ext_hook=hook)
    assert places == [[1, 0, 10 * 60 * 8, 40 * 60 * 8, None]]
    with pytest.raises(ValueError, match="read-only"):
        part[0] = 1
    assert numpy.all(array == 3)
    # not free before the host and Python have both let go of it
    del array, part
    gc.collect()
    assert [left > 0 for _, _, left in memory.trim()] == [True]
    memory.free([[1, 0]])
    assert memory.trim() == [[1, 0, 0]]


def test_an_array_that_arrived_goes_back_by_name(host: Host, memory: SharedMemory) -> None:
    pytest.importorskip("numpy")
    segment = host.make(bytes(range(256)) * 80)
    tensor = Ext(13, _packed(["tensor", ["|u1", [20_000], Ext(14, _place(segment, 0, 20_000, 7, False))]]))
    array = Unpacker(lambda *_: None, lambda _: None).unpack(_packed(tensor))
    assert storage.shared(array.base, 0, 20_000) is not None  # type: ignore[attr-defined]
    assert host.segments == 1


def test_a_torch_tensor_over_shared_memory_goes_by_name(host: Host, memory: SharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    from snakepit_worker import arrays, empty

    made = torch.from_numpy(empty((100, 60)))
    assert _parts(arrays.tensor(made[10:50].numpy())[2]) == [1, 0, 10 * 60 * 8, 40 * 60 * 8, None]
    segment = host.make(bytes(range(256)) * 80)
    tensor = Ext(13, _packed(["tensor", ["|u1", [20_000], Ext(14, _place(segment, 64, 20_000, 7, False))]]))
    array = Unpacker(lambda *_: None, lambda _: None).unpack(_packed(tensor))
    arrived: object = arrays.convert(array, "torch")
    assert _parts(arrays.tensor(arrived[5:].numpy())[2]) == [segment, 64, 5, 19_995, 7]  # type: ignore[index]
    # what is elsewhere is copied
    own = torch.zeros(4000)
    assert _parts(arrays.tensor(own.numpy())[2])[-1] is None
    assert numpy.all(made.numpy().flags.writeable)


def test_small_arrays_are_shared_where_the_threshold_says_so(memory: SharedMemory) -> None:
    numpy = pytest.importorskip("numpy")
    from snakepit_worker import arrays, empty

    assert isinstance(arrays.tensor(numpy.zeros(13))[2], Ext)
    assert isinstance(arrays.tensor(numpy.zeros(12))[2], bytes)
    assert empty(13).base is not None
    assert empty(12).base is None
    storage.use(memory, 0)
    assert arrays.tensor(numpy.zeros((0, 3)))[2] == b""


def test_segments_that_are_forgotten_live_as_long_as_what_looks_at_them(host: Host, memory: SharedMemory) -> None:
    segment = host.make(b"still there")
    shared = storage.load(bytes(_place(segment, 0, 11, 7, False)))
    memory.forget_segments([segment])
    os.unlink(f"{host.prefix}{segment}")
    assert bytes(shared.buffer) == b"still there"
    with pytest.raises(Refused, match="not there"):
        storage.load(bytes(_place(segment, 0, 11, 7, False)))


def test_no_code_runs_when_an_array_dies_that_could_be_cut_short(host: Host, memory: SharedMemory) -> None:
    pytest.importorskip("numpy")
    from snakepit_worker import empty

    made = empty(1000)
    arrived = storage.load(bytes(_place(host.make(), 0, 1000, 7, False)))
    views = memory.take_views()
    assert views is not None
    assert SharedMemory.keep(views) == [7]
    called: list[str] = []
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        del made, arrived
    finally:
        sys.setprofile(None)
    assert called == []
    assert memory.released() == [7]
    assert memory.trim() == [[1, 0, 0]]


def test_a_call_that_is_stopped_while_it_makes_an_array_leaves_nothing_behind(host: Host) -> None:
    pytest.importorskip("numpy")
    from snakepit_worker import empty

    gate = Gate()
    call = Running({"id": 1, "payload": {}})

    def ask(size: int, most: int) -> list[int] | None:
        granted = host.grant(size, most)
        gate.stop(1)
        gate.on_stop(signal.SIGUSR1, None)
        return granted

    memory = SharedMemory([host.prefix], ask, lambda: gate.shield(call))
    storage.use(memory, 100)
    gate.begin_on_main(call)
    with pytest.raises(CallCancelled):
        empty(1000)
    storage.use(None)
    assert memory.trim() == [[1, 0, 0]]


def _packed(value: object) -> bytes:
    return packb(value)


def _place(*parts: object) -> bytes:
    return _packed(list(parts))


def _start(stored: object) -> object:
    return _parts(stored)[1]


def _parts(stored: object) -> list[object]:
    """The place in an extension."""
    assert isinstance(stored, Ext)
    parts = unpackb(packb(stored), ext_hook=lambda _code, data: unpackb(data))
    assert isinstance(parts, list)
    return parts
