"""Streams: windows, failures, and the end of the iterator however a stream ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import targets
from host import DEADLINE, Host, Wire, call, serve, stream
from snakepit_worker.streams import WINDOW

INTERRUPTED = {"_tag": "Interrupt", "fiberId": None}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    targets.reset()
    yield
    targets.release.set()


def chunk(wire: Wire, number: int = 1) -> object:
    (value,) = wire.take(lambda message: message["_tag"] == "Chunk" and message["requestId"] == number)["values"]
    return value


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("name", ["numbers", "async_numbers", "async_iterable", "promised_numbers"])
def test_runs_a_window_ahead_of_the_acks_and_no_further(threads: int, name: str) -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, f"targets:{name}", *([] if name == "async_iterable" else [1000])))
        assert [chunk(host.data) for _ in range(WINDOW)] == list(range(WINDOW))
        host.control.send({"_tag": "Ack", "requestId": 1}, {"_tag": "Ack", "requestId": 1})
        assert [chunk(host.data), chunk(host.data)] == [WINDOW, WINDOW + 1]
        host.interrupt(1)
        assert host.data.error_of(1) == INTERRUPTED
        produced = [entry for entry in targets.log if isinstance(entry, int)]
        assert len(produced) <= WINDOW + 3
        assert targets.log[-1] == "closed"
        host.data.send(call(2, "math:sqrt", 4))
        assert host.data.value_of(2) == 2.0

    assert serve(script, threads=threads) == 0


def test_a_failure_comes_after_the_items_before_it() -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, "targets:failing_numbers", 2))
        assert [chunk(host.data), chunk(host.data)] == [0, 1]
        assert host.data.error_of(1)["_tag"] == "ValueError"

    serve(script)


def test_an_item_that_cannot_cross_fails_the_stream_with_its_index_and_closes_the_generator() -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, "targets:unsendable_items"))
        assert chunk(host.data) == 1
        assert host.data.error_of(1)["path"] == "result[1]"
        assert targets.log == ["closed"]

    serve(script)


@pytest.mark.parametrize(
    ("name", "tag"),
    [("broken_iterable", "ValueError"), ("facts", None), ("tool_names", None), ("promise", "TypeError")],
)
def test_any_iterable_is_a_stream_and_nothing_else(name: str, tag: str | None) -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, f"targets:{name}"))
        if tag is None:
            assert host.data.value_of(1) is None
        elif name == "promise":
            # what it promises is a text, whose items are its letters
            assert [chunk(host.data) for _ in range(4)] == list("kept")
        else:
            assert host.data.error_of(1)["_tag"] == tag

    serve(script)


def test_a_generator_whose_finally_raises_still_frees_the_worker() -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, "targets:stubborn"))
        assert chunk(host.data) == 0
        host.interrupt(1)
        assert host.data.error_of(1)["_tag"] == "RuntimeError"
        host.data.send(call(2, "math:sqrt", 4))
        assert host.data.value_of(2) == 2.0

    serve(script)


@pytest.mark.parametrize("threads", [0, 1])
def test_stopping_a_stream_between_its_items_tears_no_frame(threads: int) -> None:
    def script(host: Host) -> None:
        for number in range(1, 60):
            host.data.send(stream(number, "targets:numbers", 10**9))
            for _ in range(number % 5 + 1):
                chunk(host.data, number)
                host.control.send({"_tag": "Ack", "requestId": number})
            # acks let it run on while the exception is on its way
            host.control.send(*[{"_tag": "Ack", "requestId": number}] * 20)
            assert host.ask("snakepit.raise", request_id=number) is True
            assert host.data.error_of(number) == INTERRUPTED

    assert serve(script, threads=threads) == 0


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("name", ["slow_cleanup", "slow_cleanup_async"])
def test_the_cleanup_of_a_generator_that_was_left_takes_its_time(threads: int, name: str) -> None:
    def script(host: Host) -> None:
        host.data.send(stream(1, f"targets:{name}"))
        for _ in range(WINDOW):
            chunk(host.data)
        host.interrupt(1)
        assert targets.begun.wait(DEADLINE)
        for _ in range(3):
            assert host.ask("snakepit.raise", request_id=1) is True
        targets.release.set()
        assert host.data.error_of(1) == INTERRUPTED
        assert targets.log == ["cleaned up"]

    assert serve(script, threads=threads) == 0
