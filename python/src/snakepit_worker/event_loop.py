"""The event loop that runs ``async def`` targets: one thread, started when the first such target is called."""

from __future__ import annotations

import asyncio
import threading
import traceback

from .control import give_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


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
        # Calls depend on the loop: a target that stops it, or a task whose SystemExit asyncio lets through, does not
        # end it for the others.
        while not self._loop.is_closed():
            try:
                self._loop.run_forever()
            except BaseException:
                traceback.print_exc()

    def start(self, coroutine: Coroutine[Any, Any, None], on_done: Callable[[asyncio.Task[None]], object]) -> None:
        """Runs a coroutine as a task, and calls a function on the loop's thread when the task is over."""
        self._loop.call_soon_threadsafe(self._begin, coroutine, on_done)

    def _begin(self, coroutine: Coroutine[Any, Any, None], on_done: Callable[[asyncio.Task[None]], object]) -> None:
        try:
            self._loop.create_task(coroutine).add_done_callback(on_done)
        except BaseException as error:
            give_up(error)

    def call(self, function: Callable[[], object]) -> None:
        """Calls a function on the loop's thread."""
        self._loop.call_soon_threadsafe(function)
