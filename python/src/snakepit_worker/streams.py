"""Streams: the items of an iterable, sent one by one, at most a window ahead of the host's acks.

However a stream ends (exhausted, failed, left by its consumer, an item that cannot cross), its iterator is closed, so
that the `finally` blocks of a generator run.
"""

from __future__ import annotations

import threading

from .errors import CallCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Gate, Running
    from .outbox import Outbox

# How many chunks a stream may run ahead of the host's acks.
WINDOW = 16


def send_items(running: Running, values: Any, outbox: Outbox, gate: Gate) -> None:
    """Iterates on the thread of the call."""
    credit = running.credit = threading.Semaphore(WINDOW)
    iterator = iter(values)
    index = 0
    try:
        for value in iterator:
            with gate.shield(running):
                credit.acquire()
                if running.cancelled:
                    # nothing more is raised: the generator's own cleanup may take its time, as that of a call may
                    running.strike()
                    raise CallCancelled("the consumer left the stream")
                outbox.send(outbox.chunk(running, value, index))
            index += 1
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


async def send_items_async(running: Running, values: Any, outbox: Outbox) -> None:
    """Iterates on the event loop: over an async iterable, or the iterable that a coroutine answers."""
    import asyncio

    if hasattr(values, "__await__"):
        values = await values
    credit = running.credit = asyncio.Semaphore(WINDOW)
    index = 0

    async def send(value: object) -> None:
        nonlocal index
        await credit.acquire()
        outbox.send(outbox.chunk(running, value, index))
        index += 1

    if hasattr(values, "__aiter__"):
        iterator = values.__aiter__()
        try:
            while True:
                try:
                    value = await iterator.__anext__()
                except StopAsyncIteration:
                    break
                await send(value)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
    else:
        iterator = iter(values)
        try:
            for value in iterator:
                await send(value)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
