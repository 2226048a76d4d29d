"""Where the bytes of adapted values are: inside the message, or in shared memory. The one place that decides it.

An adapter that packs hands over bytes with `store`, or asks for room with `write`, and puts what it gets into its
payload. An adapter that unpacks gets `bytes` or `Shared` in that place, and reads either with `buffer`.

Packing may run an adapter twice for one message (see `values.py`), and a message may turn out not to be sendable:
regions that were taken for it since the last `commit` are given back by `discard`.
"""

from __future__ import annotations

import math
import threading

from ormsgpack import Ext, packb, unpackb

from .adapters import Refused
from .errors import bounded_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .shared_memory import Exporter, Region, SharedMemory

SHARED = 14


class Shared:
    """Bytes in shared memory that arrived: `exporter` is a buffer that begins with them and is at least as long."""

    __slots__ = ("exporter", "is_writable", "size")

    def __init__(self, exporter: Exporter, size: int, is_writable: bool) -> None:
        self.exporter = exporter
        self.size = size
        self.is_writable = is_writable

    @property
    def buffer(self) -> memoryview:
        """Exactly the bytes; whatever is made of them keeps the shared memory. Read-only unless the sender says not."""
        view = memoryview(self.exporter).cast("B")[: self.size]
        return view if self.is_writable else view.toreadonly()


class _Pending(threading.local):
    def __init__(self) -> None:
        self.regions: list[Region] = []


# None: this worker shares no memory, everything stays inside the message.
memory: SharedMemory | None = None
# From this many bytes on they are in shared memory.
threshold: float = math.inf
_is_strict = False
_pending = _Pending()


def use(shared: SharedMemory | None, from_bytes: int = 0, is_strict: bool = False) -> None:
    """Sets the shared memory of this process, and from how many bytes on it is used."""
    global memory, threshold, _is_strict
    memory, threshold, _is_strict = shared, math.inf if shared is None else from_bytes, is_strict


def write(size: int, fill: Callable[[memoryview], object]) -> Ext | None:
    """Room of `size` bytes in shared memory, filled by `fill`; None when the bytes belong inside the message.

    Raises Refused when there is no room and the pool is strict.
    """
    if memory is None or size < threshold:
        return None
    region = memory.allocate(size)
    if region is None:
        if _is_strict:
            raise Refused(f"zero_copy_unavailable: the pool has no shared memory for {size} bytes, and `strict` is set")
        return None
    place = memory.send(region)
    _pending.regions.append(region)
    fill(memory.buffer(region, size))
    return Ext(SHARED, packb([*place, 0, size, None]))


def store(data: bytes | memoryview) -> Ext | bytes | memoryview:
    """What stands for `data` in a payload."""
    size = data.nbytes if type(data) is memoryview else len(data)

    def fill(room: memoryview) -> None:
        room[:] = data if type(data) is bytes else memoryview(data).cast("B")

    return write(size, fill) or data


def shared(owner: object, offset: int, size: int) -> Ext | None:
    """What stands for bytes that are in shared memory already: `size`, from `offset` on of what `owner` exports.

    None when they are not: `owner` is an exporter neither of bytes that arrived nor of `memory.array`.
    """
    if memory is None:
        return None
    view = memory.looked_at(owner)
    if view is not None:
        return Ext(SHARED, packb([view.segment, view.offset, offset, size, view.region]))
    region = memory.find(owner)
    if region is None:
        return None
    segment, start = memory.send(region)
    _pending.regions.append(region)
    return Ext(SHARED, packb([segment, start, offset, size, None]))


def load(data: bytes) -> Shared:
    """Reads the extension. Raises Refused for a place that is none, and in a worker that shares no memory."""
    place: Any = unpackb(data)
    if memory is None:
        raise Refused("bytes in shared memory, and this worker shares none")
    if type(place) is not list or len(place) != 5 or type(place[4]) is not bool:
        raise Refused(f"{bounded_repr(place, 80)} instead of [segment, offset, length, region, writable]")
    segment, offset, length, region, is_writable = place
    return Shared(memory.look(segment, offset, length, region), length, is_writable)


def commit() -> None:
    """The message that was packed on this thread is on its way."""
    if _pending.regions:
        _pending.regions = []


def discard() -> None:
    """The message that was packed on this thread is not sent: what it would have handed over is free again."""
    if _pending.regions and memory is not None:
        regions, _pending.regions = _pending.regions, []
        for region in regions:
            memory.take_back(region)
