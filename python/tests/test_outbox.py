"""Messages of the worker: within the frame limit, with refs of their session, and something to say of a failure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ormsgpack import unpackb

from snakepit_worker.errors import CallCancelled, ProtocolError, UnserializableResult
from snakepit_worker.gate import Running
from snakepit_worker.outbox import Outbox
from snakepit_worker.sessions import Sessions
from snakepit_worker.wire import Channel


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Outbox(Channel(ours, 1000), Sessions("w"))


def running(**payload: object) -> Running:
    return Running({"id": 3, "payload": payload})


def read(body: bytes) -> Any:
    return unpackb(body, ext_hook=lambda code, data: (code, unpackb(data)))


def test_a_success_says_how_long_it_took_when_it_was_measured(outbox: Outbox) -> None:
    exit = {"_tag": "Success", "value": 5}
    assert read(outbox.success(running(), 5, None)) == {"_tag": "Exit", "requestId": 3, "exit": exit}
    assert read(outbox.success(running(), 5, 12))["pythonMicros"] == 12


def test_what_cannot_cross_is_a_ref_in_a_session_and_a_failure_outside(outbox: Outbox) -> None:
    assert read(outbox.success(running(session_id="s"), object(), None))["exit"]["value"] == (
        15,
        ["s", "w", 1, "object"],
    )
    with pytest.raises(UnserializableResult):
        outbox.success(running(), object(), None)
    outbox.forget("s")
    outbox.forget("never known")


def test_items_are_named_by_their_index(outbox: Outbox) -> None:
    assert read(outbox.chunk(running(), "a", 0)) == {"_tag": "Chunk", "requestId": 3, "values": ["a"]}
    with pytest.raises(UnserializableResult, match=r"result\[4\]"):
        outbox.chunk(running(), object(), 4)


def test_what_is_larger_than_a_frame_is_refused_with_both_numbers(outbox: Outbox) -> None:
    with pytest.raises(UnserializableResult, match=r"takes \d+ bytes.*maxFrameBytes = 1000"):
        outbox.success(running(), "x" * 1000, None)


def test_a_cancelled_call_is_interrupted(outbox: Outbox) -> None:
    exit = read(outbox.failure(running(), CallCancelled()))["exit"]
    assert exit == {"_tag": "Failure", "cause": [{"_tag": "Interrupt", "fiberId": None}]}


@pytest.mark.parametrize("error", [ProtocolError("a reason"), ProtocolError("x" * 5000), ValueError("x" * 5000)])
def test_there_is_always_a_failure_to_send(outbox: Outbox, error: Exception) -> None:
    body = outbox.failure(running(), error)
    assert len(body) <= 1000
    assert read(body)["exit"]["_tag"] == "Failure"


def test_there_is_a_failure_to_send_when_there_is_no_memory_to_pack_it(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(outbox, "pack", fail)
    message = read(outbox.failure(running(), ValueError("x")))
    assert message["requestId"] == 3
    assert message["exit"]["cause"][0]["error"]["_tag"] == "MemoryError"
