"""What the package offers, and what importing it costs."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import snakepit_worker

SOURCE = Path(__file__).parent.parent / "src"
MODULES = sorted(module.name for module in pkgutil.iter_modules(snakepit_worker.__path__))

# What a user's code may or may not have imported is its own business; the worker imports none of it by itself.
HEAVY = {
    "asyncio", "concurrent", "ctypes", "difflib", "email", "hashlib", "http", "logging", "multiprocessing", "numpy",
    "pandas", "polars", "pyarrow", "pydantic", "pickle", "ssl", "tempfile", "torch",
    "traceback", "typing", "unittest", "urllib", "zoneinfo",
}  # fmt: skip


def test_all_names_what_there_is_and_is_sorted() -> None:
    assert sorted(snakepit_worker.__all__) == snakepit_worker.__all__
    for name in snakepit_worker.__all__:
        assert getattr(snakepit_worker, name) is not None


def test_what_users_need_is_there() -> None:
    assert set(snakepit_worker.__all__) == {
        "CallCancelled",
        "CallbackError",
        "cancelled",
        "deadline",
        "empty",
        "session_id",
        "tools",
        "traceparent",
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    module = importlib.import_module(f"snakepit_worker.{name}")
    assert module.__doc__
    assert module.__doc__.splitlines()[0].strip()


def test_the_layout_names_every_module() -> None:
    assert snakepit_worker.__doc__ is not None
    for name in MODULES:
        assert f"``{name}``" in snakepit_worker.__doc__, name


def test_the_version_is_that_of_the_package() -> None:
    project = (SOURCE.parent / "pyproject.toml").read_text()
    assert f'version = "{snakepit_worker.__version__}"' in project


def test_importing_the_worker_imports_nothing_heavy() -> None:
    program = "import sys; import snakepit_worker.worker; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {[str(SOURCE), *third_party()]!r}; {program}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported & HEAVY == set()


def third_party() -> list[str]:
    import ormsgpack

    return [str(Path(ormsgpack.__file__).parent.parent)]
