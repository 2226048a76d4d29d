"""Which calls run, and when they may be stopped.

Three threads meet here: the one that reads requests, those that run calls, and the control thread, which carries what
the host wants of calls that wait or run. Guarantees:

- A call either begins or is taken back, never both.
- Stopping raises at most one exception inside a call, and only while the target's own code runs: never while the
  worker packs or sends, where it would tear a frame or get lost, and never in the call that comes next.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager
    from typing import Any

from .errors import CallCancelled

# How far up the cancellation ladder a call is.
UNDISTURBED, ASKED, RAISING, RAISED = range(4)

MAIN_THREAD = threading.main_thread().ident or 0

# The thread of a call that runs on the event loop: it has none of its own.
NO_THREAD = 0


class Running:
    """A call from its begin to its end."""

    # Class attributes rather than slots: a call that needs none of these does not pay for setting them.
    rung = UNDISTURBED
    thread = MAIN_THREAD
    # Whether the worker's own code runs, other than the target's.
    shielded = False
    # A stream's allowance of chunks.
    credit: threading.Semaphore | asyncio.Semaphore | None = None
    task: asyncio.Task[None] | None = None

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.payload: dict[str, Any] = request["payload"]
        self.id: int = request["id"]


class Gate:
    """Lets calls begin, finds those that run, and stops them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # The last call that began on the main thread, or was queued for another: the host numbers its calls in order.
        self.last = 0
        # The call on the main thread while the target's code runs there.
        self.on_main: Running | None = None
        # Whether some calls must not begin: what the quick way looks at before it asks `refuses`.
        self.refusing = False
        self._closed = False
        self._dropped: set[int] = set()
        self._queued: set[int] = set()
        # Calls on the event loop and on threads other than the main one.
        self._beside: dict[int, Running] = {}
        self._emptied: threading.Event | None = None

    # ------------------------------------------------------------------------------------------------------------------
    # From waiting to done
    # ------------------------------------------------------------------------------------------------------------------

    def queue(self, request_id: int) -> None:
        """A call waits inside the worker for one of its threads."""
        with self.lock:
            if request_id not in self._dropped:
                self._queued.add(request_id)
                self.last = request_id

    def begin_on_main(self, running: Running) -> bool:
        """Whether the call may begin on the main thread; false when it was taken back."""
        with self.lock:
            if self.refusing and self.refuses(running.id):
                return False
            self.last = running.id
            self.on_main = running
        return True

    def begin(self, running: Running) -> bool:
        """Whether the call may begin on another thread, which is `running.thread`; false when it was taken back."""
        with self.lock:
            self._queued.discard(running.id)
            if self.refusing and self.refuses(running.id):
                return False
            self._beside[running.id] = running
        return True

    def refuses(self, request_id: int) -> bool:
        """Whether a call must not begin, asked once for each call and with the lock held."""
        if request_id in self._dropped:
            self._dropped.discard(request_id)
            self.refusing = self._closed or bool(self._dropped)
            return True
        return self._closed

    def skip(self, request_id: int) -> bool:
        """A call that cannot even be read is over before it began; false when it was taken back."""
        with self.lock:
            self.last = max(self.last, request_id)
            return not (self.refusing and self.refuses(request_id))

    def move(self, running: Running) -> None:
        """The call goes on on the event loop; its thread is free."""
        with self.lock:
            running.thread = NO_THREAD
            self._beside[running.id] = running

    def leave(self, running: Running) -> None:
        """The target's code is over: nothing is raised from here on. What was on its way is raised here."""
        if running.thread == MAIN_THREAD:
            self.on_main = None
        else:
            self._shield(running)

    def end(self, running: Running) -> None:
        """The reply of a call beside the main thread has left."""
        with self.lock:
            self._beside.pop(running.id, None)
            if self._emptied is not None and not self._beside:
                self._emptied.set()

    def close(self) -> None:
        """No call begins any more."""
        with self.lock:
            self._closed = self.refusing = True

    def drain(self) -> None:
        """Waits until no call runs beside the main thread."""
        with self.lock:
            emptied = self._emptied = threading.Event()
            if not self._beside:
                return
        emptied.wait()

    # ------------------------------------------------------------------------------------------------------------------
    # From the control thread
    # ------------------------------------------------------------------------------------------------------------------

    def find(self, request_id: int) -> Running | None:
        """The running call of this number."""
        running = self.on_main
        if running is not None and running.id == request_id:
            return running
        return self._beside.get(request_id)

    def drop(self, request_id: int) -> bool:
        """Takes a call back unless it has begun; answers whether it did."""
        with self.lock:
            if request_id <= self.last and request_id not in self._queued:
                return False
            self._queued.discard(request_id)
            self._dropped.add(request_id)
            self.refusing = True
            return True

    def cancel(self, request_id: int) -> Running | None:
        """Marks the running call of this number as cancelled. Records are lent to call after call: hence the lock."""
        with self.lock:
            running = self.find(request_id)
            if running is not None and running.rung == UNDISTURBED:
                running.rung = ASKED
            return running

    def stop(self, request_id: int) -> Running | None:
        """Raises `CallCancelled` in a call on another thread. One on the main thread waits for `on_stop`."""
        import ctypes

        with self.lock:
            running = self.find(request_id)
            if running is not None and running.rung < RAISING:
                running.rung = RAISING
                if running.thread not in (MAIN_THREAD, NO_THREAD) and not running.shielded:
                    running.rung = RAISED
                    _raise_in(ctypes, running.thread, CallCancelled)
            return running

    # ------------------------------------------------------------------------------------------------------------------
    # On the thread of the call
    # ------------------------------------------------------------------------------------------------------------------

    def on_stop(self, _signal: int, _frame: object) -> None:
        """Runs on the main thread between two bytecodes, or inside a system call that the signal interrupted."""
        running = self.on_main
        if running is not None and running.rung == RAISING and not running.shielded:
            running.rung = RAISED
            raise CallCancelled("the caller went away")

    def on_interrupt(self, _signal: int, _frame: object) -> None:
        """SIGINT: `KeyboardInterrupt` for the target's code, nothing to the worker itself."""
        running = self.on_main
        if running is not None and running.rung != RAISED and not running.shielded:
            running.rung = RAISED
            raise KeyboardInterrupt

    def shield(self, running: Running | None) -> AbstractContextManager[object]:
        """Keeps exceptions out of a block of the worker's inside the target's code; what came meanwhile is raised after.

        Does nothing on threads that are not the call's, outside calls and inside another shield.
        """
        if running is None or running.shielded or running.thread != threading.get_ident():
            return _NO_SHIELD
        return _Shield(self, running)

    def _shield(self, running: Running) -> None:
        with self.lock:
            running.shielded = True
        if running.rung == RAISED and running.thread not in (MAIN_THREAD, NO_THREAD):
            # CPython delivers an exception from another thread at a jump back, so here at the latest.
            for _ in range(2):
                pass

    def _unshield(self, running: Running) -> None:
        with self.lock:
            running.shielded = False
            raising = running.rung == RAISING
            if raising:
                running.rung = RAISED
        if raising:
            raise CallCancelled("the caller went away")


class _Shield:
    __slots__ = ("_gate", "_running")

    def __init__(self, gate: Gate, running: Running) -> None:
        self._gate = gate
        self._running = running

    def __enter__(self) -> None:
        self._gate._shield(self._running)

    def __exit__(self, *_error: object) -> None:
        self._gate._unshield(self._running)


class _NoShield:
    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


_NO_SHIELD = _NoShield()


def _raise_in(ctypes: Any, thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
