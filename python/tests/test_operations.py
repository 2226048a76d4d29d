"""Which operation failed, and on what, read from real tracebacks of numpy, pandas and scikit-learn."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from describing import caught, described
from snakepit_worker import operations
from snakepit_worker.tracebacks import shown

np = pytest.importorskip("numpy")


def found(error: BaseException, payload: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [operation.to_json() for operation in operations.find(shown(error.__traceback__), payload)]


def ml(error: BaseException, payload: dict[str, Any] | None = None) -> Any:
    return described(error, payload).get("ml")


class Model:
    def __init__(self) -> None:
        self.weights = np.zeros((4, 5))
        self.read = 0

    @property
    def counted(self) -> Any:
        self.read += 1
        return np.zeros((4, 5))

    def forward(self, batch: Any) -> Any:
        return batch @ self.weights

    def forward_counted(self, batch: Any) -> Any:
        return batch @ self.counted


def test_names_and_shapes_are_those_of_the_failing_expression() -> None:
    model = Model()
    details = ml(caught(model.forward, np.zeros((2, 3))))
    assert details["operands"] == [{"name": "batch", "shape": [2, 3]}, {"name": "self.weights", "shape": [4, 5]}]
    assert details["dimension"] == {"axes": [1, 0], "sizes": [3, 4]}
    assert details["operation"] == "matmul"
    assert details["decidedBy"] == "locals"


def test_no_property_is_read_to_find_out() -> None:
    model = Model()
    error = caught(model.forward_counted, np.zeros((2, 3)))
    before = model.read
    details = ml(error)
    assert model.read == before
    assert details["_tag"] == "ShapeMismatch"
    assert details["decidedBy"] == "message"


def test_a_target_of_a_library_is_judged_by_the_arguments_of_the_call() -> None:
    payload = {"python_module": "numpy", "function": "add", "args": [[1.0, 2.0]], "kwargs": {"x2": np.zeros(3)}}
    error = ValueError("operands could not be broadcast together with shapes (2,) (3,) ")
    details = ml(error, payload)
    assert details["operands"] == [{"name": "args[0]", "shape": [2]}, {"name": "x2", "shape": [3]}]
    assert details["decidedBy"] == "arguments"
    assert "cast" not in details


def test_a_method_of_an_array_is_judged_with_the_array() -> None:
    payload = {"call_type": "method", "instance": np.zeros((2, 3)), "function": "dot", "args": [np.zeros((2, 3))]}
    error = caught(payload["instance"].dot, np.zeros((2, 3)))
    error.__traceback__ = None  # a method of C leaves no frames
    details = ml(error, payload)
    assert [operand["name"] for operand in details["operands"]] == ["instance", "args[0]"]
    assert details["suggestion"] == "transpose args[0]: (2, 3) and (3, 2) multiply"


@pytest.mark.parametrize(
    ("left", "right", "suggestion"),
    [
        ((3, 2), (2, 3), "transpose a: a.T has shape (2, 3)"),
        ((2, 3), (2,), "make b a column, b[:, None]: (2, 1) and (2, 3) can be broadcast"),
        ((2, 6), (4, 3), "reshape b: both have 12 items, b.reshape((2, 6))"),
        (
            (2, 3),
            (4, 5),
            "broadcasting compares sizes from the last to the first",
        ),
    ],
)
def test_the_suggestion_fits(left: tuple[int, ...], right: tuple[int, ...], suggestion: str) -> None:
    a, b = np.zeros(left), np.zeros(right)

    def add() -> Any:
        return a + b

    error = caught(add)
    # variables of an enclosing function are variables of the frame
    assert ml(error)["suggestion"].startswith(suggestion)


def test_fitting_operands_are_not_blamed() -> None:
    def add() -> Any:
        a, b = np.zeros((2, 3)), np.zeros((2, 3))
        return np.add(a, b, casting="no such rule of casting, whatever the shape")

    assert ml(caught(add)) is None


def test_what_user_code_raises_is_left_alone_whatever_it_says() -> None:
    def check() -> None:
        a, b = np.zeros((2, 3)), np.zeros((4, 5))
        if a.shape != b.shape:
            raise ValueError("operands could not be broadcast together with shapes (2,3) (4,5) ")

    assert ml(caught(check)) is None


def test_a_cause_is_classified_too() -> None:
    def train() -> None:
        a, b = np.zeros((2, 3)), np.zeros((4, 5))
        try:
            a @ b
        except ValueError as error:
            raise RuntimeError("the training failed") from error

    report = described(caught(train))
    assert "ml" not in report
    assert report["cause"]["ml"]["operation"] == "matmul"


def test_memory_that_there_is_not_is_counted() -> None:
    details = ml(caught(np.zeros, (10**7, 10**7)))
    assert details["requestedBytes"] == 8 * 10**14
    assert details["decidedBy"] == "class"
    if sys.platform == "linux":
        assert 0 < details["freeBytes"] <= details["totalBytes"] < details["requestedBytes"]


def test_an_estimator_says_which_features_it_wants() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    model = linear_model.LinearRegression().fit(np.zeros((10, 2)), np.zeros(10))

    def predict(rows: Any) -> Any:
        return model.predict(rows)

    details = ml(caught(predict, np.zeros((2, 5))))
    assert details["operands"] == [{"name": "expected", "shape": [None, 2]}, {"name": "rows", "shape": [2, 5]}]
    assert details["suggestion"].startswith("transpose rows")
    assert details["operation"] == "predict"


def test_subclasses_and_hostile_objects_are_left_alone() -> None:
    class Odd:
        @property
        def shape(self) -> Any:
            raise SystemError("no")

        def __matmul__(self, other: Any) -> Any:
            raise ValueError("shapes (2,3) and (4,5) not aligned: 3 (dim 1) != 4 (dim 0)")

    def multiply() -> Any:
        a, b = Odd(), np.zeros(3)
        return a @ b

    report = described(caught(multiply))
    assert report["_tag"] == "ValueError"
    assert "ml" not in report


def test_the_call_context_has_shapes_dtypes_and_no_values() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"dtype": [1, 2], "device": [3, 4]})
    payload = {"function": "f", "args": [np.zeros((2, 3), "float32"), table]}
    assert described(ValueError("x"), payload)["call"]["arguments"] == [
        {"name": "0", "type": "numpy.ndarray", "shape": [2, 3], "dtype": "float32"},
        {"name": "1", "type": f"{type(table).__module__}.DataFrame", "shape": [2, 2]},
    ]
