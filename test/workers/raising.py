"""Raises exceptions by name: built-in ones, and those of libraries."""

from __future__ import annotations

import builtins
import importlib
from typing import Any

# What the constructors of these want; a message is enough for all others.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "UnicodeDecodeError": ("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "UnicodeEncodeError": ("ascii", "\xe9", 0, 1, "ordinal not in range"),
    "UnicodeTranslateError": ("\xe9", 0, 1, "no translation"),
    "ExceptionGroup": ("two at once", [ValueError("one"), KeyError("two")]),
    "BaseExceptionGroup": ("an exit among them", [SystemExit(3), ValueError("one")]),
    "pandas.errors.AbstractMethodError": (object(),),
    "pandas.errors.UndefinedVariableError": ("rate",),
    "pandas.errors.ClosedFileError": (),
    "pydantic.errors.PydanticUserError": ("written wrongly",),
}


def names() -> list[str]:
    """The names of all public built-in exceptions of this Python; an alias like IOError is none."""
    found = {name: value for name, value in vars(builtins).items() if not name.startswith("_")}
    return [
        name
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, BaseException) and value.__name__ == name
    ]


def builtin(name: str) -> None:
    """Raises a built-in exception."""
    raise getattr(builtins, name)(*_ARGUMENTS.get(name, ("it happened",)))


def subclass(name: str) -> None:
    """Raises an exception of a class of our own that descends from a built-in one."""
    kind = type("Own", (getattr(builtins, name),), {"__module__": "raising"})
    raise kind(*_ARGUMENTS.get(name, ("it happened",)))


def library(name: str) -> None:
    """Raises an exception of a library, by its qualified name."""
    module, _, attribute = name.rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    if attribute == "PydanticUserError":
        raise kind("it happened", code=None)
    if attribute == "AdapterParseError":
        import dspy

        raise kind("ChatAdapter", dspy.Signature("question -> answer"), "it happened")
    if attribute == "ContextWindowExceededError":
        raise kind(message="it happened", model="small")
    if name == "json.decoder.JSONDecodeError" or name == "requests.exceptions.JSONDecodeError":
        raise kind("it happened", "{", 1)
    raise kind(*_ARGUMENTS.get(name, ("it happened",)))


def generator(count: int) -> Any:
    """Yields so many numbers, then raises."""
    yield from range(count)
    raise ValueError("the stream broke")


class Model:
    """Raises wherever it is touched."""

    def __init__(self, broken: bool = False) -> None:
        if broken:
            raise ValueError("no such model")

    def __getattr__(self, name: str) -> Any:
        raise LookupError(f"no attribute {name}")

    def fit(self) -> None:
        raise ArithmeticError("did not converge")


async def later() -> None:
    """Raises in an async task."""
    raise TimeoutError("too late")


def in_thread() -> None:
    """Raises what a thread of its own has raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(builtin, "BufferError").result()


def in_unwatched_thread() -> str:
    """A thread raises that nobody asks for its result."""
    from threading import Thread

    def fail() -> None:
        raise ValueError("nobody waits")

    thread = Thread(target=fail)
    thread.start()
    thread.join()
    return "went on"


class _Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def hostile() -> None:
    """An exception whose `__str__` raises and whose args cannot cross."""
    raise _Hostile(object())


def large(size: int) -> None:
    """An exception with a message of so many characters."""
    raise ValueError("x" * size)


def circular() -> None:
    """A chain of causes that has no end."""
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


class _Finalized:
    def __del__(self) -> None:
        raise OSError("in the destructor")


def destructor() -> str:
    """An exception in a destructor ends nothing."""
    thing = _Finalized()
    del thing
    return "went on"


def chained() -> None:
    """One exception because of another."""
    try:
        {}["rate"]
    except KeyError as error:
        raise ValueError("the rate is missing") from error


def warn(text: str) -> None:
    """Warns."""
    import warnings

    warnings.warn(text, UserWarning, stacklevel=1)


def unparsable() -> None:
    """Code that does not parse, on its second line."""
    compile("a = 1\nb = = 2\n", "given.py", "exec")


def validation() -> None:
    """What pydantic says of data that does not match, values that cannot cross included."""
    from pydantic import BaseModel

    class Order(BaseModel):
        item: str
        count: int

    Order.model_validate({"item": object(), "count": "many"})


def not_found() -> None:
    """What requests raises for a status of 404."""
    import requests

    response = requests.Response()
    response.status_code, response.reason, response.url = 404, "Not Found", "http://localhost/tea"
    response.request = requests.Request("GET", "http://localhost/tea").prepare()
    response.raise_for_status()


class Quota(Exception):
    """An exception of our own, with attributes."""

    def __init__(self, limit: object) -> None:
        super().__init__("quota exceeded")
        self.limit = limit

    @property
    def trap(self) -> int:
        raise RuntimeError("not now")


def quota(limit: object) -> None:
    """Raises it."""
    raise Quota(limit)
