"""The control channel: what it answers, also while a call keeps the worker busy, and what it survives."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

import targets
from host import Host, call, serve
from snakepit_worker import control as module


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    targets.reset()
    yield
    targets.release.set()


def ping(host: Host) -> bool:
    host.control.send({"_tag": "Ping"})
    return host.control.take(lambda message: message["_tag"] == "Pong") == {"_tag": "Pong"}


def test_answers_while_a_call_runs() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:wait"))
        assert targets.begun.wait(10)
        assert ping(host)
        stacks = host.ask("snakepit.stack")
        assert "Thread snakepit-control:" in stacks
        assert "in wait" in stacks
        assert host.ask("snakepit.memory")["rss_bytes"] > 1 << 20
        targets.release.set()
        host.data.value_of(1)

    serve(script)


def test_answers_while_a_reply_waits_for_the_host_to_read() -> None:
    def script(host: Host) -> None:
        size = 8 << 20
        host.data.send(call(1, "builtins:bytes", size), call(2, "builtins:bytes", 100_000))
        for _ in range(3):
            assert ping(host)
        assert len(host.data.value_of(1)) == size
        assert len(host.data.value_of(2)) == 100_000

    serve(script)


@pytest.mark.parametrize(
    "message",
    [
        5,
        [],
        {},
        {"_tag": "Gossip"},
        {"_tag": ["Ping"]},
        {"_tag": "Ack"},
        {"_tag": "Ack", "requestId": [1]},
        {"_tag": "Interrupt", "requestId": "1"},
        {"_tag": "Exit", "requestId": {}},
        {"_tag": "Request", "id": 1},
        {"_tag": "Request", "id": 1, "tag": "snakepit.recall", "payload": {"request_ids": 5}},
        {"_tag": "Request", "id": 1, "tag": "snakepit.recall", "payload": {"request_ids": [None]}},
        {"_tag": "Request", "id": 1, "tag": "snakepit.raise", "payload": {}},
    ],
)
def test_malformed_messages_are_answered_by_a_defect(message: object) -> None:
    def script(host: Host) -> None:
        host.control.send(message)
        assert "control" in host.control.take(lambda answer: answer["_tag"] == "Defect")["defect"]
        assert ping(host)
        host.data.send(call(1, "math:sqrt", 4))
        assert host.data.value_of(1) == 2.0

    serve(script)


def test_bytes_that_are_no_message_are_answered_by_a_defect() -> None:
    def script(host: Host) -> None:
        host.control.send_frames(b"\xc1\xc1")
        assert "does not decode" in host.control.take(lambda answer: answer["_tag"] == "Defect")["defect"]
        assert ping(host)

    serve(script)


def test_an_unknown_request_fails() -> None:
    def script(host: Host) -> None:
        host.control.send({"_tag": "Request", "id": 5, "tag": "snakepit.guess", "payload": {}, "headers": []})
        assert "snakepit.guess" in host.control.error_of(5)["defect"]

    serve(script)


def test_messages_about_calls_that_nobody_knows_do_nothing() -> None:
    def script(host: Host) -> None:
        host.data.send(call(5, "math:sqrt", 4))
        host.data.value_of(5)
        host.control.send({"_tag": "Ack", "requestId": 5}, {"_tag": "Interrupt", "requestId": 5})
        host.control.send({"_tag": "Exit", "requestId": 5, "exit": {}})
        assert ping(host)
        assert host.control._read == []

    serve(script)


def test_the_end_of_the_host_is_noticed_by_both_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from snakepit_worker.wire import Channel
    from snakepit_worker.worker import Worker

    lost = threading.Semaphore(0)
    data, worker_data = socket.socketpair()
    control, worker_control = socket.socketpair()
    boot = {"worker": "w", "profile": "process", "threads": 1, "allow_private": False}
    with worker_data, worker_control:
        worker = Worker(boot, Channel(worker_data, 1000), Channel(worker_control, 1000), lost.release)
        data.close()
        control.close()
        worker.serve()
        assert lost.acquire(timeout=10)
        assert lost.acquire(timeout=10)


def test_complaints_need_no_stderr() -> None:
    module.complain("all is well")
    saved = os.dup(2)
    os.close(2)
    try:
        module.complain("nobody hears")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
