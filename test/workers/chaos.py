"""What the chaos run calls: each call signs a ledger on disk when it begins; some end the process they run in."""

import asyncio
import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy


def sign(ledger: str, call: int) -> None:
    """Adds the call to the ledger; so short an append is one write."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, b"%d\n" % call)
    finally:
        os.close(descriptor)


def run(ledger: str, call: int, seconds: float) -> int:
    """Takes so long, and answers the call's number."""
    sign(ledger, call)
    if seconds > 0:
        time.sleep(seconds)
    return call


def doze(ledger: str, call: int, seconds: float) -> int:
    """Takes so long, a little at a time, so that it can be stopped on a thread too."""
    sign(ledger, call)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    return call


async def nap(ledger: str, call: int, seconds: float) -> int:
    """Takes so long on the event loop, and answers the call's number."""
    sign(ledger, call)
    await asyncio.sleep(seconds)
    return call


def double(ledger: str, call: int, numbers: Any) -> Any:
    """Answers an array with twice the numbers of another."""
    sign(ledger, call)
    return numpy.multiply(numbers, 2)


def count(ledger: str, call: int, items: int) -> Iterator[int]:
    """Yields the numbers below ``items``, slowly enough to be caught in the middle."""
    sign(ledger, call)
    for item in range(items):
        time.sleep(0.001)
        yield item


def ask(ledger: str, call: int, function: Callable[[int], int], times: int) -> int:
    """Adds up what the host's function answers."""
    sign(ledger, call)
    return sum(function(item) for item in range(times))


class Counter:
    """Counts, for as long as its session lives."""

    def __init__(self) -> None:
        self.value = 0

    def increment(self, ledger: str, call: int) -> int:
        """Answers the new value."""
        sign(ledger, call)
        self.value += 1
        return self.value


def start_child(ledger: str, call: int) -> int:
    """Starts a process that would outlive this one."""
    sign(ledger, call)
    return subprocess.Popen(["sleep", "3600"]).pid


def segfault(ledger: str, call: int) -> None:
    """Reads address 0."""
    sign(ledger, call)
    ctypes.string_at(0)


def abort(ledger: str, call: int) -> None:
    """Ends the process by SIGABRT."""
    sign(ledger, call)
    os.abort()


def leave(ledger: str, call: int) -> None:
    """Ends the process without a word."""
    sign(ledger, call)
    os._exit(7)


def freeze(ledger: str, call: int) -> None:
    """Stops the process."""
    sign(ledger, call)
    while True:  # the kernel continues a stopped group when its parent, a fork server, dies
        os.kill(os.getpid(), signal.SIGSTOP)


def exhaust(ledger: str, call: int) -> None:
    """Takes all the memory the process may have."""
    sign(ledger, call)
    pieces = []
    while True:
        pieces.append(bytes(100_000))


def flood(ledger: str, call: int) -> int:
    """Fills stderr with four megabytes, with and without newlines."""
    sign(ledger, call)
    for _ in range(32):
        sys.stderr.write("x" * 65_000 + "\n" * 500)
    sys.stderr.flush()
    return call


def cut(ledger: str, call: int) -> None:
    """Shuts down every connection of this process, as a broken network would."""
    sign(ledger, call)
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                connection = socket.socket(fileno=os.dup(descriptor))
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        except OSError:
            pass  # no such descriptor, or not connected
    time.sleep(3600)
