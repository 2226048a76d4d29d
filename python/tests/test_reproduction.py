"""Reproductions: the script of a failed call raises the same exception, in an interpreter of its own."""

from __future__ import annotations

import ast
import datetime
import decimal
import json
import os
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

import raising
from describing import caught
from host import SOURCE, Process, call
from snakepit_worker.description import Describer, ErrorOptions
from snakepit_worker.values import Packer

SECRETS = {
    "api_key": "anything",
    "nested": {"Password": "hunter2", "fine": "visible"},
    "text": "the key sk-proj-abcdefghijklmnop0123456789 is in it",
    "url": "postgres://alice:swordfish@db/app",
    "header": "Bearer abcdefgh12345678",
}


def reproduce(tmp_path: Path, function: str, *args: Any, **kwargs: Any) -> tuple[str | None, Any]:
    """Fails a call, and answers the path of its script and the error's description."""
    packer = Packer()
    options = ErrorOptions(generate_repro=str(tmp_path / "repro"))
    describer = Describer(options, lambda value: packer.pack_value(value, "args"), [])
    error = caught(getattr(raising, function), *args, **kwargs)
    payload = {"python_module": "raising", "function": function, "args": list(args), "kwargs": kwargs}
    described = describer.describe(error, payload)
    return described.get("repro"), described  # type: ignore[return-value]


def run(script: str, lines: int = 1) -> str:
    """The last lines that the script prints, which are its exception."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode != 0, done.stdout
    return "\n".join(done.stderr.strip().splitlines()[-lines:])


def test_the_script_raises_the_same_exception(tmp_path: Path) -> None:
    script, _ = reproduce(tmp_path, "divide", 1.5, 0)
    assert script is not None
    assert run(script) == "ZeroDivisionError: float division by zero" or "division by zero" in run(script)
    assert stat.S_IMODE(os.stat(os.path.dirname(script)).st_mode) == 0o700


def test_all_kinds_of_arguments_come_back_as_they_were(tmp_path: Path) -> None:
    values = [
        None,
        True,
        2**80,
        float("inf"),
        float("nan"),
        "text",
        b"bytes",
        (1, (2,)),
        {3, 4},
        frozenset({5}),
        {1: "a", (2,): {"$odd": "b"}},
        1 + 2j,
        decimal.Decimal("1.10"),
        uuid.UUID(int=7),
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6, datetime.timezone.utc),
        datetime.date(2026, 1, 2),
        datetime.time(3, 4),
        datetime.timedelta(1, 2, 3),
        Path("/tmp/x"),
    ]
    script, described = reproduce(tmp_path, "all_kinds", *values, named=[1, {"a": None}])
    assert script is not None
    assert run(script) == f"ValueError: {described['message']}"


def test_arrays_and_tables_stand_beside_the_script(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    script, described = reproduce(tmp_path, "multiply", numpy.ones((2, 3), "float32"), numpy.ones((2, 3)))
    assert script is not None
    assert described["ml"]["_tag"] == "ShapeMismatch"
    assert run(script) == f"ValueError: {described['message']}"
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    script, _ = reproduce(tmp_path, "column", pandas.DataFrame({"a": [1, 2]}), "b")
    assert script is not None
    assert sorted(os.listdir(os.path.dirname(script))) == ["arguments.json", "reproduce.py", "table0.parquet"]
    assert run(script) == "KeyError: 'b'"


def test_coroutines_are_waited_for(tmp_path: Path) -> None:
    with Process(tmp_path, errors={"generate_repro": str(tmp_path / "repro")}) as process:
        host = process.open()
        host.data.send(call(1, "raising:wait_and_fail", 5))
        error = host.data.exit_of(1)["exit"]["cause"][0]["error"]
        assert run(error["repro"]) == "ValueError: 5"
        host.data.send(call(2, "raising:items", 2, tag="snakebridge.stream"))
        error = host.data.exit_of(2)["exit"]["cause"][0]["error"]
        assert run(error["repro"]) == "LookupError: no more items"


def test_secrets_are_redacted_by_key_and_by_form(tmp_path: Path) -> None:
    script, _ = reproduce(tmp_path, "connect", SECRETS["url"], password="swordfish", options=SECRETS)
    assert script is not None
    folder = Path(script).parent
    written = "".join(path.read_text() for path in folder.iterdir())
    for secret in ("anything", "hunter2", "sk-proj", "alice", "swordfish", "abcdefgh12345678"):
        assert secret not in written, secret
    assert "visible" in written
    arguments = json.loads((folder / "arguments.json").read_text())
    assert arguments["args"] == ["postgres://<redacted>@db/app"]
    text = Path(script).read_text()
    assert "password, options.api_key" in text
    assert run(script).startswith("ConnectionError: no route to db/app")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"secrets": ["hunter2"]}, "<redacted>"),
        ({"credentials": {"user": "alice", "value": "hunter2"}}, "<redacted>"),
        ({"api_keys": ("hunter2",)}, "<redacted>"),
        ({"token": bytearray(b"hunter2")}, {"$bytes": ""}),
        ({"token": b"hunter2"}, {"$bytes": ""}),
        ({"password": Path("hunter2")}, "<redacted>"),
        ({"max_tokens": 10}, 10),
        ({"secret_share": 0.5}, 0.5),
        ({"use_token": True}, True),
        ({"token": None}, None),
    ],
)
def test_a_secret_name_hides_values_of_every_type_but_numbers(
    tmp_path: Path, given: dict[str, Any], expected: object
) -> None:
    script, _ = reproduce(tmp_path, "all_kinds", given, **given)
    assert script is not None
    ((name, _),) = given.items()
    arguments = json.loads((Path(script).parent / "arguments.json").read_text())
    assert arguments == {"args": [{name: expected}], "kwargs": {name: expected}}
    redacted = f"in where it matters: 0.{name}, {name}." in Path(script).read_text()
    assert redacted == (expected != given[name])
    assert run(script).startswith("ValueError: ")


def test_keys_that_look_like_secrets_are_redacted(tmp_path: Path) -> None:
    secret = "sk-proj-abcdefghijklmnop0123456789"
    script, _ = reproduce(tmp_path, "all_kinds", {secret: {"password": "hunter2"}}, {1: 2, secret: b""})
    assert script is not None
    assert not [path for path in Path(script).parent.iterdir() if secret in path.read_text()]


@pytest.mark.parametrize(
    ("message", "given"),
    [
        ("incorrect key: {api_key}", {"api_key": "hunter2hunter2"}),
        ("incorrect key: {api_key!r}", {"api_key": "hunter2\\\n'hunter2"}),
        ("incorrect key:\u00a0{api_key}", {"api_key": "hunter2\nhunter2"}),
        ("incorrect key: {api_key}", {"api_key": b"hunter2\xff"}),
        ("incorrect key: {credentials[value]}", {"credentials": {"user": "alice", "value": "hunter2"}}),
        ("incorrect key: {credentials[value]}", {"credentials": {"keys": ["hunter2hunter2"], "value": "hunter2"}}),
        ("incorrect key: {password}", {"password": Path("hunter2")}),
        ("incorrect key: hunter2", {"url": "postgres://alice:hunter2@db/app"}),
        ("incorrect key: hunter2hunter2", {"header": "Bearer hunter2hunter2"}),
    ],
)
def test_what_was_redacted_from_the_arguments_is_redacted_from_the_message(
    tmp_path: Path, message: str, given: dict[str, Any]
) -> None:
    script, _ = reproduce(tmp_path, "quote", message=message, **given)
    assert script is not None
    written = "".join(path.read_text() for path in Path(script).parent.iterdir())
    assert "hunter2" not in written.replace(json.dumps(message)[1:-1], "")
    shown = str(ast.get_docstring(ast.parse(Path(script).read_text())))
    assert "ValueError: incorrect key:" in shown
    assert "<redacted>" in shown.partition("key:")[2].splitlines()[0]


def test_a_secret_is_redacted_from_other_arguments_but_not_from_names(tmp_path: Path) -> None:
    given = {"message": "", "password": "password", "url": "https://host/?key=password", "more": {"a": ["password"]}}
    script, _ = reproduce(tmp_path, "quote", "password", **given)
    assert script is not None
    arguments = json.loads((Path(script).parent / "arguments.json").read_text())
    expected = {"password": "<redacted>", "url": "https://host/?key=<redacted>", "more": {"a": ["<redacted>"]}}
    assert arguments == {"args": ["<redacted>"], "kwargs": {"message": "", **expected}}
    assert "to be filled in where it matters: password." in Path(script).read_text()


def test_short_secrets_leave_the_message_as_it_is(tmp_path: Path) -> None:
    short = {"token": "", "secret": "e", "api_key": "true", "auth": {"on": True, "user": "admin"}, "cookie": "none"}
    script, _ = reproduce(tmp_path, "quote", message="true, none: the admin is e", **short)
    assert script is not None
    assert "ValueError: true, none: the admin is e\n" in Path(script).read_text()


def test_secret_cells_are_redacted_from_the_message(tmp_path: Path) -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    pyarrow, polars = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    columns = {"token": ["swordfish", None], "n": [1, 2]}
    frame = pandas.DataFrame(columns)
    tables = [
        frame,
        frame["token"],
        frame.set_index("token"),
        pyarrow.table(columns),
        polars.DataFrame(columns),
        polars.Series("token", columns["token"]),
        numpy.array([("swordfish", 1)], [("token", "U9"), ("n", "i4")]),
    ]
    for number, given in enumerate(tables):
        script, _ = reproduce(tmp_path / str(number), "quote", given, message="no swordfish")
        assert script is not None
        assert "ValueError: no <redacted>\n" in Path(script).read_text()


def test_secret_series_and_indexes_are_redacted(tmp_path: Path) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"n": [1, 2], "token": ["hunter2", "swordfish"], "fine": ["a", "b"]})
    below = pandas.MultiIndex.from_tuples([("a", "n"), ("a", "token"), ("b", "fine")])
    cases = [
        (frame["token"].rename("password"), ["values"], []),
        (frame.set_index("token"), ["n", "fine"], ["token"]),
        (frame.set_index(["fine", "token"]), ["n"], ["fine", "token"]),
        (frame.set_index("token")["n"], ["values"], ["token"]),
        (frame.set_axis(below, axis=1), list(below), []),
        (polars.Series("password", ["hunter2", "swordfish"]), ["values"], []),
    ]
    for number, (given, columns, levels) in enumerate(cases):
        script, described = reproduce(tmp_path / str(number), "column", given, "missing")
        assert script is not None
        files = b"".join(path.read_bytes() for path in Path(script).parent.iterdir())
        assert b"hunter2" not in files
        assert b"swordfish" not in files
        assert b"<redacted>" in files
        saved = pandas.read_parquet(Path(script).parent / "table0.parquet")
        assert list(saved.columns) == columns
        assert [name for name in saved.index.names if name is not None] == levels
        assert len(saved) == 2
        if "fine" in levels:
            assert saved.index.to_list() == [("a", "<redacted>"), ("b", "<redacted>")]
        assert str(described["pythonType"]) in run(script, 100)


def test_every_secret_column_of_one_name_is_redacted(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table([["a"], ["hunter2"], ["swordfish"]], names=["fine", "token", "token"])
    script, _ = reproduce(tmp_path, "all_kinds", table)
    assert script is not None
    files = b"".join(path.read_bytes() for path in Path(script).parent.iterdir())
    assert b"hunter2" not in files
    assert b"swordfish" not in files


def test_secret_fields_of_structured_arrays_are_emptied(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    given = numpy.array([("alice", b"hunter2")], [("user", "U8"), ("password", "S8")])
    script, _ = reproduce(tmp_path, "all_kinds", given)
    assert script is not None
    with numpy.load(Path(script).parent / "arrays.npz") as arrays:
        assert arrays["a0"].tolist() == [("alice", b"")]
    assert given.tolist() == [("alice", b"hunter2")]
    assert "password" in Path(script).read_text()


def test_a_target_may_be_named_like_code(tmp_path: Path) -> None:
    packer = Packer()
    options = ErrorOptions(generate_repro=str(tmp_path))
    describer = Describer(options, lambda value: packer.pack_value(value, "args"), [])
    for name in ('a"""b', "a\\", "\\N{x}", "nul\0", "\udc80", '"'):
        payload = {"python_module": name, "function": name, "args": [], "kwargs": {}}
        described = describer.describe(caught(raising.divide, 1, 0), payload)
        tree = ast.parse(Path(str(described["repro"])).read_text("utf-8"))
        assert f"a call of {name}.{name} raised" in str(ast.get_docstring(tree, clean=False))
        assert f"resolve_name({f'{name}.{name}'!r})" in ast.unparse(tree)


def test_secret_columns_are_redacted_and_nothing_half_written_stays(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    script, _ = reproduce(tmp_path, "column", pandas.DataFrame({"a": [1], "api_token": ["swordfish"]}), "b")
    assert script is not None
    saved = pandas.read_parquet(Path(script).parent / "table0.parquet")
    assert saved.to_dict("list") == {"a": [1], "api_token": ["<redacted>"]}
    # no form in Parquet
    script, _ = reproduce(tmp_path / "other", "column", pandas.DataFrame({"a": [1 + 2j, object()]}), "b")
    assert script is None
    assert os.listdir(tmp_path / "other" / "repro") == []


def test_tables_of_every_library_come_back_as_they_were(tmp_path: Path) -> None:
    pyarrow, polars = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    table = pyarrow.table({"a": [1, None], "Password": ["swordfish", "x"]})
    plain = pyarrow.table({"a": [1, None]})
    hidden = pyarrow.table({"a": [1, None], "Password": ["<redacted>"] * 2})
    frame = polars.DataFrame({"a": [1, None], "secret": ["swordfish", "x"]})
    cases = [
        (table, hidden),
        (plain.to_batches()[0], plain.to_batches()[0]),
        (plain.to_batches()[0].slice(0, 0), plain.to_batches()[0].slice(0, 0)),
        (frame, frame.with_columns(secret=polars.lit("<redacted>"))),
        (frame["a"], frame["a"].alias("values")),
    ]
    for number, (given, expected) in enumerate(cases):
        script, _ = reproduce(tmp_path / str(number), "all_kinds", given)
        assert script is not None
        files = b"".join(path.read_bytes() for path in Path(script).parent.iterdir())
        assert b"swordfish" not in files
        shown = f"ValueError: {((expected,), {})!r}"
        assert run(script, len(shown.splitlines())) == shown


def test_one_kind_of_failure_is_written_once(tmp_path: Path) -> None:
    with Process(tmp_path, errors={"generate_repro": str(tmp_path / "repro")}) as process:
        host = process.open()
        paths = set()
        for number in range(1, 6):
            host.data.send(call(number, "raising:divide", number, 0))
            paths.add(host.data.exit_of(number)["exit"]["cause"][0]["error"]["repro"])
        assert len(paths) == 1
        assert len(os.listdir(tmp_path / "repro")) == 1


def test_what_cannot_be_written_is_not_reproduced(tmp_path: Path) -> None:
    script, described = reproduce(tmp_path, "all_kinds", object())
    assert script is None
    assert described["_tag"] == "ValueError"
    assert not (tmp_path / "repro").exists()


def test_nothing_is_written_unless_asked_for(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "raising:divide", 1, 0))
        assert "repro" not in host.data.exit_of(1)["exit"]["cause"][0]["error"]


def test_a_directory_that_cannot_be_written_spoils_no_report(tmp_path: Path) -> None:
    (tmp_path / "repro").write_text("a file")
    script, described = reproduce(tmp_path, "divide", 1, 0)
    assert script is None
    assert described["_tag"] == "ZeroDivisionError"
