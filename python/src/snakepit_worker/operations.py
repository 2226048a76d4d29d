"""Which operation on arrays failed, and on what: the call itself when its target is one, otherwise the expression that
the traceback points at, with the variables of its frame.

Nothing is called or evaluated: names are looked up, attributes are read from instance dictionaries, and of arrays that
known libraries made, shape, dtype and device are read. Runs only for calls that have failed.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections import OrderedDict
from itertools import islice
from opcode import opmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any

# Packages whose exceptions are about arrays.
FAMILIES = frozenset({"numpy", "scipy", "sklearn", "pandas", "torch", "jax", "jaxlib", "opt_einsum", "cupy"})

_MAX_OPERANDS = 16
_MAX_DEPTH = 8
_CACHE_LIMIT = 1024
_RAISES = {opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in opmap}
_HAS_POSITIONS = sys.version_info >= (3, 11)

_BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "power",
    ast.MatMult: "matmul",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
}
_COMPARISONS = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}


class Operand:
    """What an operation was given. ``shape`` is None for what is no array; ``items`` are those of a list of arrays;
    ``value`` is an integer or a tuple of integers, such as a shape to change to.
    """

    __slots__ = ("device", "dtype", "family", "items", "name", "shape", "value")

    def __init__(
        self,
        name: str,
        family: str | None = None,
        shape: list[int] | None = None,
        dtype: str | None = None,
        device: str | None = None,
        items: list[Operand] | None = None,
        value: int | list[int] | None = None,
    ) -> None:
        self.name = name
        self.family = family
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.items = items or []
        self.value = value

    def to_json(self) -> dict[str, Any]:
        """What there is to know, without what is not known."""
        known = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) not in (None, [])}
        return {**known, "shape": self.shape, "items": [item.to_json() for item in self.items]}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Operand:
        """The other way round."""
        return Operand(**{**data, "items": [Operand.from_json(item) for item in data.get("items", [])]})


class Operation:
    """What was done to which operands. ``source`` says where from that is known."""

    __slots__ = ("name", "operands", "source")

    def __init__(self, name: str | None, operands: list[Operand], source: str) -> None:
        self.name = name
        self.operands = operands
        self.source = source

    def to_json(self) -> dict[str, Any]:
        """For the corpus of messages."""
        return {"name": self.name, "source": self.source, "operands": [each.to_json() for each in self.operands]}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Operation:
        """The other way round."""
        return Operation(data["name"], [Operand.from_json(each) for each in data["operands"]], data["source"])


def is_raised_by_others(entries: list[TracebackType]) -> bool:
    """Whether Python code that belongs to no array library raised the exception, with a ``raise`` of its own."""
    if not entries or _family_of(entries[-1].tb_frame) is not None:
        return False
    return _is_raise(entries[-1])


def find(entries: list[TracebackType], payload: dict[str, Any] | None) -> list[Operation]:
    """The operations that may have failed, innermost first."""
    found: list[Operation] = []
    if entries and not _is_raise(entries[-1]):
        _add(found, _in_frame(entries[-1]))
    # where the library was entered
    outer = len(entries) - 1
    while outer >= 0 and _family_of(entries[outer].tb_frame) is not None:
        outer -= 1
    if outer < 0:
        if payload is not None:
            _add(found, _of_call(payload))
    elif outer < len(entries) - 1:
        _add(found, _in_frame(entries[outer]))
    return found


def _add(found: list[Operation], operation: Operation | None) -> None:
    if operation is not None:
        found.append(operation)


def _family_of(frame: FrameType) -> str | None:
    name = frame.f_globals.get("__name__")
    root = name.partition(".")[0] if type(name) is str else None
    return root if root in FAMILIES else None


def _is_raise(entry: TracebackType) -> bool:
    code = entry.tb_frame.f_code.co_code
    return 0 <= entry.tb_lasti < len(code) and code[entry.tb_lasti] in _RAISES


def _of_call(payload: dict[str, Any]) -> Operation | None:
    name = payload.get("function") or payload.get("class")
    operands = []
    if "instance" in payload:
        receiver = operand("instance", payload["instance"])
        if receiver.shape is not None:
            operands.append(receiver)
    args, kwargs = payload.get("args"), payload.get("kwargs")
    if isinstance(args, list):
        operands += [operand(f"args[{index}]", value) for index, value in enumerate(args[:_MAX_OPERANDS])]
    if isinstance(kwargs, dict):
        operands += [operand(str(key), kwargs[key]) for key in list(kwargs)[:_MAX_OPERANDS]]
    return Operation(name.rpartition(".")[2] if type(name) is str else None, operands, "arguments")


# ---- the failing expression ----------------------------------------------------------------------------------------

_expressions: dict[tuple[str, int, int], ast.AST | None] = {}


def _in_frame(entry: TracebackType) -> Operation | None:
    frame = entry.tb_frame
    key = (frame.f_code.co_filename, entry.tb_lineno or 0, entry.tb_lasti)
    if key not in _expressions:
        if len(_expressions) >= _CACHE_LIMIT:
            _expressions.clear()
        _expressions[key] = _parse(entry)
    node = _expressions[key]
    return None if node is None else _operation(node, frame)


def _parse(entry: TracebackType) -> ast.AST | None:
    code, line = entry.tb_frame.f_code, entry.tb_lineno or 0
    lines = linecache.getlines(code.co_filename, entry.tb_frame.f_globals)
    if not 0 < line <= len(lines):
        return None
    text = lines[line - 1].strip()
    if _HAS_POSITIONS and entry.tb_lasti >= 0:
        position = next(islice(code.co_positions(), entry.tb_lasti // 2, None), None)  # type: ignore[attr-defined, unused-ignore]
        if position is not None and None not in position:
            first, last, start, end = position
            data = [each.encode("utf-8", "surrogatepass") for each in lines[first - 1 : last]]
            if data:
                data[-1] = data[-1][:end]
                data[0] = data[0][start:]
                text = b"".join(data).decode("utf-8", "replace")
    try:
        statement = ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:
        try:
            body = ast.parse(text).body
        except SyntaxError:
            return None
        return _expression_of(body[0]) if len(body) == 1 else None
    return statement


def _expression_of(statement: ast.stmt) -> ast.AST | None:
    if isinstance(statement, ast.AugAssign):
        return statement
    value = getattr(statement, "value", None)
    return value if isinstance(value, ast.expr) else None


def _operation(node: ast.AST, frame: FrameType) -> Operation | None:
    if isinstance(node, ast.BinOp):
        return _of_names(_BINARY[type(node.op)], [node.left, node.right], frame)
    if isinstance(node, ast.AugAssign):
        return _of_names(_BINARY[type(node.op)], [node.target, node.value], frame)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        return _of_names(_COMPARISONS[type(node.ops[0])], [node.left, node.comparators[0]], frame)
    if isinstance(node, ast.Subscript):
        return _of_names("index", [node.value, node.slice], frame)
    if not isinstance(node, ast.Call):
        return None
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    parts: list[ast.expr] = list(node.args)
    operation = _of_names(name, parts[:_MAX_OPERANDS], frame)
    if isinstance(function, ast.Attribute):
        receiver = operand(ast.unparse(function.value), _look_up(function.value, frame))
        if receiver.shape is not None:
            operation.operands.insert(0, receiver)
    for keyword in node.keywords[:_MAX_OPERANDS]:
        if keyword.arg is not None:
            value = operand(ast.unparse(keyword.value), _look_up(keyword.value, frame))
            # such as `dim=1`, which is known by its keyword and not by where it stands
            operation.operands.append(value if value.shape else operand(keyword.arg, _look_up(keyword.value, frame)))
    return operation


def _of_names(name: str | None, nodes: list[ast.expr], frame: FrameType) -> Operation:
    return Operation(name, [operand(ast.unparse(node), _look_up(node, frame)) for node in nodes], "locals")


class _Unknown:
    """Stands for a value that cannot be known without running code."""


UNKNOWN = _Unknown()


def _look_up(node: ast.expr, frame: FrameType) -> object:
    if isinstance(node, ast.Name):
        for names in (frame.f_locals, frame.f_globals):
            if node.id in names:
                return names[node.id]
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if type(value) is int else UNKNOWN
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_look_up(each, frame) for each in node.elts[:_MAX_OPERANDS]]
    if isinstance(node, ast.Attribute):
        return _attribute(_look_up(node.value, frame), node.attr)
    return UNKNOWN


def _attribute(owner: object, name: str) -> object:
    if name == "T" and _array_family(owner) in ("numpy", "torch", "jax"):
        return owner.T  # type: ignore[attr-defined]  # a view
    try:
        own = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return UNKNOWN
    # modules of torch keep these aside
    for names in (own, own.get("_parameters"), own.get("_buffers"), own.get("_modules")):
        if type(names) in (dict, OrderedDict) and name in names:
            return names[name]
    return UNKNOWN


# ---- arrays --------------------------------------------------------------------------------------------------------


def operand(name: str, value: object) -> Operand:
    """What is known of a value."""
    family = _array_family(value)
    if family is not None:
        try:
            return Operand(name, family, *_facts(value, family))
        except Exception:
            return Operand(name)  # an array inside a transformation, a subclass with rules of its own
    if type(value) is int:
        return Operand(name, "number", [], "int", value=value)
    if type(value) in (float, bool, complex):
        return Operand(name, "number", [], type(value).__name__)
    if isinstance(value, (list, tuple)):
        if value and all(type(each) is int for each in value[:_MAX_OPERANDS]):
            return Operand(name, "list", [len(value)], "int", value=list(value[:_MAX_OPERANDS]))
        items = [operand(f"{name}[{index}]", each) for index, each in enumerate(value[:_MAX_OPERANDS])]
        is_list_of_arrays = any(item.family not in (None, "number", "list") for item in items)
        shape = None if is_list_of_arrays else _nested_shape(value)
        return Operand(name, "list", shape, None, items=items if is_list_of_arrays or _are_vectors(items) else None)
    return Operand(name)


def _are_vectors(items: list[Operand]) -> bool:
    return bool(items) and all(item.family == "list" and item.shape is not None for item in items)


def _nested_shape(value: object) -> list[int] | None:
    """The shape of lists of numbers inside each other, by their first items; None when they are no such thing."""
    shape: list[int] = []
    while isinstance(value, (list, tuple)) and len(shape) < _MAX_DEPTH:
        shape.append(len(value))
        if not value:
            return shape
        value = value[0]
    return shape if type(value) in (int, float, bool, complex) else None


# The classes of arrays, in modules that are known only once they are loaded.
_CLASSES = {
    "numpy": ("ndarray", "generic"),
    "torch": ("Tensor",),
    "pandas": ("DataFrame", "Series", "Index"),
    "jax": ("Array",),
}


def _array_family(value: object) -> str | None:
    kind = type(value)
    if kind.__module__ == "builtins":
        return None
    for family, names in _CLASSES.items():
        module = sys.modules.get(family)
        if module is None:
            continue
        for name in names:
            known = vars(module).get(name)
            # jax's class has a metaclass of its own, which asks no more than isinstance does
            if isinstance(known, type) and isinstance(value, known):
                return family
    return None


def _facts(value: Any, family: str) -> tuple[list[int] | None, str | None, str | None]:
    """Shape, dtype and device."""
    shape = [int(size) for size in value.shape]
    dtype = None if family == "pandas" and value.ndim == 2 else str(value.dtype)
    device = None
    if family == "torch":
        device = str(value.device)
    elif family == "jax":
        device = _jax_device(value)
    return shape, dtype, device


def _jax_device(value: Any) -> str | None:
    device = getattr(value, "device", None)
    # a method before jax 0.4.31
    return None if device is None or callable(device) else str(device)
