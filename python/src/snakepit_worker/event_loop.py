"""The event loop that runs ``async def`` targets: one thread, started when the first such target is called."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class EventLoop:
    """An asyncio loop on a thread of its own. Many calls are in flight on it at the same time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="snakepit-event-loop", daemon=True)
        self._thread.start()

    @property
    def thread(self) -> int:
        """Identity of the loop's thread."""
        ident = self._thread.ident
        assert ident is not None, "a started thread has an identity"
        return ident

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def start(self, coroutine: Coroutine[Any, Any, None], on_task: Callable[[asyncio.Task[None]], None]) -> None:
        """Runs a coroutine as a task; ``on_task`` gets the task before its first step."""

        def create() -> None:
            on_task(self._loop.create_task(coroutine))

        self._loop.call_soon_threadsafe(create)

    def call(self, function: Callable[[], object]) -> None:
        """Calls a function on the loop's thread."""
        self._loop.call_soon_threadsafe(function)
