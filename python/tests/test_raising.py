"""A real worker process whose targets fail in every way they can: each failure arrives, and the worker goes on."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ormsgpack import Ext, packb

from host import Host, Process, call, quick_call, stream

HAS_GROUPS = sys.version_info >= (3, 11)
FUNCTION = Ext(16, packb(7))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Process(tmp_path_factory.mktemp("worker")) as process:
        yield process.open()


class Numbers:
    last = 0


def next_number() -> int:
    Numbers.last += 1
    return Numbers.last


def failure(host: Host, message: dict[str, Any]) -> Any:
    """What a call fails with. The worker answers the call after it too."""
    host.data.send(message)
    found = host.data.exit_of(message["id"])["exit"]
    number = next_number()
    host.data.send(call(number, "math:sqrt", 4.0))
    assert host.data.value_of(number) == 2.0
    assert found["_tag"] == "Failure", found
    return found["cause"][0]["error"]


def raised(host: Host, function: str, *args: object, **fields: Any) -> Any:
    return failure(host, call(next_number(), f"raising:{function}", *args, **fields))


NAMES = [
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not name.startswith("_") and kind.__name__ == name
]


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_exception_arrives_under_its_tag(host: Host, name: str) -> None:
    error = raised(host, "built_in", name)
    assert error["_tag"] == ("PythonException" if name in ("Exception", "BaseException") else name)
    assert error["pythonType"] == name
    assert error["mro"][-1] == "BaseException"
    assert error["frames"][-1]["function"] == "built_in"
    assert error["call"]["target"] == "raising.built_in"


@pytest.mark.parametrize("function", ["items", "async_items"])
def test_an_error_of_a_stream_arrives_after_its_items(host: Host, function: str) -> None:
    number = next_number()
    message = stream(number, f"raising:{function}", 3)
    error = failure(host, message)
    assert error["_tag"] == "LookupError"
    assert error["frames"][-1]["function"] == function
    chunks = [host.data.take(lambda each: each["_tag"] == "Chunk")["values"][0] for _ in range(3)]
    assert chunks == [0, 1, 2]


def call_back(host: Host, function: str) -> Any:
    number = next_number()
    host.data.send(call(number, f"raising:{function}", FUNCTION))
    request = host.data.take(lambda message: message.get("tag") == "snakepit.callback")
    error = {"_tag": "OutOfStock", "message": "none left"}
    exit = {"_tag": "Failure", "cause": [{"_tag": "Fail", "error": error}]}
    host.control.send({"_tag": "Exit", "requestId": request["id"], "exit": exit})
    return request["id"], host.data.exit_of(number)["exit"]["cause"][0]["error"]


def test_the_failure_of_a_callback_says_which_callback_it_was(host: Host) -> None:
    number, error = call_back(host, "call_back")
    assert error["pythonType"] == "snakepit_worker.callbacks.CallbackError"
    assert error["callback"] == number
    assert error["message"] == "none left"
    number, wrapped = call_back(host, "wrap_call_back")
    assert wrapped["_tag"] == "RuntimeError"
    assert "callback" not in wrapped
    assert wrapped["cause"]["callback"] == number


def test_errors_of_constructors_and_attributes_arrive(host: Host) -> None:
    message = call(next_number(), "raising:", class_="Constructed", call_type="class", session_id="s")
    del message["payload"]["function"]
    error = failure(host, message)
    assert (error["_tag"], error["message"]) == ("ValueError", "no such object")
    attribute = raised(host, "attribute")
    assert attribute["message"] == "nothing called anything"


def test_an_error_of_a_destructor_fails_no_call(host: Host) -> None:
    number = next_number()
    host.data.send(call(number, "raising:destroy"))
    assert host.data.value_of(number) == "destroyed"


def test_errors_of_tasks_and_threads_arrive_where_somebody_waits_for_them(host: Host) -> None:
    error = raised(host, "task")
    assert (error["_tag"], error["args"]) == ("KeyError", ["in a task"])
    assert [frame["function"].rpartition(".")[2] for frame in error["frames"]][-1] == "fail"
    assert raised(host, "through_future")["_tag"] == "OSError"
    number = next_number()
    host.data.send(call(number, "raising:in_thread"))
    assert host.data.value_of(number) == "joined"


def test_exceptions_that_cannot_be_shown_arrive(host: Host) -> None:
    error = raised(host, "speechless")
    assert error["pythonType"] == "raising.Speechless"
    assert "__str__ raised SystemExit" in error["message"]
    hostile = raised(host, "hostile")
    assert hostile["pythonType"] == "raising.Hostile"
    assert "describing the exception raised MemoryError" in hostile["message"]
    caused = raised(host, "hostile_cause")
    assert caused["message"] == "true"
    assert caused["cause"]["pythonType"] == "raising.Hostile"
    assert raised(host, "lying")["_tag"] == "PythonException"


def test_args_that_cannot_cross_are_their_repr(host: Host) -> None:
    args = raised(host, "unsendable")["args"]
    assert [arg.partition(" ")[0] for arg in args] == ["<object", "<unlocked", "<function", "<module"]


def test_a_message_of_ten_megabytes_is_cut_and_says_so(host: Host) -> None:
    error = raised(host, "lengthy")
    assert len(error["message"]) < 8_100
    assert error["truncated"][0] == {"field": "message", "kept": 8_000, "total": 10_000_000, "reason": "limit"}


def test_circular_chains_arrive_once(host: Host) -> None:
    error = raised(host, "circular")
    assert error["cause"]["_tag"] == "KeyError"
    assert error["cause"]["cause"] is None
    assert error["cause"]["truncated"][0]["reason"] == "seen"


@pytest.mark.skipif(not HAS_GROUPS, reason="groups came with Python 3.11")
def test_groups_of_any_size_arrive(host: Host) -> None:
    huge = raised(host, "huge_group")
    assert len(huge["exceptions"]) == 32
    assert {"field": "exceptions", "kept": 32, "total": 20_000, "reason": "limit"} in huge["truncated"]
    deep = raised(host, "deep_group")
    depth = 0
    while deep["exceptions"]:
        depth, deep = depth + 1, deep["exceptions"][0]
    assert depth == 7
    assert deep["truncated"][-1]["field"] == "exceptions"


def test_an_endless_recursion_arrives(host: Host) -> None:
    error = raised(host, "recurse")
    assert error["_tag"] == "RecursionError"
    assert len(error["frames"]) == 15
    assert error["truncated"][0]["total"] > 500


def test_the_shapes_that_do_not_fit_arrive_for_the_quick_way_too(host: Host) -> None:
    pytest.importorskip("numpy")
    left, right = [[1.0, 2.0, 3.0]] * 2, [[1.0, 2.0]] * 2
    for _ in range(3):  # the worker knows the call's bytes by the second
        number = next_number()
        host.data.send_frames(quick_call(number, "numpy", "matmul", left, right))
        found = host.data.exit_of(number)["exit"]["cause"][0]["error"]
        assert found["_tag"] == "ValueError"
        assert found["ml"] == {
            "_tag": "ShapeMismatch",
            "operation": "matmul",
            "operands": [{"name": "args[0]", "shape": [2, 3]}, {"name": "args[1]", "shape": [2, 2]}],
            "dimension": {"axes": [1, 0], "sizes": [3, 2]},
            "suggestion": "transpose args[0]: (3, 2) and (2, 2) multiply",
            "decidedBy": "arguments",
        }
