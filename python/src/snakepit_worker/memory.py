"""The memory of this process: how much it has, how much it may have, and what to do when there is none for a moment."""

from __future__ import annotations

import os
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _Argument = TypeVar("_Argument")

_PAUSE_SECONDS = 0.01
_ATTEMPTS = 500

_ADVICE = "work on it in parts, or raise `memoryLimit` of the pool"


class _Ceiling:
    """The limit that this process was given, and the address space at which it is reached."""

    limit: int | None = None
    address_space = 0
    # taken again by a collection that happens under it
    lock = threading.RLock()


def resident_bytes() -> int:
    """Resident memory of this process in bytes, from the kernel: the peak where it does not tell the present."""
    try:
        return _pages()[1]
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def limit_memory(limit: int) -> None:
    """Makes allocations past ``limit`` bytes, counted from now, fail with ``MemoryError``. Does nothing but on Linux.

    The kernel limits address space, not resident pages, so what is mapped already is let out of the account.
    """
    if sys.platform != "linux":
        return
    _Ceiling.limit = limit
    _move_ceiling(_pages()[0] + limit)


def let_out(size: int) -> None:
    """Lets so many bytes that are mapped, and not this process's own, out of the account; negative ones come back."""
    if _Ceiling.limit is not None:
        _move_ceiling(size)


def _move_ceiling(size: int) -> None:
    import resource

    with _Ceiling.lock:
        _Ceiling.address_space += size
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        total = _Ceiling.address_space
        if hard != resource.RLIM_INFINITY:
            total = min(total, hard)
        resource.setrlimit(resource.RLIMIT_AS, (total, hard))


def below_ceiling() -> tuple[int | None, int] | None:
    """Bytes that this process may still map, and its limit; None without one."""
    if _Ceiling.limit is None:
        return None
    try:
        free = max(_Ceiling.address_space - _pages()[0], 0)
    except (OSError, MemoryError):
        return None, _Ceiling.limit  # there is not even memory for asking
    return min(free, _Ceiling.limit), _Ceiling.limit


def out_of_memory() -> dict[str, Any] | None:
    """The `ml` of any `MemoryError` of a process with a limit; None without one, since nobody knows what was short."""
    room = below_ceiling()
    if room is None:
        return None
    free, total = room
    sizes = {"requestedBytes": None, "freeBytes": free, "totalBytes": total}
    found = {"_tag": "OutOfMemory", "operation": None, "device": "cpu", **sizes}
    return {**found, "suggestion": _ADVICE, "decidedBy": "class"}


def when_there_is_memory(act: Callable[[_Argument], None], argument: _Argument) -> None:
    """Does something for the host even while a call has used up the memory: that ends when the call fails.

    Messages are read before anything is changed by them, which is where memory is needed, so a second try does no harm.
    """
    for _ in range(_ATTEMPTS):
        try:
            return act(argument)
        except MemoryError:
            time.sleep(_PAUSE_SECONDS)
    return act(argument)


def release_frames(error: BaseException) -> None:
    """Forgets the variables of the frames that an error left, without a call that needs memory."""
    entry = error.__traceback__
    while entry is not None:
        try:
            entry.tb_frame.clear()
        except RuntimeError:
            pass  # this one goes on
        entry = entry.tb_next


def _pages() -> tuple[int, int]:
    """Mapped and resident bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        total, resident = statm.read().split()[:2]
    page = os.sysconf("SC_PAGE_SIZE")
    return int(total) * page, int(resident) * page
