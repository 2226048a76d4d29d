"""Calling TypeScript from Python: functions passed as arguments, and tools registered by name.

A call blocks its thread until the answer is there. On the event loop of ``async def`` targets it answers an awaitable
instead, so that the loop goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from queue import SimpleQueue

from .context import running_call
from .errors import WorkerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .gate import Gate

_CLOSED = "the host has closed the connection"


class CallbackError(Exception):
    """A TypeScript function failed. ``tag`` is its error's ``_tag``, ``error`` the error as it crossed.

    ``request_id`` is the number of the callback request that it failed, None when no answer told.
    """

    request_id: int | None = None

    def __init__(self, message: str, tag: str | None = None, error: object = None) -> None:
        super().__init__(message)
        self.tag = tag
        self.error = error


class Callbacks:
    """Calls under way to TypeScript. The control thread delivers the answers.

    ``send`` packs and sends a message of a session; ``unpack`` reads the answer to a call for a session. An answer is
    read by the thread that waits for it: decoding may run other code, which is not to hold up the control thread. One
    that nobody will read is given up with ``abandon``, since it may name shared memory.
    """

    def __init__(
        self,
        gate: Gate,
        send: Callable[[dict[str, Any], str | None], None],
        unpack: Callable[[bytes | memoryview, str | None, int], dict[str, Any]],
        abandon: Callable[[int], object] = lambda _number: None,
    ) -> None:
        self._gate = gate
        self._send = send
        self._unpack = unpack
        self._abandon = abandon
        # What takes the answer of a call: its frame, or None when there will be none.
        self._waiting: dict[int, Callable[[bytes | memoryview | None], object]] = {}
        self._last = 0
        self._lock = threading.Lock()
        # Why no call can be made any more.
        self._closed: str | None = None
        # set by the event loop when it starts
        self.loop_thread: int | None = None

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
        answer: SimpleQueue[bytes | memoryview | None] = SimpleQueue()
        number = 0
        is_read = False
        try:
            with self._gate.shield(running):
                number = self._reserve(answer.put)
                self._request(number, payload, session)
            frame = answer.get()
            with self._gate.shield(running):
                is_read = True
                return self._value(frame, session, number)
        finally:
            with self._gate.shield(running):
                self._end(number, is_read)

    async def _call_async(self, payload: dict[str, Any], session: str | None) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | memoryview | None] = loop.create_future()

        def settle(frame: bytes | memoryview | None) -> None:
            if not answer.done():
                answer.set_result(frame)

        number = self._reserve(lambda frame: loop.call_soon_threadsafe(settle, frame))
        is_read = False
        try:
            self._request(number, payload, session)
            frame = await answer
            is_read = True
            return self._value(frame, session, number)
        finally:
            self._end(number, is_read)

    def _end(self, number: int, is_read: bool) -> None:
        if self._waiting.pop(number, None) is not None and not is_read and self._closed is None:
            self._abandon(number)

    def ask(self, tag: str, payload: dict[str, Any]) -> Any:
        """Asks the host itself for something, and answers it; the thread waits, since the host answers at once."""
        answer: SimpleQueue[bytes | memoryview | None] = SimpleQueue()
        number = self._reserve(answer.put)
        try:
            self._send({"_tag": "Request", "id": number, "tag": tag, "payload": payload, "headers": []}, None)
            return self._value(answer.get(), None, number)
        finally:
            self._waiting.pop(number, None)

    def _reserve(self, deliver: Callable[[bytes | memoryview | None], object]) -> int:
        with self._lock:
            if self._closed is not None:
                raise CallbackError(self._closed)
            self._last += 1
            self._waiting[self._last] = deliver
            return self._last

    def _request(self, number: int, payload: dict[str, Any], session: str | None) -> None:
        message = {"_tag": "Request", "id": number, "tag": "snakepit.callback", "payload": payload, "headers": []}
        self._send(message, session)

    def _value(self, frame: bytes | memoryview | None, session: str | None, number: int) -> Any:
        if frame is None:
            raise CallbackError(self._closed or _CLOSED)
        try:
            exit = self._unpack(frame, session, number)["exit"]
        except WorkerFailure as failure:
            error = failure.to_error()
            raise CallbackError(f"the answer cannot be read: {failure}", str(error["_tag"]), error) from None
        try:
            return _value_of(exit)
        except CallbackError as failure:
            failure.request_id = number
            raise

    def deliver(self, number: int, frame: bytes | memoryview) -> None:
        """Hands an answer to the call that waits for it; an answer that nobody waits for any more is dropped."""
        waiter = self._waiting.get(number)
        if waiter is not None:
            waiter(frame)

    def close(self) -> None:
        """Fails every call under way: no answer can come any more."""
        with self._lock:
            self._closed = self._closed or _CLOSED
            waiters = list(self._waiting.values())
        for waiter in waiters:
            waiter(None)

    def after_fork(self) -> None:
        """In a child process of the worker, nothing can be called: the connection is the worker's."""
        self._lock = threading.Lock()  # another thread may have held it
        self._closed = "a process that the worker has forked cannot call TypeScript; only the worker itself can"


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


class Tools(Mapping[str, Tool]):
    """The tools that the current call can use, by name: those of its session and those of its pool."""

    __slots__ = ("_by_scope",)

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._visible())

    def __len__(self) -> int:
        return len(self._visible())


tools = Tools()
