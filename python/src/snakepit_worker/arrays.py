"""Arrays on the wire: the adapter `tensor`, numpy's scalars, and torch tensors in main memory.

A tensor is [dtype, shape, data]: `dtype.str`, or the `descr` list for records; the shape as a list; the items in C
order as bytes, or as a list of values when the dtype is `|O`. Byte order and dtype arrive as they left. Bytes may be in
shared memory, where `storage.py` decides so. What comes inside the message is a fresh, writable, C-contiguous
`numpy.ndarray`; what comes in shared memory is an ndarray over those bytes, with the strides that the sender names, and
read-only unless the sender lets it be written to. The annotation of its parameter may make a torch tensor or a jax
array of it, over the same bytes.

Imported by `adapters.py` when the first array is seen or decoded.
"""

from __future__ import annotations

import math
import sys

from . import storage
from .adapters import ADAPTED, Formless, Refused
from .errors import bounded_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .adapters import Rule

    # numpy and torch are optional; their objects are recognised by name and typed as what they are not: known.
    Array = Any
    DType = Any

_PLACE = 0
# Half of a float32: numpy has it through ml_dtypes, torch by itself.
_BFLOAT16 = "bfloat16"
_MOST_DTYPES = 256
_COPY_LIMIT = 16_384  # bytes; above it a view saves more than it costs to make
_dtypes: dict[DType, object] = {}
_named_dtypes: dict[str, DType] = {}


def rule_for(kind: type, base: type) -> Rule | None:
    """The rule of a class whose MRO has `base`: numpy's ndarray, MaskedArray or generic, or torch's Tensor."""
    name = base.__name__
    if name == "generic":
        return _scalar_rule(kind)
    if name == "MaskedArray":
        return _PLACE, _refuse_masked
    if name == "Tensor":
        return ADAPTED, _torch_payload
    if (kind.__module__.partition(".")[0], kind.__name__) in _PLAIN_ARRAYS:
        return ADAPTED, _payload
    # Another subclass, such as a quantity with its unit, means more than its items.
    return _PLACE, _refuse_subclass


_PLAIN_ARRAYS = frozenset({("numpy", "ndarray"), ("numpy", "memmap"), ("numpy", "recarray"), ("numpy", "matrix")})


def _payload(array: Array) -> list[object]:
    return ["tensor", tensor(array)]


def tensor(array: Array) -> list[object]:
    """[dtype, shape, data] of an ndarray. Raises Refused for a dtype that numpy cannot rebuild from its description."""
    dtype = array.dtype
    shape = list(array.shape)
    if dtype.kind == "V" and dtype.name == _BFLOAT16:  # of ml_dtypes; the name takes long to find out
        return [_BFLOAT16, *tensor(array.view("u2"))[1:]]
    spec = _dtypes.get(dtype) or _describe(dtype)
    if spec == "|O":
        return [spec, shape, array.ravel().tolist()]
    return [spec, shape, _data(array)]


def _data(array: Array) -> object:
    size = array.nbytes
    if size == 0 or (size <= _COPY_LIMIT and size < storage.threshold):
        return array.tobytes()
    numpy = sys.modules["numpy"]
    array = numpy.asarray(array)
    if array.flags.c_contiguous:
        return _shared(array) or storage.store(memoryview(array.reshape(-1).view("u1")))

    def fill(room: memoryview) -> None:
        numpy.copyto(numpy.ndarray(array.shape, array.dtype, room), array)

    stored = storage.write(size, fill) if array.dtype.names is None else None
    return stored or storage.store(memoryview(numpy.ascontiguousarray(array).reshape(-1).view("u1")))


def _shared(array: Array) -> object:
    """What stands for a contiguous array whose items are in shared memory already; None for any other."""
    if storage.memory is None:
        return None
    root = array
    ndarray = sys.modules["numpy"].ndarray
    while isinstance(root.base, ndarray):
        root = root.base
    owner = root.base
    if owner is None:
        return None
    address = array.__array_interface__["data"][0]
    if (start := storage.memory.address(owner)) < 0:
        # made by another library, of an array that it holds on to
        owner, start = storage.memory.owner_of(address, array.nbytes)
    place = storage.shared(owner, address - start, array.nbytes)
    if place is not None and storage.memory.looked_at(owner) is None:
        # made here, and handed over: who writes to it from here on is told so. What arrived is the sender's to protect.
        root.flags.writeable = array.flags.writeable = False
    return place


def _describe(dtype: DType) -> object:
    """`dtype.str` or the `descr` as lists, once it is known to say everything about the dtype."""
    spec: object
    if dtype.kind == "O":
        spec = "|O"
    elif dtype.hasobject and dtype.names is not None:
        raise Refused(f"the dtype {dtype} holds Python objects inside records; split the array into its fields")
    else:
        try:
            spec = dtype.str if dtype.names is None else _lists(dtype.descr)
            rebuilt = _dtype(spec)
        except Exception:
            rebuilt = None
        if rebuilt != dtype:
            raise Refused(f"the dtype {dtype} has no portable description; convert the array first: array.astype(...)")
    if len(_dtypes) > _MOST_DTYPES:
        _dtypes.clear()
    _dtypes[dtype] = spec
    return spec


def _lists(descr: Any) -> object:
    """A `descr` without tuples, which would be values of their own on the wire."""
    return [_lists(each) for each in descr] if isinstance(descr, (list, tuple)) else descr


def _dtype(spec: object) -> DType:
    numpy = sys.modules["numpy"]
    if spec == _BFLOAT16:
        try:
            import ml_dtypes
        except ImportError:
            raise Refused("a tensor of bfloat16, for which numpy needs the package ml_dtypes") from None
        return numpy.dtype(ml_dtypes.bfloat16)
    if type(spec) is str:
        dtype = _named_dtypes.get(spec)
        if dtype is None:
            dtype = numpy.dtype(spec)
            if len(_named_dtypes) < _MOST_DTYPES:
                _named_dtypes[spec] = dtype
        return dtype
    if type(spec) is not list:
        raise Refused(f"a dtype is a str or a list of fields, not {bounded_repr(spec, 80)}")
    names: list[object] = []
    formats: list[DType] = []
    offsets: list[int] = []
    titles: list[object] = []
    offset = 0
    for field in spec:
        name, format_, *shape = field
        field_type = _dtype(format_)
        if shape:
            field_type = numpy.dtype((field_type, tuple(shape[0])))
        if name != "":  # an unnamed field is padding
            title, name = name if type(name) is list else (None, name)
            names.append(name)
            titles.append(title)
            formats.append(field_type)
            offsets.append(offset)
        offset += field_type.itemsize
    return numpy.dtype({"names": names, "formats": formats, "offsets": offsets, "titles": titles, "itemsize": offset})


def empty(shape: int | tuple[int, ...], dtype: object = float) -> Array:
    """An ndarray in shared memory, whose items are whatever was there before: as a result it crosses without a copy.

    Use it as `out=`, or fill it. It is an ordinary array where there is no room in shared memory, in workers that share
    none, and outside of workers. Once it was answered, it is read-only.
    """
    import numpy

    if storage.memory is not None:
        wanted = numpy.dtype(dtype)
        lengths = (shape,) if isinstance(shape, int) else tuple(shape)
        size = math.prod(lengths) * wanted.itemsize
        is_small = size == 0 or size < storage.threshold
        exporter = None if wanted.hasobject or is_small else storage.memory.make(size)
        if exporter is not None:
            return numpy.ndarray(lengths, wanted, exporter)
    return numpy.empty(shape, dtype)


def decode(payload: object) -> Array:
    """An ndarray of [dtype, shape, data]. Raises Refused with what is wrong, be it that numpy is missing.

    One of bfloat16 is a torch tensor where numpy has no dtype for it.
    """
    if type(payload) is list and payload and payload[0] == _BFLOAT16 and not _has("ml_dtypes") and _has("torch"):
        return _torch(_decode(["<i2", *payload[1:]]), is_bfloat16=True)
    return _decode(payload)


def _decode(payload: object) -> Array:
    if not (type(payload) is list and len(payload) in (3, 4) and type(payload[1]) is list):
        raise Refused(f"{bounded_repr(payload, 80)} instead of [dtype, shape, data] or [dtype, shape, data, strides]")
    spec, shape, data = payload[:3]
    try:
        import numpy
    except ImportError as error:
        size = "x".join(map(str, shape)) or "no dimensions"
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == "numpy"
        reason = "is not installed in the worker's environment" if is_missing else f"does not import here: {error}"
        raise Refused(f"a tensor of {spec} ({size}), and numpy {reason}") from None
    try:
        dtype = _dtype(spec)
    except TypeError as error:
        raise Refused(f"a tensor of an unknown dtype: {error}") from None
    if dtype.kind == "O" and type(data) is list:
        items: Array = numpy.empty(len(data), dtype=object)
        for index, item in enumerate(data):  # one by one, since numpy would look into lists
            items[index] = item
        return items.reshape(shape)
    if type(data) is storage.Shared and not dtype.hasobject:
        return _view(numpy, dtype, shape, data, payload[3] if len(payload) == 4 else None)
    if type(data) is not bytes or dtype.hasobject or len(payload) == 4:
        raise Refused(f"the data of a tensor of {dtype} as {type_name(type(data))}")
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise Refused(f"{len(data)} bytes for a tensor of {dtype} with the shape {shape}, which takes {expected}")
    # bytes are read-only; a bytearray of them is the one copy that makes the array writable.
    return numpy.ndarray(tuple(shape), dtype, bytearray(data))


def _view(numpy: Any, dtype: DType, shape: list[int], data: storage.Shared, layout: object) -> Array:
    """An ndarray over shared bytes. `layout` is None for C order, else [offset of the first item, strides in bytes]."""
    if layout is None:
        expected = math.prod(shape) * dtype.itemsize
        if data.size != expected:
            raise Refused(f"{data.size} bytes for a tensor of {dtype} with the shape {shape}, which takes {expected}")
        array = numpy.ndarray(tuple(shape), dtype, data.exporter)
    else:
        if not (type(layout) is list and len(layout) == 2 and type(layout[1]) is list):
            raise Refused(f"{bounded_repr(layout, 80)} instead of [offset, strides]")
        # numpy sees to it that no item lies outside of the bytes
        whole = numpy.ndarray((data.size,), "u1", data.exporter)
        array = numpy.ndarray(tuple(shape), dtype, whole, layout[0], tuple(layout[1]))
    array.setflags(data.is_writable)
    return array


# ---- what an array becomes because an annotation says so -----------------------------------------------------------


def convert(array: Array, kind: str) -> object:
    """An array that arrived as a `torch` tensor or `jax` array over the same bytes. Raises Refused if it cannot be."""
    try:
        return _torch(array, array.dtype.name == _BFLOAT16) if kind == "torch" else _jax(array)
    except ImportError as error:
        raise Refused(
            f"an array as {kind}, and {error.name} is not installed in the worker's environment: install it"
        ) from None
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise Refused(f"an array of {array.dtype} as {kind}, which fails: {error}") from None


def _torch(array: Array, is_bfloat16: bool) -> object:
    import torch

    if any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch has no negative strides
    tensor = torch.from_numpy(_writable(array.view("i2") if is_bfloat16 else array))
    return tensor.view(torch.bfloat16) if is_bfloat16 else tensor


def _jax(array: Array) -> object:
    from jax import dlpack, numpy

    try:
        made = dlpack.from_dlpack(_writable(array))
    except (TypeError, BufferError, RuntimeError):  # a dtype that DLPack lacks, or strides that jax does
        made = numpy.asarray(array)
    if made.dtype != array.dtype:
        change = f"which makes {made.dtype} of it: set jax_enable_x64, or send {made.dtype}"
        raise Refused(f"an array of {array.dtype} as jax, {change}")
    return made


def _writable(array: Array) -> Array:
    """A view that says it can be written to: neither torch nor DLPack before 1.0 can say of memory that it cannot."""
    view = array.view()
    view.flags.writeable = True
    return view


def _has(library: str) -> bool:
    from importlib.util import find_spec

    return find_spec(library) is not None


def _scalar_rule(kind: type) -> Rule:
    for base in kind.__mro__:
        reduce = _SCALARS.get(base.__name__) if base.__module__ == "numpy" else None
        if reduce is not None:
            return reduce
    return _PLACE, _refuse_subclass


def _refuse_subclass(value: object) -> object:
    raise Formless(
        f"{type_name(type(value))} says more than its items do; convert it with numpy.asarray, "
        "or register an adapter for it"
    )


def _refuse_masked(_value: object) -> object:
    raise Refused("a masked array has no form on the wire; send array.filled(...), or array.data and array.mask")


def _long_double(value: Any) -> object:
    number = float(value)
    if number != value and value == value:
        raise Refused("the long double has digits that float64 has not; convert it with float(...)")
    return number


def _long_complex(value: Any) -> object:
    number = complex(value)
    if number != value and value == value:
        raise Refused("the long double has digits that float64 has not; convert it with complex(...)")
    return number


# By the name of the nearest of these classes. timedelta64 is a signedinteger, so it stands before integer in every MRO.
_SCALARS: dict[str, Rule] = {
    "bool": (_PLACE, bool),
    "bool_": (_PLACE, bool),
    "datetime64": (ADAPTED, lambda value: _payload(sys.modules["numpy"].asarray(value))),
    "timedelta64": (ADAPTED, lambda value: _payload(sys.modules["numpy"].asarray(value))),
    "void": (ADAPTED, lambda value: _payload(sys.modules["numpy"].asarray(value))),
    "longdouble": (_PLACE, _long_double),
    "clongdouble": (_PLACE, _long_complex),
    "integer": (_PLACE, int),  # type: ignore[dict-item]
    "floating": (_PLACE, float),  # type: ignore[dict-item]
    "complexfloating": (_PLACE, complex),  # type: ignore[dict-item]
    "str_": (_PLACE, lambda value: str.__str__(value)),
    "bytes_": (_PLACE, lambda value: b"".join((value,))),  # type: ignore[arg-type]
    "object_": (_PLACE, _refuse_subclass),
}


def _torch_payload(tensor_: Any) -> list[object]:
    """A torch tensor in main memory, without its gradient."""
    if tensor_.device.type != "cpu":
        from . import devices

        return devices.payload(tensor_)
    if str(tensor_.dtype) == "torch.bfloat16":
        import torch

        bits = _payload(tensor_.detach().contiguous().view(torch.int16).numpy())
        bits[1][0] = _BFLOAT16  # type: ignore[index]  # what `_payload` answers is [name, [dtype, ...]]
        return bits
    try:
        array = tensor_.detach().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError, ImportError) as error:
        raise Refused(f"numpy cannot hold the tensor ({error}); convert it first, for example with .float()") from None
    return _payload(array)
