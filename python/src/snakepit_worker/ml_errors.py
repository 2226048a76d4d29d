"""Machine-learning errors: what of shapes, dtypes, devices and memory made an operation fail.

`classify` decides in this order: by the class of the exception; by the real operands, where the operation is one whose
rules are known (`array_rules`); by the message (`array_messages`). Messages are only believed of array libraries: an
exception that other Python code raised is left alone, whatever it says. The form of the answer is that of `ml` in
`protocol/README.md`.
"""

from __future__ import annotations

import math
import sys

from . import array_messages, array_rules
from .errors import type_name
from .memory import below_ceiling
from .operations import FAMILIES, find, is_raised_by_others

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from .operations import Operation

    Details = dict[str, Any]


class Evidence:
    """All that a decision rests on. It can be written down, so that decisions are tested without the libraries."""

    __slots__ = ("attributes", "message", "mro", "operations")

    def __init__(
        self, mro: list[str], message: str, operations: list[Operation], attributes: dict[str, Any] | None = None
    ) -> None:
        self.mro = mro
        self.message = message
        self.operations = operations
        self.attributes = attributes or {}


def classify(
    error: BaseException, message: str, entries: list[TracebackType], payload: dict[str, Any] | None
) -> Details | None:
    """The `ml` of an exception; None for what is none. `payload` is the call's, for the outermost exception."""
    evidence = collect(error, message, entries, payload)
    return None if evidence is None else decide(evidence)


def collect(
    error: BaseException, message: str, entries: list[TracebackType], payload: dict[str, Any] | None
) -> Evidence | None:
    """What there is to decide from; None when the exception cannot be about arrays."""
    kind = type(error)
    mro = [type_name(base) for base in kind.__mro__ if base is not object]
    if not array_messages.may_be_about_arrays(mro):
        return None
    of_library = mro[0].partition(".")[0] in FAMILIES
    if not of_library and is_raised_by_others(entries):
        return None
    return Evidence(mro, message, find(entries, payload), _attributes(error) if of_library else None)


def _attributes(error: BaseException) -> dict[str, Any]:
    """What numpy's exceptions know beside their message."""
    found: dict[str, Any] = {}
    ufunc = getattr(error, "ufunc", None)
    if ufunc is not None:
        found["ufunc"] = str(ufunc.__name__)
        for name, key in (("from_", "from"), ("to", "to")):
            dtype = getattr(error, name, None)
            if dtype is not None:
                found[key] = str(dtype)
        dtypes = getattr(error, "dtypes", None)
        if isinstance(dtypes, tuple):
            found["dtypes"] = [str(dtype) for dtype in dtypes if dtype is not None]
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        found["bytes"] = math.prod(int(size) for size in shape) * int(dtype.itemsize)
    return found


def decide(evidence: Evidence) -> Details | None:
    """The decision."""
    found = (
        _by_class(evidence)
        or array_rules.decide(evidence.mro, evidence.operations)
        or array_messages.decide(evidence.mro, evidence.message, evidence.operations)
    )
    return None if found is None else _completed(found, evidence)


def _by_class(evidence: Evidence) -> Details | None:
    name, known = evidence.mro[0].rpartition(".")[2], evidence.attributes
    if name == "_ArrayMemoryError" and "bytes" in known:
        return {"_tag": "OutOfMemory", "device": "cpu", "requestedBytes": known["bytes"], "decidedBy": "class"}
    if evidence.mro[0] in ("torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"):
        found = array_messages.decide(evidence.mro, evidence.message, evidence.operations)
        found = found if found is not None and found["_tag"] == "OutOfMemory" else {"_tag": "OutOfMemory"}
        return {"device": "cuda", **found, "decidedBy": "class"}
    if name in ("_UFuncInputCastingError", "_UFuncOutputCastingError") and "to" in known:
        details = {"operation": known["ufunc"], "expected": known["to"], "actual": known["from"]}
        if "Output" in name:
            details["suggestion"] = f"let the result be {known['from']}: not in place, or into an array of that dtype"
        return {"_tag": "DtypeMismatch", **details, "decidedBy": "class"}
    if name == "_UFuncNoLoopError" and known.get("dtypes"):
        return {
            "_tag": "DtypeMismatch",
            "operation": known["ufunc"],
            "expected": None,
            "actual": ", ".join(known["dtypes"]),
            "decidedBy": "class",
        }
    return None


def _completed(found: Details, evidence: Evidence) -> Details:
    """Adds what is the same for all of a tag."""
    tag = found["_tag"]
    details: Details = {"_tag": tag, "operation": found.get("operation") or _name_of(evidence)}
    if tag == "ShapeMismatch":
        details["operands"] = found["operands"]
        details["dimension"] = found.get("dimension")
        suggestion = found.get("suggestion") or "make the sizes of these dimensions equal"
    elif tag == "DtypeMismatch":
        cast = found.get("cast") or _cast(found, evidence)
        details.update(
            expected=found.get("expected"), actual=found.get("actual"), operand=found.get("operand"), cast=cast
        )
        suggestion = found.get("suggestion") or (
            f"cast with {cast}" if cast else "use a dtype that the operation knows"
        )
    elif tag == "DeviceMismatch":
        details["operands"] = found["operands"]
        suggestion = found.get("suggestion") or "move all of them to one device, with .to(device)"
    elif tag == "DeviceNotAvailable":
        details["device"] = found["device"]
        details["available"] = found.get("available") or _available_devices()
        suggestion = found.get("suggestion") or f"use one of {', '.join(details['available']) or 'cpu'}"
    else:
        device = found["device"]
        free, total = found.get("freeBytes"), found.get("totalBytes")
        if device == "cpu" and total is None:
            free, total = below_ceiling() or host_memory()
        details.update(device=device, requestedBytes=found.get("requestedBytes"), freeBytes=free, totalBytes=total)
        suggestion = _MEMORY_ADVICE if device == "cpu" else _DEVICE_MEMORY_ADVICE
    details["suggestion"] = suggestion
    details["decidedBy"] = found["decidedBy"]
    return details


_MEMORY_ADVICE = "work on it in parts, use a smaller dtype such as float32, or give the worker more memory"
_DEVICE_MEMORY_ADVICE = (
    "use a smaller batch or a smaller dtype such as float16, free what is not needed, or run it on the CPU"
)


def _name_of(evidence: Evidence) -> str | None:
    """What the code outside the library has called, before what the library has called inside."""
    return next((operation.name for operation in reversed(evidence.operations) if operation.name), None)


def _cast(found: Details, evidence: Evidence) -> str | None:
    expected = found.get("expected")
    if expected is None:
        return None
    name = found.get("operand") or ""
    is_torch = expected.startswith("torch.") or any(
        each.family == "torch" for operation in evidence.operations for each in operation.operands
    )
    return f"{name}.to({expected})" if is_torch else f"{name}.astype({expected!r})"


def _available_devices() -> list[str]:
    torch: Any = sys.modules.get("torch")
    devices = ["cpu"]
    try:
        if torch is not None and torch.cuda.is_available():
            devices += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    except Exception:
        pass  # a driver that fails has no devices
    return devices


def host_memory() -> tuple[int | None, int | None]:
    """Bytes of memory that are free and that there are, of this host or of the container around this process."""
    try:
        with open("/proc/meminfo", encoding="ascii") as meminfo:
            sizes = {line.partition(":")[0]: line.split()[1] for line in meminfo}
        free, total = int(sizes["MemAvailable"]) * 1024, int(sizes["MemTotal"]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None, None
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = int(file.read())
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            used = int(file.read())
    except (OSError, ValueError):
        return free, total  # no limit: the file says `max`, or is not there
    return min(free, max(limit - used, 0)), min(total, limit)
