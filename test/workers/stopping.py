"""Code that is stopped: it says when it began, and how it ended."""

import asyncio
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from meeting import touch

import snakepit_worker


def sleeps(folder):
    """Waits in a system call."""
    try:
        touch(f"{folder}/began")
        time.sleep(3600)
    finally:
        touch(f"{folder}/ended", "finally")


def spins(folder):
    """A loop of Python code."""
    try:
        touch(f"{folder}/began")
        while True:
            pass
    finally:
        touch(f"{folder}/ended", "finally")


def imports(folder):
    """Is stopped while it imports a package, and would run on after it."""
    package = Path(folder) / "slow_package"
    package.mkdir()
    (package / "part.py").write_text("value = 1\n")
    (package / "__init__.py").write_text(
        # like asyncio: names a submodule that only its first import makes known
        f"from .part import *\nassert part\nfrom meeting import touch\ntouch({f'{folder}/began'!r})\n"
        "import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end:\n    time.sleep(0.001)\n"
    )
    sys.path.append(folder)
    try:
        importlib.import_module("slow_package")
        while True:
            time.sleep(0.001)
    finally:
        touch(f"{folder}/ended", "finally")


def uses_import():
    """What the package holds that `imports` was importing."""
    return importlib.import_module("slow_package").value


def swallows(folder):
    """Goes on after every Exception."""
    try:
        touch(f"{folder}/began")
        while True:
            try:
                time.sleep(0.001)
            except Exception:
                continue
    finally:
        touch(f"{folder}/ended", "finally")


def asks(folder):
    """Asks whether it should go on, and returns when not."""
    touch(f"{folder}/began")
    while not snakepit_worker.cancelled():
        time.sleep(0.001)
    touch(f"{folder}/ended", "asked")
    return "left early"


async def waits(folder):
    """A task on the event loop."""
    try:
        touch(f"{folder}/began")
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        touch(f"{folder}/ended", "cancelled")
        raise


def locks(folder):
    """Waits for a lock that nobody releases."""
    lock = threading.Lock()
    lock.acquire()
    try:
        touch(f"{folder}/began")
        lock.acquire()
    finally:
        touch(f"{folder}/ended", "finally")


def native(folder):
    """A native call that holds the interpreter's lock and never returns."""
    touch(f"{folder}/began", str(os.getpid()))
    ctypes.PyDLL(None).pause()


def handles_term(folder):
    """Leaves only at SIGTERM, in an orderly way that ends this call and not the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    touch(f"{folder}/began", str(os.getpid()))
    while True:
        try:
            time.sleep(3600)
        except snakepit_worker.CallCancelled:
            pass


def refuses(folder):
    """Catches whatever is thrown at it."""
    touch(f"{folder}/began", str(os.getpid()))
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


def with_child(folder):
    """Waits for a process that never ends."""
    child = subprocess.Popen(["sleep", "3600"])
    touch(f"{folder}/began", str(child.pid))
    try:
        child.wait()
    finally:
        touch(f"{folder}/ended", "finally")


def leaves_child(folder):
    """Starts a process and forgets it."""
    child = subprocess.Popen(["sleep", "3600"])
    touch(f"{folder}/began", str(child.pid))


def reads_itself():
    """Whether this call thinks that it is to stop."""
    return snakepit_worker.cancelled()
