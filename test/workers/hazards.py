"""What can go wrong in a worker, on demand."""

import ctypes
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

kept: list[bytes] = []


def hold_lock() -> None:
    """Computes for ages in native code that never lets go of the interpreter lock."""
    re.match(r"(a+)+b", "a" * 60)


def hold_lock_asleep() -> None:
    """Sleeps in native code without letting go of the interpreter lock."""
    ctypes.PyDLL(None).sleep(3600)


def compute(seconds: float) -> str:
    """Keeps the interpreter busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "computed"


def sleep_natively(seconds: float) -> str:
    """Sleeps in native code that lets other threads run."""
    ctypes.CDLL(None).usleep(int(seconds * 1e6))
    return "slept"


def segfault() -> None:
    """Reads address 0."""
    ctypes.string_at(0)


def abort() -> None:
    """Ends the process by SIGABRT."""
    os.abort()


def leave(code: int) -> None:
    """Ends the process without a word."""
    os._exit(code)


def freeze() -> None:
    """Stops the process."""
    os.kill(os.getpid(), signal.SIGSTOP)


def allocate(size: int) -> int:
    """Makes so many bytes for a moment."""
    return len(bytearray(size))


def keep(size: int) -> int:
    """Makes so many bytes for good, and answers the process."""
    kept.append(b"x" * size)
    return os.getpid()


def wait_for(started: str, goal: str) -> int:
    """Says with a file that it runs, waits for another one, and answers the process."""
    Path(started).touch()
    while not os.path.exists(goal):
        time.sleep(0.005)
    return os.getpid()


def print_gpu_error_and_abort() -> None:
    """Ends as a process does whose GPU context is lost."""
    print("RuntimeError: CUDA error: an illegal memory access was encountered", file=sys.stderr, flush=True)
    os.abort()


def draw() -> tuple[int, float, float]:
    """This process, and a number of each global generator."""
    import numpy

    return os.getpid(), random.random(), float(numpy.random.random())


def openblas_threads() -> int:
    """How many threads the OpenBLAS of numpy may use."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    library = next(line.split(maxsplit=5)[5] for line in maps.splitlines() if "openblas" in line)
    threads: int = ctypes.CDLL(library).scipy_openblas_get_num_threads64_()
    return threads


def start_child() -> int:
    """Starts a process that would outlive this one, and answers its id."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid


def start_daemon() -> int:
    """Starts a process that leaves the worker's process group and keeps what it prints open, and answers its id."""
    return subprocess.Popen(["sleep", "3600"], start_new_session=True).pid


def fill_up() -> None:
    """Takes all the memory there is, in small pieces."""
    pieces = []
    while True:
        pieces.append(bytes(1000))
