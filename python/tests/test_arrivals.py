"""What tables become that arrive without a word on it: the annotations of their targets decide."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import pytest

from snakepit_worker import arrivals
from snakepit_worker.errors import DecodeError

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

if TYPE_CHECKING:
    import no_such_library


def arrived() -> Any:
    table = pyarrow.table({"a": [1, 2]})
    arrivals.note(table)
    return table


def seen(target: Any, *args: Any, **kwargs: Any) -> Any:
    """The types of what a target gets."""
    settled, named = arrivals.settle(target, list(args), kwargs)
    return [type(value) for value in settled], {name: type(value) for name, value in named.items()}


def plain(a, b):  # type: ignore[no-untyped-def]
    pass


def annotated(
    a: pandas.DataFrame,
    b: polars.DataFrame,
    c: pyarrow.Table,
    d: polars.LazyFrame,
    e: pyarrow.RecordBatch,
    f: pandas.Series,
    g: polars.Series,
    h: int,
) -> None:
    pass


def wrapped_in_types(
    a: Optional[pandas.DataFrame],  # noqa: UP045
    b: Union[int, polars.DataFrame],  # noqa: UP007
    c: polars.DataFrame | pandas.DataFrame | None,
    d: Annotated[pandas.DataFrame, "two columns"],
    e: list[pandas.DataFrame],
) -> None:
    pass


def collecting(*frames: polars.DataFrame, named: pandas.DataFrame, **others: polars.DataFrame) -> None:
    pass


def beside_unknown(a: no_such_library.Thing, b: pandas.DataFrame) -> None:
    pass


@dataclass
class Model:
    frame: pandas.DataFrame

    def fit(self, x: polars.DataFrame) -> None:
        pass

    def __call__(self, x: polars.DataFrame) -> None:
        pass

    @staticmethod
    def still(x: polars.DataFrame) -> None:
        pass

    @classmethod
    def of(cls, x: polars.DataFrame) -> None:
        pass


@functools.wraps(annotated)
def decorated(*args: Any, **kwargs: Any) -> None:
    pass


def test_without_annotations_a_table_stays_as_it_came() -> None:
    assert seen(plain, arrived(), b=arrived()) == ([pyarrow.Table], {"b": pyarrow.Table})
    assert seen(print, arrived()) == ([pyarrow.Table], {})
    assert seen(functools.partial(annotated), arrived()) == ([pyarrow.Table], {})


@pytest.mark.parametrize("target", [annotated, decorated])
def test_a_table_becomes_what_its_parameter_is_annotated_with(target: Any) -> None:
    wanted = [
        pandas.DataFrame,
        polars.DataFrame,
        pyarrow.Table,
        polars.LazyFrame,
        pyarrow.RecordBatch,
        pandas.Series,
        polars.Series,
        pyarrow.Table,
    ]
    assert seen(target, *[arrived() for _ in wanted]) == (wanted, {})
    names = dict(zip("abcdefgh", wanted))
    assert seen(target, **{name: arrived() for name in names}) == ([], names)


def test_the_first_class_of_tables_in_a_union_counts() -> None:
    wanted = [pandas.DataFrame, polars.DataFrame, polars.DataFrame, pandas.DataFrame, pyarrow.Table]
    assert seen(wrapped_in_types, *[arrived() for _ in wanted]) == (wanted, {})


def test_collected_and_named_parameters_count() -> None:
    args, kwargs = seen(collecting, arrived(), arrived(), named=arrived(), rest=arrived())
    assert args == [polars.DataFrame, polars.DataFrame]
    assert kwargs == {"named": pandas.DataFrame, "rest": polars.DataFrame}


def test_an_annotation_without_a_value_hides_no_other() -> None:
    assert seen(beside_unknown, arrived(), arrived()) == ([pyarrow.Table, pandas.DataFrame], {})


def test_classes_methods_and_callable_objects_have_annotations_too() -> None:
    assert seen(Model, arrived()) == ([pandas.DataFrame], {})
    model = Model(pandas.DataFrame())
    for target in (model.fit, model, Model.still, Model.of):
        assert seen(target, arrived()) == ([polars.DataFrame], {})
    assert seen(Model.fit, model, arrived()) == ([Model, polars.DataFrame], {})


def test_a_table_that_python_had_is_not_changed() -> None:
    own = pyarrow.table({"a": [1]})
    other = arrived()
    args, _ = arrivals.settle(annotated, [own, other], {})
    assert args[0] is own
    assert type(args[1]) is polars.DataFrame


def test_tables_inside_other_values_stay_as_they_came() -> None:
    inside = [arrived()]
    args, _ = arrivals.settle(annotated, [inside], {})
    assert args[0] is inside


def test_a_table_that_cannot_be_what_is_asked_fails_with_its_argument() -> None:
    wide = pyarrow.table({"a": [1], "b": [2]})
    arrivals.note(wide)
    with pytest.raises(DecodeError) as caught:
        arrivals.settle(annotated, [0, 0, 0, 0, 0, wide], {})
    assert caught.value.path == "args[5]"
    assert "2 columns" in caught.value.actual


def test_tables_that_are_gone_are_forgotten() -> None:
    arrivals.waiting.clear()
    table = arrived()
    assert len(arrivals.waiting) == 1
    del table
    assert not arrivals.waiting


# ---- arrays --------------------------------------------------------------------------------------------------------


def an_array() -> Any:
    return numpy.arange(4, dtype="f4")


def test_an_array_stays_one_unless_the_annotation_says_otherwise() -> None:
    def tables(a: pandas.DataFrame, b: numpy.ndarray | pandas.DataFrame, c: numpy.ndarray[Any, Any], d: Any) -> None:
        pass

    assert seen(tables, *(an_array() for _ in range(4)))[0] == [numpy.ndarray] * 4
    assert seen(len, an_array())[0] == [numpy.ndarray]
    assert seen(tables, arrived(), arrived())[0] == [pandas.DataFrame, pandas.DataFrame]


def test_an_array_becomes_what_the_annotation_asks_for() -> None:
    torch = pytest.importorskip("torch")
    jax = pytest.importorskip("jax")

    def asking(a, b, c, d, *e):  # type: ignore[no-untyped-def]
        pass

    asking.__annotations__ = {
        "a": torch.Tensor,
        "b": jax.Array,
        "c": Optional[torch.Tensor],  # noqa: UP045
        "d": numpy.ndarray | torch.Tensor,
        "e": jax.Array,
    }
    types = seen(asking, *(an_array() for _ in range(6)))[0]
    libraries = [kind.__module__.partition(".")[0] for kind in types]
    assert libraries == ["torch", "jaxlib", "torch", "numpy", "jaxlib", "jaxlib"]
    with pytest.raises(DecodeError, match=r"args\[0\].*an array that can be a torch"):
        arrivals.settle(asking, [an_array().astype(">f4")], {})
