"""Arrays and numpy's scalars on the wire."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit_worker.adapters import Refused
from snakepit_worker.arrays import convert
from snakepit_worker.values import Packer, Unpacker, Unserializable, WireValueError

numpy = pytest.importorskip("numpy")
arrays = pytest.importorskip("hypothesis.extra.numpy")

packer = Packer()
unpacker = Unpacker(lambda *parts: parts, lambda number: number)


def there_and_back(value: object) -> Any:
    return unpacker.unpack(packer.pack_value(value))


def wire(value: object) -> Any:
    """[name, [dtype, shape, data]] as it crosses."""
    import ormsgpack

    return ormsgpack.unpackb(packer.pack_value(value), ext_hook=lambda _code, data: ormsgpack.unpackb(data))


def same(left: Any, right: Any) -> bool:
    """The same dtype, byte order included, shape and bytes."""
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


def refused(value: object) -> Unserializable:
    with pytest.raises(Unserializable) as caught:
        packer.pack_value(["before", value])
    assert caught.value.path == "result[1]"
    return caught.value


dtypes = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    arrays.byte_string_dtypes(max_len=5),
    arrays.unicode_string_dtypes(endianness="?", max_len=5),
    arrays.datetime64_dtypes(endianness="?"),
    arrays.timedelta64_dtypes(endianness="?"),
    arrays.array_dtypes(allow_subarrays=True, max_size=3),
)


@given(st.data())
def test_arrays_of_every_dtype_and_shape_arrive_as_they_left(data: st.DataObject) -> None:
    array = data.draw(arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
    arrived = there_and_back([array])[0]
    assert same(arrived, array)
    assert arrived.flags.writeable
    assert arrived.flags.c_contiguous


def test_strided_and_fortran_arrays_cross_in_c_order() -> None:
    whole = numpy.arange(24).reshape(2, 3, 4)
    for view in (
        whole[:, ::2, ::-1],
        whole.T,
        numpy.asfortranarray(whole),
        whole[1, 2],
        numpy.broadcast_to(whole[0], (2, 3, 4)),
    ):
        assert same(there_and_back(view), view)


def test_large_arrays_take_the_way_without_a_copy() -> None:
    for array in (
        numpy.arange(100_000.0),
        numpy.asfortranarray(numpy.ones((300, 300))),
        numpy.zeros(5_000, dtype="M8[ns]"),
        numpy.zeros(5_000, dtype=[("a", "<i4"), ("b", ">f8")]),
        numpy.full((5_000, 2), "xy"),
    ):
        assert same(there_and_back(array), array)


def test_a_tensor_is_a_dtype_a_shape_and_bytes() -> None:
    assert wire(numpy.array([[1, 2]], "<i2")) == ["tensor", ["<i2", [1, 2], b"\1\0\2\0"]]
    assert wire(numpy.array([(1, 2)], [("a", "<i2"), ("b", "|u1")])) == [
        "tensor",
        [[["a", "<i2"], ["b", "|u1"]], [1], b"\1\0\2"],
    ]


@pytest.mark.parametrize(
    "dtype",
    [
        numpy.dtype([("a", "i1"), ("b", "f8")], align=True),
        numpy.dtype([(("title", "a"), "i4")]),
        numpy.dtype([("a", [("b", "i2", (2, 3)), ("c", "S3")])]),
        numpy.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 16}),
        numpy.dtype("V0"),
        numpy.dtype("U0"),
        numpy.dtype([]),
    ],
    ids=str,
)
def test_unusual_dtypes_arrive(dtype: Any) -> None:
    array = numpy.zeros(3, dtype)
    assert same(there_and_back(array), array)


def test_object_arrays_carry_their_items() -> None:
    array = numpy.empty((2, 2), dtype=object)
    array[0, 0], array[0, 1], array[1, 0], array[1, 1] = None, [1, [2]], {1: (2,)}, numpy.arange(2)
    arrived = there_and_back(array)
    assert arrived.dtype == object
    assert arrived.shape == (2, 2)
    assert arrived[0, 1] == [1, [2]]
    assert arrived[1, 0] == {1: (2,)}
    assert same(arrived[1, 1], numpy.arange(2))
    assert there_and_back(numpy.array([], dtype=object)).shape == (0,)


def test_records_memory_maps_and_matrices_cross_as_arrays(tmp_path: Any) -> None:
    records = numpy.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    assert same(there_and_back(records), numpy.asarray(records))
    mapped = numpy.memmap(tmp_path / "m", dtype="u1", mode="w+", shape=(3,))
    assert same(there_and_back(mapped), numpy.asarray(mapped))
    del mapped


# ---- scalars -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        (numpy.bool_(True), True),
        (numpy.int8(-5), -5),
        (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.intp(3), 3),
        (numpy.float16(0.5), 0.5),
        (numpy.float32(0.1), float(numpy.float32(0.1))),
        (numpy.float64(0.1), 0.1),
        (numpy.longdouble(0.5), 0.5),
        (numpy.complex64(1 + 2j), 1 + 2j),
        (numpy.complex128(1 + 2j), 1 + 2j),
        (numpy.str_("a"), "a"),
        (numpy.bytes_(b"a\0b"), b"a\0b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scalars_arrive_as_python_values(scalar: Any, value: object) -> None:
    for arrived in (there_and_back(scalar), there_and_back({1: scalar})[1]):
        assert arrived == value
        assert type(arrived) is type(value)
    assert there_and_back({scalar: 1}) == {value: 1}


def test_scalars_that_python_cannot_hold_arrive_as_arrays_without_dimensions() -> None:
    moment = there_and_back(numpy.datetime64("2024-01-01T00:00:00.123456789"))
    assert same(moment, numpy.array("2024-01-01T00:00:00.123456789", "M8[ns]"))
    assert same(there_and_back(numpy.timedelta64(5, "h")), numpy.array(5, "m8[h]"))
    record = numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0]
    assert same(there_and_back(record), numpy.array(record))


def test_a_long_double_that_float64_cannot_hold_is_refused() -> None:
    third = numpy.longdouble(1) / 3
    if float(third) == third:
        pytest.skip("a long double is a float64 here")
    assert "digits" in refused(third).reason
    assert there_and_back(numpy.longdouble("nan")) != 0


# ---- what cannot cross ---------------------------------------------------------------------------------------------


def test_masked_arrays_are_refused_even_in_sessions() -> None:
    masked = numpy.ma.array([1, 2], mask=[True, False])
    assert "filled" in refused(masked).reason
    with pytest.raises(Unserializable):
        Packer(lambda _value: ("s", "w", 1, "t")).pack_value(masked)


def test_subclasses_that_mean_more_than_their_items_are_refused_or_kept() -> None:
    class Quantity(numpy.ndarray):  # type: ignore[misc, name-defined]
        pass

    quantity = numpy.arange(3).view(Quantity)
    assert "asarray" in refused(quantity).reason
    kept: list[object] = []

    def keep(value: object) -> tuple[str, str, int, str]:
        kept.append(value)
        return "s", "w", 1, "t"

    assert unpacker.unpack(Packer(keep).pack_value([quantity])) == [("s", "w", 1, "t")]
    assert kept[0] is quantity


def test_dtypes_without_a_portable_description_are_refused() -> None:
    assert "Python objects" in refused(numpy.zeros(1, [("a", "i4"), ("b", object)])).reason
    overlapping = numpy.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 2]})
    assert "no portable description" in refused(numpy.zeros(1, overlapping)).reason
    if hasattr(numpy.dtypes, "StringDType"):
        assert "no portable description" in refused(numpy.array(["a"], numpy.dtypes.StringDType())).reason


def test_an_item_of_an_object_array_that_cannot_cross_is_found() -> None:
    with pytest.raises(Unserializable) as caught:
        packer.pack_value({"a": numpy.array([1, print], dtype=object)})
    assert caught.value.python_type == "builtin_function_or_method"
    assert caught.value.path.startswith("result.a")


# ---- what the host sends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "actual"),
    [
        (5, "instead of [dtype, shape, data]"),
        (["<f8", [2], b"123"], "3 bytes for a tensor of float64 with the shape [2], which takes 16"),
        (["<q9", [1], b"1"], "unknown dtype"),
        (["<f8", [1], [1.0]], "as list"),
        (["|O", [1], b"12345678"], "as bytes"),
        ([5, [1], b"1"], "str or a list of fields"),
        (["|O", [3], [1]], "cannot reshape"),
    ],
)
def test_a_bad_tensor_fails_with_what_is_wrong(payload: object, actual: str) -> None:
    import ormsgpack

    data = ormsgpack.packb(ormsgpack.Ext(13, ormsgpack.packb(["tensor", payload])))
    with pytest.raises(WireValueError) as caught:
        unpacker.unpack(b"\x81\xa7payload\x81\xa4args\x91" + data)
    assert caught.value.path == "args[0]"
    assert actual in caught.value.actual


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'numpy'", name="numpy"), "numpy is not installed"),
        (ImportError("failed to map segment"), "numpy does not import here: failed to map segment"),
    ],
)
def test_without_numpy_a_tensor_fails_and_says_so(
    monkeypatch: pytest.MonkeyPatch, error: ImportError, reason: str
) -> None:
    data = packer.pack_value({"args": [numpy.zeros((2, 3), "<f4")]})
    imported = builtins.__import__

    def without_numpy(name: str, *rest: Any, **options: Any) -> Any:
        if name == "numpy":
            raise error
        return imported(name, *rest, **options)

    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.setattr(builtins, "__import__", without_numpy)
    with pytest.raises(WireValueError) as caught:
        unpacker.unpack(data)
    monkeypatch.undo()
    assert caught.value.path == "args[0]"
    assert f"a tensor of <f4 (2x3), and {reason}" in caught.value.actual


# ---- torch and jax: where they are installed -----------------------------------------------------------------------


def test_torch_tensors_in_main_memory_cross_as_arrays() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(2, 3)
    assert same(there_and_back(tensor.T), tensor.numpy().T)
    assert same(there_and_back(torch.nn.Parameter(tensor)), tensor.numpy())
    assert same(there_and_back(torch.tensor([1 + 2j]).conj()), numpy.array([1 - 2j], "c8"))
    assert "numpy cannot hold" in refused(torch.eye(2).to_sparse()).reason


def test_a_torch_tensor_elsewhere_is_kept_or_refused() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, device="meta")
    with pytest.raises(Unserializable, match="session"):
        packer.pack_value(tensor)


def test_bfloat16_arrives_in_numpy_and_in_torch_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    torch = pytest.importorskip("torch")
    bits = numpy.array([[0, 0x8000, 0x7F80], [0x7FC1, 0xFFFF, 0x3F80]], "u2")
    arrived = there_and_back(bits.view(ml_dtypes.bfloat16))
    assert arrived.dtype == ml_dtypes.bfloat16
    assert same(arrived.view("u2"), bits)
    tensor = torch.from_numpy(bits.view("i2")).view(torch.bfloat16)
    assert same(there_and_back(tensor.T).view("u2"), bits.T)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.setattr("snakepit_worker.arrays._has", lambda library: library == "torch")
    arrived = there_and_back(tensor)
    assert arrived.dtype == torch.bfloat16
    assert same(arrived.view(torch.int16).numpy().view("u2"), bits)


def test_bfloat16_needs_a_library_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakepit_worker.arrays._has", lambda _library: False)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    ormsgpack = pytest.importorskip("ormsgpack")
    payload = ["tensor", ["bfloat16", [1], b"\0\0"]]
    data = ormsgpack.packb(ormsgpack.Ext(13, ormsgpack.packb(payload)))
    with pytest.raises(WireValueError) as caught:
        unpacker.unpack(b"\x81\xa7payload\x81\xa4args\x91" + data)
    assert "needs the package ml_dtypes" in caught.value.actual


def test_an_array_becomes_a_torch_tensor_over_the_same_bytes() -> None:
    torch = pytest.importorskip("torch")
    array = numpy.arange(12, dtype="f4").reshape(3, 4)
    array.flags.writeable = False
    for part in (array, array.T, array[::2, 1:], array[1]):
        tensor = convert(part, "torch")
        assert isinstance(tensor, torch.Tensor)
        assert tensor.data_ptr() == part.__array_interface__["data"][0]
        assert same(tensor.numpy(), part)
    assert same(convert(array[::-1], "torch").numpy(), array[::-1])  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="an array of >f4 as torch, which fails"):
        convert(array.astype(">f4"), "torch")


def test_an_array_becomes_a_jax_array_over_the_same_bytes_and_never_of_another_dtype() -> None:
    jax = pytest.importorskip("jax")
    room = numpy.empty(4096, "u1")
    begin = -room.__array_interface__["data"][0] % 64  # jax copies what is not aligned
    array = room[begin : begin + 1024].view("f4").reshape(16, 16)
    array[...] = numpy.arange(256).reshape(16, 16)
    array.flags.writeable = False
    made = convert(array, "jax")
    assert isinstance(made, jax.Array)
    assert made.unsafe_buffer_pointer() == array.__array_interface__["data"][0]
    for part in (array, array.T, array[::-1], array > 3):
        assert same(numpy.asarray(convert(part, "jax")), part)
    assert same(there_and_back(made), array)
    with pytest.raises(Refused, match="an array of float64 as jax, which makes float32 of it: set jax_enable_x64"):
        convert(array.astype("f8"), "jax")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("torch", "jax"):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(Refused, match=f"an array as {library}, and {library} is not installed"):
            convert(numpy.zeros(1), library)
