"""Exceptions as the wire describes them."""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from describing import caught, described
from snakepit_worker import description, tracebacks
from snakepit_worker.description import MAX_CHAIN, MAX_MEMBERS, Describer, ErrorOptions, call_context, tag_of
from snakepit_worker.redaction import Redaction
from snakepit_worker.values import Packer

LIMITS = ErrorOptions()

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
            tag = tag_of(kind)
            assert tag == kind.__name__, name  # aliases such as IOError have the name of what they are


# ---- messages and args ---------------------------------------------------------------------------------------------


def test_the_message_of_a_key_error_is_the_repr_of_the_key() -> None:
    description = described(KeyError("rate"))
    assert description["message"] == "'rate'"
    assert description["args"] == ["rate"]


def test_a_long_message_is_cut_and_says_so() -> None:
    description = described(ValueError("x" * (LIMITS.max_message + 5)))
    assert description["message"].startswith("x" * LIMITS.max_message)
    assert description["message"].endswith("[5 more characters are left out]")
    assert description["truncated"] == [
        {"field": "message", "kept": LIMITS.max_message, "total": LIMITS.max_message + 5, "reason": "limit"},
        {"field": "args[0]", "kept": LIMITS.max_message, "total": LIMITS.max_message + 5, "reason": "limit"},
    ]
    assert len(description["args"][0]) < LIMITS.max_message + 50


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
    assert len(description["args"]) == 32
    assert [(mark["field"], mark["kept"]) for mark in description["truncated"]] == [
        ("message", 8000),
        ("args", 32),
        ("args[0]", 0),
    ]


def test_all_args_of_a_report_together_are_bounded() -> None:
    error = ValueError(*[bytes(60_000) for _ in range(10)])
    error.__cause__ = ValueError(bytes(60_000))
    description = described(error)
    assert [type(arg) for arg in description["args"]] == [bytes] * 4 + [str] * 6
    assert type(description["cause"]["args"][0]) is str
    assert len(description["truncated"]) == 7


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
    assert len(description["frames"]) == LIMITS.max_frames
    assert description["frames"][0]["function"] == "caught"
    assert "RecursionError" in description["frames"][-1]["source"]
    assert description["notes"] == []
    assert description["truncated"] == [{"field": "frames", "kept": 15, "total": 102, "reason": "limit", "after": 5}]
    few = described(caught(down, 100), max_frames=3)
    assert [frame["function"].rpartition(".")[2] for frame in few["frames"]] == ["caught", "down", "down"]
    none = described(caught(down, 100), max_frames=0)
    assert none["frames"] == []
    assert none["truncated"][0]["kept"] == 0


def test_the_frames_of_the_worker_are_not_shown() -> None:
    def keep(_value: object) -> tuple[str, str, int, str]:
        raise ValueError("full")

    frames = described(caught(Packer(keep).pack_value, object()))["frames"]
    assert {os.path.dirname(frame["file"]) for frame in frames} == {os.path.dirname(__file__)}


def test_the_frames_of_the_import_system_are_not_shown() -> None:
    frames = described(caught(importlib.import_module, "snakepit_worker_no_such_module"))["frames"]
    assert {os.path.dirname(frame["file"]) for frame in frames} == {os.path.dirname(__file__)}


def test_code_without_a_file_has_frames_without_a_source() -> None:
    frames = described(caught(exec, "def f():\n    1 / 0\nf()", {}))["frames"]
    assert frames[-1] == {"file": "<string>", "line": 2, "function": "f", "source": ""}


def test_a_syntax_error_says_where() -> None:
    description = described(caught(compile, "a = 1\nb = = 2\n", "given.py", "exec"))
    assert description["frames"][-1]["function"] == "caught"
    place = {"file": "given.py", "line": 2, "source": "b = = 2", "column": 5, "caret": [4, 5]}
    assert description["syntax"] == place


def test_the_caret_of_a_syntax_error_counts_without_the_indentation() -> None:
    text = "def f():\n    return (1 +\n"
    syntax = described(caught(compile, text, "given.py", "exec"))["syntax"]
    assert syntax["source"] == "return (1 +"
    assert syntax["column"] == 12
    assert syntax["caret"][0] == 7
    unexpected = described(caught(compile, "a\n  b\n", "given.py", "exec"))
    assert unexpected["_tag"] == "IndentationError"
    assert unexpected["syntax"]["source"] == "b"


def test_a_syntax_error_that_says_nowhere_has_no_place() -> None:
    assert "syntax" not in described(SyntaxError("made up"))
    assert "syntax" not in described(SyntaxError("made up", (1, "two", 3, [])))
    odd = described(SyntaxError("made up", ("a.py", 1, 99, "b")))
    assert odd["syntax"] == {"file": "a.py", "line": 1, "source": "b", "column": 99}


def test_a_function_that_was_edited_and_loaded_again_has_its_new_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "edited_between_failures.py"
    file.write_text("def fail():\n    return {}['first']\n")
    module = importlib.import_module("edited_between_failures")
    describer = Describer(LIMITS, lambda value: b"", [])
    for line in ("return {}['other']", "return {}['third one']"):
        before = describer.describe(caught(module.fail))["frames"]
        assert describer.describe(caught(module.fail))["frames"] == before
        file.write_text(f"def fail():\n    {line}\n")
        os.utime(file, (0, file.stat().st_mtime + 10))
        importlib.reload(module)
        frame: Any = describer.describe(caught(module.fail))["frames"][-1]  # type: ignore[index]
        assert (frame["line"], frame["source"]) == (2, line)
    del sys.modules["edited_between_failures"]


def test_code_that_comes_and_goes_is_not_mixed_up_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracebacks, "_CACHE_LIMIT", 10)
    frames = tracebacks.Frames(Redaction([]))
    for number in range(200):
        scope: dict[str, Any] = {}
        exec(f"def f{number}():\n    1 / 0", scope)
        entry = tracebacks.shown(caught(scope[f"f{number}"]).__traceback__)[-1]
        assert frames.describe(entry)["function"] == f"f{number}"
        assert frames.describe(entry) is frames.describe(entry)
        assert len(frames._known) <= 10


@pytest.mark.skipif(sys.version_info < (3, 11), reason="columns came with Python 3.11")
def test_a_frame_says_which_part_of_its_line_failed() -> None:
    table = {"größe": {"x": 1}}

    def run() -> int:
        return len("ä") + table["größe"]["y"] + 1

    frame = described(caught(run))["frames"][-1]
    assert frame["source"] == 'return len("ä") + table["größe"]["y"] + 1'
    start, end = frame["caret"]
    assert frame["source"][start:end] == 'table["größe"]["y"]'
    assert frame["column"] == 27
    assert frame == described(caught(run))["frames"][-1]  # from memory, the same


def test_a_whole_line_needs_no_caret() -> None:
    frame = described(caught(lambda: Model().check()))["frames"][-1]
    assert "caret" not in frame


def test_paths_say_nothing_about_whose_machine_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "train.py"
    code = compile("def fit():\n    open('/home/alice/data.csv')\nfit()", str(module), "exec")
    error = FileNotFoundError(2, "No such file", "/home/alice/data.csv")
    error.__notes__ = ["in /home/alice/a, /home/alicea, /mnt/home/alice/b and '/home/alice'"]  # type: ignore[attr-defined]
    description = described(error, redact_paths=True)
    assert description["message"] == "[Errno 2] No such file: '~/data.csv'"
    assert description["notes"] == ["in ~/a, /home/alicea, /mnt/home/alice/b and '~'"]
    frames = described(caught(exec, code, {}), redact_paths=True)["frames"]
    assert [frame["file"] for frame in frames][1:] == ["train.py", "train.py"]
    library = described(caught(json.loads, "{"), redact_paths=True)["frames"][-1]
    assert library["file"] == "<python>/json/decoder.py"
    packages = compile("1 / 0", "/home/alice/venv/lib/python3.11/site-packages/a/b.py", "exec")
    installed = described(caught(exec, packages, {}), redact_paths=True)["frames"][-1]
    assert installed["file"] == "<site-packages>/a/b.py"
    plain = described(error)
    assert plain["message"].endswith("'/home/alice/data.csv'")


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
    assert description["cause"]["truncated"] == [
        {"field": "cause", "kept": 0, "total": 1, "reason": "seen", "pythonType": "ValueError"}
    ]

    last = first = ValueError(0)
    for number in range(1, 50):
        last.__cause__ = ValueError(number)
        last = last.__cause__
    depth, link = 0, described(first)
    while link["cause"] is not None:
        depth, link = depth + 1, link["cause"]
    assert depth == MAX_CHAIN - 1
    assert link["truncated"] == [
        {"field": "cause", "kept": 0, "total": 1, "reason": "limit", "pythonType": "ValueError"}
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_has_its_members() -> None:
    make_group: Any = vars(builtins)["ExceptionGroup"]
    group = make_group("two", [ValueError("a"), make_group("in", [KeyError("b")])])
    description = described(group)
    assert description["_tag"] == "ExceptionGroup"
    assert [member["_tag"] for member in description["exceptions"]] == ["ValueError", "ExceptionGroup"]
    assert description["exceptions"][1]["exceptions"][0]["message"] == "'b'"

    many = described(make_group("many", [ValueError(number) for number in range(500)]))
    assert len(many["exceptions"]) == MAX_MEMBERS
    assert many["truncated"] == [{"field": "exceptions", "kept": 32, "total": 500, "reason": "limit"}]

    deep = make_group("deep", [ValueError("a")])
    for _ in range(200):
        deep = make_group("deep", [deep] * 3)
    assert described(deep)["exceptions"][0]["_tag"] == "ExceptionGroup"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_member_of_two_groups_is_described_once() -> None:
    make_group: Any = vars(builtins)["ExceptionGroup"]
    shared = ValueError("a")
    description = described(make_group("two", [shared, shared]))
    assert len(description["exceptions"]) == 1
    assert description["truncated"] == [{"field": "exceptions", "kept": 1, "total": 2, "reason": "seen"}]


def test_a_cause_that_cannot_be_described_leaves_the_rest_as_it_is() -> None:
    class Hostile(Exception):
        @property
        def __cause__(self) -> None:  # type: ignore[override]
            raise RuntimeError("no")

        def __getattr__(self, name: str) -> object:
            raise SystemError(name)

    error = ValueError("the truth")
    error.__cause__ = Hostile("x")
    description = described(error)
    assert description["message"] == "the truth"
    assert description["cause"]["pythonType"].endswith("Hostile")
    assert "describing the exception raised" in description["cause"]["message"]


def test_a_message_that_leaves_is_described() -> None:
    class Leaving(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    class Shy:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    description = described(Leaving(Shy()))
    assert "__str__ raised SystemExit" in description["message"]
    assert "whose repr raised KeyboardInterrupt" in description["args"][0]


def test_an_attribute_called_exceptions_makes_no_group() -> None:
    error = ValueError("x")
    error.exceptions = [KeyError("a")]  # type: ignore[attr-defined]
    assert described(error)["exceptions"] == []


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


def test_calls_with_arguments_of_the_same_types_do_not_see_each_other() -> None:
    class Array:
        shape = (2,)

    def arguments(*args: object, **kwargs: object) -> list[tuple[str, object]]:
        call = call_context({"python_module": "m", "function": "f", "args": list(args), "kwargs": kwargs})
        return [(each["name"], each.get("shape", each["type"])) for each in call["arguments"]]  # type: ignore[attr-defined]

    for _ in range(2):
        assert arguments(1, "a", key=2.5) == [("0", "int"), ("1", "str"), ("key", "float")]
        assert arguments(1, "a") == [("0", "int"), ("1", "str")]
    small, large = Array(), Array()
    large.shape = (3, 4)
    assert arguments(1, small) == [("0", "int"), ("1", [2])]
    assert arguments(1, large) == [("0", "int"), ("1", [3, 4])]


def test_what_is_remembered_of_arguments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "_CACHE_LIMIT", 10)
    monkeypatch.setattr(description, "_positionals", {})
    for count in range(100):
        arguments = call_context({"args": [1] * count})["arguments"]
        assert len(arguments) == min(count, description.MAX_ARGS)  # type: ignore[arg-type]
        assert len(description._positionals) <= 10


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


def test_the_code_of_a_frame_is_not_kept() -> None:
    code = compile("raise ValueError('no')", "<made>", "exec")
    gone = weakref.ref(code)
    describer = Describer(ErrorOptions(), Packer().pack_value, [])
    assert describer.describe(caught(exec, code, {}))["frames"][-1]["file"] == "<made>"
    del code
    assert gone() is None
