"""Suggestions that fit: what a suggestion says is done, and the operation succeeds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from snakepit_worker.array_rules import decide
from snakepit_worker.operations import Operation, operand

numpy = pytest.importorskip("numpy")

SHAPES = [shape for count in (1, 2) for shape in itertools.product((1, 2, 3, 6), repeat=count)]


# How a suggestion begins that is a rule and no change.
RULES = {"broadcasting", "the"}


def suggested(name: str, *values: Any) -> str | None:
    """The suggestion for an operation on `a`, `b`; None when they fit."""
    operands = [operand(label, value) for label, value in zip("ab", values)]
    found = decide(["ValueError", "Exception", "BaseException"], [Operation(name, operands, "arguments")])
    return None if found is None else found["suggestion"]


def followed(suggestion: str, a: Any, b: Any) -> tuple[Any, Any] | None:
    """The operands as the suggestion wants them; None where it is only a rule."""
    if suggestion.startswith("transpose a"):
        return a.T, b
    if suggestion.startswith("transpose b"):
        return a, b.T
    code = re.match(r"(?:make|reshape) ([ab])\b.*?(\1(?:\[:, None\]|\.reshape\([^:]*?\)\)?))(?::|$)", suggestion)
    if code is None:
        return None
    changed = eval(code[2], {"a": a, "b": b})
    return (changed, b) if code[1] == "a" else (a, changed)


@pytest.mark.parametrize(("name", "run"), [("add", lambda a, b: a + b), ("matmul", lambda a, b: a @ b)])
def test_what_is_suggested_for_two_operands_works(name: str, run: Callable[[Any, Any], Any]) -> None:
    kinds: set[str] = set()
    for left, right in itertools.product(SHAPES, repeat=2):
        a, b = numpy.zeros(left), numpy.zeros(right)
        suggestion = suggested(name, a, b)
        try:
            run(a, b)
        except ValueError:
            assert suggestion is not None, (left, right)
            changed, kind = followed(suggestion, a, b), suggestion.partition(" ")[0]
            assert (changed is None) == (kind in RULES), suggestion
            if changed is not None:
                run(*changed)
            kinds.add(kind)
        else:
            assert suggestion is None, (left, right, suggestion)
    wanted = {"transpose", "make", "reshape", "broadcasting"} if name == "add" else {"transpose", "the"}
    assert kinds == wanted


def test_a_shape_that_is_suggested_for_reshape_has_as_many_items() -> None:
    fits = 0
    for shape, target in itertools.product(SHAPES, [(4, 2), (5, 3), (2, 2, 2), (-1, 4), (6, 2), (7,)]):
        a = numpy.zeros(shape)
        suggestion = suggested("reshape", a, target)
        try:
            a.reshape(target)
        except ValueError:
            assert suggestion is not None, (shape, target)
            fitting = re.search(r"(\([\d, ]+\)) would fit", suggestion)
            if fitting is not None:
                a.reshape(eval(fitting[1]))
                fits += 1
        else:
            assert suggestion is None, (shape, target, suggestion)
    assert fits > 20
