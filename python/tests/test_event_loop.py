"""The loop that async targets run on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from snakepit_worker.event_loop import EventLoop


def test_runs_coroutines_on_a_thread_of_its_own_in_order() -> None:
    loop = EventLoop()
    seen: list[object] = []
    done = threading.Event()

    async def note(value: int) -> None:
        seen.append((value, threading.get_ident()))
        if value == 2:
            done.set()

    for value in range(3):
        loop.start(note(value), lambda _task: None)
    assert done.wait(10)
    assert seen == [(0, loop.thread), (1, loop.thread), (2, loop.thread)]
    assert loop.thread != threading.get_ident()


def test_has_many_in_flight() -> None:
    loop = EventLoop()
    met = threading.Event()
    there: list[int] = []

    async def meet() -> None:
        there.append(1)
        while len(there) < 50:
            await asyncio.sleep(0)
        met.set()

    for _ in range(50):
        loop.start(meet(), lambda _task: None)
    assert met.wait(10)


def test_goes_on_after_stop_and_after_what_asyncio_lets_through(capsys: pytest.CaptureFixture[str]) -> None:
    loop = EventLoop()
    done = threading.Event()

    async def stop() -> None:
        asyncio.get_running_loop().stop()

    def leave() -> None:
        raise SystemExit(5)

    loop.start(stop(), lambda _task: None)
    loop.call(leave)
    loop.call(done.set)
    assert done.wait(10)
    assert "SystemExit: 5" in capsys.readouterr().err
