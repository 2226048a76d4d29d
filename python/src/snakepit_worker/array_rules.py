"""The rules of operations on arrays, applied to the real operands of one that failed.

A rule speaks only where it is broken: an operation whose operands fit failed for another reason, and that is for its
message to say.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .operations import Operand, Operation

    Details = dict[str, Any]
    Shape = list[int]

_MATMUL = frozenset({"matmul", "dot", "mm", "bmm", "mv", "addmm", "inner", "__matmul__"})
MULTIPLICATIONS = _MATMUL | {"linear"}
_ELEMENTWISE = frozenset(
    "add sub subtract mul multiply div divide true_divide floor_divide remainder mod fmod power pow maximum minimum "
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor bitwise_and bitwise_or "
    "bitwise_xor left_shift right_shift hypot arctan2 atan2 copysign".split()
)
_CONCATENATE = frozenset({"concatenate", "cat", "concat"})
_STACK = frozenset({"stack"})
_RESHAPE = frozenset({"reshape", "view"})
_SQUARE = frozenset({"inv", "det", "eig", "eigvals", "eigh", "cholesky", "slogdet", "matrix_power"})
# What each library raises for operands that do not fit.
_SHAPE_CLASSES = {
    "numpy": {"ValueError", "numpy.linalg.LinAlgError"},
    "torch": {"RuntimeError"},
    "jax": {"TypeError", "ValueError"},
    "list": {"ValueError"},
}


def decide(mro: list[str], operations: list[Operation]) -> Details | None:
    """What the operands themselves tell, by the names of the outer code where it is enough to decide."""
    for operation in reversed(operations):
        arrays = _arrays(operation)
        family = next((each.family for each in arrays if each.family != "list"), None)
        if family is None and arrays:
            family = "list"
        if family is None or family == "pandas" or not _SHAPE_CLASSES[family].intersection(mro):
            continue
        if family == "torch":
            found = _devices(arrays) or _dtypes(operation, arrays, MULTIPLICATIONS) or _shapes(operation, arrays)
        else:
            # jax promotes dtypes, other than in `jax.lax`
            found = _shapes(operation, arrays)
            if found is None and family == "jax":
                found = _dtypes(operation, arrays, _ELEMENTWISE)
        if found is not None:
            return {"operation": operation.name, **found, "decidedBy": operation.source}
    return None


def _arrays(operation: Operation) -> list[Operand]:
    known = ("numpy", "torch", "jax", "pandas", "list")
    arrays = []
    for operand in operation.operands:
        if operand.family in known and operand.shape is not None:
            arrays.append(operand)
        elif operand.items and operation.name in _CONCATENATE | _STACK:
            arrays += [item for item in operand.items if item.shape is not None]
    return arrays


# ---- devices and dtypes --------------------------------------------------------------------------------------------


def _devices(arrays: list[Operand]) -> Details | None:
    # a single number on the CPU goes along with any device
    placed = [each for each in arrays if each.device is not None and not (each.device == "cpu" and not each.shape)]
    if len({each.device for each in placed}) < 2:
        return None
    operands = [{"name": each.name, "device": each.device} for each in placed]
    # tensors on `meta` have no data that could be moved
    target = next((each for each in placed if each.device not in ("cpu", "meta")), placed[0])
    other = next(each for each in placed if each.device != target.device)
    return {
        "_tag": "DeviceMismatch",
        "operands": operands,
        "suggestion": f"move {other.name}: {other.name}.to({target.device!r})",
    }


def _dtypes(operation: Operation, arrays: list[Operand], names: frozenset[str]) -> Details | None:
    """For operations that want operands of one dtype."""
    if operation.name not in names or len(arrays) < 2:
        return None
    first, second = arrays[0], arrays[1]
    if first.dtype == second.dtype or first.dtype is None or second.dtype is None:
        return None
    # the weights of a layer stay what they are; otherwise integers become floats, and the second what the first is
    keeps_first = operation.name != "linear" and not (_is_integer(first.dtype) and not _is_integer(second.dtype))
    wanted, wrong = (first, second) if keeps_first else (second, first)
    return {"_tag": "DtypeMismatch", "expected": wanted.dtype, "actual": wrong.dtype, "operand": wrong.name}


def _is_integer(dtype: str) -> bool:
    return "int" in dtype or "bool" in dtype


# ---- shapes --------------------------------------------------------------------------------------------------------


def _shapes(operation: Operation, arrays: list[Operand]) -> Details | None:
    name = operation.name
    if name in _MATMUL and len(arrays) >= 2:
        # the first of three is what `addmm` adds to
        first, second = (arrays[1], arrays[2]) if name == "addmm" and len(arrays) > 2 else (arrays[0], arrays[1])
        return _matmul(first, second, name == "bmm", name == "inner")
    if name in _ELEMENTWISE and len(arrays) >= 2:
        return _elementwise(arrays[0], arrays[1])
    if name in _CONCATENATE:
        return _concatenate(operation, arrays)
    if name in _STACK:
        return _stack(arrays)
    if name in _RESHAPE and arrays:
        return _reshape(operation, arrays[0])
    if name == "linear" and len(arrays) >= 2:
        return _linear(arrays[0], arrays[1])
    if name in _SQUARE and arrays:
        return _square(arrays[0])
    return None


def pair(first: Details, second: Details, axes: list[int], suggestion: str) -> Details:
    """A mismatch of two operands, `{ name, shape }` each, along one axis of each."""
    sizes = [first["shape"][axes[0]], second["shape"][axes[1]]]
    return {
        "_tag": "ShapeMismatch",
        "operands": [first, second],
        "dimension": {"axes": axes, "sizes": sizes},
        "suggestion": suggestion,
    }


def _named(operand: Operand) -> Details:
    return {"name": operand.name, "shape": operand.shape}


def _matmul(first: Operand, second: Operand, batched: bool = False, inner: bool = False) -> Details | None:
    left, right = first.shape or [], second.shape or []
    if not left or not right:
        return None
    axes = [len(left) - 1, len(right) - 1 if inner else max(len(right) - 2, 0)]
    if left[axes[0]] != right[axes[1]]:
        suggestion = matmul_suggestion(first.name, left, second.name, right)
        if inner:
            suggestion = f"the last sizes of both have to be equal: {text(left)}, {text(right)}"
        return pair(_named(first), _named(second), axes, suggestion)
    if batched and len(left) == len(right) == 3 and left[0] != right[0]:
        return pair(_named(first), _named(second), [0, 0], "give both the same number of matrices")
    batches = None if inner or batched else broadcast_axes(left[:-2], right[:-2])
    if batches is not None:
        return pair(_named(first), _named(second), batches, "all but the last two sizes have to be equal, or 1")
    return None


def matmul_suggestion(first: str, left: Shape, second: str, right: Shape) -> str:
    """What would make two operands multiply."""
    if len(left) == len(right) == 2:
        if left[1] == right[1]:
            return f"transpose {second}: {text(left)} and {text(right[::-1])} multiply"
        if left[0] == right[0]:
            return f"transpose {first}: {text(left[::-1])} and {text(right)} multiply"
    axis = "second last" if len(right) > 1 else "only"
    return f"the last size of {first} and the {axis} one of {second} have to be equal: {text(left)}, {text(right)}"


def _elementwise(first: Operand, second: Operand) -> Details | None:
    left, right = first.shape or [], second.shape or []
    axes = broadcast_axes(left, right)
    if axes is None:
        return None
    suggestion = broadcast_suggestion(first.name, left, second.name, right)
    return pair(_named(first), _named(second), axes, suggestion)


def broadcast_axes(left: Shape, right: Shape) -> list[int] | None:
    """The last axes of two shapes that keep them from being broadcast together."""
    for back in range(1, min(len(left), len(right)) + 1):
        if left[-back] != right[-back] and 1 not in (left[-back], right[-back]):
            return [len(left) - back, len(right) - back]
    return None


def broadcast_suggestion(first: str, left: Shape, second: str, right: Shape) -> str:
    """What would make two operands fit, by numpy's rule of broadcasting."""
    if len(left) > 1 and left[::-1] == right:
        return f"transpose {first}: {first}.T has shape {text(right)}"
    for name, short, other in ((first, left, right), (second, right, left)):
        if len(short) == 1 and len(other) == 2 and short[0] == other[0]:
            return f"make {name} a column, {name}[:, None]: {text([short[0], 1])} and {text(other)} can be broadcast"
    if math.prod(left) == math.prod(right):
        return f"reshape {second}: both have {math.prod(left)} items, {second}.reshape({text(left)})"
    return "broadcasting compares sizes from the last to the first: they have to be equal, or one of them 1"


def _axis(operation: Operation) -> int:
    for operand in operation.operands:
        if operand.name in ("axis", "dim") and isinstance(operand.value, int):
            return operand.value
    for operand in operation.operands[1:2]:
        if isinstance(operand.value, int):
            return operand.value
    return 0


def _concatenate(operation: Operation, arrays: list[Operand]) -> Details | None:
    arrays = [each for each in arrays if each.family != "list" or each.shape]
    if len(arrays) < 2:
        return None
    first = arrays[0]
    shape = first.shape or []
    axis = _axis(operation)
    for other in arrays[1:]:
        size = other.shape or []
        # torch lets empty vectors pass
        if len(size) != len(shape):
            if other.family == "torch" and size == [0]:
                continue
            return {
                "_tag": "ShapeMismatch",
                "operands": [_named(first), _named(other)],
                "dimension": None,
                "suggestion": f"give both {max(len(size), len(shape))} dimensions, with reshape",
            }
        for index in range(len(shape)):
            if index != axis % len(shape) and shape[index] != size[index]:
                suggestion = f"all sizes but that of axis {axis} have to be equal"
                if [i for i in range(len(shape)) if shape[i] != size[i]] == [index]:
                    suggestion += f"; along axis {index} they could be joined"
                return pair(_named(first), _named(other), [index, index], suggestion)
    return None


def _stack(arrays: list[Operand]) -> Details | None:
    first = arrays[0] if arrays else None
    for other in arrays[1:]:
        if first is not None and other.shape != first.shape:
            return mismatch(_named(first), _named(other), "all arrays of a stack have to have the same shape")
    return None


def mismatch(first: Details, second: Details, suggestion: str) -> Details:
    """A mismatch of two operands that should have one shape."""
    left, right = first["shape"], second["shape"]
    known = [i for i in range(min(len(left), len(right))) if None not in (left[i], right[i])]
    axis = next((i for i in known if left[i] != right[i]), None)
    if axis is not None and len(left) == len(right):
        return pair(first, second, [axis, axis], suggestion)
    return {"_tag": "ShapeMismatch", "operands": [first, second], "dimension": None, "suggestion": suggestion}


def _reshape(operation: Operation, array: Operand) -> Details | None:
    if array.family == "list":
        return None
    shape = array.shape or []
    sizes: list[int] = []
    for operand in operation.operands[1:]:
        value = operand.value
        if isinstance(value, list) and not sizes:
            sizes = value
            break
        if isinstance(value, int) and operand.name not in ("order", "copy"):
            sizes.append(value)
    return reshape(array.name, shape, sizes) if sizes else None


def reshape(name: str, shape: Shape, sizes: Shape) -> Details | None:
    """A shape that an array cannot get."""
    count, wanted = math.prod(shape), math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or (count % wanted == 0 if -1 in sizes and wanted else count == wanted):
        return None
    return {
        "_tag": "ShapeMismatch",
        "operands": [
            {"name": name, "shape": shape},
            {"name": "target", "shape": [None if s == -1 else s for s in sizes]},
        ],
        "dimension": None,
        "suggestion": reshape_suggestion(count, sizes),
    }


def reshape_suggestion(count: int, sizes: Shape) -> str:
    """A shape that an array of so many items can get."""
    for index in reversed(range(len(sizes))):
        rest = math.prod(size for other, size in enumerate(sizes) if other != index and size != -1)
        if rest > 0 and count % rest == 0 and sizes.count(-1) <= (sizes[index] == -1):
            fitting = [*sizes[:index], count // rest, *sizes[index + 1 :]]
            return f"reshape keeps the number of items, {count}: {text(fitting)} would fit"
    return f"reshape keeps the number of items, {count}: choose sizes whose product it is"


def _linear(array: Operand, weight: Operand) -> Details | None:
    left, right = array.shape or [], weight.shape or []
    if not left or len(right) != 2 or left[-1] == right[1]:
        return None
    suggestion = f"the layer takes {right[1]} features: the last size of {array.name} has to be {right[1]}"
    if len(left) == 2 and left[0] == right[1]:
        suggestion = f"transpose {array.name}: its first size is the {right[1]} features that the layer takes"
    elif math.prod(left[1:]) == right[1]:
        suggestion = f"flatten {array.name}: {array.name}.flatten(1) has the {right[1]} features that the layer takes"
    return pair(_named(array), _named(weight), [len(left) - 1, 1], suggestion)


def _square(array: Operand) -> Details | None:
    shape = array.shape or []
    if len(shape) < 2 or shape[-1] == shape[-2]:
        return None
    return square(array.name, shape)


def square(name: str, shape: Shape) -> Details:
    """A matrix that has to be square."""
    rows, columns = shape[-2], shape[-1]
    wanted: list[int | None] = [*shape[:-2], rows, rows]
    axis = len(shape) - 1
    return {
        "_tag": "ShapeMismatch",
        "operands": [{"name": "expected", "shape": wanted}, {"name": name, "shape": shape}],
        "dimension": {"axes": [axis, axis], "sizes": [rows, columns]},
        "suggestion": "use a square matrix, or a function for any, such as pinv, lstsq or svd",
    }


def text(shape: Shape) -> str:
    """A shape as Python writes it."""
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
