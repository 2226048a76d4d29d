"""Calling TypeScript from Python: functions passed as arguments, and tools registered by name.

A call blocks its thread until the answer is there. On the event loop of ``async def`` targets it answers an awaitable
instead, so that the loop goes on.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .context import running_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CallbackError(Exception):
    """A TypeScript function failed. ``tag`` is its error's ``_tag``, ``error`` the error as it crossed."""

    def __init__(self, message: str, tag: str | None = None, error: object = None) -> None:
        super().__init__(message)
        self.tag = tag
        self.error = error


class Callbacks:
    """Calls under way to TypeScript. The control thread delivers the answers."""

    def __init__(self, send: Callable[[dict[str, Any], str | None], None]) -> None:
        self._send = send
        self._waiting: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._last = 0
        self._lock = threading.Lock()
        # set by the event loop when it starts
        self.loop_thread: int | None = None
        self.closed = False

    def call(self, what: dict[str, Any], args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Runs a TypeScript function and answers its result; an awaitable of it on the event loop."""
        running = running_call()
        session = None if running is None else running.payload.get("session_id")
        payload = {
            "request_id": None if running is None else running.id,
            "session_id": session,
            **what,
            "args": list(args),
            "kwargs": kwargs,
        }
        if threading.get_ident() == self.loop_thread:
            return self._call_async(payload, session)
        answer: SimpleQueue[dict[str, Any]] = SimpleQueue()
        number = self._request(payload, session, answer.put)
        try:
            return _value_of(answer.get())
        finally:
            self._waiting.pop(number, None)

    async def _call_async(self, payload: dict[str, Any], session: str | None) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()

        def deliver(exit: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(settle, exit)

        def settle(exit: dict[str, Any]) -> None:
            if not answer.done():
                answer.set_result(exit)

        number = self._request(payload, session, deliver)
        try:
            return _value_of(await answer)
        finally:
            self._waiting.pop(number, None)

    def _request(
        self, payload: dict[str, Any], session: str | None, deliver: Callable[[dict[str, Any]], None]
    ) -> int:
        with self._lock:
            if self.closed:
                raise CallbackError("the host has closed the connection")
            self._last += 1
            number = self._last
            self._waiting[number] = deliver
        message = {"_tag": "Request", "id": number, "tag": "snakepit.callback", "payload": payload, "headers": []}
        try:
            self._send(message, session)
        except BaseException:
            self._waiting.pop(number, None)
            raise
        return number

    def deliver(self, number: int, exit: dict[str, Any]) -> None:
        """Hands an answer to the call that waits for it; an answer that nobody waits for any more is dropped."""
        waiter = self._waiting.get(number)
        if waiter is not None:
            waiter(exit)

    def close(self) -> None:
        """Fails every call under way: no answer can come any more."""
        with self._lock:
            self.closed = True
            waiters = list(self._waiting.values())
        error = {"_tag": "PoolClosed", "message": "the host has closed the connection"}
        for waiter in waiters:
            waiter({"_tag": "Failure", "cause": [{"_tag": "Fail", "error": error}]})


def _value_of(exit: dict[str, Any]) -> Any:
    if exit.get("_tag") == "Success":
        return exit.get("value")
    for reason in exit.get("cause", []):
        if reason.get("_tag") == "Fail":
            error = reason.get("error")
            tag = error.get("_tag") if isinstance(error, dict) else None
            message = error.get("message") if isinstance(error, dict) else None
            raise CallbackError(str(message if message is not None else error), tag, error)
        if reason.get("_tag") == "Die":
            raise CallbackError(f"the TypeScript function died: {reason.get('defect')}")
    raise CallbackError("the TypeScript function was interrupted", "Interrupt")


class Callback:
    """A TypeScript function, as a Python callable. Lives as long as the call it was passed to, or its session."""

    __slots__ = ("_callbacks", "_number")

    def __init__(self, callbacks: Callbacks, number: int) -> None:
        self._callbacks = callbacks
        self._number = number

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._callbacks.call({"callback": self._number}, args, kwargs)

    def __repr__(self) -> str:
        return f"<TypeScript function {self._number}>"


class Tool:
    """A TypeScript function registered by name. ``parameters`` is the JSON schema of its keyword arguments."""

    __slots__ = ("_callbacks", "description", "name", "parameters")

    def __init__(self, callbacks: Callbacks, name: str, description: str, parameters: object) -> None:
        self._callbacks = callbacks
        self.name = name
        self.description = description
        self.parameters = parameters

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._callbacks.call({"tool": self.name}, args, kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name!r}: {self.description}>"


class Tools:
    """The tools that the current call can use, by name: those of its session and those of its pool."""

    def __init__(self) -> None:
        self._by_scope: dict[str | None, dict[str, Tool]] = {}

    def register(self, callbacks: Callbacks, session: str | None, tools: list[dict[str, Any]]) -> None:
        """Adds tools for a session, or for all calls."""
        scope = self._by_scope.setdefault(session, {})
        for tool in tools:
            scope[tool["name"]] = Tool(callbacks, tool["name"], tool["description"], tool["parameters"])

    def release(self, session: str) -> None:
        """Forgets the tools of a session."""
        self._by_scope.pop(session, None)

    def _visible(self) -> dict[str, Tool]:
        running = running_call()
        session = None if running is None else running.payload.get("session_id")
        return {**self._by_scope.get(None, {}), **(self._by_scope.get(session, {}) if session else {})}

    def __getitem__(self, name: str) -> Tool:
        visible = self._visible()
        try:
            return visible[name]
        except KeyError:
            known = ", ".join(sorted(visible)) or "none"
            raise KeyError(f"no tool {name!r}; registered: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._visible()

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._visible().values())

    def __len__(self) -> int:
        return len(self._visible())


tools = Tools()
