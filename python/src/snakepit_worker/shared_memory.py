"""Shared memory: segments of the host's, looked at and written to.

The host owns all segments. It names a part of one by [segment, offset, length, region, writable] when it sends bytes,
and grants a part to write results in, of which this module cuts regions. A segment is a file whose name is a prefix
from the boot configuration and the segment's number, so that no name ever crosses the wire.

What arrives is looked at through an exporter, a ctypes array over the segment: whatever is made of it (an ndarray, its
views, a torch tensor, an Arrow buffer) keeps it alive. When a request is answered, those of its exporters that are
still alive are reported as kept; when they die later, as released. So the host knows when the bytes may change.

`storage.py` decides what goes through here. ctypes is imported when the first bytes arrive.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import deque
from contextlib import nullcontext

from .adapters import Refused
from .memory import let_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from typing import Any

    # A ctypes array. Supports the buffer protocol and weak references.
    Exporter = Any

# As the host's: what Arrow asks of its buffers, and a cache line.
ALIGNMENT = 64
_MADV_POPULATE_WRITE = 23
_LARGEST_GRANT = 1 << 28
_SMALLEST_GRANT = 1 << 24
_MOST_TYPES = 256


class _Watch(weakref.ref):  # type: ignore[type-arg]  # of an exporter
    """A weak reference to an exporter.

    Exporters die at any moment in the target's code, which is where calls are stopped: their callback is a queue's own
    `append`, so that no code of the worker's runs that could be cut short.
    """

    __slots__ = ("key",)

    # The `id` of the exporter, which another object may have once it is dead.
    key: int


class View(_Watch):
    """One look at bytes that the host sent."""

    __slots__ = ("is_kept", "offset", "region", "segment")

    region: int
    segment: int
    offset: int
    is_kept: bool


class _Made(_Watch):
    """An array that was made here, in a region."""

    __slots__ = ("region",)

    region: Region


class Region:
    """A part of a grant that holds a result, or an array that may become one."""

    __slots__ = ("grant", "is_sent", "offset", "size", "watch")

    def __init__(self, grant: Grant, offset: int, size: int) -> None:
        self.grant = grant
        self.offset = offset
        self.size = size
        self.is_sent = 0
        # of an array that was made here; alive while Python can write to it
        self.watch: _Made | None = None


class Grant:
    """A part of a segment that this worker may write in."""

    __slots__ = ("free", "memory", "offset", "segment", "size")

    def __init__(self, segment: int, offset: int, size: int, memory: mmap.mmap) -> None:
        self.segment = segment
        self.offset = offset
        self.size = size
        self.memory = memory
        self.free = FreeList(size)


class _Looking(threading.local):
    def __init__(self) -> None:
        self.views: list[View] = []


class FreeList:
    """Free parts, first fit: memory that was used just now is used again."""

    __slots__ = ("_parts", "size", "used")

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._parts = [(0, size)]

    def take(self, size: int) -> int | None:
        """Where `size` bytes are free, which are taken from here on."""
        for index, (offset, room) in enumerate(self._parts):
            if room >= size:
                self._parts[index : index + 1] = [(offset + size, room - size)] if room > size else []
                self.used += size
                return offset
        return None

    def give(self, offset: int, size: int) -> None:
        """Gives back what `take` answered."""
        self.used -= size
        parts: list[tuple[int, int]] = []
        for start, room in sorted([*self._parts, (offset, size)]):
            if parts and sum(parts[-1]) == start:
                parts[-1] = (parts[-1][0], parts[-1][1] + room)
            else:
                parts.append((start, room))
        self._parts = parts

    def shrink(self) -> int:
        """Lets go of what is free at the end, and answers how much is left."""
        if self._parts and sum(self._parts[-1]) == self.size:
            self.size = self._parts.pop()[0]
        return self.size


class SharedMemory:
    """The segments that this worker sees. Any thread may use it.

    `ask` asks the host for so many bytes, at least and at most, and answers [segment, offset, length], or None when
    there is no room. `shield` keeps a call from being stopped in a block.
    """

    def __init__(
        self,
        prefixes: list[str],
        ask: Callable[[int, int], list[int] | None],
        shield: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._prefixes = prefixes
        self._ask = ask
        self._shield = shield
        self._segments: dict[int, mmap.mmap] = {}
        self._types: dict[int, Any] = {}
        self._grants: list[Grant] = []
        self._sent: dict[tuple[int, int], Region] = {}
        self._lock = threading.RLock()
        # Of exporters that have died: of views, and of arrays of ours.
        self.dead: deque[View] = deque()
        self._forgotten: deque[_Made] = deque()
        # By their keys.
        self._owned: dict[int, Region] = {}
        self._views: dict[int, View] = {}
        # What the request that is being decoded looks at; whoever decodes takes it.
        self._looking = _Looking()

    # ------------------------------------------------------------------------------------------------------------------
    # What the host sent
    # ------------------------------------------------------------------------------------------------------------------

    def look(self, segment: object, offset: object, length: object, region: object) -> Exporter:
        """An exporter of at least `length` bytes. Raises Refused for a place that is none."""
        if not (type(segment) is int and type(offset) is int and type(length) is int and type(region) is int):
            raise Refused("a place in shared memory that is not made of integers")
        memory = self._segment(segment)
        if offset < 0 or length < 0 or offset + length > len(memory):
            raise Refused(f"{length} bytes at {offset} of a segment of {len(memory)} bytes")
        exporter = self._export(memory, offset, length)
        view = View(exporter, self.dead.append)
        view.key = id(exporter)
        view.region = region
        view.segment = segment
        view.offset = offset
        view.is_kept = False
        with self._lock:
            self._views[view.key] = view
        self._looking.views.append(view)
        return exporter

    @property
    def has_views(self) -> bool:
        """Whether `take_views` has something to answer."""
        return bool(self._looking.views)

    def take_views(self) -> list[View] | None:
        """What was looked at on this thread since this was asked before."""
        views = self._looking.views
        if not views:
            return None
        self._looking.views = []
        return views

    def looked_at(self, owner: object) -> View | None:
        """The view of an exporter that `look` answered."""
        view = self._views.get(id(owner))
        return view if view is not None and view() is owner else None

    @staticmethod
    def keep(views: Iterable[View]) -> list[int]:
        """The regions of those that are still looked at; they will be in `released` one day."""
        kept = []
        for view in views:
            # held while it is marked, so that it dies before or after, and is in `released` if after
            exporter = view()
            if exporter is not None:
                view.is_kept = True
                kept.append(view.region)
        return kept

    def released(self) -> list[int]:
        """The regions of kept views that have died since."""
        regions: list[int] = []
        while True:
            try:  # another thread may take the last one
                view = self.dead.popleft()
            except IndexError:
                return regions
            with self._lock:
                if self._views.get(view.key) is view:
                    del self._views[view.key]
            if view.is_kept:
                regions.append(view.region)

    def forget_segments(self, segments: Iterable[int]) -> None:
        """The host has removed them."""
        with self._lock:
            for segment in segments:
                self._segments.pop(segment, None)

    # ------------------------------------------------------------------------------------------------------------------
    # What is written for the host
    # ------------------------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> Region | None:
        """A region of at least `size` bytes, or None when the host has no room."""
        needed = max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
        region = self._cut(needed)
        if region is not None:
            return region
        room = min(_LARGEST_GRANT, max(_SMALLEST_GRANT, sum(grant.size for grant in self._grants)))
        granted = self._ask(needed, max(needed, room))
        if granted is None:
            return None
        segment, offset, length = granted
        memory = self._segment(segment)
        try:
            # all page faults at once: one by one they take several times as long
            memory.madvise(_MADV_POPULATE_WRITE, offset // mmap.PAGESIZE * mmap.PAGESIZE, length)
        except (OSError, ValueError):
            pass  # an older kernel, or another system
        with self._lock:  # until it is used: it could be trimmed
            self._grants.append(Grant(segment, offset, length, memory))
            return self._cut(needed)

    def _cut(self, size: int) -> Region | None:
        with self._lock:
            self._collect()
            for grant in self._grants:
                offset = grant.free.take(size)
                if offset is not None:
                    return Region(grant, offset, size)
        return None

    def buffer(self, region: Region, size: int) -> memoryview:
        """The first `size` bytes of a region, to be written at once."""
        start = region.grant.offset + region.offset
        return memoryview(region.grant.memory)[start : start + size]

    def make(self, size: int) -> Exporter | None:
        """`array` of what `allocate` answers, for code of the target's, which may be stopped at any moment."""
        with self._shield():
            region = self.allocate(size)
            return None if region is None else self.array(region, size)

    def array(self, region: Region, size: int) -> Exporter:
        """An exporter of the first `size` bytes of a region, which is taken as long as it lives."""
        exporter = self._export(region.grant.memory, region.grant.offset + region.offset, size)
        made = region.watch = _Made(exporter, self._forgotten.append)
        made.key = id(exporter)
        made.region = region
        with self._lock:
            self._owned[made.key] = region
        return exporter

    def address(self, owner: object) -> int:
        """Where an exporter begins in this process; -1 for what is none."""
        if self.looked_at(owner) is None and self.find(owner) is None:
            return -1
        import ctypes

        return ctypes.addressof(owner)  # type: ignore[arg-type]  # an exporter is a ctypes array

    def owner_of(self, address: int, size: int) -> tuple[Exporter, int]:
        """The exporter that has these bytes, and where it begins; (None, 0) where none does."""
        import ctypes

        known: list[_Watch] = [*self._views.values()]
        known += [region.watch for region in [*self._owned.values()] if region.watch is not None]
        for look in known:
            exporter = look()
            if exporter is not None:
                start = ctypes.addressof(exporter)
                if start <= address and address + size <= start + ctypes.sizeof(exporter):
                    return exporter, start
        return None, 0

    def find(self, owner: object) -> Region | None:
        """The region of an exporter that `array` answered."""
        region = self._owned.get(id(owner))
        return region if region is not None and region.watch is not None and region.watch() is owner else None

    def send(self, region: Region) -> list[int]:
        """The place of a region that the host gets, until it frees it: [segment, offset]."""
        place = (region.grant.segment, region.grant.offset + region.offset)
        with self._lock:
            region.is_sent += 1
            self._sent[place] = region
        return [*place]

    def take_back(self, region: Region) -> None:
        """The host did not get it after all, or has freed it."""
        with self._lock:
            region.is_sent -= 1
            self._settle(region)

    def free(self, places: Iterable[list[int]]) -> None:
        """The host is done with regions that it was sent."""
        with self._lock:
            for segment, offset in places:
                region = self._sent.get((segment, offset))
                if region is not None:
                    self.take_back(region)

    def trim(self) -> list[list[int]]:
        """Lets go of what is free at the end of grants: [segment, offset, what is left] of each that was larger."""
        trimmed = []
        with self._lock:
            self._collect()
            for grant in self._grants:
                left = grant.free.shrink()
                if left < grant.size:
                    grant.size = left
                    trimmed.append([grant.segment, grant.offset, left])
            self._grants = [grant for grant in self._grants if grant.size > 0]
        return trimmed

    def _collect(self) -> None:
        while self._forgotten:
            made = self._forgotten.popleft()
            region = made.region
            if self._owned.get(made.key) is region:
                del self._owned[made.key]
            region.watch = None
            self._settle(region)

    def _settle(self, region: Region) -> None:
        if region.is_sent > 0:
            return
        self._sent.pop((region.grant.segment, region.grant.offset + region.offset), None)
        if region.watch is None:
            region.grant.free.give(region.offset, region.size)

    # ------------------------------------------------------------------------------------------------------------------
    # Segments
    # ------------------------------------------------------------------------------------------------------------------

    def _segment(self, segment: int) -> mmap.mmap:
        memory = self._segments.get(segment)
        if memory is None:
            with self._lock:
                memory = self._segments.get(segment) or self._map(segment)
                self._segments[segment] = memory
        return memory

    def _map(self, segment: int) -> mmap.mmap:
        for prefix in self._prefixes:
            try:
                file = os.open(f"{prefix}{segment}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Refused(f"shared memory that cannot be mapped: {error}") from None
            # it is the host's, which has a limit for it
            size = os.fstat(file).st_size
            let_out(size)
            try:
                memory = mmap.mmap(file, 0)
            except (OSError, ValueError) as error:
                let_out(-size)
                raise Refused(f"shared memory that cannot be mapped: {error}") from None
            finally:
                os.close(file)
            weakref.finalize(memory, let_out, -size).atexit = False
            return memory
        raise Refused(f"shared memory segment {segment}, which is not there")

    def _export(self, memory: mmap.mmap, offset: int, size: int) -> Exporter:
        kind = self._types.get(size)
        if kind is None:
            import ctypes

            if len(self._types) >= _MOST_TYPES:
                self._types.clear()
            # never empty: ctypes has no address for nothing
            kind = self._types[size] = ctypes.c_char * max(size, 1)
        return kind.from_buffer(memory, offset)
