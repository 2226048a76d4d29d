"""Generators and iterables to stream from."""

import asyncio

from meeting import touch

produced = 0


def count(stop):
    """Remembers how far it has come."""
    global produced
    for number in range(stop):
        produced = number + 1
        yield number


def how_far():
    return produced


async def how_far_async():
    return produced


def endless(file):
    """Creates a file when it is closed."""
    try:
        number = 0
        while True:
            yield number
            number += 1
    finally:
        touch(file, "closed")


def stubborn(file):
    """Takes its time to end."""
    try:
        while True:
            yield 1
    finally:
        import time

        touch(file, "closing")
        time.sleep(0.05)


def fails_after(items):
    yield from range(items)
    raise ValueError(f"failed after {items}")


async def async_count(stop):
    global produced
    for number in range(stop):
        await asyncio.sleep(0)
        produced = number + 1
        yield number


async def async_endless(file):
    try:
        number = 0
        while True:
            await asyncio.sleep(0)
            yield number
            number += 1
    finally:
        touch(file, "closed")


async def async_fails_after(items):
    for number in range(items):
        yield number
    raise ValueError(f"failed after {items}")


async def promised_list(stop):
    """A coroutine whose result can be iterated."""
    await asyncio.sleep(0)
    return list(range(stop))


class Iterable:
    """Has ``__iter__`` and nothing else."""

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        return iter(self.values)


class Trainer:
    def fit(self, epochs):
        for epoch in range(epochs):
            yield {"epoch": epoch, "loss": 1 / (epoch + 1)}


def with_bad_item(at):
    """An item in the middle that cannot cross."""
    yield from range(at)
    yield object()


def waits_between(file):
    """One value, then nothing until a file exists."""
    from meeting import until_file

    yield 1
    until_file(file)
    yield 2


def nothing():
    yield from ()
