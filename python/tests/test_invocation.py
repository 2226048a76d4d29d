"""What payloads ask for, and payloads against the contract."""

from __future__ import annotations

from typing import Any

import pytest

import targets
from snakepit_worker.errors import ProtocolError, SessionLost, WorkerFailure
from snakepit_worker.invocation import Invoker
from snakepit_worker.resolve import Resolver


def invoke(**fields: object) -> Any:
    payload = {("class" if name == "class_" else name): value for name, value in fields.items()}
    return Invoker(Resolver(False)).invoke({"payload_version": 1, **payload})


def test_calls_a_function_of_builtins_unless_a_module_is_named() -> None:
    assert invoke(function="len", args=[[1, 2]]) == 2
    assert invoke(python_module="targets", function="echo", args=[1], kwargs={"a": 2}) == [[1], {"a": 2}]


def test_null_fields_are_absent_fields() -> None:
    nothing = dict.fromkeys(
        ["call_type", "library", "python_module", "class", "attr", "args", "kwargs", "result", "session_id"]
    )
    assert invoke(function="list", instance=None, idempotent=None, deadline_ms=None, class_=None, **nothing) == []


def test_reaches_every_call_type() -> None:
    thing = targets.Thing()
    on: dict[str, Any] = {"instance": thing, "session_id": "s"}
    made = invoke(call_type="class", python_module="targets", class_="Thing", session_id="s")
    assert isinstance(made, targets.Thing)
    assert invoke(call_type="module_attr", python_module="math", attr="pi") > 3
    assert invoke(call_type="method", function="double", **on) == 2
    assert invoke(call_type="get_attr", attr="value", **on) == 1
    assert invoke(call_type="set_attr", attr="value", args=[5], **on) is None
    assert thing.value == 5
    assert invoke(call_type="item", args=["key"], **on) == "found"
    assert invoke(call_type="item", args=["key", "new"], **on) is None
    assert thing.items == {"key": "new"}
    assert invoke(call_type="iterate", **on) is thing
    assert invoke(call_type="enter", **on) == "entered"
    assert invoke(call_type="exit", **on) == "left with None"
    assert invoke(call_type="exit", args=["why"], **on) == "left with why"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"payload_version": 2, "function": "len"}, "payload_version 2 is not known here; this worker speaks 1"),
        ({"function": "len", "functoin": 1}, "unknown payload fields: functoin; known: args"),
        ({}, "payload field 'function' is missing; expected a text"),
        ({"function": 5}, "payload field 'function': expected a text, got 5"),
        ({"function": "len", "python_module": ["os"]}, "'python_module': expected a text"),
        ({"function": "len", "args": "ab"}, "payload field 'args': expected a list, got 'ab'"),
        ({"function": "len", "args": {"a": 1}}, "payload field 'args': expected a list"),
        ({"function": "len", "kwargs": [1]}, "payload field 'kwargs': expected a map"),
        ({"function": "len", "session_id": 5}, "payload field 'session_id': expected a text, got 5"),
        ({"function": "len", "result": "handle"}, "expected 'value' or 'ref', got 'handle'"),
        ({"call_type": "telepathy"}, "call_type 'telepathy' is not known here; known: function, class"),
        ({"call_type": ["method"]}, "is not known here"),
        ({"call_type": "method", "function": "f"}, "wants an instance"),
        ({"call_type": "get_attr", "instance": 1, "attr": "real", "args": [1]}, "takes 0 arguments, got 1"),
        ({"call_type": "get_attr", "instance": 1, "attr": "real", "kwargs": {"a": 1}}, "takes no keyword arguments"),
        ({"call_type": "set_attr", "instance": 1, "attr": "real"}, "takes 1 arguments, got 0"),
        ({"call_type": "item", "instance": [1]}, "takes 1 to 2 arguments, got 0"),
        ({"call_type": "iterate", "instance": [1], "args": [1]}, "takes 0 arguments, got 1"),
        ({"call_type": "exit", "instance": 1, "args": [1, 2]}, "takes 0 to 1 arguments, got 2"),
    ],
)
def test_refuses_what_the_contract_does_not_allow(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError) as failure:
        invoke(**fields)
    assert reason in str(failure.value)


def test_refuses_a_payload_without_a_version() -> None:
    with pytest.raises(ProtocolError, match="payload_version is missing"):
        Invoker(Resolver(False)).invoke({"function": "len"})


@pytest.mark.parametrize(
    "fields", [{"function": "log.append", "result": "ref"}, {"call_type": "class", "class_": "Thing"}]
)
def test_does_not_run_a_call_whose_ref_would_have_no_session(fields: dict[str, object]) -> None:
    targets.reset()
    with pytest.raises(SessionLost):
        invoke(python_module="targets", args=["ran"], **fields)
    assert targets.log == []


@pytest.mark.parametrize(
    "fields",
    [
        {"call_type": "method", "function": "__init__"},
        {"call_type": "get_attr", "attr": "_hidden"},
        {"call_type": "set_attr", "attr": "_hidden", "args": [1]},
        {"call_type": "get_attr", "attr": "__class__.__bases__"},
    ],
)
def test_private_names_of_objects_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(AttributeError, match="private"):
        invoke(instance=targets.Thing(), session_id="s", **fields)


def test_shapes_of_payloads_are_remembered_up_to_a_bound() -> None:
    invoker = Invoker(Resolver(False))
    names = ["library", "class", "attr", "idempotent", "deadline_ms", "session_id", "result", "instance", "args"]
    for bits in range(2 ** len(names)):
        payload: dict[str, Any] = {"payload_version": 1, "function": "list"}
        payload.update({name: None for index, name in enumerate(names) if bits >> index & 1})
        assert invoker.invoke(payload) == []
    assert len(invoker._shapes) <= 256
    assert issubclass(ProtocolError, WorkerFailure)
