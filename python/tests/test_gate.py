"""Calls begin or are taken back; exceptions from outside come while the target runs, once, or not at all."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from snakepit_worker.errors import CallCancelled
from snakepit_worker.gate import Gate, Running


def running(number: int, thread: int | None = None) -> Running:
    made = Running({"id": number, "payload": {}})
    if thread is not None:
        made.thread = thread
    return made


def stop_by_signal(gate: Gate, number: int) -> None:
    gate.stop(number)
    gate.on_stop(signal.SIGUSR1, None)


def test_a_call_that_was_taken_back_does_not_begin_and_the_next_does() -> None:
    gate = Gate()
    assert gate.drop(1)
    assert gate.refusing
    assert not gate.begin_on_main(running(1))
    assert not gate.refusing
    assert gate.begin_on_main(running(2))
    assert not gate.drop(2)
    assert not gate.drop(1)
    assert not gate.refusing


def test_a_queued_call_can_be_taken_back_until_it_begins() -> None:
    gate = Gate()
    gate.queue(1)
    gate.queue(2)
    assert gate.drop(2)
    assert gate.begin(running(1, 1))
    assert not gate.begin(running(2, 1))
    assert not gate.drop(1)
    assert not gate.refusing


def test_a_call_that_was_taken_back_before_it_was_queued_does_not_begin() -> None:
    gate = Gate()
    assert gate.drop(1)
    gate.queue(1)
    assert not gate.begin(running(1, 1))


def test_a_call_that_cannot_be_read_can_no_longer_be_taken_back() -> None:
    gate = Gate()
    assert gate.skip(1)
    assert not gate.drop(1)
    assert gate.drop(2)
    assert not gate.skip(2)
    assert not gate.refusing


def test_exactly_one_of_begin_and_drop_wins() -> None:
    gate = Gate()
    rounds = 2000
    dropped: list[bool] = []
    ready, go = threading.Barrier(2), threading.Barrier(2)

    def drop() -> None:
        for number in range(1, rounds + 1):
            ready.wait()
            dropped.append(gate.drop(number))
            go.wait()

    thread = threading.Thread(target=drop)
    thread.start()
    for number in range(1, rounds + 1):
        ready.wait()
        began = gate.begin_on_main(running(number))
        go.wait()
        assert began != dropped[-1]
    thread.join()


def test_marks_of_a_lent_record_are_of_one_number() -> None:
    gate = Gate()
    lent = running(1)
    gate.begin_on_main(lent)
    gate.cancel(1)
    gate.stop(1)
    assert lent.cancelled
    assert lent.stopping
    lent.id = 2
    assert not lent.cancelled
    assert not lent.stopping
    assert not lent.struck
    gate.on_stop(signal.SIGUSR1, None)  # too late for 1, and none of 2's business


def test_a_stop_strikes_the_target_once() -> None:
    gate = Gate()
    call = running(1)
    gate.begin_on_main(call)
    with pytest.raises(CallCancelled):
        stop_by_signal(gate, 1)
    stop_by_signal(gate, 1)
    gate.on_interrupt(signal.SIGINT, None)


def test_a_stop_waits_for_the_end_of_a_shield() -> None:
    gate = Gate()
    call = running(1)
    gate.begin_on_main(call)
    reached: list[str] = []
    with pytest.raises(CallCancelled), gate.shield(call):  # noqa: PT012  # what happens inside is what is tested
        with gate.shield(call):
            stop_by_signal(gate, 1)
            reached.append("inner")
        reached.append("outer")
    assert reached == ["inner", "outer"]


def test_nothing_is_raised_once_the_target_is_done() -> None:
    gate = Gate()
    call = running(1)
    gate.begin_on_main(call)
    gate.leave(call)
    stop_by_signal(gate, 1)
    gate.on_interrupt(signal.SIGINT, None)


def test_a_shield_on_a_thread_other_than_the_calls_does_nothing() -> None:
    gate = Gate()
    call = running(1)
    gate.begin_on_main(call)
    seen: list[bool] = []

    def other() -> None:
        with gate.shield(call):
            seen.append(call.shielded)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [False]
    with gate.shield(None):
        assert not call.shielded


def test_an_exception_on_its_way_to_another_thread_arrives_before_the_target_is_left() -> None:
    """Stops race with the end of the target; what comes after `leave` is never struck."""
    gate = Gate()
    outcomes: list[str] = []
    rounds = 300
    ready = threading.Barrier(2)

    def work() -> None:
        for number in range(1, rounds + 1):
            call = running(number, threading.get_ident())
            outcome = "done"
            try:
                gate.begin(call)
                ready.wait()
                try:
                    for _ in range(number % 50):
                        pass
                finally:
                    gate.leave(call)
            except CallCancelled:
                call.shielded = True
                outcome = "stopped"
            total = sum(range(200))  # the worker packs
            assert total == 19900
            outcomes.append(outcome)
            ready.wait()
            gate.end(call)

    thread = threading.Thread(target=work)
    thread.start()
    for number in range(1, rounds + 1):
        ready.wait()
        gate.stop(number)
        ready.wait()
    thread.join()
    assert len(outcomes) == rounds


def test_nothing_begins_after_close_and_drain_waits_for_the_rest() -> None:
    gate = Gate()
    call = running(1, 1)
    assert gate.begin(call)
    gate.close()
    assert not gate.begin(running(2, 1))
    assert not gate.begin_on_main(running(3))
    assert gate.refuses(4)
    drained = threading.Event()

    def drain() -> None:
        gate.drain()
        drained.set()

    thread = threading.Thread(target=drain)
    thread.start()
    assert not drained.is_set()
    gate.end(call)
    assert drained.wait(10)
    thread.join()
    gate.drain()


def test_finds_calls_on_every_thread() -> None:
    gate = Gate()
    main, beside = running(1), running(2, 1)
    gate.begin_on_main(main)
    gate.begin(beside)
    found: list[Any] = [gate.find(number) for number in (1, 2, 3)]
    assert found == [main, beside, None]
    gate.move(main)
    assert gate.on_main is None
    assert gate.find(1) is main
    gate.end(main)
    assert gate.find(1) is None


def test_an_exception_that_python_has_dropped_is_raised_again() -> None:
    gate = Gate()
    call = running(1)
    gate.begin_on_main(call)
    with pytest.raises(CallCancelled):
        stop_by_signal(gate, 1)
    assert call.struck
    gate.on_swallowed()
    with pytest.raises(CallCancelled):
        stop_by_signal(gate, 1)
    beside = running(2, 1)
    gate.begin(beside)
    gate.stop(2)
    beside.strike()
    gate.on_swallowed()  # on a thread that is not the call's
    assert beside.struck
