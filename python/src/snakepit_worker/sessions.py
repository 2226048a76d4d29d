"""The Python objects that live between calls, by session and ref id."""

from __future__ import annotations

import threading

from .errors import SessionLost, type_name

# How many of the sessions released last are remembered, for calls that outlive their session.
_REMEMBERED = 4096


class Sessions:
    """All sessions of this worker. Ref ids are never reused, so a stale ref finds nothing, never another object."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._objects: dict[str, dict[int, object]] = {}
        # Ids of released sessions, the oldest first.
        self._released: dict[str, None] = {}
        self._last = 0
        self._lock = threading.Lock()

    def keep(self, session: str, value: object) -> tuple[str, str, int, str]:
        """Keeps an object and answers its ref: session id, worker id, ref id, type name.

        Raises ``SessionLost`` for a session that was released: nobody would ever release the object.
        """
        with self._lock:
            if session in self._released:
                raise SessionLost(session, "it was released while the call ran")
            self._last += 1
            ref = self._last
            self._objects.setdefault(session, {})[ref] = value
        return session, self._worker, ref, type_name(type(value))

    def forget(self, refs: list[tuple[str, str, int, str]]) -> None:
        """Takes back refs that never reached the host."""
        for session, _, ref, _ in refs:
            self.release(session, [ref])

    def get(self, session: str, worker: str, ref: int) -> object:
        """The object of a ref. Raises ``SessionLost`` when it is not here, or not any more."""
        if worker != self._worker:
            raise SessionLost(session, f"the ref belongs to worker {worker}, this is {self._worker}")
        objects = self._objects.get(session)
        if objects is None:
            raise SessionLost(session, "the session is not open on this worker")
        try:
            return objects[ref]
        except KeyError:
            raise SessionLost(session, f"ref {ref} was released") from None

    def after_fork(self) -> None:
        """In a child process: another thread may have held the lock."""
        self._lock = threading.Lock()

    def release(self, session: str, refs: list[int] | None) -> None:
        """Forgets some objects of a session, or all. Destructors run here."""
        with self._lock:
            if refs is None:
                self._released[session] = None
                if len(self._released) > _REMEMBERED:
                    del self._released[next(iter(self._released))]
                dropped: list[object] = [self._objects.pop(session, None)]
            else:
                objects = self._objects.get(session, {})
                dropped = [objects.pop(ref, None) for ref in refs]
        # outside the lock, since a destructor may run any code
        dropped.clear()
