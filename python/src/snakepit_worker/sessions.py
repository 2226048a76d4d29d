"""The Python objects that live between calls, by session and ref id."""

from __future__ import annotations

import threading

from .errors import SessionLost


class Sessions:
    """All sessions of this worker. Ref ids are never reused, so a stale ref finds nothing rather than another object."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._objects: dict[str, dict[int, object]] = {}
        self._last = 0
        self._lock = threading.Lock()

    def keep(self, session: str, value: object) -> tuple[str, str, int, str]:
        """Keeps an object and answers its ref: session id, worker id, ref id, type name."""
        with self._lock:
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

    def release(self, session: str, refs: list[int] | None) -> None:
        """Forgets some objects of a session, or all. Destructors run here."""
        with self._lock:
            if refs is None:
                dropped: list[object] = [self._objects.pop(session, None)]
            else:
                objects = self._objects.get(session, {})
                dropped = [objects.pop(ref, None) for ref in refs]
        # outside the lock, since a destructor may run any code
        dropped.clear()


def type_name(kind: type) -> str:
    """Qualified name of a class; built-ins without module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
