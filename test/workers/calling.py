"""Calls what it is given, and tools."""

from collections.abc import Awaitable, Callable

from snakepit_worker import tools


def back(function: Callable[..., object], *args: object) -> object:
    return function(*args)


async def back_async(function: Callable[..., Awaitable[object]], *args: object) -> object:
    return await function(*args)


def tool(name: str, **kwargs: object) -> object:
    return tools[name](**kwargs)
