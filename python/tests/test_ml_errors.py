"""Machine-learning errors: the real messages of the corpus are what they are stated to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakepit_worker.description import _ABOUT_ARRAYS
from snakepit_worker.ml_errors import Evidence, decide
from snakepit_worker.operations import Operation

CORPUS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "corpus" / "messages.json").read_text("utf-8"))


def decided(entry: dict[str, Any], operations: bool = True) -> dict[str, Any] | None:
    if entry["operations"] is None:
        return None
    if _ABOUT_ARRAYS(entry["message"]) is None:
        return None
    known = [Operation.from_json(each) for each in entry["operations"]] if operations else []
    return decide(Evidence(entry["type"], entry["message"], known, entry["attributes"] if operations else {}))


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['library']} {entry['version']}: {entry['code'].splitlines()[-1]}"


def matches(found: dict[str, Any], ml: dict[str, Any]) -> list[str]:
    """Which of the stated fields are not as stated."""
    wrong = []
    for field, value in ml.items():
        if field == "shapes":
            actual = [operand["shape"] for operand in found["operands"]]
            # an operand of the real code says more than the message, which may know one size
            if len(actual) != len(value) or not all(map(same_shape, actual, value)):
                wrong.append(f"shapes {actual}, expected {value}")
        elif field == "operation":
            if found[field] != value and ALIASES.get(found[field]) != value:
                wrong.append(f"operation {found[field]}, expected {value}")
        elif found.get(field) != value:
            wrong.append(f"{field} {found.get(field)!r}, expected {value!r}")
    return wrong


ALIASES = {"mm": "matmul", "view": "reshape", "mul": "multiply"}


def same_shape(actual: list[int | None], expected: list[int | None]) -> bool:
    if len(actual) == len(expected):
        return all(None in (one, other) or one == other for one, other in zip(actual, expected))
    return len(expected) == 1 and expected[0] in actual


def test_the_corpus_is_as_large_as_it_has_to_be() -> None:
    assert len({(entry["library"], entry["message"]) for entry in CORPUS if entry["ml"] is not None}) >= 120
    assert len({(entry["library"], entry["message"]) for entry in CORPUS if entry["ml"] is None}) >= 50
    for library in ("numpy", "pandas", "sklearn", "torch", "jax"):
        assert len({entry["version"] for entry in CORPUS if entry["library"] == library}) >= 2, library


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if entry["ml"] is not None], ids=name_of)
def test_a_real_message_is_classified(entry: dict[str, Any]) -> None:
    found = decided(entry)
    assert found is not None, entry["message"]
    assert matches(found, entry["ml"]) == [], entry["message"]
    assert found["suggestion"]


@pytest.mark.parametrize("entry", [entry for entry in CORPUS if entry["ml"] is None], ids=name_of)
def test_what_looks_alike_is_left_alone(entry: dict[str, Any]) -> None:
    assert decided(entry) is None, entry["message"]
