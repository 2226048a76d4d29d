"""Writes `messages.json`: what array libraries really say.

    python python/tests/corpus/generate.py

adds to it what the libraries of this environment say, each with its version; run it once in every environment whose
versions are to be in the corpus. What other versions said stays.
"""

from __future__ import annotations

import importlib
import json
import linecache
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent.parent / "src")]

from cases import CASES  # noqa: E402

from snakepit_worker.ml_errors import collect  # noqa: E402
from snakepit_worker.tracebacks import shown  # noqa: E402

FILE = FOLDER / "messages.json"


def run(number: int, library: str, code: str) -> BaseException | None:
    """Runs a case as a function of a module of its own, as a target's code would."""
    name = f"case_{number}.py"
    text = "def case():\n" + "".join(f"    {line}\n" for line in code.splitlines())
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module = types.ModuleType("case")
    module.__dict__[library] = importlib.import_module(library)
    module.__dict__["np"] = importlib.import_module("numpy")
    if library == "pandas":
        module.__dict__["pd"] = module.__dict__["pandas"]
    try:
        exec(compile(text, name, "exec"), module.__dict__)
        module.__dict__["case"]()
    except BaseException as error:
        return error
    return None


def entry(library: str, version: str, code: str, ml: dict[str, Any] | None, error: BaseException) -> dict[str, Any]:
    traceback = error.__traceback__
    entries = [each for each in shown(traceback) if each.tb_frame.f_code.co_filename != __file__]
    evidence = collect(error, str(error), entries, None)
    return {
        "library": library,
        "version": version,
        "python": ".".join(map(str, sys.version_info[:2])),
        "code": code,
        "type": evidence.mro if evidence is not None else [type(error).__name__],
        "message": str(error).replace(os.path.expanduser("~") + "/", "~/"),
        "attributes": evidence.attributes if evidence is not None else {},
        "operations": None if evidence is None else [each.to_json() for each in evidence.operations],
        "ml": ml,
    }


def main() -> None:
    entries: dict[tuple[str, str, str], dict[str, Any]] = {}
    if FILE.exists():
        wanted = {(library, code) for library, code, _ in CASES}
        for each in json.loads(FILE.read_text("utf-8")):
            if (each["library"], each["code"]) in wanted:
                entries[each["library"], each["version"], each["code"]] = each
    warnings.simplefilter("ignore")
    for number, (library, code, ml) in enumerate(CASES):
        try:
            version = importlib.import_module(library).__version__.partition("+")[0]
        except ImportError:
            continue
        error = run(number, library, code)
        key = (library, version, code)
        entries.pop(key, None)
        if error is None:
            print(f"{library} {version} does not fail: {code!r}")
        else:
            entries[key] = entry(library, version, code, ml, error)
    ordered = [entries[key] for key in sorted(entries)]
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in ordered)
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")
    print(f"{len(ordered)} messages")


if __name__ == "__main__":
    main()
