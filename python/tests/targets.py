"""What the tests of the worker call. It runs in the tests' own process, so that events say when a target has begun."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import snakepit_worker

begun = threading.Event()
release = threading.Event()
log: list[object] = []


def reset() -> None:
    begun.clear()
    release.clear()
    log.clear()


def wait() -> str:
    """Until the test lets it go on."""
    begun.set()
    release.wait()
    return "released"


def spin() -> None:
    """Python code that never waits."""
    begun.set()
    while True:
        pass


def nap() -> None:
    """A system call that lasts."""
    begun.set()
    time.sleep(3600)


def swallow() -> str:
    """Survives being stopped once."""
    try:
        spin()
    except BaseException as error:
        log.append(type(error))
    return "survived"


def poll() -> str:
    begun.set()
    while not snakepit_worker.cancelled():
        pass
    return "polled"


def leave(code: object = None) -> None:
    raise SystemExit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def recurse() -> None:
    recurse()


def exhaust() -> None:
    raise MemoryError("no memory")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("__str__ leaves")


def unspeakable() -> None:
    raise Unspeakable


class Unresolved(ValueError):
    """Asks what it stands for, as proxies do, and nobody answers."""

    @property  # type: ignore[misc]  # deliberately
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("not resolved")


class Unreadable(BaseException):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def unresolved() -> None:
    raise Unresolved("x")


def unreadable() -> None:
    raise Unreadable("x")


async def unresolved_async() -> None:
    raise Unresolved("x")


class UnresolvedIterable:
    def __aiter__(self) -> Any:
        raise Unresolved("x")


def unresolved_iterable() -> UnresolvedIterable:
    return UnresolvedIterable()


def slow_cleanup() -> Iterator[int]:
    """A generator whose cleanup waits for the test."""
    try:
        while True:
            yield 1
    finally:
        begun.set()
        while not release.is_set():
            time.sleep(0.001)
        log.append("cleaned up")


async def _clean_up_slowly() -> None:
    begun.set()
    while not release.is_set():
        await asyncio.sleep(0.001)
    log.append("cleaned up")


async def slow_cleanup_async() -> AsyncIterator[int]:
    try:
        while True:
            yield 1
    finally:
        await _clean_up_slowly()


async def slow_cleanup_of_call() -> None:
    try:
        log.append("begun")
        await asyncio.sleep(3600)
    finally:
        await _clean_up_slowly()


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def echo(*args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs] if kwargs else list(args)


def identity(value: Any) -> Any:
    return value


def facts() -> list[object]:
    return [snakepit_worker.session_id(), snakepit_worker.deadline(), snakepit_worker.traceparent()]


class Thing:
    def __init__(self) -> None:
        self.value = 1
        self._hidden = 2
        self.items = {"key": "found"}

    def __getitem__(self, key: str) -> str:
        return self.items[key]

    def __setitem__(self, key: str, value: str) -> None:
        self.items[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __enter__(self) -> str:
        return "entered"

    def __exit__(self, kind: object, error: object, _traceback: object) -> str:
        return f"left with {error}"

    def double(self) -> int:
        return self.value * 2


class Grudge:
    """Raises when it is destroyed."""

    def __del__(self) -> None:
        log.append("destroyed")
        raise RuntimeError("a grudge")


def numbers(count: int) -> Iterator[int]:
    try:
        for number in range(count):
            log.append(number)
            yield number
    finally:
        log.append("closed")


def failing_numbers(count: int) -> Iterator[int]:
    yield from range(count)
    raise ValueError("no more")


def unsendable_items() -> Iterator[object]:
    try:
        yield 1
        yield object()
    finally:
        log.append("closed")


def stubborn() -> Iterator[int]:
    """A generator whose `finally` raises."""
    try:
        yield from range(1000)
    finally:
        raise RuntimeError("it does not want to close")


class BrokenIterable:
    def __iter__(self) -> Iterator[int]:
        raise ValueError("nothing to iterate over")


def broken_iterable() -> BrokenIterable:
    return BrokenIterable()


async def async_wait() -> str:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cleaned")
    return "never"


async def async_echo(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def async_numbers(count: int) -> AsyncIterator[int]:
    try:
        for number in range(count):
            log.append(number)
            yield number
    finally:
        log.append("closed")


async def promised_numbers(count: int) -> Iterator[int]:
    return numbers(count)


class AsyncIterable:
    def __aiter__(self) -> AsyncIterator[int]:
        return async_numbers(1000)


def async_iterable() -> AsyncIterable:
    return AsyncIterable()


partial_async = functools.partial(async_echo, "of a partial")


class Promise:
    def __await__(self) -> Iterator[Any]:
        return async_echo("kept").__await__()


def promise() -> Promise:
    return Promise()


async def future() -> Any:
    return asyncio.get_running_loop().create_future()


async def async_leave() -> None:
    raise SystemExit(3)


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def stops_the_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return "still here"


async def leaves_a_task_that_exits() -> str:
    async def exits() -> None:
        raise SystemExit(4)

    task = asyncio.get_running_loop().create_task(exits())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    return "still here"


async def block_the_loop() -> str:
    return wait()


def own_loop() -> str:
    return asyncio.run(async_echo("from a loop of its own"))


def call_back(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def call_back_spinning(function: Callable[..., Any]) -> None:
    while True:
        function()


async def call_back_async(function: Callable[..., Any], *args: Any) -> Any:
    return await function(*args)


def call_back_from_thread(function: Callable[..., Any], *args: Any) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results


def use_tool(name: str, **kwargs: Any) -> Any:
    return snakepit_worker.tools[name](**kwargs)


def tool_names() -> list[str]:
    return sorted(snakepit_worker.tools)
