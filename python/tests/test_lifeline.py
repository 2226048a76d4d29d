"""Dying with the host: a process whose lifeline is cut ends, whatever it is doing, and takes its group along."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from package_path import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it is Linux only")

HELD = """
import socket, subprocess, sys
from snakepit_worker.lifeline import hold_to
lifeline = socket.socket(fileno=int(sys.argv[1]))
hold_to(lifeline)
child = subprocess.Popen(["sleep", "3600"]) if sys.argv[2] == "with child" else None
print(child.pid if child else 0, flush=True)
"""

BUSY = {
    "computes": "while True: pass",
    "sleeps": "import time; time.sleep(3600)",
    "holds the interpreter lock in native code": "import re; re.match(r'(a+)+b', 'a' * 60)",
    "ignores SIGTERM and SIGINT": (
        "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (15, 2)]; time.sleep(3600)"
    ),
}


@contextmanager
def held(
    code: str, own_group: bool, child: str = "alone"
) -> Iterator[tuple[subprocess.Popen[str], socket.socket, int]]:
    """A process that is held to the socket that is answered; the number is its child's process id."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{HELD}\n{code}", str(theirs.fileno()), child],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=own_group,
            env=ENVIRONMENT,
        )
        theirs.close()
        with process:
            assert process.stdout is not None
            try:
                yield process, ours, int(process.stdout.readline())
            finally:
                process.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails when the condition does not hold within two seconds."""
    deadline = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        os.sched_yield()


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY.keys())
def test_a_process_ends_when_its_lifeline_is_cut_while_it(code: str) -> None:
    with held(code, own_group=True) as (process, lifeline, _):
        assert process.poll() is None
        lifeline.close()
        assert process.wait(timeout=2) == -9


def test_a_process_ends_whose_lifeline_was_cut_before_it_held_to_it() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        code = (
            "import socket, sys; from snakepit_worker.lifeline import hold_to; "
            "lifeline = socket.socket(fileno=int(sys.argv[1])); hold_to(lifeline); print('goes on')"
        )
        process = subprocess.run(
            [sys.executable, "-c", code, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=ENVIRONMENT,
            timeout=10,
            check=False,
        )
    assert (process.returncode, process.stdout) == (-9, b"")


def test_it_takes_the_processes_that_it_started_along() -> None:
    with held(BUSY["sleeps"], own_group=True, child="with child") as (process, lifeline, child):
        assert is_running(child)
        lifeline.close()
        assert process.wait(timeout=2) == -9
        wait_until(lambda: not is_running(child))


def test_a_process_in_a_group_of_others_ends_alone() -> None:
    # this test's own process is in that group
    with held(BUSY["sleeps"], own_group=False) as (process, lifeline, _):
        lifeline.close()
        assert process.wait(timeout=2) == -9
