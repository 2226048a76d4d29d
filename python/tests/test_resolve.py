"""From dotted names to Python objects."""

from __future__ import annotations

import datetime
import math
import os.path
import sys
import types
from pathlib import Path

import pytest

import targets
from snakepit_worker.resolve import Resolver

resolver = Resolver(False)


def test_finds_functions_classes_and_what_is_inside_them() -> None:
    assert resolver.target("math", "sqrt") is math.sqrt
    assert resolver.target("builtins", "len") is len
    assert resolver.target("os", "path.join") is os.path.join
    assert resolver.target("os.path", "join") is os.path.join
    assert resolver.target("datetime", "datetime.fromisoformat")("2024-01-02") == datetime.datetime(2024, 1, 2)
    assert resolver.target("datetime.datetime", "fromisoformat")("2024-01-02") == datetime.datetime(2024, 1, 2)
    assert resolver.target("targets", "Thing.double") is targets.Thing.double


def test_imports_a_submodule_that_nobody_has_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "snakepit_test_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("value = 5\ndef get(): return value\n")
    (package / "broken.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Resolver(False).target("snakepit_test_package", "inner.get")() == 5
    assert Resolver(False).target("snakepit_test_package.inner", "get")() == 5
    assert Resolver(False).target("snakepit_test_package", "inner") is sys.modules["snakepit_test_package.inner"]
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        Resolver(False).target("snakepit_test_package.broken", "get")


def test_reads_what_is_inside_a_module_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolver.target("targets", "identity") is targets.identity
    assert resolver.target("targets.Thing", "double") is targets.Thing.double
    monkeypatch.setattr(targets, "identity", len)
    monkeypatch.setattr(targets, "Thing", type("Thing", (), {"double": max}))
    assert resolver.target("targets", "identity") is len
    assert resolver.target("targets.Thing", "double") is max


def test_follows_a_module_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolver.target("targets", "identity") is targets.identity
    other = types.ModuleType("targets")
    other.identity = len  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "targets", other)
    assert resolver.target("targets", "identity") is len


def test_knows_the_place_of_what_was_found_and_of_nothing_else() -> None:
    fresh = Resolver(False)
    assert fresh.place("math", "sqrt") is None
    fresh.target("math", "sqrt")
    place = fresh.place("math", "sqrt")
    assert place is not None
    assert place.module is math
    for module, path in [("no_such_module_anywhere", "f"), ("math", "no_such_function")]:
        with pytest.raises((ModuleNotFoundError, AttributeError)):
            fresh.target(module, path)
        assert fresh.place(module, path) is None


def test_lets_code_that_answers_for_a_name_say_why_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "snakepit_test_reasons.py").write_text(
        "class Model:\n"
        "    @property\n"
        "    def run(self):\n"
        "        return self.weights\n"
        "model = Model()\n"
        "def __getattr__(name):\n"
        "    raise AttributeError(f'{name} was removed in 2.0')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'weights'") as failure:
        resolver.target("snakepit_test_reasons", "model.run")
    assert failure.traceback[-1].name == "run"
    with pytest.raises(AttributeError, match="gone was removed in 2"):
        resolver.target("snakepit_test_reasons", "gone")


@pytest.mark.parametrize(
    ("module", "path", "kind", "said"),
    [
        ("math", "sqroot", AttributeError, "module 'math' has no attribute 'sqroot' (target 'math.sqroot')"),
        ("targets", "Thing.triple", AttributeError, "object 'Thing' has no attribute 'triple'"),
        ("maths", "sqrt", ModuleNotFoundError, "no module named 'maths' (target 'maths.sqrt')"),
        ("os", "pathh.join", AttributeError, "pathh"),
        ("math", "", ValueError, "no target"),
        ("", "sqrt", ValueError, "no target"),
        ("os..path", "join", ValueError, "no target"),
        ("os", ".path", ValueError, "no target"),
    ],
)
def test_says_what_is_missing_and_names_the_target(module: str, path: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as failure:
        resolver.target(module, path)
    assert said in str(failure.value)


def test_private_names_are_refused_unless_the_pool_allows_them() -> None:
    for module, path in [("_operator", "add"), ("targets", "_pytest"), ("builtins", "__import__"), ("os", "_exit")]:
        with pytest.raises(AttributeError, match="allowPrivate"):
            resolver.target(module, path)
    assert Resolver(True).target("_operator", "add")(1, 2) == 3
    assert resolver.target("math", "__name__") == "math"


def test_attributes_of_objects_may_be_dotted() -> None:
    thing = targets.Thing()
    assert resolver.attribute(thing, "items.get")("key") == "found"
    with pytest.raises(AttributeError, match="allowPrivate"):
        resolver.attribute(thing, "items.__class__")
