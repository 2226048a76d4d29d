"""The nearest names."""

from __future__ import annotations

import sys

from describing import caught, described
from snakepit_worker.suggestions import keyword_suggestion, nearest


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


def test_a_module_that_is_not_installed_says_where_it_is_missing_and_what_to_do() -> None:
    message = described(caught(__import__, "nothing_like_it"))["message"]
    assert message == (
        f"No module named 'nothing_like_it'. {sys.executable} has none: name its package in the pool's `requirements`, "
        "install it there, or name the folder of your own module in `pythonPath`"
    )
    # its package is there
    assert described(caught(__import__, "json.nothing_like_it"))["message"] == "No module named 'json.nothing_like_it'"


def test_the_nearest_keyword_is_suggested_for_the_keywords_of_the_call() -> None:
    import statistics

    payload = {"python_module": "statistics", "function": "quantiles", "args": [[1, 2]], "kwargs": {"metod": "x"}}
    error = caught(statistics.quantiles, [1, 2], metod="x")
    # Python 3.13 suggests keywords itself, without the colon.
    assert described(error, call=payload)["message"].endswith(("Did you mean: 'method'?", "Did you mean 'method'?"))
    # A keyword that is not the call's own was passed by the target to something else.
    assert keyword_suggestion(str(error), payload) == "Did you mean: 'method'?"
    assert keyword_suggestion(str(error), {**payload, "kwargs": {}}) is None


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
