"""Every test has a deadline."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import settings

_SECONDS = 60

# An example that is slow says that the machine is busy.
settings.register_profile("snakepit", deadline=None)
settings.load_profile("snakepit")


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    def fail(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test did not end within {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
