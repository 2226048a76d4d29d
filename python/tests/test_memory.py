"""The limit on a process's memory, and going on where there is none for a moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from package_path import ENVIRONMENT
from snakepit_worker.memory import release_frames, resident_bytes, when_there_is_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space this way")


def test_resident_memory_grows_with_what_is_kept() -> None:
    before = resident_bytes()
    kept = bytearray(b"x") * (64 << 20)
    assert resident_bytes() - before > 32 << 20
    assert kept


@linux
def test_allocating_past_the_limit_is_a_memory_error_and_below_it_is_not() -> None:
    code = """
from snakepit_worker.memory import limit_memory
limit_memory(64 << 20)
try:
    bytearray(128 << 20)
except MemoryError:
    print(len(bytearray(16 << 20)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert int(done.stdout) == 16 << 20


@linux
def test_a_memory_error_below_a_limit_is_out_of_memory_with_the_limit_and_what_is_left_of_it() -> None:
    code = """
import json
from describing import caught, described
from snakepit_worker.memory import limit_memory
def report():
    print(json.dumps(described(caught(lambda: bytearray(128 << 20))).get("ml")))
print(json.dumps(described(MemoryError()).get("ml")))
limit_memory(64 << 20)
report()
kept = bytearray(32 << 20)
report()
"""
    folder = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{Path(__file__).parent}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=folder)
    without, before, after = map(json.loads, done.stdout.splitlines())
    assert without is None
    assert before["_tag"] == "OutOfMemory"
    assert before["device"] == "cpu"
    assert before["totalBytes"] == 64 << 20
    assert 16 << 20 < before["freeBytes"] <= 64 << 20
    assert before["freeBytes"] - after["freeBytes"] > 16 << 20
    assert "memoryLimit" in before["suggestion"]


@linux
def test_shared_memory_is_not_counted_while_it_is_mapped(tmp_path: Path) -> None:
    code = """
import sys
from snakepit_worker.memory import below_ceiling, limit_memory
from snakepit_worker.shared_memory import SharedMemory
def fits(size):
    try:
        return bool(bytearray(size))
    except MemoryError:
        return False
memory = SharedMemory([sys.argv[1]], lambda _: None)
limit_memory(64 << 20)
for segment in (1, 2):
    exporter = memory.look(segment, 0, 256 << 20, segment)
    print(fits(32 << 20), fits(96 << 20))
    del exporter
    memory.take_views()
    memory.forget_segments([segment])
print(fits(32 << 20), fits(96 << 20))
"""
    for segment in ("1", "2"):
        with (tmp_path / segment).open("wb") as file:
            file.truncate(256 << 20)
    command = [sys.executable, "-c", code, f"{tmp_path}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.splitlines() == ["True False"] * 3


def test_what_fails_for_want_of_memory_is_tried_again() -> None:
    attempts: list[int] = []

    def act(argument: int) -> None:
        attempts.append(argument)
        if len(attempts) < 3:
            raise MemoryError

    when_there_is_memory(act, 7)
    assert attempts == [7, 7, 7]


def test_other_errors_are_not_tried_again() -> None:
    def act(_: int) -> None:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        when_there_is_memory(act, 7)


def test_released_frames_hold_no_variables_any_more() -> None:
    class Big:
        alive = 0

        def __init__(self) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    def fail() -> None:
        pieces = [Big(), Big()]
        raise MemoryError(len(pieces))

    try:
        fail()
    except MemoryError as error:
        assert Big.alive == 2
        release_frames(error)
        assert Big.alive == 0
