"""Exceptions as the wire describes them."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from snakepit_worker import errors
from snakepit_worker.errors import (
    MAX_CHAIN,
    MAX_FRAMES,
    MAX_MESSAGE,
    CallCancelled,
    DecodeError,
    ProtocolError,
    SessionLost,
    UnserializableResult,
    WorkerFailure,
    bounded_repr,
    describe,
    nearest,
)
from snakepit_worker.values import Packer, Unpacker

FIELDS = [
    "_tag",
    "pythonType",
    "mro",
    "message",
    "args",
    "frames",
    "notes",
    "cause",
    "context",
    "exceptions",
    "call",
]


def caught(function: Any, *args: Any, **kwargs: Any) -> BaseException:
    try:
        function(*args, **kwargs)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def described(error: BaseException, **options: Any) -> Any:
    """The description as the host gets it."""
    packed = Packer().pack(describe(error, **options))
    return Unpacker(lambda *parts: parts, lambda number: number).unpack(packed)


# ---- tags and names ------------------------------------------------------------------------------------------------


class Rate(ValueError):
    pass


class Odd(Exception):
    pass


class Stop(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "tag", "python_type"),
    [
        (ValueError("x"), "ValueError", "ValueError"),
        (Rate("x"), "ValueError", f"{__name__}.Rate"),
        (FileNotFoundError(2, "no file"), "FileNotFoundError", "FileNotFoundError"),
        (OSError("x"), "OSError", "OSError"),
        (Odd("x"), "PythonException", f"{__name__}.Odd"),
        (Exception("x"), "PythonException", "Exception"),
        (Stop("x"), "PythonException", f"{__name__}.Stop"),
        (BaseException("x"), "PythonException", "BaseException"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit", "SystemExit"),
        (StopIteration(1), "StopIteration", "StopIteration"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError", "UnicodeDecodeError"),
    ],
)
def test_the_tag_is_the_nearest_builtin_class(error: BaseException, tag: str, python_type: str) -> None:
    description = described(error)
    assert list(description) == FIELDS
    assert description["_tag"] == tag
    assert description["pythonType"] == python_type
    assert description["mro"][0] == python_type
    assert description["mro"][-1] == "BaseException"


def test_every_public_builtin_exception_is_its_own_tag() -> None:
    for name, kind in vars(builtins).items():
        if not isinstance(kind, type) or not issubclass(kind, BaseException) or name.startswith("_"):
            continue
        if kind not in (Exception, BaseException):
            tag = errors._learn(kind)[0]
            assert tag == kind.__name__, name  # aliases such as IOError have the name of what they are


# ---- messages and args ---------------------------------------------------------------------------------------------


def test_the_message_of_a_key_error_is_the_repr_of_the_key() -> None:
    description = described(KeyError("rate"))
    assert description["message"] == "'rate'"
    assert description["args"] == ["rate"]


def test_a_long_message_is_cut_and_says_so() -> None:
    description = described(ValueError("x" * (MAX_MESSAGE + 5)))
    assert description["message"].startswith("x" * MAX_MESSAGE)
    assert description["message"].endswith("[5 more characters are left out]")
    assert len(description["args"][0]) < MAX_MESSAGE + 50


def test_exceptions_that_cannot_be_shown_are_still_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    description = described(Broken(object()))
    assert "__str__ raised RuntimeError" in description["message"]
    assert description["args"][0].startswith("<object object")


def test_a_message_with_a_lone_surrogate_arrives() -> None:
    assert described(ValueError("a\ud800"))["message"] == "a\ud800"


def test_args_cross_as_values_or_as_their_repr() -> None:
    description = described(ValueError(1, 2.5, None, (1, 2), {"a": {1}}, b"x", object(), float("nan").hex, 2**80))
    assert description["args"][:6] == [1, 2.5, None, (1, 2), {"a": {1}}, b"x"]
    assert description["args"][6].startswith("<object object")
    assert description["args"][7].startswith("<built-in method")
    assert description["args"][8] == 2**80


def test_large_and_many_args_are_bounded() -> None:
    description = described(ValueError(bytes(1_000_000), *range(100)))
    assert len(description["args"][0]) <= 200
    assert description["args"][-1] == "[69 more args are left out]"


# ---- frames --------------------------------------------------------------------------------------------------------


class Model:
    def check(self) -> None:
        raise ValueError("no")


def test_frames_are_outermost_first_with_their_source() -> None:
    frames = described(caught(lambda: Model().check()))["frames"]
    assert [frame["function"] for frame in frames][-1] == ("Model.check" if sys.version_info >= (3, 11) else "check")
    assert frames[-1]["source"] == 'raise ValueError("no")'
    assert frames[-1]["file"] == __file__
    assert frames[-1]["line"] == Model.check.__code__.co_firstlineno + 1
    assert frames[0]["function"] == "caught"


def test_a_deep_traceback_keeps_its_ends_and_says_what_is_missing() -> None:
    def down(levels: int) -> None:
        if levels == 0:
            raise RecursionError("deep enough")
        down(levels - 1)

    description = described(caught(down, 100))
    assert len(description["frames"]) == MAX_FRAMES
    assert description["frames"][0]["function"] == "caught"
    assert "RecursionError" in description["frames"][-1]["source"]
    assert description["notes"] == ["[87 frames of the traceback after the 5 outermost are left out]"]


def test_the_frames_of_the_worker_are_not_shown() -> None:
    def keep(_value: object) -> tuple[str, str, int, str]:
        raise ValueError("full")

    frames = described(caught(Packer(keep).pack_value, object()))["frames"]
    assert {frame["file"] for frame in frames} == {__file__}


def test_the_frames_of_the_import_system_are_not_shown() -> None:
    frames = described(caught(__import__, "snakepit_worker_no_such_module"))["frames"]
    assert {frame["file"] for frame in frames} == {__file__}


def test_code_without_a_file_has_frames_without_a_source() -> None:
    frames = described(caught(exec, "def f():\n    1 / 0\nf()", {}))["frames"]
    assert frames[-1] == {"file": "<string>", "line": 2, "function": "f", "source": ""}


def test_a_syntax_error_says_where() -> None:
    description = described(caught(compile, "a = 1\nb = = 2\n", "given.py", "exec"))
    assert description["frames"][-1] == {"file": "given.py", "line": 2, "function": "<module>", "source": "b = = 2"}
    assert description["notes"] == ["given.py, line 2, column 5"]


# ---- notes, chains, groups -----------------------------------------------------------------------------------------


def test_notes_arrive() -> None:
    error = ValueError("x")
    error.__notes__ = ["while fitting", 5]  # type: ignore[attr-defined]
    assert described(error)["notes"] == ["while fitting", "5"]


def test_a_cause_replaces_the_context() -> None:
    def run() -> None:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise ValueError("b") from error

    description = described(caught(run))
    assert description["cause"]["_tag"] == "KeyError"
    assert description["cause"]["frames"][-1]["source"] == 'raise KeyError("a")'
    assert description["context"] is None


def test_a_context_is_shown_unless_it_is_suppressed() -> None:
    def run(suppress: bool) -> None:
        try:
            raise KeyError("a")
        except KeyError:
            if suppress:
                raise ValueError("b") from None
            raise ValueError("b")  # noqa: B904

    assert described(caught(run, False))["context"]["_tag"] == "KeyError"
    assert described(caught(run, True))["context"] is None


def test_circular_and_endless_chains_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    description = described(one)
    assert description["cause"]["cause"] is None
    assert "holds already" in description["cause"]["notes"][0]

    last = first = ValueError(0)
    for number in range(1, 50):
        last.__cause__ = ValueError(number)
        last = last.__cause__
    depth, link = 0, described(first)
    while link["cause"] is not None:
        depth, link = depth + 1, link["cause"]
    assert depth == MAX_CHAIN - 1
    assert "left out" in link["notes"][0]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_has_its_members() -> None:
    make_group: Any = vars(builtins)["ExceptionGroup"]
    group = make_group("two", [ValueError("a"), make_group("in", [KeyError("b")])])
    description = described(group)
    assert description["_tag"] == "ExceptionGroup"
    assert [member["_tag"] for member in description["exceptions"]] == ["ValueError", "ExceptionGroup"]
    assert description["exceptions"][1]["exceptions"][0]["message"] == "'b'"

    many = described(make_group("many", [ValueError(number) for number in range(500)]))
    assert len(many["exceptions"]) == errors.MAX_MEMBERS
    assert many["notes"] == ["[468 of 500 exceptions of the group are left out]"]


def test_an_attribute_called_exceptions_makes_no_group() -> None:
    error = ValueError("x")
    error.exceptions = [KeyError("a")]  # type: ignore[attr-defined]
    assert described(error)["exceptions"] == []


# ---- nearest names -------------------------------------------------------------------------------------------------


def test_the_nearest_attribute_is_suggested() -> None:
    import math

    message = described(caught(lambda: math.sqr))["message"]  # type: ignore[attr-defined]
    assert message == "module 'math' has no attribute 'sqr'. Did you mean: 'sqrt'?"


def test_the_nearest_name_is_suggested() -> None:
    def run() -> None:
        total_rows = 1
        print(total_row)  # type: ignore[name-defined]  # noqa: F821
        print(total_rows)

    assert described(caught(run))["message"].endswith("Did you mean: 'total_rows'?")


def test_the_nearest_module_and_import_are_suggested() -> None:
    assert described(caught(__import__, "statistcs"))["message"].endswith("Did you mean: 'statistics'?")
    assert described(caught(__import__, "email.mesage"))["message"].endswith("Did you mean: 'email.message'?")
    wrong = described(caught(exec, "from math import sqr", {}))["message"]
    assert "Did you mean: 'sqrt'?" in wrong


def test_the_nearest_keyword_is_suggested_for_the_keywords_of_the_call() -> None:
    import statistics

    payload = {"python_module": "statistics", "function": "quantiles", "args": [[1, 2]], "kwargs": {"metod": "x"}}
    error = caught(statistics.quantiles, [1, 2], metod="x")
    # Python 3.13 suggests keywords itself, without the colon.
    assert described(error, call=payload)["message"].endswith(("Did you mean: 'method'?", "Did you mean 'method'?"))
    # A keyword that is not the call's own was passed by the target to something else.
    assert errors._keyword_suggestion(str(error), payload) == "method"
    assert errors._keyword_suggestion(str(error), {**payload, "kwargs": {}}) is None


def test_nothing_far_away_or_private_is_suggested() -> None:
    assert nearest("sqr", ["sqrt", "_sqr", "sin"]) == "sqrt"
    assert nearest("sqr", ["_sqr"]) is None
    assert nearest("_sqr", ["_sqrt"]) == "_sqrt"
    assert nearest("completely", ["different"]) is None
    assert nearest("dataframe", ["DataFrame"]) == "DataFrame"


def test_objects_that_object_to_being_asked_are_left_alone() -> None:
    class Rude:
        def __dir__(self) -> list[str]:
            raise RuntimeError("no")

    assert "Did you mean" not in described(caught(lambda: Rude().name))["message"]  # type: ignore[attr-defined]


# ---- the call context ----------------------------------------------------------------------------------------------


class Array:
    shape = (2, 3)
    dtype = "float32"


class Rude:
    @property
    def shape(self) -> object:
        raise RuntimeError("no")


def test_the_call_context_names_the_target_and_the_types_of_its_arguments() -> None:
    payload = {
        "payload_version": 1,
        "python_module": "app.train",
        "function": "fit",
        "args": [1, Array(), Rude()],
        "kwargs": {"name": "secret"},
    }
    assert described(ValueError("x"), call=payload)["call"] == {
        "target": "app.train.fit",
        "callType": "function",
        "arguments": [
            {"name": "0", "type": "int"},
            {"name": "1", "type": f"{__name__}.Array", "shape": [2, 3], "dtype": "float32"},
            {"name": "2", "type": f"{__name__}.Rude"},
            {"name": "name", "type": "str"},
        ],
    }


def test_the_call_context_of_a_method_names_the_class_of_its_object() -> None:
    payload = {"call_type": "method", "instance": Model(), "function": "check"}
    context = described(ValueError("x"), call=payload)["call"]
    assert context == {"target": f"{__name__}.Model.check", "callType": "method", "arguments": []}


def test_only_the_outermost_error_has_a_call_context() -> None:
    error = ValueError("x")
    error.__cause__ = KeyError("y")
    description = described(error, call={"function": "f"})
    assert description["call"]["target"] == "builtins.f"
    assert description["cause"]["call"] is None


# ---- failures of the worker ----------------------------------------------------------------------------------------


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
