"""Failures of the worker itself, and reprs that are bounded."""

from __future__ import annotations

from snakepit_worker.errors import (
    CallCancelled,
    DecodeError,
    ProtocolError,
    SessionLost,
    UnserializableResult,
    WorkerFailure,
    bounded_repr,
)


def test_failures_of_the_worker_have_their_own_tags() -> None:
    failures: list[WorkerFailure] = [
        SessionLost("s1", "released"),
        UnserializableResult("result[0]", "generator", "<generator>", "no form"),
        DecodeError("args[0]", "a date", "13"),
        ProtocolError("payload_version 2"),
    ]
    assert [failure.to_error() for failure in failures] == [
        {"_tag": "SessionLost", "session": "s1", "reason": "released"},
        {
            "_tag": "UnserializableResult",
            "path": "result[0]",
            "pythonType": "generator",
            "repr": "<generator>",
            "reason": "no form",
        },
        {"_tag": "DecodeError", "path": "args[0]", "expected": "a date", "actual": "13"},
        {"_tag": "ProtocolError", "reason": "payload_version 2"},
    ]
    assert str(failures[2]) == "args[0]: expected a date, got 13"


def test_a_cancellation_passes_handlers_of_exceptions() -> None:
    assert not issubclass(CallCancelled, Exception)


def test_reprs_are_bounded() -> None:
    assert bounded_repr("x" * 1_000, 10) == "'xxxxxx..."
    assert len(bounded_repr(list(range(10**6)))) <= 200
    assert len(bounded_repr({"a": {"b": ["c" * 500]}}, 60)) <= 60
