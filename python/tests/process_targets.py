"""What the tests call in worker processes of their own: targets that do to the process what no test could survive."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import snakepit_worker


def fork_and_return() -> str:
    """The child returns as well, which must not answer the call a second time."""
    child = os.fork()
    if child == 0:
        return "child"
    os.waitpid(child, 0)
    return "parent"


def fork_and_raise() -> str:
    child = os.fork()
    if child == 0:
        raise ValueError("child")
    _, status = os.waitpid(child, 0)
    return f"child left with {os.waitstatus_to_exitcode(status)}"


def fork_in_child() -> int:
    """A child of a child, as a daemon starts; answers how the two ended."""
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Destroyed:
    def __init__(self, path: str) -> None:
        self.path = path

    def __del__(self) -> None:
        with open(self.path, "w"):
            pass
        while True:
            time.sleep(0.001)


def hang_in_destructor(path: str) -> None:
    """Is struck inside a destructor, where Python drops every exception, and goes on."""
    Destroyed(path)
    while True:
        time.sleep(0.001)


def break_the_worker() -> None:
    """What no target can do to the worker without its own modules."""
    from snakepit_worker.outbox import Outbox

    def fail(*_args: object) -> bytes:
        raise LookupError

    Outbox.success = Outbox.failure = fail  # type: ignore[method-assign,assignment]


_kept: list[object] = []


def use_up_memory(text: str) -> None:
    while True:
        try:
            _kept.append(object())
            _kept.append([None])
            _kept.append({})
            _kept.append(str(len(_kept)))
        except MemoryError:
            raise ValueError(text) from None


def in_child(function: Callable[[int], Any]) -> Any:
    """The result of `function` in a process that multiprocessing forks."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def run() -> None:
        try:
            send.send(function(1))
        except Exception as error:
            send.send(f"{type(error).__name__}: {error}")

    process = context.Process(target=run)
    process.start()
    answer = receive.recv()
    process.join()
    return answer


def call_back_in_child(function: Callable[[int], Any]) -> Any:
    return in_child(function)


def sockets_in_child() -> Any:
    """How many sockets a forked child has open."""

    def count(_: int) -> int:
        links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return sum(os.readlink(link).startswith("socket:") for link in links if os.path.exists(link))

    return in_child(count)


def leave_a_child() -> int:
    """A grandchild of the host that lives on."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid


def close_standard_files() -> str:
    for fd in (0, 1, 2):
        os.close(fd)
    sys.stdin = sys.stdout = sys.stderr = None
    print("into nothing")
    return "closed"


def close_all_files() -> None:
    os.closerange(0, 256)


def change_directory() -> str:
    os.chdir("/")
    return os.getcwd()


def say_goodbye() -> None:
    atexit.register(lambda: print("goodbye", flush=True))


def linger_at_exit() -> None:
    atexit.register(time.sleep, 3600)


def wait_for(path: str) -> str:
    while not os.path.exists(path):
        time.sleep(0.005)
    return "waited"


async def wait_for_async(path: str) -> str:
    while not os.path.exists(path):
        await asyncio.sleep(0.005)
    return "waited"


def ignore_signals() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_myself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(3600)


def threads_call_back(function: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda n=n: results.append(function(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def flood(megabytes: int) -> int:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)
    return megabytes


def is_cancelled() -> bool:
    return snakepit_worker.cancelled()
