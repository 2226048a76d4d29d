"""Generators that tell how far they have got."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


def up_to(n: int, tick: Callable[[int], None], closed: Callable[[], None]) -> Iterator[int]:
    try:
        for i in range(n):
            tick(i)
            yield i
    finally:
        closed()


def then_fail(n: int) -> Iterator[int]:
    yield from range(n)
    raise ValueError(f"after {n}")


async def async_up_to(n: int, tick: Callable[[int], Awaitable[None]]) -> AsyncIterator[int]:
    for i in range(n):
        await tick(i)
        yield i
