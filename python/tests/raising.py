"""Targets that fail in every way they can."""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def built_in(name: str) -> None:
    """Raises a built-in exception of this name."""
    kind = getattr(builtins, name)
    if name.startswith("Unicode") and name != "UnicodeError" and name != "UnicodeWarning":
        if name == "UnicodeDecodeError":
            raise kind("utf-8", b"\xff", 0, 1, "bad")
        if name == "UnicodeEncodeError":
            raise kind("ascii", "ä", 0, 1, "bad")
        raise kind("ä", 0, 1, "bad")
    if name.endswith("Group"):
        # a group of exceptions alone becomes an ExceptionGroup
        raise kind("several", [ValueError("a member") if name == "ExceptionGroup" else KeyboardInterrupt()])
    raise kind("raised")


def items(count: int) -> Iterator[int]:
    yield from range(count)
    raise LookupError("no more items")


async def async_items(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    raise LookupError("no more items")


def call_back(function: Callable[[int], Any]) -> Any:
    return function(1)


def wrap_call_back(function: Callable[[int], Any]) -> Any:
    try:
        return function(1)
    except Exception as error:
        raise RuntimeError("the callback failed") from error


class Constructed:
    def __init__(self) -> None:
        raise ValueError("no such object")


class Evasive:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"nothing called {name}")


def attribute() -> Any:
    return Evasive().anything


class Grudge:
    def __del__(self) -> None:
        raise RuntimeError("a grudge")


def destroy() -> str:
    Grudge()
    return "destroyed"


async def task() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("in a task")

    await asyncio.create_task(fail())


def in_thread() -> str:
    thread = threading.Thread(target=built_in, args=("ValueError",))
    thread.start()
    thread.join()
    return "joined"


def through_future() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        executor.submit(built_in, "OSError").result()


class Speechless(Exception):
    def __str__(self) -> str:
        raise SystemExit("__str__ leaves")

    def __repr__(self) -> str:
        raise KeyboardInterrupt


def speechless() -> None:
    raise Speechless(Speechless())


def unsendable() -> None:
    raise ValueError(object(), threading.Lock(), lambda: None, sys)


def lengthy() -> None:
    raise ValueError("x" * 10_000_000)


def circular() -> None:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


class Hostile(Exception):
    """Raises whatever is asked of it."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise MemoryError("no args")

    @property
    def __notes__(self) -> Any:
        raise SystemError("no notes")

    @property
    def exceptions(self) -> Any:
        raise SystemError("no members")


def hostile() -> None:
    raise Hostile("x")


def hostile_cause() -> None:
    raise ValueError("true") from Hostile("x")


class Lying(type):
    @property
    def __module__(cls) -> Any:  # type: ignore[override]
        raise RuntimeError("no module")


def lying() -> None:
    raise Lying("Liar", (Exception,), {})("x")


def huge_group() -> None:
    group: Any = getattr(builtins, "ExceptionGroup", None)
    members = [ValueError(number) for number in range(20_000)]
    if group is None:
        raise ValueError(len(members))
    raise group("many", members)


def deep_group() -> None:
    group: Any = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        raise ValueError("no groups")
    error: Exception = ValueError("innermost")
    for _ in range(300):
        error = group("deep", [error, error])
    raise error


def recurse() -> None:
    recurse()


def warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=1)


def warn_often(count: int) -> None:
    for number in range(count):
        warnings.warn(f"number {number}", RuntimeWarning, stacklevel=1)


def warn_in_child() -> int:
    """A forked process that warns; its exit code."""
    pid = os.fork()
    if pid == 0:
        warn("from the child")
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def divide(numerator: float, denominator: float) -> float:
    return numerator / denominator


def connect(url: str, password: str = "", options: Any = None) -> None:
    raise ConnectionError(f"no route to {url.rpartition('@')[2]}")


async def wait_and_fail(value: int) -> None:
    await asyncio.sleep(0)
    raise ValueError(value)


def multiply(a: Any, b: Any) -> Any:
    return a @ b


def column(table: Any, name: str) -> Any:
    return table[name]


def all_kinds(*values: Any, **named: Any) -> None:
    raise ValueError(repr((values, named)))


def quote(*arguments: Any, message: str, **named: Any) -> None:
    """Raises a message that was made of the arguments."""
    raise ValueError(message.format(*arguments, **named))
