"""A script that raises again what a call raised, with the arguments of the call beside it.

Off unless ``errors.generateRepro`` of the pool names a directory. Each kind of failure (target, class and place) gets a
folder: ``reproduce.py``, which the environment's interpreter runs, and ``arguments.json``, with arrays in
``arrays.npz`` and tables in Parquet files. Nothing is pickled. What looks like a secret, by its name or its form, is
replaced and said; of tables and arrays only columns, index levels and fields with such a name are. What was replaced
is replaced in the exception's message too, and in the texts among the arguments. A call whose arguments cannot be
written is not reproduced.
"""

from __future__ import annotations

import json
import numbers
import os
import re
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .errors import Error

MAX_REPRODUCTIONS = 100  # of one worker
MAX_BYTES = 268_435_456  # of the arguments of one call
REDACTED = "<redacted>"
MIN_SECRET = 6  # what is shorter (`1`, `true`, `admin`) stands in other words, and is replaced only where it was found

_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)?$|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|credential|authorization|cookie"
    r"|^auth$|^pwd$",
    re.IGNORECASE,
)
_SECRET_FORM = re.compile(
    r"(?:sk|pk|rk)[-_](?:[a-z]+[-_])*[A-Za-z0-9_-]{16,}"  # keys of OpenAI, Anthropic, Stripe
    r"|(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf)[-_][A-Za-z0-9_-]{10,}"  # GitHub, GitLab, Slack
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}"  # AWS, Google
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JSON web tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"  # name and password of a URL
    r"|(?<=Bearer )[A-Za-z0-9._~+/-]{8,}=*",
    re.DOTALL,
)


def _is_secret(name: object) -> bool:
    if isinstance(name, tuple):  # of a column that stands below others
        return any(map(_is_secret, name))
    return isinstance(name, str) and _SECRET_NAME.search(name) is not None


class Reproduction:
    """Writes reproductions below a directory, one for each kind of failure."""

    def __init__(self, directory: str) -> None:
        self._directory = os.path.abspath(os.path.expanduser(directory))
        self._written: dict[tuple[object, ...], str | None] = {}
        self._lock = threading.Lock()

    def write(self, described: Error, call: dict[str, Any]) -> str | None:
        """The path of the script for a failure; None where there can be none."""
        frames: Any = described["frames"]
        context: Any = described["call"]
        place = (frames[-1]["file"], frames[-1]["line"]) if frames else None
        key = (context["target"], described["pythonType"], place)
        with self._lock:
            if key not in self._written:
                if len(self._written) >= MAX_REPRODUCTIONS:
                    return None
                try:
                    self._written[key] = self._write(described, call, context["target"])
                except Exception:  # of values that are the user's, and of a disk that may be full
                    self._written[key] = None
            return self._written[key]

    def _write(self, described: Error, call: dict[str, Any], target: str) -> str | None:
        # an object of a session has a history that no script can tell
        if "instance" in call or call.get("call_type") not in (None, "function", "class"):
            return None
        name = call.get("function") or call.get("class")
        saved = _Saved()
        args = [saved.value(value, str(index)) for index, value in enumerate(call.get("args") or [])]
        kwargs = {key: saved.named(key, value) for key, value in (call.get("kwargs") or {}).items()}
        text = _script(described, f"{call.get('python_module') or 'builtins'}.{name}", saved)
        folder = self._new_folder(target)
        try:
            saved.write(folder)
            with open(os.path.join(folder, "arguments.json"), "x", encoding="utf-8") as file:
                json.dump(saved.without_secrets({"args": args, "kwargs": kwargs}), file, indent=1)
            script = os.path.join(folder, "reproduce.py")
            # what UTF-8 cannot hold stands in string literals only
            with open(script, "x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except BaseException:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
            raise
        return script

    def _new_folder(self, target: str) -> str:
        """Nobody but this user may read what the arguments of a call were."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        plain = re.sub(r"[^\w.]+", "_", target)[:80]
        for number in range(1, 10_000):
            folder = os.path.join(self._directory, f"{plain}-{os.getpid()}-{number}")
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                continue
            return folder
        raise FileExistsError(folder)


class _Unwritable(Exception):
    """A value has no form in a file."""


class _Saved:
    """Arguments in their written form: JSON, with `{"$kind": ...}` for what JSON does not have."""

    def __init__(self) -> None:
        self.redacted: list[str] = []
        self._secrets: set[str] = set()
        self._cells: set[str] = set()  # those of tables and arrays: too many to look for in every text
        self._arrays: dict[str, Any] = {}
        self._tables: list[Callable[[str], object]] = []
        self._bytes = 0

    def named(self, name: object, value: Any, path: str = "") -> Any:
        """A value under a name, which may say that it is a secret."""
        where = f"{path}.{name}" if path else str(name)
        # what only says how, like `use_token` or `max_tokens`, is no secret
        if not _is_secret(name) or value is None or isinstance(value, numbers.Number):
            return self.value(value, where)
        self.redacted.append(where)
        _collect(value, self._secrets)
        return {"$bytes": ""} if isinstance(value, (bytes, bytearray)) else REDACTED

    def value(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int):
            return value
        if kind is float:
            return value if value - value == 0 else {"$float": repr(value)}
        if kind is str:
            return self._text(value, path)
        if kind in (bytes, bytearray):
            self._count(len(value))
            return {"$bytes": value.hex()}
        if kind is list:
            return [self.value(each, f"{path}[{index}]") for index, each in enumerate(value)]
        if kind in (tuple, set, frozenset):
            items = [self.value(each, f"{path}[{index}]") for index, each in enumerate(value)]
            return {f"${kind.__name__}": items}
        if kind is dict:
            if all(type(key) is str and not key.startswith("$") for key in value):
                return {self._text(key, path): self.named(key, each, path) for key, each in value.items()}
            return {"$dict": [[self.value(key, path), self.named(key, each, path)] for key, each in value.items()]}
        if kind is complex:
            return {"$complex": [repr(value.real), repr(value.imag)]}
        return self._other(value, f"{kind.__module__}.{kind.__qualname__}")

    def _text(self, text: str, path: str) -> str:
        self._count(len(text))
        found = _SECRET_FORM.findall(text)
        if not found:
            return text
        self.redacted.append(path)
        # of a name and a password, the password alone too
        _collect([*found, *(secret.rpartition(":")[2] for secret in found)], self._secrets)
        return _SECRET_FORM.sub(REDACTED, text)

    def _other(self, value: Any, name: str) -> Any:
        if name in _STANDARD:
            return {_STANDARD[name]: value.isoformat() if "date" in name or name == "datetime.time" else str(value)}
        if name == "datetime.timedelta":
            return {"$timedelta": [value.days, value.seconds, value.microseconds]}
        numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)) and not value.dtype.hasobject:
            self._count(value.nbytes)
            key = f"a{len(self._arrays)}"
            array = numpy.asarray(value)
            for at in self._secret(array.dtype.names or ()):
                _collect(array[array.dtype.names[at]].tolist(), self._cells)
                array = array.copy()
                array[array.dtype.names[at]] = numpy.zeros((), array.dtype[at])
            self._arrays[key] = array
            return {"$array": key}
        if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
            is_series = isinstance(value, pandas.Series)
            # a copy shares the columns
            table = value.to_frame("values") if is_series else value.copy(deep=False)
            for at in self._secret([value.name] if is_series else table.columns):
                _collect(table.iloc[:, at].tolist(), self._cells)
                table.isetitem(at, REDACTED)
            index = table.index
            levels = [index.get_level_values(at) for at in range(index.nlevels)]
            for at in self._secret(index.names):
                _collect(levels[at].tolist(), self._cells)
                levels[at] = pandas.Index([REDACTED] * len(table))
                table.index = levels[0] if len(levels) == 1 else pandas.MultiIndex.from_arrays(levels)
                table.index.names = index.names
            return self._table("$series" if is_series else "$table", table.to_parquet, table.memory_usage().sum())
        pyarrow = sys.modules.get("pyarrow")
        if pyarrow is not None and isinstance(value, (pyarrow.Table, pyarrow.RecordBatch)):
            is_table = isinstance(value, pyarrow.Table)
            table = value if is_table else pyarrow.Table.from_batches([value])
            for at in self._secret(table.column_names):
                _collect(table.column(at).to_pylist(), self._cells)
                hidden = pyarrow.array([REDACTED] * table.num_rows, pyarrow.string())
                table = table.set_column(at, table.column_names[at], hidden)
            from pyarrow import parquet

            return self._table(
                "$arrow" if is_table else "$batch", lambda file: parquet.write_table(table, file), table.nbytes
            )
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(value, (polars.DataFrame, polars.Series)):
            is_series = isinstance(value, polars.Series)
            table = polars.DataFrame({"values": value}) if is_series else value
            for at in self._secret([value.name] if is_series else table.columns):
                _collect(table.to_series(at).to_list(), self._cells)
                table = table.with_columns(polars.lit(REDACTED).alias(table.columns[at]))
            return self._table("$column" if is_series else "$polars", table.write_parquet, table.estimated_size())
        raise _Unwritable(name)

    def _secret(self, names: Iterable[object]) -> list[int]:
        """Where among the names of columns, index levels or fields the secret ones are."""
        found = {at: str(name) for at, name in enumerate(names) if _is_secret(name)}
        self.redacted += found.values()
        return list(found)

    def _table(self, kind: str, write: Callable[[str], object], size: int) -> Any:
        self._count(int(size))
        self._tables.append(write)
        return {kind: f"table{len(self._tables) - 1}.parquet"}

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_BYTES:
            raise _Unwritable("too much")

    def without_secrets(self, written: Any) -> Any:
        """The written form, with what was redacted in one place redacted in the texts of the others."""
        if isinstance(written, str):
            return _replace(written, self._secrets)
        if isinstance(written, list):
            return [self.without_secrets(each) for each in written]
        # names stay: the script calls with them
        return (
            {key: self.without_secrets(each) for key, each in written.items()} if isinstance(written, dict) else written
        )

    def message(self, text: str) -> str:
        """A text that may quote any argument, as far as it may be written."""
        return _SECRET_FORM.sub(REDACTED, _replace(text, self._secrets | self._cells))

    def write(self, folder: str) -> None:
        """The files beside the JSON."""
        if self._arrays:
            import numpy

            numpy.savez(os.path.join(folder, "arrays.npz"), **self._arrays)
        for index, write in enumerate(self._tables):
            write(os.path.join(folder, f"table{index}.parquet"))


def _collect(value: Any, into: set[str]) -> None:
    """The texts in a secret that are long enough to be looked for, as they are and as `repr` shows them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            _collect(each, into)
        return
    shown = repr(bytes(value))[2:-1] if isinstance(value, (bytes, bytearray)) else str(value)
    if len(shown) >= MIN_SECRET:
        into.update((shown, repr(shown)[1:-1]))


def _replace(text: str, secrets: set[str]) -> str:
    # the longest first, since one may be part of another
    for secret in sorted((secret for secret in secrets if secret in text), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


_STANDARD = {
    "decimal.Decimal": "$decimal",
    "uuid.UUID": "$uuid",
    "datetime.datetime": "$datetime",
    "datetime.date": "$date",
    "datetime.time": "$time",
    "pathlib.PosixPath": "$path",
    "pathlib._local.PosixPath": "$path",
}


def _script(described: Error, path: str, saved: _Saved) -> str:
    first, _, _ = saved.message(str(described["message"])).partition("\n")
    shown = f"{described['pythonType']}: {first}"
    names = _SECRET_FORM.sub(REDACTED, ", ".join(saved.redacted))
    return _SCRIPT.format(
        raised=_in_docstring(shown[:200]),
        target=_in_docstring(path),
        secrets=f"\nRedacted, and to be filled in where it matters: {_in_docstring(names)}.\n" if names else "",
        path=path,
        paths=[os.path.abspath(entry) for entry in sys.path],
        directory=os.getcwd(),
    )


def _in_docstring(text: str) -> str:
    """Every escape of JSON is one of Python."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


_SCRIPT = '''"""Raises again what a call of {target} raised:

    {raised}
{secrets}
Run it with the interpreter of the pool.
"""

import asyncio
import importlib
import inspect
import json
import os
import pkgutil
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def load(value):
    if isinstance(value, list):
        return [load(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()), ("", None))
    if not kind.startswith("$"):
        return {{key: load(each) for key, each in value.items()}}
    return LOADERS[kind](content)


def standard(module, name):
    return lambda text: getattr(importlib.import_module(module), name)(text)


def iso(name):
    return lambda text: getattr(importlib.import_module("datetime"), name).fromisoformat(text)


def array(key):
    import numpy

    with numpy.load(FOLDER / "arrays.npz", allow_pickle=False) as arrays:
        return arrays[key]


def table(file):
    import pandas

    return pandas.read_parquet(FOLDER / file)


def arrow(file):
    from pyarrow import parquet

    return parquet.read_table(FOLDER / file)


def batch(file):
    import pyarrow

    table = arrow(file)
    # one without rows is none in a file
    return next(iter(table.combine_chunks().to_batches()), None) or pyarrow.RecordBatch.from_pylist([], table.schema)


def polars(file):
    import polars

    return polars.read_parquet(FOLDER / file)


LOADERS = {{
    "$float": float,
    "$bytes": bytes.fromhex,
    "$tuple": lambda items: tuple(map(load, items)),
    "$set": lambda items: set(map(load, items)),
    "$frozenset": lambda items: frozenset(map(load, items)),
    "$dict": lambda entries: {{load(key): load(value) for key, value in entries}},
    "$complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "$decimal": standard("decimal", "Decimal"),
    "$uuid": standard("uuid", "UUID"),
    "$path": Path,
    "$datetime": iso("datetime"),
    "$date": iso("date"),
    "$time": iso("time"),
    "$timedelta": lambda parts: importlib.import_module("datetime").timedelta(*parts),
    "$array": array,
    "$table": table,
    "$series": lambda file: table(file)["values"],
    "$arrow": arrow,
    "$batch": batch,
    "$polars": polars,
    "$column": lambda file: polars(file)["values"],
}}


def main():
    sys.path[:0] = [path for path in {paths!r} if path not in sys.path]
    if os.path.isdir({directory!r}):
        os.chdir({directory!r})
    arguments = json.loads((FOLDER / "arguments.json").read_text("utf-8"))
    target = pkgutil.resolve_name({path!r})
    result = target(*load(arguments["args"]), **load(arguments["kwargs"]))
    if inspect.isawaitable(result):

        async def wait():
            return await result

        result = asyncio.run(wait())
    if inspect.isgenerator(result):
        for _ in result:
            pass


if __name__ == "__main__":
    main()
'''
