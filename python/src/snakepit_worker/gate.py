"""Which calls run, and when they may be stopped.

Three threads meet here: the one that reads requests, those that run calls, and the control thread, which carries what
the host wants of calls that wait or run. Guarantees:

- A call either begins or is taken back, never both.
- At most one exception is raised inside a call from outside, not counting those that Python drops, and only while the
  target's own code runs: never while the worker packs or sends, where it would tear a frame or get lost, never inside
  an import, and never in the call that comes next.
"""

from __future__ import annotations

import sys
import threading

from .errors import CallCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractContextManager
    from types import FrameType
    from typing import Any

MAIN_THREAD = threading.main_thread().ident or 0

# The thread of a call that runs on the event loop: none of its own.
NO_THREAD = 0


class Running:
    """A call from its begin to its end."""

    # Class attributes rather than slots: a call that needs none of these does not pay for setting them.
    thread = MAIN_THREAD
    # Whether code of the worker's runs, rather than the target's.
    shielded = False
    # A stream's allowance of chunks.
    credit: threading.Semaphore | asyncio.Semaphore | None = None
    task: asyncio.Task[None] | None = None
    # Time in the target, when the host asked for it.
    micros: int | None = None
    # What happened to the call of this number; numbers, since a record may be lent to one call after another.
    _cancelled = _stopped = _struck = -1

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.payload: dict[str, Any] = request["payload"]
        self.id: int = request["id"]

    @property
    def cancelled(self) -> bool:
        """Whether the host has asked the call to stop."""
        return self._cancelled == self.id

    def cancel(self, request_id: int) -> None:
        """Marks the call of this number as cancelled."""
        self._cancelled = request_id

    def stop(self, request_id: int) -> None:
        """Marks the call of this number as one to raise `CallCancelled` in."""
        self._stopped = self._cancelled = request_id

    @property
    def stopping(self) -> bool:
        """Whether `CallCancelled` is to be raised in the call and has not been yet."""
        return self._stopped == self.id != self._struck

    @property
    def struck(self) -> bool:
        """Whether an exception was raised in the call from outside."""
        return self._struck == self.id

    def strike(self) -> None:
        """Notes that an exception is raised in the call from outside."""
        self._struck = self.id

    def unstrike(self) -> None:
        """Notes that the exception came to nothing: it may be raised again."""
        self._struck = -1


class Gate:
    """Lets calls begin, finds those that run, and stops them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # The last call that began on the main thread, or was queued for another: the host numbers its calls in order.
        self.last = 0
        # The call on the main thread.
        self.on_main: Running | None = None
        # Whether there are calls that must not begin; `refuses` tells which.
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
            if self.refusing and self._refuses(running.id):
                return False
            self.last = running.id
            self.on_main = running
        return True

    def begin(self, running: Running) -> bool:
        """Whether the call may begin on `running.thread`, which is not the main one; false when it was taken back."""
        with self.lock:
            self._queued.discard(running.id)
            if self.refusing and self._refuses(running.id):
                return False
            self._beside[running.id] = running
        return True

    def refuses(self, request_id: int) -> bool:
        """Whether a call must not begin. Asked once for each call."""
        with self.lock:
            return self._refuses(request_id)

    def _refuses(self, request_id: int) -> bool:
        if request_id in self._dropped:
            self._forget(request_id)
            return True
        return self._closed

    def _forget(self, request_id: int) -> None:
        self._dropped.discard(request_id)
        self.refusing = self._closed or bool(self._dropped)

    def skip(self, request_id: int) -> bool:
        """A call that cannot be read is over before it began; false when it was taken back."""
        with self.lock:
            self.last = max(self.last, request_id)
            return not self._refuses(request_id)

    def leave(self, running: Running) -> None:
        """The target's code is over: nothing is raised from here on. What was on its way is raised here."""
        if running.thread == MAIN_THREAD:
            running.shielded = True
        else:
            self._shield(running)

    def move(self, running: Running) -> None:
        """The call goes on on the event loop; its thread is free."""
        with self.lock:
            running.thread = NO_THREAD
            self._beside[running.id] = running
            self.on_main = None

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

    def after_fork(self) -> None:
        """In a child process: another thread may have held the lock."""
        self.lock = threading.Lock()

    def drain(self) -> None:
        """Waits until no call runs beside the main thread."""
        with self.lock:
            if not self._beside:
                return
            emptied = self._emptied = threading.Event()
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
            # Entered first and looked at second: `run_quick` does the two steps the other way round, without the lock.
            self._dropped.add(request_id)
            self.refusing = True
            if request_id in self._queued:
                self._queued.discard(request_id)
                return True
            if request_id <= self.last:
                self._forget(request_id)
                return False
        return True

    def cancel(self, request_id: int) -> Running | None:
        """Marks the running call of this number as cancelled, and answers it."""
        running = self.find(request_id)
        if running is not None:
            running.cancel(request_id)
        return running

    def stop(self, request_id: int) -> Running | None:
        """Raises `CallCancelled` in a call on another thread; one on the main thread needs `on_stop` to run there."""
        import ctypes

        with self.lock:
            running = self.find(request_id)
            if running is not None:
                running.stop(request_id)
                if (
                    running.thread not in (MAIN_THREAD, NO_THREAD)
                    and running.stopping
                    and not running.shielded
                    and not _is_importing(sys._current_frames().get(running.thread))
                ):
                    running.strike()
                    thread, error = ctypes.c_ulong(running.thread), ctypes.py_object(CallCancelled)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)
        return running

    # ------------------------------------------------------------------------------------------------------------------
    # On the thread of the call
    # ------------------------------------------------------------------------------------------------------------------

    def on_stop(self, _signal: int, frame: FrameType | None) -> None:
        """A signal handler: runs on the main thread, between two bytecodes or inside an interrupted system call."""
        running = self.on_main
        if running is not None and running.stopping and not running.shielded and not _is_importing(frame):
            running.strike()
            raise CallCancelled("the caller went away")

    def on_interrupt(self, _signal: int, _frame: object) -> None:
        """The handler of SIGINT: `KeyboardInterrupt` for the target's code, nothing to the worker itself."""
        running = self.on_main
        if running is not None and not running.struck and not running.shielded:
            running.strike()
            raise KeyboardInterrupt

    def on_swallowed(self) -> None:
        """The exception was raised inside a destructor, or a callback of a weak reference, and Python has dropped it.

        The host asks again until the call has ended.
        """
        thread = threading.get_ident()
        calls = [self.on_main] if thread == MAIN_THREAD else [*self._beside.values()]
        for running in calls:
            if running is not None and running.thread == thread:
                running.unstrike()

    def shield(self, running: Running | None) -> AbstractContextManager[object]:
        """Keeps exceptions from outside out of a block, and raises after it what came meanwhile.

        For code of the worker's that the target runs. Does nothing outside calls, inside another shield, and on threads
        other than the call's.
        """
        if running is None or running.shielded or running.thread != threading.get_ident():
            return _NO_SHIELD
        return _Shield(self, running)

    def _shield(self, running: Running) -> None:
        with self.lock:
            running.shielded = True
        if running.struck and running.thread != MAIN_THREAD:
            # CPython delivers an exception from another thread when a loop jumps back: here, if it has not before.
            for _ in range(2):
                pass

    def _unshield(self, running: Running) -> None:
        with self.lock:
            running.shielded = False
            stopping = running.stopping
            if stopping:
                running.strike()
        if stopping:
            raise CallCancelled("the caller went away")


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a thread is inside an import.

    One that is cut short leaves packages behind that this process can never import again: their submodules are there,
    they are not. So such code is stopped after the import, or with its process.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib._bootstrap"):
            return True
        frame = frame.f_back
    return False


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
