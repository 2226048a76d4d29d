"""Calls from request to reply, on a worker in this process whose requests are read by the main thread."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import targets
from host import DEADLINE, Host, call, quick_call, serve, stream

INTERRUPTED = {"_tag": "Interrupt", "fiberId": None}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    targets.reset()
    yield
    targets.release.set()


# ---- results and failures ------------------------------------------------------------------------------------------


def test_answers_calls_in_the_general_and_in_the_quick_way_alike() -> None:
    def script(host: Host) -> None:
        for number in range(1, 6):
            host.data.send_frames(quick_call(number, "math", "sqrt", number * number))
            assert host.data.value_of(number) == float(number)
        for number, value in enumerate(["text", b"bytes", None, True, 1.5, 2**70, [1, {"a": None}]], 10):
            host.data.send_frames(quick_call(number, "targets", "identity", value if value != 2**70 else 1))
            assert host.data.value_of(number) == (value if value != 2**70 else 1)

    assert serve(script) == 0


def test_calls_that_fail_the_quick_way_tell_of_their_own_arguments() -> None:
    def script(host: Host) -> None:
        for number, (value, kind) in enumerate(
            [(1, "int"), (-1.5, "float"), (-1, "int"), ("x", "str"), (None, "NoneType")], 1
        ):
            host.data.send_frames(quick_call(number, "math", "sqrt", value))
            if value == 1:
                assert host.data.value_of(number) == 1.0
            else:
                call = host.data.error_of(number)["call"]
                assert call == {
                    "target": "math.sqrt",
                    "callType": "function",
                    "arguments": [{"name": "0", "type": kind}],
                }

    assert serve(script) == 0


class _Moody:
    """Has a method that another object answers for."""

    mood: BaseException | None = None

    @property
    def double(self) -> Any:
        if self.mood is not None:
            raise self.mood
        return lambda value: 2 * value


def test_code_that_answers_for_a_target_is_part_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    moody = _Moody()
    monkeypatch.setattr(targets, "moody", moody, raising=False)

    def script(host: Host) -> None:
        number = 0
        for mood in [None, RuntimeError("no"), None, SystemExit(3), ValueError("bad"), AttributeError("gone"), None]:
            moody.mood = mood
            number += 1
            host.data.send_frames(quick_call(number, "targets.moody", "double", 21))
            if mood is None:
                assert host.data.value_of(number) == 42
            else:
                error = host.data.error_of(number)
                assert (error["_tag"], error["message"]) == (type(mood).__name__, str(mood))
        monkeypatch.delattr(targets, "moody")
        host.data.send_frames(quick_call(number + 1, "targets.moody", "double", 21))
        assert "module 'targets' has no attribute 'moody'" in host.data.error_of(number + 1)["message"]

    assert serve(script) == 0


def test_measures_a_sampled_call() -> None:
    def script(host: Host) -> None:
        host.data.send({**call(1, "math:sqrt", 4), "sampled": True})
        assert host.data.exit_of(1)["pythonMicros"] >= 0
        host.data.send({**call(2, "targets:async_echo", 4), "sampled": True})
        assert host.data.exit_of(2)["pythonMicros"] >= 0
        host.data.send(call(3, "math:sqrt", 4))
        assert "pythonMicros" not in host.data.exit_of(3)

    serve(script)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(
    ("target", "tag"),
    [
        ("targets:leave", "SystemExit"),
        ("targets:interrupt", "KeyboardInterrupt"),
        ("targets:recurse", "RecursionError"),
        ("targets:exhaust", "MemoryError"),
        ("targets:async_leave", "SystemExit"),
        ("targets:cancels_itself", "PythonException"),
        ("targets:future", "UnserializableResult"),
        ("targets:broken_iterable", "UnserializableResult"),
        ("targets:missing", "AttributeError"),
        ("nowhere:missing", "ModuleNotFoundError"),
        ("targets:begun", "TypeError"),
    ],
)
def test_whatever_a_target_raises_fails_its_call_alone(threads: int, target: str, tag: str) -> None:
    def script(host: Host) -> None:
        module, _, name = target.partition(":")
        for number in (1, 2, 3):
            host.data.send_frames(quick_call(number, module, name))
            assert host.data.error_of(number)["_tag"] == tag
        host.data.send(call(4, "math:sqrt", 4))
        assert host.data.value_of(4) == 2.0

    assert serve(script, threads=threads) == 0


def test_an_exception_that_cannot_be_described_still_fails_its_call() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:unspeakable"))
        error = host.data.error_of(1)
        assert error["_tag"] == "PythonException"
        assert error["pythonType"] == "targets.Unspeakable"
        assert error["mro"][:2] == ["targets.Unspeakable", "Exception"]
        assert "SystemExit" in error["message"]

    serve(script)


def test_a_result_that_is_nested_too_deeply_fails_with_its_path() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:nested", 100_000))
        assert host.data.error_of(1)["_tag"] == "UnserializableResult"
        host.data.send(call(2, "targets:nested", 100))
        assert host.data.value_of(2) is not None

    serve(script)


def test_a_target_may_run_a_loop_of_its_own() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:own_loop"))
        assert host.data.value_of(1) == "from a loop of its own"

    serve(script)


def test_a_generator_is_no_result_of_a_call_outside_sessions() -> None:
    def script(host: Host) -> None:
        for number, name in enumerate(["numbers", "async_numbers"], 1):
            host.data.send(call(number, f"targets:{name}", 3))
            assert "Snakepit.stream" in host.data.error_of(number)["reason"]

    serve(script)


def test_a_name_with_bytes_like_the_args_field_takes_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    # UTF-8 of "äargs" holds 0xa4 and "args", which is how the field's own name is written
    monkeypatch.setattr(targets, "äargs1", lambda value: ["one", value], raising=False)
    monkeypatch.setattr(targets, "äargs2", lambda value: ["two", value], raising=False)

    def script(host: Host) -> None:
        for number, (name, said) in enumerate([("äargs1", "one"), ("äargs2", "two")] * 2, 1):
            host.data.send_frames(quick_call(number, "targets", name, number))
            assert host.data.value_of(number) == [said, number]

    serve(script)


def test_what_a_call_can_ask_about_itself() -> None:
    def script(host: Host) -> None:
        request = call(1, "targets:facts", session_id="s", deadline_ms=2_000)
        host.data.send({**request, "traceId": "a" * 32, "spanId": "b" * 16, "sampled": True})
        assert host.data.value_of(1) == ["s", 2.0, f"00-{'a' * 32}-{'b' * 16}-01"]
        host.data.send_frames(quick_call(2, "targets", "facts"), quick_call(3, "targets", "facts"))
        assert host.data.value_of(2) == host.data.value_of(3) == [None, None, None]

    for threads in (0, 1):
        serve(script, threads=threads)


# ---- waiting calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 1])
def test_a_call_that_is_taken_back_before_it_begins_never_runs(threads: int) -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:wait"))
        assert targets.begun.wait(10)
        host.data.send(call(2, "targets:log.append", "ran"), call(3, "targets:log.append", "ran"))
        host.data.send(call(4, "targets:identity", "ran"))
        host.interrupt(2)
        assert host.control.exit_of(2)["started"] is False
        assert host.ask("snakepit.recall", request_ids=[1, 3, 99]) == [3, 99]
        targets.release.set()
        assert host.data.value_of(1) == "released"
        assert host.data.value_of(4) == "ran"
        assert targets.log == []

    serve(script, threads=threads)


# ---- cancelling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 2])
def test_cancelling_is_seen_by_targets_that_ask(threads: int) -> None:
    def script(host: Host) -> None:
        for number in (1, 2, 3):
            targets.begun.clear()
            host.data.send_frames(quick_call(number, "targets", "poll"))
            assert targets.begun.wait(10)
            host.interrupt(number)
            assert host.data.value_of(number) == "polled"

    serve(script, threads=threads)


@pytest.mark.parametrize("threads", [0, 2])
def test_stopping_raises_in_running_python_code_again_and_again(threads: int) -> None:
    def script(host: Host) -> None:
        for number in range(1, 40):
            targets.begun.clear()
            host.data.send_frames(quick_call(number, "targets", "spin"))
            assert targets.begun.wait(10)
            assert host.ask("snakepit.raise", request_id=number) is True
            assert host.data.error_of(number) == INTERRUPTED
        assert host.ask("snakepit.raise", request_id=1) is False

    assert serve(script, threads=threads) == 0


def test_stopping_ends_a_system_call_of_the_main_thread() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:nap"))
        assert targets.begun.wait(10)
        assert host.ask("snakepit.raise", request_id=1) is True
        assert host.data.error_of(1) == INTERRUPTED

    serve(script)


def test_a_signal_that_comes_too_early_for_a_system_call_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    send = signal.pthread_kill
    sent: list[int] = []

    def lose_the_first(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) > 1:
            send(thread, number)

    monkeypatch.setattr(signal, "pthread_kill", lose_the_first)

    def script(host: Host) -> None:
        host.data.send(call(1, "targets:nap"))
        assert targets.begun.wait(10)
        assert host.ask("snakepit.raise", request_id=1) is True
        assert host.data.error_of(1) == INTERRUPTED
        assert len(sent) > 1

    serve(script)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_target_that_survives_being_stopped_answers(threads: int) -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:swallow"))
        assert targets.begun.wait(10)
        host.ask("snakepit.raise", request_id=1)
        assert host.data.value_of(1) == "survived"

    serve(script, threads=threads)


@pytest.mark.parametrize("threads", [0, 1])
def test_stopping_strikes_the_call_or_misses_it_but_never_the_worker(threads: int) -> None:
    """Calls that end as the stop arrives: each is answered once, and the next is served."""

    def script(host: Host) -> None:
        for number in range(1, 600, 2):
            host.data.send_frames(
                quick_call(number, "targets", "identity", [1]), quick_call(number + 1, "math", "sqrt", 4)
            )
            host.ask("snakepit.raise", request_id=number)
            exit = host.data.exit_of(number)["exit"]
            assert exit == {"_tag": "Success", "value": [1]} or exit["cause"] == [INTERRUPTED]
            assert host.data.value_of(number + 1) == 2.0

    assert serve(script, threads=threads) == 0


def test_a_signal_to_interrupt_raises_in_the_target_and_leaves_an_idle_worker_alone() -> None:
    def script(host: Host) -> None:
        import os
        import signal

        host.data.send(call(1, "targets:spin"))
        assert targets.begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)
        assert host.data.error_of(1)["_tag"] == "KeyboardInterrupt"
        os.kill(os.getpid(), signal.SIGINT)
        host.data.send(call(2, "math:sqrt", 4))
        assert host.data.value_of(2) == 2.0

    assert serve(script) == 0


def test_a_target_that_took_over_the_signal_is_not_sent_it() -> None:
    def script(host: Host) -> None:
        import signal

        host.data.send(call(1, "signal:signal", int(signal.SIGUSR1), int(signal.SIG_DFL)))
        host.data.exit_of(1)
        host.data.send(call(2, "targets:wait"))
        assert targets.begun.wait(10)
        assert host.ask("snakepit.raise", request_id=2) is True
        targets.release.set()
        assert host.data.value_of(2) == "released"

    serve(script)


# ---- the event loop ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 1])
def test_awaits_whatever_a_target_answers_that_can_be_awaited(threads: int) -> None:
    def script(host: Host) -> None:
        number = 0
        for name, args, expected in [
            ("async_echo", ["plain"], "plain"),
            ("partial_async", [], "of a partial"),
            ("promise", [], "kept"),
        ]:
            for _ in range(2):
                number += 1
                host.data.send_frames(quick_call(number, "targets", name, *args))
                assert host.data.request_of("snakepit.parked")["payload"] == {"request_id": number}
                assert host.data.value_of(number) == expected

    serve(script, threads=threads)


@pytest.mark.parametrize("rung", ["interrupt", "raise"])
def test_cancels_a_task_and_runs_its_finally(rung: str) -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:async_wait"))
        assert targets.begun.wait(10)
        if rung == "interrupt":
            host.interrupt(1)
        else:
            assert host.ask("snakepit.raise", request_id=1) is True
        assert host.data.error_of(1) == INTERRUPTED
        assert targets.log == ["cleaned"]

    serve(script)


def test_a_task_that_is_cancelled_before_its_first_step_is_answered() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:block_the_loop"))
        assert targets.begun.wait(10)
        for number in range(2, 6):
            host.data.send_frames(quick_call(number, "targets", "async_wait"))
        for number in range(2, 6):
            host.data.take(lambda message, number=number: message.get("payload") == {"request_id": number})
            host.interrupt(number)
        host.ask("snakepit.memory")
        targets.release.set()
        assert host.data.value_of(1) == "released"
        for number in range(2, 6):
            assert host.data.error_of(number) == INTERRUPTED

    serve(script)
    gc.collect()


@pytest.mark.parametrize("name", ["stops_the_loop", "leaves_a_task_that_exits"])
def test_the_loop_goes_on_for_the_others(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, f"targets:{name}"))
        assert host.data.value_of(1) == "still here"
        host.data.send(call(2, "targets:async_echo", 2))
        assert host.data.value_of(2) == 2

    serve(script)
    gc.collect()


# ---- sessions ------------------------------------------------------------------------------------------------------


def made(host: Host, number: int, session: str = "s", name: str = "Thing") -> Any:
    """A ref, as the extension that it is."""
    from ormsgpack import Ext

    host.data.send(call(number, "targets:", call_type="class", class_=name, session_id=session))
    code, data = host.data.value_of(number)
    return Ext(code, data)


def on(number: int, instance: object, call_type: str, *args: object, **fields: object) -> dict[str, Any]:
    payload = {"payload_version": 1, "call_type": call_type, "instance": instance, "args": list(args)}
    payload.update({"session_id": "s", **fields})
    return {"id": number, "_tag": "Request", "tag": "snakebridge.call", "headers": [], "payload": payload}


def send_refs(host: Host, *requests: dict[str, Any]) -> None:
    from ormsgpack import OPT_PASSTHROUGH_SUBCLASS, packb

    host.data.send_frames(*(packb(request, None, OPT_PASSTHROUGH_SUBCLASS) for request in requests))


def test_a_ref_is_refused_in_another_session() -> None:
    def script(host: Host) -> None:
        ref = made(host, 1)
        send_refs(host, on(2, ref, "method", function="double"))
        assert host.data.value_of(2) == 2
        send_refs(host, on(3, ref, "method", function="double", session_id="other"))
        assert host.data.error_of(3)["_tag"] == "SessionLost"
        send_refs(host, on(4, ref, "method", function="double", session_id=None))
        assert host.data.error_of(4)["_tag"] == "SessionLost"

    serve(script)


def test_a_session_that_is_released_while_its_call_runs_keeps_nothing() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:wait", session_id="s", result="ref"))
        assert targets.begun.wait(10)
        host.data.send({**call(2, ""), "tag": "snakepit.release", "payload": {"session_id": "s"}})
        assert host.data.value_of(2) is None
        targets.release.set()
        assert host.data.error_of(1)["_tag"] == "SessionLost"

    serve(script, threads=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destructor_that_raises_fails_no_release() -> None:
    def script(host: Host) -> None:
        made(host, 1, name="Grudge")
        host.data.send({**call(2, ""), "tag": "snakepit.release", "payload": {"session_id": "s"}})
        assert host.data.value_of(2) is None
        assert targets.log == ["destroyed"]

    serve(script)


# ---- streams -------------------------------------------------------------------------------------------------------


def test_a_call_of_a_generator_in_a_session_can_be_iterated_later() -> None:
    def script(host: Host) -> None:
        from ormsgpack import Ext

        for number, name in ((1, "numbers"), (3, "async_numbers")):
            host.data.send(call(number, f"targets:{name}", 3, session_id="s"))
            ref = Ext(*host.data.value_of(number))
            send_refs(host, on(number + 1, ref, "iterate"))
            assert host.data.value_of(number + 1) == [0, 1, 2]

    serve(script)


def test_a_stream_answers_its_items_and_null() -> None:
    def script(host: Host) -> None:
        for number, name in enumerate(["numbers", "async_numbers", "promised_numbers"], 1):
            host.data.send(stream(number, f"targets:{name}", 3))
            chunks = [host.data.take(lambda message: message["_tag"] == "Chunk")["values"] for _ in range(3)]
            assert chunks == [[0], [1], [2]]
            assert host.data.value_of(number) is None

    serve(script)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(
    ("target", "kind", "tag"),
    [
        ("unresolved", "Unresolved", "ValueError"),
        ("unreadable", "Unreadable", "PythonException"),
        ("unresolved_async", "Unresolved", "ValueError"),
        ("unresolved_iterable", "Unresolved", "ValueError"),
    ],
)
def test_an_exception_whose_attributes_raise_fails_its_call_by_its_real_type(
    threads: int, target: str, kind: str, tag: str
) -> None:
    def script(host: Host) -> None:
        for number in (1, 2, 3):
            host.data.send((stream if target == "unresolved_iterable" else call)(number, f"targets:{target}"))
            error = host.data.error_of(number)
            assert (error["_tag"], error["pythonType"]) == (tag, f"targets.{kind}")
        host.data.send(call(4, "math:sqrt", 4))
        assert host.data.value_of(4) == 2.0

    assert serve(script, threads=threads) == 0


def test_the_cleanup_of_a_task_that_was_cancelled_takes_its_time() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:slow_cleanup_of_call"))
        host.data.request_of("snakepit.parked")
        while not targets.log:
            host.ask("snakepit.memory")
        host.interrupt(1)
        assert targets.begun.wait(DEADLINE)
        for _ in range(3):
            assert host.ask("snakepit.raise", request_id=1) is True
        targets.release.set()
        assert host.data.error_of(1) == {"_tag": "Interrupt", "fiberId": None}
        assert targets.log == ["begun", "cleaned up"]

    assert serve(script) == 0


def test_a_task_that_other_code_cancels_before_its_first_step_is_answered() -> None:
    from snakepit_worker.event_loop import EventLoop

    def start(self: Any, coroutine: Any, on_done: Any) -> None:
        def begin() -> None:
            task = self._loop.create_task(coroutine)
            task.add_done_callback(on_done)
            task.cancel()

        self._loop.call_soon_threadsafe(begin)

    def script(host: Host) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EventLoop, "start", start)
            host.data.send(call(1, "targets:slow_cleanup_of_call"))
            assert host.data.error_of(1)["pythonType"] == "asyncio.exceptions.CancelledError"

    assert serve(script) == 0
