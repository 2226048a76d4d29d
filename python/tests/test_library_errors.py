"""What is read of libraries' exceptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snakepit_worker.library_errors import LibraryErrors

JSON: dict[str, Any] = {"types": ["json.decoder.JSONDecodeError"], "library": None, "attributes": ["msg", "pos"]}


class Answer:
    status = 404

    @property
    def broken(self) -> int:
        raise RuntimeError("no")


class FetchError(OSError):
    def __init__(self) -> None:
        super().__init__("gone")
        self.answer = Answer()
        self.parts: object = [1, {"a": object()}, ValueError("x"), (2, 3)]

    def faults(self) -> list[str]:
        return ["one", "two"]


class Sub(FetchError):
    pass


FETCH: dict[str, Any] = {
    "types": [f"{__name__}.FetchError"],
    "library": "pytest",
    "attributes": ["answer.status", "answer.broken", "missing", "faults()", "parts"],
}


def keep(value: object) -> object:
    return value if isinstance(value, (int, str)) else "<repr>"


def test_reads_nothing_of_classes_that_nobody_named() -> None:
    assert LibraryErrors([JSON, FETCH]).report(ValueError("x"), keep) is None


def test_reads_the_attributes_of_a_class_of_the_standard_library() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("[1,")
    report = LibraryErrors([JSON]).report(caught.value, keep)
    assert report == {"name": None, "version": None, "attributes": {"msg": "Expecting value", "pos": 3}}


def test_follows_paths_calls_methods_and_leaves_out_what_raises_or_is_missing() -> None:
    report = LibraryErrors([FETCH]).report(Sub(), keep)
    assert report is not None
    assert report["version"] == pytest.__version__
    assert report["attributes"] == {
        "answer.status": 404,
        "faults()": ["one", "two"],
        "parts": [1, {"a": "<repr>"}, "ValueError('x')", [2, 3]],
    }


def test_bounds_what_it_copies() -> None:
    error = FetchError()
    error.parts = [list(range(1000)), list(range(1000))]
    report = LibraryErrors([FETCH]).report(error, keep)
    assert report is not None
    parts: Any = report["attributes"]["parts"]  # type: ignore[index]
    assert len(parts[0]) == 254
    assert parts[1] == []
    nested: object = 1
    for _ in range(50):
        nested = [nested]
    error.parts = nested
    assert "<repr>" in str(LibraryErrors([FETCH]).report(error, keep))


def test_says_no_version_for_what_is_no_distribution() -> None:
    report = LibraryErrors([{**FETCH, "library": "no-such-distribution-anywhere"}]).report(FetchError(), keep)
    assert report is not None
    assert report["version"] is None
