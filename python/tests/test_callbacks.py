"""Calling TypeScript: from every kind of thread, with answers of every kind, and when there will be none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ormsgpack import Ext, packb

import targets
from host import Host, call, serve
from snakepit_worker.callbacks import Callback, CallbackError, Callbacks, Tools
from snakepit_worker.context import watch_main
from snakepit_worker.gate import Gate, Running

FUNCTION = Ext(16, packb(7))
TOOLS = [{"name": "add", "description": "adds", "parameters": {"type": "object"}}]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    targets.reset()
    yield
    targets.release.set()


def tools_request(number: int, session: str | None, tools: object = None) -> dict[str, Any]:
    payload = {"session_id": session, "tools": TOOLS if tools is None else tools}
    return {"id": number, "_tag": "Request", "tag": "snakepit.tools", "payload": payload, "headers": []}


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("name", ["call_back", "call_back_async", "call_back_from_thread"])
def test_a_function_passed_as_an_argument_can_be_called(threads: int, name: str) -> None:
    def script(host: Host) -> None:
        for number in (1, 2):
            host.data.send(call(number, f"targets:{name}", FUNCTION, "given"))
            request = host.data.request_of("snakepit.callback")
            assert request["payload"]["callback"] == 7
            assert request["payload"]["args"] == ["given"]
            host.answer(request, {"got": "it"})
            value = host.data.value_of(number)
            assert value == ([{"got": "it"}] if name == "call_back_from_thread" else {"got": "it"})

    serve(script, threads=threads)


@pytest.mark.parametrize(
    ("reason", "said", "tag"),
    [
        ({"_tag": "Fail", "error": {"_tag": "NoStock", "message": "none left"}}, "none left", "NoStock"),
        ({"_tag": "Fail", "error": "a text"}, "a text", None),
        ({"_tag": "Die", "defect": "boom"}, "the TypeScript function died: boom", None),
        ({"_tag": "Interrupt", "fiberId": None}, "the TypeScript function was interrupted", "Interrupt"),
    ],
)
def test_a_function_that_fails_raises(reason: object, said: str, tag: str | None) -> None:
    callbacks = Callbacks(
        Gate(), lambda message, _session: answer(message), lambda frame, _session, _number: frames[bytes(frame)]
    )
    frames: dict[bytes, dict[str, Any]] = {}

    def answer(message: dict[str, Any]) -> None:
        frames[b"answer"] = {"exit": {"_tag": "Failure", "cause": [reason]}}
        callbacks.deliver(message["id"], b"answer")

    with pytest.raises(CallbackError) as failure:
        Callback(callbacks, 1)()
    assert str(failure.value) == said
    assert failure.value.tag == tag
    assert callbacks._waiting == {}


def test_arguments_that_cannot_cross_fail_before_anything_is_sent() -> None:
    def script(host: Host) -> None:
        host.data.send(call(1, "targets:call_back", FUNCTION, 5))
        host.answer(host.data.request_of("snakepit.callback"), None)
        host.data.value_of(1)
        host.data.send(call(2, "targets:use_tool", "add"))
        host.data.error_of(2)

    serve(script)
    callbacks = Callbacks(Gate(), raise_type_error, lambda _frame, _session, _number: {})
    with pytest.raises(TypeError):
        Callback(callbacks, 1)(object())
    assert callbacks._waiting == {}


def raise_type_error(_message: object, _session: object) -> None:
    raise TypeError("it cannot cross")


def test_an_answer_that_cannot_be_read_fails_its_callback_alone() -> None:
    def script(host: Host) -> None:
        for number, answer in enumerate([Ext(99, b""), Ext(15, packb(["other", "w-1", 1, "object"]))], 1):
            host.data.send(call(number, "targets:call_back", FUNCTION))
            host.answer(host.data.request_of("snakepit.callback"), answer)
            error = host.data.error_of(number)
            assert error["pythonType"] == "snakepit_worker.callbacks.CallbackError"
            assert "cannot be read" in error["message"]
        host.data.send(call(5, "math:sqrt", 4))
        assert host.data.value_of(5) == 2.0

    assert serve(script) == 0


def test_answers_that_nobody_waits_for_are_dropped() -> None:
    callbacks = Callbacks(Gate(), lambda _message, _session: None, lambda _frame, _session, _number: {})
    callbacks.deliver(1, b"")


def test_no_answer_comes_once_the_host_is_gone() -> None:
    sent = threading.Event()
    callbacks = Callbacks(Gate(), lambda _message, _session: sent.set(), lambda _frame, _session, _number: {})
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            Callback(callbacks, 1)()
        except CallbackError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert sent.wait(10)
    callbacks.close()
    thread.join()
    assert "closed the connection" in str(failures[0])
    with pytest.raises(CallbackError, match="closed the connection"):
        Callback(callbacks, 1)()


def test_a_forked_child_cannot_call_and_does_not_wait_for_the_lock() -> None:
    callbacks = Callbacks(Gate(), lambda _message, _session: None, lambda _frame, _session, _number: {})
    callbacks._lock.acquire()
    callbacks.after_fork()
    with pytest.raises(CallbackError, match="forked"):
        Callback(callbacks, 1)()


def test_stopping_a_call_that_calls_back_tears_no_frame() -> None:
    def script(host: Host) -> None:
        for number in range(1, 40):
            host.data.send(call(number, "targets:call_back_spinning", FUNCTION))
            for _ in range(number % 4 + 1):
                host.answer(host.data.request_of("snakepit.callback"), None)
            assert host.ask("snakepit.raise", request_id=number) is True
            host.control.send(
                *(
                    {"_tag": "Exit", "requestId": other, "exit": {"_tag": "Success", "value": None}}
                    for other in range(500)
                )
            )
            assert host.data.error_of(number) == {"_tag": "Interrupt", "fiberId": None}
            host.data._read.clear()

    for threads in (0, 1):
        assert serve(script, threads=threads) == 0


# ---- tools ---------------------------------------------------------------------------------------------------------


def test_tools_are_seen_by_the_calls_of_their_session_or_of_all() -> None:
    def script(host: Host) -> None:
        host.data.send(tools_request(1, None), tools_request(2, "s", [{**TOOLS[0], "name": "own"}]))
        host.data.send(call(3, "targets:tool_names"), call(4, "targets:tool_names", session_id="s"))
        host.data.send(call(5, "targets:tool_names", session_id="t"))
        assert [host.data.value_of(number) for number in (3, 4, 5)] == [["add"], ["add", "own"], ["add"]]
        host.data.send(call(6, "targets:use_tool", "own", kwargs={"a": 1}, session_id="s"))
        request = host.data.request_of("snakepit.callback")
        assert request["payload"] == {
            "request_id": 6,
            "session_id": "s",
            "tool": "own",
            "args": [],
            "kwargs": {"a": 1},
        } or request["payload"]["kwargs"] == {"name": "own", "a": 1}
        host.answer(request, 5)
        assert host.data.value_of(6) == 5
        host.data.send({**tools_request(7, "s"), "tag": "snakepit.release", "payload": {"session_id": "s"}})
        host.data.send(call(8, "targets:use_tool", "own", session_id="s"))
        assert "registered: add" in host.data.error_of(8)["message"]

    serve(script)


def test_tools_tell_what_they_are() -> None:
    watch_main(lambda: None)
    tools = Tools()
    tools.register(Callbacks(Gate(), lambda _m, _s: None, lambda _f, _s, _n: {}), None, TOOLS)
    assert "add" in tools
    assert "own" not in tools
    assert len(tools) == 1
    assert (tools["add"].description, tools["add"].parameters) == ("adds", {"type": "object"})
    assert repr(tools["add"]) == "<tool 'add': adds>"
    with pytest.raises(KeyError, match="no tool 'own'; registered: add"):
        tools["own"]
    assert sorted(tools) == ["add"]
    assert [tool.name for tool in tools.values()] == ["add"]
    assert dict(tools) == {"add": tools["add"]}
    assert tools.get("own") is None
    assert repr(Callback(Callbacks(Gate(), lambda _m, _s: None, lambda _f, _s, _n: {}), 3)) == "<TypeScript function 3>"


def test_a_callback_outside_any_call_belongs_to_none() -> None:
    watch_main(lambda: None)
    messages: list[dict[str, Any]] = []

    def send(message: dict[str, Any], session: str | None) -> None:
        messages.append(message)
        assert session is None
        callbacks.deliver(message["id"], b"")

    callbacks = Callbacks(Gate(), send, lambda _frame, _session, _number: {"exit": {"_tag": "Success", "value": 5}})
    assert Callback(callbacks, 1)("a", b=2) == 5
    assert messages[0]["payload"] == {
        "request_id": None,
        "session_id": None,
        "callback": 1,
        "args": ["a"],
        "kwargs": {"b": 2},
    }
    watch_main(lambda: Running({"id": 9, "payload": {}}))
    Callback(callbacks, 1)()
    assert messages[1]["payload"]["request_id"] == 9
    watch_main(lambda: None)
