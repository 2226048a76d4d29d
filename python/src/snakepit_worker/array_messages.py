"""What array libraries say when shapes, dtypes, devices or memory are wrong, read back into fields.

Each entry is a message as a library writes it, from its beginning, so that a text that only speaks of such things is
none. `python/tests/corpus` holds real messages of several versions and what each stands for.
"""

from __future__ import annotations

import math
import re

from .array_rules import (
    MULTIPLICATIONS,
    broadcast_axes,
    broadcast_suggestion,
    matmul_suggestion,
    mismatch,
    pair,
    reshape_suggestion,
    square,
    text,
)
from .operations import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .operations import Operand, Operation

    Details = dict[str, Any]
    Shape = list[Any]
    Read = Callable[["re.Match[str]", list[Operation]], Details]

_ENTRIES: list[tuple[re.Pattern[str], Read]] = []

_S = r"[(\[][\d, *?]*[)\]]"  # a shape
_UNITS = {"bytes": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50, "EiB": 2**60}


def decide(mro: list[str], message: str, operations: list[Operation]) -> Details | None:
    """What a message tells; None for one that is not known."""
    if not may_be_about_arrays(mro):
        return None
    for pattern, read in _ENTRIES:
        match = pattern.match(message)
        if match is not None:
            return {**read(match, operations), "decidedBy": "message"}
    return None


# Built-in classes that array libraries raise for what is meant here.
_POSSIBLE = frozenset(
    {"ValueError", "TypeError", "RuntimeError", "IndexError", "MemoryError", "AssertionError", "NotImplementedError"}
)


def may_be_about_arrays(mro: list[str]) -> bool:
    """Whether a class is one that array libraries raise: their own, some built-in ones, or `Exception` itself."""
    return mro[0] == "Exception" or mro[0].partition(".")[0] in FAMILIES or not _POSSIBLE.isdisjoint(mro)


def _message(pattern: str) -> Callable[[Read], Read]:
    def add(read: Read) -> Read:
        _ENTRIES.append((re.compile(pattern, re.DOTALL), read))
        return read

    return add


# ---- reading shapes and names --------------------------------------------------------------------------------------


def _shape(found: str) -> Shape:
    return [int(part) if part.isdecimal() else None for part in re.findall(r"\d+|[*?]", found)]


def _shapes(found: str) -> list[Shape]:
    return [_shape(part) for part in re.findall(_S, found)]


def _operand(shape: Shape, fallback: str, operations: list[Operation], taken: tuple[str, ...] = ()) -> Details:
    """A shape with the name of the operand that has it, if one has."""
    for operation in reversed(operations):
        for each in _all(operation.operands):
            if each.shape == shape and each.name not in taken:
                return {"name": each.name, "shape": shape}
    return {"name": fallback, "shape": shape}


def _all(operands: list[Operand]) -> list[Operand]:
    return [each for operand in operands for each in (operand, *operand.items)]


def _both(shapes: list[Shape], operations: list[Operation]) -> tuple[Details, Details]:
    first = _operand(shapes[0], "operand 0", operations)
    return first, _operand(shapes[1], "operand 1", operations, (first["name"],))


def _broadcast(shapes: list[Shape], operations: list[Operation], operation: str | None = None) -> Details:
    left, right = shapes[0], shapes[1] if len(shapes) > 1 else []
    for index, one in enumerate(shapes):
        for other in shapes[index + 1 :]:
            if broadcast_axes(one, other) is not None:
                left, right = one, other
                break
        else:
            continue
        break
    first, second = _both([left, right], operations)
    axes = broadcast_axes(left, right)
    suggestion = broadcast_suggestion(first["name"], left, second["name"], right)
    found = mismatch(first, second, suggestion) if axes is None else pair(first, second, axes, suggestion)
    return {**found, "operation": operation}


def _sizes(first: str, left: int | None, second: str, right: int | None, suggestion: str) -> Details:
    """Two sizes that differ, where nothing else of the shapes is known, nor how many sizes they have."""
    return mismatch({"name": first, "shape": [left]}, {"name": second, "shape": [right]}, suggestion)


def _unknown(expected: Shape, actual: Shape, name: str, suggestion: str) -> Details:
    return mismatch({"name": "expected", "shape": expected}, {"name": name, "shape": actual}, suggestion)


# ---- shapes: numpy and what is built on it -------------------------------------------------------------------------


@_message(rf"operands could not be broadcast together with shapes? ((?:{_S} ?){{2,}})")
@_message(r"Incompatible shapes for broadcasting: ([^a-z]*\(.*\))")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _broadcast([_shape(part) for part in re.findall(r"\([\d, ]*\)", m[1])], ops)


@_message(
    rf"operands could not be broadcast together with remapped shapes \[original->remapped\]: ({_S}) +and requested shape ({_S})"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**_into(_shape(m[1]), _shape(m[2]), ops), "operation": "broadcast_to"}


@_message(r"Incompatible types for broadcasting: input type=\w+(\[[\d,]*\]) and requested type=\w+(\[[\d,]*\])")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**_into(_shape(m[1]), _shape(m[2]), ops), "operation": "broadcast_to"}


@_message(r"shape-mismatch for sum$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shapes: list[Shape] = [each.shape for operation in ops for each in operation.operands if each.shape]
    shapes += [[None], [None]]
    first, second = _both(shapes[:2], ops)
    found = mismatch(first, second, "the axes that are summed over have to have the same sizes in both; see `axes`")
    return {**found, "operation": "tensordot"}


@_message(r"operands could not be broadcast together with remapped shapes \[original->remapped\]: (.*)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shapes = [_shape(part) for part in re.findall(r"\(([\d,]*)\)->", m[1])]
    operands = [_operand(shape, f"operand {index}", ops) for index, shape in enumerate(shapes)]
    multiplies = any(operation.name in MULTIPLICATIONS for operation in ops)
    suggestion = (
        "all but the last two sizes have to be equal, or 1" if multiplies else "a subscript stands for one size"
    )
    return {"_tag": "ShapeMismatch", "operands": operands, "dimension": None, "suggestion": suggestion}


@_message(rf"(\w+) got incompatible shapes for broadcasting: ({_S}), ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _broadcast([_shape(m[2]), _shape(m[3])], ops, m[1])


@_message(
    rf"shape mismatch: objects cannot be broadcast to a single shape(?:\.  Mismatch is between arg (\d+) with shape ({_S}) "
    rf"and arg (\d+) with shape ({_S}))?"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    if m[1] is None:
        return mismatch(
            {"name": "operand 0", "shape": []}, {"name": "operand 1", "shape": []}, "make the shapes broadcast"
        )
    return _broadcast([_shape(m[2]), _shape(m[4])], ops)


@_message(rf"shape mismatch: indexing (?:arrays|tensors) could not be broadcast together with shapes ({_S},? ?{_S}.*)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _broadcast(_shapes(m[1]), ops, "index")


@_message(
    rf"shape mismatch: value (?:array|tensor) of shape ({_S})\s+(?:could not|cannot) be broadcast to indexing result of shape ({_S})"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _into(_shape(m[1]), _shape(m[2]), ops)


@_message(rf"could not broadcast input array from shape ({_S}) into shape ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _into(_shape(m[1]), _shape(m[2]), ops)


@_message(rf"non-broadcastable output operand with shape ({_S}) doesn't match the broadcast shape ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    expected = {"name": "expected", "shape": _shape(m[2])}
    return mismatch(expected, _operand(_shape(m[1]), "out", ops), f"give an output of shape {m[2]}")


def _into(source: Shape, target: Shape, ops: list[Operation]) -> Details:
    value = _operand(source, "value", ops)
    suggestion = f"give a value of shape {text(target)}, or one that broadcasts to it"
    axes = broadcast_axes(source, target)
    place = {"name": "target", "shape": target}
    return mismatch(value, place, suggestion) if axes is None else pair(value, place, axes, suggestion)


@_message(
    r"(\w+): Input operand (\d) has a mismatch in its core dimension (\d), with gufunc signature (\S+) "
    r"\(size (\d+) is different from (\d+)\)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    # in `(m,m),(m,n)->(m,n)`, which sizes have to be the same
    groups = [group.replace("?", "").split(",") for group in re.findall(r"\(([^)]*)\)", m[4].partition("->")[0])]
    wrong, axis = int(m[2]), int(m[3])
    symbol = groups[wrong][axis]
    other = next(index for index, group in enumerate(groups) if symbol in group)
    before, theirs, own = groups[other].index(symbol), int(m[6]), int(m[5])
    suggestion = f"core dimension {axis} of operand {wrong} has to have size {theirs}, as core dimension {before} of operand {other}"
    if m[1] == "matmul":
        suggestion = (
            f"the last size of the first operand, {theirs}, and the second last of the second (of a vector, its only size), "
            f"{own}, have to be equal"
        )
    found = _sizes(f"operand {other}", theirs, f"operand {wrong}", own, suggestion)
    # `solve1` and the like are what `solve` calls
    return {**found, "operation": m[1].rstrip("1")}


@_message(rf"shapes ({_S}) and ({_S}) not aligned: (\d+) \(dim (\d+)\) != (\d+) \(dim (\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    left, right = _shape(m[1]), _shape(m[2])
    first, second = _both([left, right], ops)
    suggestion = matmul_suggestion(first["name"], left, second["name"], right)
    return {**pair(first, second, [int(m[4]), int(m[6])], suggestion), "operation": "dot"}


@_message(rf"reshape total size must be unchanged, got new_sizes ({_S}) for shape ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _reshape(math.prod(_shape(m[2])), _shape(m[1]), ops)


@_message(rf"cannot reshape array of size (\d+) into shape ({_S})")
@_message(
    rf"cannot reshape array of shape {_S} \(size (\d+)\) (?:because the product of new sizes is|into shape) ({_S})"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _reshape(int(m[1]), _shape(m[2]), ops)


@_message(r"shape '(\[[-\d, ]*\])' is invalid for input of size (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _reshape(int(m[2]), [int(part) for part in re.findall(r"-?\d+", m[1])], ops)


def _reshape(count: int, sizes: Shape, ops: list[Operation]) -> Details:
    shown = [None if size == -1 else size for size in sizes]
    known = [size if size is not None else -1 for size in sizes]
    return {
        "_tag": "ShapeMismatch",
        "operation": "reshape",
        "operands": [{"name": "array", "shape": [count]}, {"name": "target", "shape": shown}],
        "dimension": None,
        "suggestion": reshape_suggestion(count, known),
    }


@_message(
    r"all the input array dimensions except for the concatenation axis must match exactly, but along dimension (\d+), "
    r"the array at index (\d+) has size (\d+) and the array at index (\d+) has size (\d+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    suggestion = f"make size {m[1]} of all arrays equal, or join them along that axis"
    return _sizes(f"array {m[2]}", int(m[3]), f"array {m[4]}", int(m[5]), suggestion)


@_message(
    r"all the input arrays must have same number of dimensions, but the array at index (\d+) has (\d+) dimension\(s\) and the "
    r"array at index (\d+) has (\d+) dimension\(s\)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _ranks(f"array {m[1]}", int(m[2]), f"array {m[3]}", int(m[4]))


def _ranks(first: str, left: int, second: str, right: int) -> Details:
    return mismatch(
        {"name": first, "shape": [None] * left},
        {"name": second, "shape": [None] * right},
        "give both the same number of dimensions, with reshape",
    )


@_message(r"all input arrays must have the same shape$")
@_message(r"All input arrays must have the same shape\.?(?: Got [^a-z]*)?$")
@_message(r"All arrays must be of the same length$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shapes = [each for operation in ops for each in _all(operation.operands) if each.shape]
    different = [each for each in shapes if each.shape != shapes[0].shape]
    if not different:
        return _sizes("array 0", None, "array 1", None, "give all arrays the same shape")
    first, second = shapes[0], different[0]
    return mismatch(
        {"name": first.name, "shape": first.shape},
        {"name": second.name, "shape": second.shape},
        "give all arrays the same shape",
    )


@_message(r"Last 2 dimensions of the array must be square$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    for operation in ops:
        for each in operation.operands:
            if each.shape is not None and len(each.shape) > 1 and each.shape[-1] != each.shape[-2]:
                return square(each.name, each.shape)
    return _unknown([None, None], [None, None], "array", "use a square matrix, or a function for any, such as pinv")


@_message(
    r"boolean index did not match indexed array along (?:axis|dimension) (\d+); (?:size of axis|dimension) is (\d+) but "
    r"(?:size of corresponding boolean axis|corresponding boolean dimension) is (\d+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    found = _sizes("array", int(m[2]), "mask", int(m[3]), f"the mask needs size {m[2]} along axis {m[1]}")
    return {**found, "operation": "index"}


@_message(r"incompatible dimensions for cross product")
@_message(r"Both input arrays must be \(arrays of\) 3-dimensional vectors, but they are \d+ and \d+ dimensional")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shape = next((each.shape for operation in ops for each in operation.operands if each.shape), [None])
    found = _unknown([3], shape, "array", "the vectors of a cross product have 3 components")
    return {**found, "operation": "cross"}


@_message(r"(\d+)-dimensional array given\. Array must be (?:at least )?two-dimensional")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown([None, None], [None] * int(m[1]), "array", "give a matrix: reshape it to two dimensions")


# ---- shapes: torch -------------------------------------------------------------------------------------------------


@_message(r"(?:mm: )?mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    left, right = [int(m[1]), int(m[2])], [int(m[3]), int(m[4])]
    first, second = _both([left, right], ops)
    suggestion = matmul_suggestion(first["name"], left, second["name"], right)
    # layers multiply too
    name = ops[0].name if ops and ops[0].name in MULTIPLICATIONS else "matmul"
    return {**pair(first, second, [1, 0], suggestion), "operation": name}


@_message(r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    suggestion = f"broadcasting compares sizes from the last to the first: those of dimension {m[3]} have to be equal, or one of them 1"
    return _sizes("a", int(m[1]), "b", int(m[2]), suggestion)


@_message(
    r"Sizes of tensors must match except in dimension (\d+)\. Expected size (\d+) but got size (\d+) for tensor number (\d+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    suggestion = f"all sizes but that of dimension {m[1]} have to be equal"
    return {**_sizes("tensor 0", int(m[2]), f"tensor {m[4]}", int(m[3]), suggestion), "operation": "cat"}


@_message(r"Tensors must have same number of dimensions: got (\d+) and (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**_ranks("tensor 0", int(m[1]), "tensor 1", int(m[2])), "operation": "cat"}


@_message(rf"stack expects each tensor to be equal size, but got ({_S}) at entry (\d+) and ({_S}) at entry (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    first, second = {"name": f"tensor {m[2]}", "shape": _shape(m[1])}, {"name": f"tensor {m[4]}", "shape": _shape(m[3])}
    return {**mismatch(first, second, "all tensors of a stack have to have the same shape"), "operation": "stack"}


@_message(rf"Expected size for first two dimensions of batch2 tensor to be: ({_S}) but got: ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    suggestion = f"give matrices whose first two sizes are {m[1]}, perhaps with transpose(1, 2)"
    return {**_unknown([*_shape(m[1]), None], [*_shape(m[2]), None], "batch2", suggestion), "operation": "bmm"}


@_message(r"(batch\d) must be a 3D tensor")
@_message(r"(?:mm: )?(\w+) must be a matrix(?:, got \d-D tensor)?$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    rank = 3 if "3D" in m[0] else 2
    expected = {"name": m[1], "shape": [None] * rank}
    wrong = [each for op in ops for each in op.operands if each.shape and len(each.shape) != rank]
    return {
        "_tag": "ShapeMismatch",
        "operands": [expected, *[{"name": each.name, "shape": each.shape} for each in wrong[:1]]],
        "dimension": None,
        "suggestion": f"{m[1]} has {rank} dimensions: unsqueeze adds one of size 1",
    }


@_message(r"size mismatch, got (?:input )?\((\d+)\), (?:mat|vec) \((\d+)x(\d+)\),? ?(?:vec )?\((\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    first, second = _both([[int(m[2]), int(m[3])], [int(m[4])]], ops)
    found = pair(first, second, [1, 0], f"the vector needs {m[3]} items, as the matrix has columns")
    return {**found, "operation": "mv"}


@_message(
    rf"inconsistent tensor size, expected tensor ({_S}) and src ({_S}) to have the same number of elements, but got (\d+) and "
    r"(\d+) elements respectively"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    first, second = _both([_shape(m[1]), _shape(m[2])], ops)
    return mismatch(first, second, "give both the same number of items")


@_message(r"1D tensors expected, but got (\d+)D and (\d+)D tensors")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    rank = int(m[1]) if m[1] != "1" else int(m[2])
    return {**_unknown([None], [None] * rank, "tensor", "use matmul for matrices"), "operation": "dot"}


@_message(
    rf"Given groups=(\d+), weight of size ({_S}), expected input({_S}) to have (\d+) channels, but got (\d+) channels instead"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shape, weight = _shape(m[3]), _shape(m[2])
    axis = len(shape) - len(weight) + 1
    found = pair(
        _operand(shape, "input", ops),
        {"name": "weight", "shape": weight},
        [axis, 1],
        f"the layer takes {m[4]} channels, at axis {axis} of its input; permute moves axes",
    )
    return {**found, "operation": f"conv{len(weight) - 2}d"}


@_message(rf"Given transposed=(\d+), weight of size ({_S}), expected input({_S}) to have (\d+) channels, but got (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shape, weight = _shape(m[3]), _shape(m[2])
    suggestion = f"the layer takes {m[4]} channels, at axis 1 of its input; permute moves axes"
    found = pair(_operand(shape, "input", ops), {"name": "weight", "shape": weight}, [1, 0], suggestion)
    return {**found, "operation": f"conv_transpose{len(weight) - 2}d"}


@_message(rf"Expected (\d)D \(unbatched\) or (\d)D \(batched\) input to (\w+), but got input of size: ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    suggestion = f"give {m[1]} or {m[2]} dimensions, with unsqueeze or reshape"
    found = _unknown([None] * int(m[2]), _shape(m[4]), "input", suggestion)
    return {**found, "operation": m[3]}


@_message(r"Expected input batch_size \((\d+)\) to match target batch_size \((\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("input", int(m[1]), "target", int(m[2]), "give one target for each input")


@_message(
    rf"Target size \((?:torch\.Size\()?({_S})\)?\) must be the same as input size \((?:torch\.Size\()?({_S})\)?\)"
)
@_message(
    rf"Using a target size \((?:torch\.Size\()?({_S})\)?\) that is different to the input size \((?:torch\.Size\()?({_S})"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    target, given = _shape(m[1]), _shape(m[2])
    suggestion = "give input and target one shape; squeeze and unsqueeze remove and add sizes of 1"
    return mismatch({"name": "input", "shape": given}, {"name": "target", "shape": target}, suggestion)


@_message(r"(running_mean|running_var|weight|bias) should contain (\d+) elements not (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {
        **_sizes("input", int(m[2]), m[1], int(m[3]), f"the layer takes {m[3]} channels"),
        "operation": "batch_norm",
    }


@_message(rf"Given normalized_shape=({_S}), expected input with shape ({_S}), but got input of size({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    expected, actual = _shape(m[2]), _shape(m[3])
    # `*` stands for any number of sizes
    expected = [None] * (len(actual) - len(expected) + 1) + expected[1:]
    return {**_unknown(expected, actual, "input", f"the last sizes have to be {m[1]}"), "operation": "layer_norm"}


@_message(
    rf"The expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\) at non-singleton dimension (\d+)\.  "
    rf"Target sizes: ({_S})\.  Tensor sizes: ({_S})"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _into(_shape(m[5]), _shape(m[4]), ops)


@_message(
    rf"expand\([\w.]+\{{({_S})\}}, size=({_S})\): the number of sizes provided \((\d+)\) must be greater or equal"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**_into(_shape(m[1]), _shape(m[2]), ops), "operation": "expand"}


@_message(r"input\.size\(-1\) must be equal to input_size\. Expected (\d+), got (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("expected", int(m[1]), "input", int(m[2]), f"the last size of the input has to be {m[1]}")


@_message(r"(?:linalg\.)?(\w+): (\w+) must be batches of square matrices, but they are (\d+) by (\d+) matrices")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**square(m[2], [int(m[3]), int(m[4])]), "operation": m[1]}


@_message(r"linalg\.(\w+): Incompatible shapes of A and B for the equation AX = B \((\d+)x(\d+) and (\d+)x(\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    first, second = _both([[int(m[2]), int(m[3])], [int(m[4]), int(m[5])]], ops)
    return {**pair(first, second, [0, 0], "A and B need the same number of rows"), "operation": m[1]}


@_message(
    rf"The shape of the mask ({_S}) at index (\d+) does not match the shape of the indexed tensor ({_S}) at index (\d+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    mask, shape, at, axis = _shape(m[1]), _shape(m[3]), int(m[2]), int(m[4])
    suggestion = f"the mask needs size {shape[axis]} there"
    found = pair(_operand(shape, "tensor", ops), _operand(mask, "mask", ops), [axis, at], suggestion)
    return {**found, "operation": "index"}


@_message(
    r"einsum\(\): subscript (\w) has size (\d+) for operand (\d+) which does not broadcast with previously seen size (\d+)"
)
@_message(r"Size of label '(\w)' for operand (\d+) \((\d+)\) does not match previous terms \((\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    size, operand = (m[2], m[3]) if m[0].startswith("einsum") else (m[3], m[2])
    suggestion = f"subscript {m[1]} has to stand for one size"
    return {**_sizes("before", int(m[4]), f"operand {operand}", int(size), suggestion), "operation": "einsum"}


@_message(
    rf"Error\(s\) in loading state_dict for (\w+):.*?size mismatch for ([\w.]+): copying a param with shape "
    rf"torch\.Size\(({_S})\) from checkpoint, the shape in current model is torch\.Size\(({_S})\)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    saved, present = _shape(m[3]), _shape(m[4])
    found = mismatch(
        {"name": f"checkpoint {m[2]}", "shape": saved},
        {"name": m[2], "shape": present},
        "build the model with the sizes that were saved",
    )
    return {**found, "operation": "load_state_dict"}


# ---- shapes: jax ---------------------------------------------------------------------------------------------------


@_message(rf"(\w+) requires contracting dimensions to have the same shape, got ({_S}) and ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    for operation in ops:
        shapes = [each.shape for each in operation.operands if each.shape]
        if len(shapes) > 1:
            return _matmul_of(shapes[:2], ops, operation.name)
    suggestion = "the dimensions that are summed over have to have one size"
    return {**_sizes("operand 0", _shape(m[2])[0], "operand 1", _shape(m[3])[0], suggestion), "operation": m[1]}


def _matmul_of(shapes: list[Shape], ops: list[Operation], name: str | None) -> Details:
    first, second = _both(shapes, ops)
    axes = [len(shapes[0]) - 1, max(len(shapes[1]) - 2, 0)]
    suggestion = matmul_suggestion(first["name"], shapes[0], second["name"], shapes[1])
    return {**pair(first, second, axes, suggestion), "operation": name}


@_message(
    r"Cannot concatenate arrays with shapes that differ in dimensions other than the one being concatenated: concatenating "
    r"along dimension (\d+) for shapes (.*)\.$"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shapes = _shapes(m[2])
    other = next((shape for shape in shapes[1:] if shape != shapes[0]), shapes[-1])
    first, second = _both([shapes[0], other], ops)
    found = mismatch(first, second, f"all sizes but that of axis {m[1]} have to be equal")
    return {**found, "operation": "concatenate"}


@_message(r"Cannot concatenate arrays with different numbers of dimensions: got (.*)\.$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    shapes = _shapes(m[1])
    other = next((shape for shape in shapes[1:] if len(shape) != len(shapes[0])), shapes[-1])
    first, second = _both([shapes[0], other], ops)
    found = mismatch(first, second, "give all arrays the same number of dimensions, with reshape")
    return {**found, "operation": "concatenate"}


@_message(r"vmap got inconsistent sizes for array axes to be mapped:\s+\* (.*)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    sizes = [int(size) for size in re.findall(r"(?:of|axis of|had axes of) size (\d+)", m[1])]
    pairs = [*sizes, None, None][:2]
    found = _sizes("argument 0", pairs[0], "argument 1", pairs[1], "the mapped axes have to have one size")
    return {**found, "operation": "vmap"}


@_message(rf"Argument to (\w+) must have shape \[\.\.\., n, n\], got (?:shape )?({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**square("array", _shape(m[2])), "operation": m[1]}


# ---- shapes: scikit-learn ------------------------------------------------------------------------------------------


@_message(r"Found input variables with inconsistent numbers of samples: \[(\d+(?:, \d+)+)\]")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    sizes = [int(size) for size in m[1].split(", ")]
    other = next((size for size in sizes[1:] if size != sizes[0]), sizes[-1])
    names = []
    for size, fallback in ((sizes[0], "X"), (other, "y")):
        named = [each for op in ops for each in op.operands if each.shape and each.shape[0] == size]
        names.append({"name": named[0].name, "shape": named[0].shape} if named else {"name": fallback, "shape": [size]})
    return pair(
        names[0], names[1], [0, 0], "give one row of y for each row of X, and one weight where there are weights"
    )


@_message(r"X has (\d+) features, but (\w+) is expecting (\d+) features as input")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    given, wanted = int(m[1]), int(m[3])
    named = [
        each for op in ops for each in op.operands if each.shape and len(each.shape) == 2 and each.shape[1] == given
    ]
    actual = {"name": named[0].name, "shape": named[0].shape} if named else {"name": "X", "shape": [None, given]}
    suggestion = f"pass the {wanted} features that the {m[2]} was fitted with, in their order"
    if named and named[0].shape is not None and named[0].shape[0] == wanted:
        suggestion = (
            f"transpose {named[0].name}: its first size is the {wanted} features that the {m[2]} was fitted with"
        )
    return pair({"name": "expected", "shape": [None, wanted]}, actual, [1, 1], suggestion)


@_message(r"Expected 2D array, got (1D|scalar) array instead:")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    is_scalar = m.lastindex and m[1] == "scalar"
    shape: Shape = [] if is_scalar else [None]
    named = [each for op in ops for each in op.operands if each.shape is not None and len(each.shape) == len(shape)]
    if named:
        shape = named[0].shape or []
    name = named[0].name if named else "X"
    suggestion = f"reshape it: {name}.reshape(-1, 1) for one feature, {name}.reshape(1, -1) for one sample"
    return _unknown([None, None], shape, name, suggestion)


@_message(r"Found array with dim (\d+)[.,] (?:while dim <= (\d)|(?:\w+ )?expected <= (\d))")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    rank, most = int(m[1]), int(m[2] or m[3])
    named = [each for op in ops for each in op.operands if each.shape and len(each.shape) == rank]
    name, shape = (named[0].name, named[0].shape or []) if named else ("X", [None] * rank)
    suggestion = f"flatten all but the first: {name}.reshape(len({name}), -1)"
    return _unknown([None] * most, shape, name, suggestion)


@_message(rf"y should be a 1d array, got an array of shape ({_S}) instead")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown([None], _shape(m[1]), "y", "give one column: y[:, 0], or y.ravel() where there is one")


@_message(r"Incompatible dimension for X and Y matrices: X\.shape\[1\] == (\d+) while Y\.shape\[1\] == (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    first, second = {"name": "X", "shape": [None, int(m[1])]}, {"name": "Y", "shape": [None, int(m[2])]}
    return pair(first, second, [1, 1], "give both the same features")


@_message(rf"sample_weight\.shape == ({_S}), expected ({_S})!")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown(_shape(m[2]), _shape(m[1]), "sample_weight", "give one weight for each sample")


# ---- shapes: pandas ------------------------------------------------------------------------------------------------


@_message(r"Length of values \((\d+)\) does not match length of index \((\d+)\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("index", int(m[2]), "values", int(m[1]), "give one value for each row")


@_message(rf"Shape of passed values is ({_S}), indices imply ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown(_shape(m[2]), _shape(m[1]), "values", "give one label for each row and each column")


@_message(r"Length mismatch: Expected axis has (\d+) elements, new values have (\d+) elements")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("axis", int(m[1]), "labels", int(m[2]), "give one label for each row or column")


@_message(r"Columns must be same length as key$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("columns", None, "values", None, "give one column of values for each name")


@_message(r"cannot set a row with mismatched columns$")
@_message(r"matrices are not aligned$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("columns", None, "values", None, "give one value for each column, under the same labels")


@_message(rf"Dot product shape mismatch, ({_S}) vs ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {**_matmul_of([_shape(m[1]), _shape(m[2])], ops, "dot")}


@_message(r"Unable to coerce to Series, length must be (\d+): given (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("expected", int(m[1]), "given", int(m[2]), "give one value for each column, or use axis='index'")


@_message(rf"Unable to coerce to DataFrame, shape must be ({_S}): given ({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown(_shape(m[1]), _shape(m[2]), "given", "give an array of the shape of the table")


@_message(rf"\(?'?Lengths must (?:match|be equal)(?: to compare)?'?(?:, ({_S}), ({_S})\))?$")
@_message(r"Array conditional must be same shape as self$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    left, right = ([_shape(m[1]), _shape(m[2])]) if m.lastindex else ([None], [None])
    return mismatch({"name": "left", "shape": left}, {"name": "right", "shape": right}, "give both the same length")


@_message(r"Item wrong length (\d+) instead of (\d+)\.")
@_message(r"Boolean index has wrong length: (\d+) instead of (\d+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("expected", int(m[2]), "mask", int(m[1]), "give one value of the mask for each row")


@_message(r"(\d+) columns passed, passed data had (\d+) columns")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _sizes("columns", int(m[1]), "data", int(m[2]), "give one name for each column")


@_message(rf"Must pass 2-d input\. shape=({_S})")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _unknown([None, None], _shape(m[1]), "data", "reshape it to two dimensions")


@_message(
    r"(?:Data must be 1-dimensional|Per-column arrays must each be 1-dimensional|Index data must be 1-dimensional|Buffer has wrong number of dimensions)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    named = [each for op in ops for each in op.operands if each.shape and len(each.shape) > 1]
    shape = named[0].shape or [] if named else [None, None]
    return _unknown([None], shape, named[0].name if named else "data", "give one dimension, with ravel() or a column")


# ---- dtypes --------------------------------------------------------------------------------------------------------

_TORCH_DTYPES = {
    "Float": "torch.float32",
    "Double": "torch.float64",
    "Half": "torch.float16",
    "BFloat16": "torch.bfloat16",
    "Long": "torch.int64",
    "Int": "torch.int32",
    "Short": "torch.int16",
    "Char": "torch.int8",
    "Byte": "torch.uint8",
    "Bool": "torch.bool",
    "ComplexFloat": "torch.complex64",
    "ComplexDouble": "torch.complex128",
    "c10::Half": "torch.float16",
    "c10::BFloat16": "torch.bfloat16",
    "int64": "torch.int64",
    "long int": "torch.int64",
    "long": "torch.int64",
}


def _torch(name: str) -> str:
    plain = name.strip().removeprefix("torch.").removesuffix("Tensor").removeprefix("cuda.")
    known = _TORCH_DTYPES.get(plain) or _TORCH_DTYPES.get(plain[:1].upper() + plain[1:])
    return known or f"torch.{plain}"


def _dtype(expected: str | None, actual: str | None, **more: object) -> Details:
    return {"_tag": "DtypeMismatch", "expected": expected, "actual": actual, **more}


@_message(r"expected scalar type ([\w:]+) but found ([\w:]+)")
@_message(
    r"Index put requires the source and destination dtypes match, got ([\w:]+) for the destination and ([\w:]+) for the source"
)
@_message(r"expected m1 and m2 to have the same dtype, but got: ([\w: ]+) != ([\w: ]+)")
@_message(r"expected target dtype to be (\w+)(?: or \w+)?, but got (\w+)")
@_message(r"mat1 and mat2 must have the same dtype, but got ([\w:]+) and ([\w:]+)")
@_message(r"dot : expected both vectors to have same dtype, but found ([\w:]+) and ([\w:]+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(_torch(m[1]), _torch(m[2]) if m[2] else None)


@_message(r"Found dtype ([\w:]+) but expected ([\w:]+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(_torch(m[2]), _torch(m[1]))


@_message(r"(\w+)\(\): Expected dtype (?:int32/)?int64 for index")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("torch.int64", None, operation=m[1], operand="index")


@_message(
    r"Expected tensor for argument #\d+ '(\w+)' to have (?:one of the following scalar types: (\w+)|scalar type (\w+))[^;]*; but got "
    r"([\w.]+) instead(?: \(while checking arguments for (\w+)\))?"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(_torch(m[2] or m[3]), _torch(m[4]), operand=m[1], operation=m[5])


@_message(r"result type ([\w:]+) can't be cast to the desired output type ([\w:]+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(_torch(m[2]), _torch(m[1]))


@_message(r"\"(\w+)\" not implemented for '([\w:]+)'")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    known = "torch.int64" if "Float" in m[2] or m[2] in ("Double", "Half", "BFloat16") else "torch.float32"
    if "Complex" in m[2]:
        known = "torch.float32"
    suggestion = f"the operation does not know {_torch(m[2])}: cast to a dtype that it knows, perhaps {known}"
    name = re.sub(r"_(?:cpu|cuda|impl|out|frame|kernel)(?=_|$)", "", m[1]).strip("_")
    return _dtype(None, _torch(m[2]), operation=name, suggestion=suggestion)


@_message(r"(?!.*cuda\.)Input type \(([\w:.]+)\) and (weight|bias) type \(([\w:.]+)\) should be the same")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(_torch(m[3]), _torch(m[1]), operand="input")


@_message(
    r"(\w+)\(\): could not infer output dtype\. Input dtype must be either a floating point or complex dtype\. Got: ([\w:]+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("torch.float32", _torch(m[2]), operation=m[1])


@_message(r"tensors used as indices must be ([\w, ]+?) tensors")
@_message(r"arrays used as indices must be of (integer) \(or boolean\) type")
@_message(r"Indexer must have (integer) or boolean type, got indexer with type (\w+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    is_torch = m[0].startswith("tensors")
    actual = m[2] if m.re.groups > 1 else None
    if actual is None:
        floats = [each.dtype for op in ops for each in op.operands[1:] if each.dtype and "float" in each.dtype]
        actual = floats[0] if floats else None
    return _dtype("torch.int64" if is_torch else "int64", actual, operation="index", operand=None)


@_message(
    r"(?:only Tensors of floating point(?: and complex)? dtype can require gradients|Only Tensors of floating point and complex dtype can require gradients)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("torch.float32", None)


@_message(r"ufunc '(\w+)' did not contain a loop with signature matching types (.*?)(?: -> .*)?$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    dtypes = re.findall(r"dtype\('([^']*)'\)|<class 'numpy\.dtypes\.(\w+)'>", m[2])
    return _dtype(None, ", ".join(one or other for one, other in dtypes) or None, operation=m[1])


@_message(r"Cannot cast ufunc '(\w+)' (?:input(?: \d)?|output) from dtype\('([^']+)'\) to dtype\('([^']+)'\)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(m[3], m[2], operation=m[1])


@_message(r"Cannot cast array data from dtype\('([^']+)'\) to dtype\('([^']+)'\) according to the rule")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(m[2], m[1])


@_message(r"ufunc '(\w+)' not supported for the input types")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    dtypes = [each.dtype for op in ops[:1] for each in op.operands if each.dtype]
    return _dtype(None, ", ".join(dtypes) or None, operation=m[1])


@_message(r"linalg\.(\w+): Low precision dtypes not supported\. Got (\w+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("torch.float32", _torch(m[2]), operation=m[1])


@_message(r"Could not convert (?:string )?'?.*?'? to numeric$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("float64", "str", suggestion="select the columns of numbers first: select_dtypes('number')")


@_message(r"array type (\w+) is unsupported in linalg$")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("float64", m[1])


@_message(r"numpy (boolean) (subtract|negative), the `-` operator, is not supported")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(None, "bool", operation=m[2], suggestion="use logical_xor or ~ for booleans, or cast them to int")


@_message(r"(?:lax\.)?(\w+) requires arguments to have (?:equal|the same) dtypes, got ([\w, ]+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    expected, _, actual = m[2].partition(", ")
    return _dtype(expected, actual.partition(", ")[0] or None, operation=m[1])


@_message(
    r"(\w+) does not accept dtype (\w+)(?: at position \d+)?\. Accepted dtypes (?:at position \d+ )?are subtypes of ([\w, ]+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(m[3], m[2], operation=m[1], cast=None, suggestion=f"cast it to one of {m[3]}")


@_message(
    r"grad requires real- or complex-valued inputs \(input dtype that is a sub-dtype of np\.(\w+)\), but got (\w+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("float32", m[2], operation="grad")


@_message(r"dtype='numeric' is not compatible with arrays of bytes/strings")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype("float64", "str", suggestion="convert texts to numbers first: X.astype('float64'), or encode them")


@_message(r"You are trying to merge on (\S+) and (\S+) columns")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(m[1], m[2], operation="merge", suggestion=f"cast one of the keys, such as astype({m[1]!r})")


@_message(r"Invalid value '.*' for dtype '?(\w+)'?")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(m[1], None, suggestion="cast the column to a dtype that holds the value first")


@_message(r"Cannot perform reduction '(\w+)' with (\w+) dtype")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _dtype(None, m[2], operation=m[1], suggestion="select the columns of numbers first: select_dtypes('number')")


@_message(r"agg function failed \[how->(\w+),dtype->(\w+)\]")
@_message(r"dtype '(\w+)' does not support operation '(\w+)'")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    operation, dtype = (m[1], m[2]) if m[0].startswith("agg") else (m[2], m[1])
    return _dtype(
        None, dtype, operation=operation, suggestion="select the columns of numbers first: select_dtypes('number')"
    )


# ---- devices -------------------------------------------------------------------------------------------------------


@_message(r"Expected all tensors to be on the same device, but found at least two devices, (\S+) and ([^\s!]+)!")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _devices(("tensor", m[1]), ("tensor", m[2]))


@_message(
    r"Expected all tensors to be on the same device, but got (\w+) is on (\S+), different from other tensors on (\S+)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _devices((m[1], m[2]), ("other tensors", m[3]))


@_message(r"Tensor on device (\S+) is not on the expected device ([^\s!]+)!")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _devices(("tensor", m[1]), ("expected", m[2]))


@_message(r"Input type \(torch\.(cuda\.)?\w+\) and (weight|bias) type \(torch\.(cuda\.)?\w+\) should be the same")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _devices(("input", "cuda" if m[1] else "cpu"), (m[2], "cuda" if m[3] else "cpu"))


@_message(r"Attempted to set the storage of a tensor on device \"(\S+)\" to a storage on different device \"(\S+)\"")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return _devices(("tensor", m[1]), ("storage", m[2]))


def _devices(first: tuple[str, str], second: tuple[str, str]) -> Details:
    operands = [{"name": name, "device": device} for name, device in (first, second)]
    target = first[1] if first[1] != "cpu" else second[1]
    return {"_tag": "DeviceMismatch", "operands": operands, "suggestion": f"move both to one device: .to({target!r})"}


@_message(
    r"(?:Torch not compiled with CUDA enabled|Found no NVIDIA driver on your system|No CUDA GPUs are available|The NVIDIA driver on your system is too old)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "DeviceNotAvailable", "device": "cuda"}


@_message(
    r"(?:Torch not compiled with (\w+) enabled|PyTorch is not linked with support for (\w+) devices|PyTorch was compiled without (\w+) support)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "DeviceNotAvailable", "device": (m[1] or m[2] or m[3]).lower()}


@_message(r"(?:CUDA error|HIP error): invalid device ordinal")
@_message(r"Invalid device id$")
@_message(
    r"Attempting to deserialize object on (?:a )?CUDA device (?:but torch\.cuda\.is_available\(\) is False|\d+ but)"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {
        "_tag": "DeviceNotAvailable",
        "device": "cuda",
        "operation": "load" if m[0].startswith("Attempting") else None,
        "suggestion": "use map_location='cpu'" if m[0].startswith("Attempting") else None,
    }


@_message(r"Could not run '([\w:.]+)' with arguments from the '(\w+)' backend")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "DeviceNotAvailable", "device": m[2].lower(), "operation": m[1]}


@_message(
    r"Unknown backend:? '?(\w+)'?(?: requested, but no platforms that are instances of \w+ are present\. Platforms present are: ([\w, ]+))?"
)
@_message(r"Requested backend:? '?(\w+)'?, but it failed to initialize|Backend '(\w+)' failed to initialize")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    if m[0].startswith("Unknown"):
        available = [name.strip() for name in (m[2] or "").split(",") if name.strip()]
        return {"_tag": "DeviceNotAvailable", "device": m[1], "available": available}
    return {"_tag": "DeviceNotAvailable", "device": m[1] or m[2]}


# ---- memory --------------------------------------------------------------------------------------------------------


def _bytes(size: str, unit: str) -> int:
    return int(float(size) * _UNITS[unit])


@_message(r"(?:Unable to allocate|unable to allocate) ([\d.]+) (\w+)")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "OutOfMemory", "device": "cpu", "requestedBytes": _bytes(m[1], m[2]) if m[2] in _UNITS else None}


@_message(
    r".*DefaultCPUAllocator: (?:can't allocate memory: you tried to allocate|not enough memory: you tried to allocate) (\d+) bytes"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "OutOfMemory", "device": "cpu", "requestedBytes": int(m[1])}


@_message(
    r"(CUDA|HIP|XPU|MPS backend) out of memory\. Tried to allocate ([\d.]+) (\w+)(?:\. GPU (\d+) has a total capacity of "
    r"([\d.]+) (\w+) of which ([\d.]+) (\w+) is free)?(?:.*?\(GPU (\d+); ([\d.]+) (\w+) total capacity;.*?([\d.]+) (\w+) free)?"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    kind = {"CUDA": "cuda", "HIP": "cuda", "XPU": "xpu"}.get(m[1], "mps")
    index = m[4] or m[9]
    total = (m[5], m[6]) if m[5] else (m[10], m[11])
    free = (m[7], m[8]) if m[7] else (m[12], m[13])
    return {
        "_tag": "OutOfMemory",
        "device": kind if index is None else f"{kind}:{index}",
        "requestedBytes": _bytes(m[2], m[3]),
        "freeBytes": _bytes(*free) if free[0] else None,
        "totalBytes": _bytes(*total) if total[0] else None,
    }


@_message(r"CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDA out of memory")
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    return {"_tag": "OutOfMemory", "device": "cuda"}


@_message(
    r"RESOURCE_EXHAUSTED: (?:Out of memory|.*?[Oo]ut of memory)(?:.*?(?:allocat\w*|tried to allocate) ([\d.]+) ?(\w+)?)?"
)
def _(m: re.Match[str], ops: list[Operation]) -> Details:
    unit = m[2] if m[2] in _UNITS else "bytes"
    devices = [each.device for op in ops for each in op.operands if each.device]
    on_device = any("cuda" in device.lower() for device in devices)
    requested = _bytes(m[1].rstrip("."), unit) if m[1] else None
    return {"_tag": "OutOfMemory", "device": "cuda" if on_device else "cpu", "requestedBytes": requested}
