"""Calls that meet: each waits for the others, so that they return only if they run at the same time."""

import asyncio
import os
import threading
import time

_barriers = {}
_lock = threading.Lock()
_async_waiting = {}


def at_barrier(name, parties, seconds=10):
    """Returns when ``parties`` calls are here at the same time."""
    with _lock:
        barrier = _barriers.setdefault(name, threading.Barrier(parties))
    barrier.wait(seconds)
    return threading.current_thread().name


async def at_rendezvous(name, parties, seconds=10):
    """Returns when ``parties`` calls are on the event loop at the same time."""
    waiting = _async_waiting.setdefault(name, [0, asyncio.Event()])
    waiting[0] += 1
    if waiting[0] == parties:
        waiting[1].set()
    await asyncio.wait_for(waiting[1].wait(), seconds)
    return waiting[0]


def until_file(file, started=None):
    """Says that it has started by creating a file, and returns when another file exists."""
    if started is not None:
        touch(started)
    while not os.path.exists(file):
        time.sleep(0.002)
    return os.getpid()


async def until_file_async(file, started=None):
    """The same on the event loop."""
    if started is not None:
        touch(started)
    while not os.path.exists(file):
        await asyncio.sleep(0.002)
    return os.getpid()


def touch(file, text=""):
    """Creates a file at once with all of its text."""
    with open(f"{file}.new", "w", encoding="utf-8") as out:
        out.write(text)
    os.rename(f"{file}.new", file)
