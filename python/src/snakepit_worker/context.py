"""What code that runs inside a call may ask about the call."""

from __future__ import annotations

import threading
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .gate import Running

# The call that this task or thread runs, other than the main thread.
current: ContextVar[Running | None] = ContextVar("snakepit_call", default=None)

# Answers the call on the main thread; set by the worker. Looking there is cheaper than setting the variable for each
# call.
_on_main: list[Callable[[], Running | None]] = []
_main_thread = threading.main_thread().ident


def watch_main(find: Callable[[], Running | None]) -> None:
    """Tells where to look up the call of the main thread."""
    _on_main[:] = [find]


def running_call() -> Running | None:
    """The call that this thread or task runs; None outside calls."""
    if _on_main and threading.get_ident() == _main_thread:
        running = _on_main[0]()
        if running is not None:
            return running
    return current.get()


def cancelled() -> bool:
    """Whether the caller has gone away or run out of time: long loops ask this and return early."""
    running = running_call()
    return running is not None and (running.cancelled or _is_late(running))


def deadline() -> float | None:
    """When the call has to be done, as Unix time in seconds; None when it may take for ever."""
    running = running_call()
    millis = None if running is None else running.payload.get("deadline_ms")
    return None if millis is None else millis / 1000


def session_id() -> str | None:
    """The session that the call belongs to; None outside sessions."""
    running = running_call()
    return None if running is None else running.payload.get("session_id")


def traceparent() -> str | None:
    """The caller's span as a W3C ``traceparent`` header value; None when the call is not traced."""
    running = running_call()
    request: dict[str, Any] = {} if running is None else running.request
    trace_id, span_id = request.get("traceId"), request.get("spanId")
    if trace_id is None or span_id is None:
        return None
    return f"00-{trace_id}-{span_id}-{'01' if request.get('sampled') else '00'}"


def _is_late(running: Running) -> bool:
    millis = running.payload.get("deadline_ms")
    if millis is None:
        return False
    import time

    return time.time() * 1000 > float(millis)
