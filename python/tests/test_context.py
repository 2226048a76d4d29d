"""What code inside a call can ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from snakepit_worker import context
from snakepit_worker.gate import Running


@pytest.fixture(autouse=True)
def _outside_calls() -> Iterator[None]:
    context.watch_main(lambda: None)
    yield
    context.watch_main(lambda: None)


def running(payload: dict[str, Any] | None = None, **request: object) -> Running:
    call = Running({"id": 1, "payload": payload or {}, **request})
    context.watch_main(lambda: call)
    return call


def test_outside_calls_there_is_nothing_to_know() -> None:
    assert context.running_call() is None
    assert not context.cancelled()
    assert context.deadline() is None
    assert context.session_id() is None
    assert context.traceparent() is None


def test_a_call_is_cancelled_when_the_host_says_so_or_its_time_is_over() -> None:
    call = running()
    assert not context.cancelled()
    call.cancel(1)
    assert context.cancelled()
    running({"deadline_ms": time.time() * 1000 + 1e6})
    assert not context.cancelled()
    running({"deadline_ms": time.time() * 1000 - 1})
    assert context.cancelled()


def test_the_deadline_is_in_seconds() -> None:
    running({"deadline_ms": 1500})
    assert context.deadline() == 1.5


def test_the_session_is_that_of_the_call() -> None:
    running({"session_id": "s"})
    assert context.session_id() == "s"


def test_the_trace_is_a_w3c_header() -> None:
    running(traceId="a" * 32, spanId="b" * 16, sampled=True)
    assert context.traceparent() == f"00-{'a' * 32}-{'b' * 16}-01"
    running(traceId="a" * 32, spanId="b" * 16)
    assert context.traceparent() == f"00-{'a' * 32}-{'b' * 16}-00"
    running(traceId="a" * 32)
    assert context.traceparent() is None


def test_other_threads_do_not_see_the_call_of_the_main_thread_but_their_own() -> None:
    running({"session_id": "main"})
    seen: list[object] = []

    def other() -> None:
        context.current.set(None)
        seen.append(context.session_id())
        context.current.set(Running({"id": 2, "payload": {"session_id": "beside"}}))
        seen.append(context.session_id())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [None, "beside"]
