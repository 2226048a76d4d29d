"""What the worker itself could not do, as `protocol/README.md` describes it, and how classes and values are named.

A `WorkerFailure` is not raised by the target: the worker could not find a session, decode an argument or pack a
result. It has its own tag and fields on the wire. What the target raises is the subject of `description`.
"""

from __future__ import annotations

import reprlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Error = dict[str, object]


class WorkerFailure(Exception):
    """Something that the worker, not the target, could not do."""

    # The request that the failure belongs to, when it was found out while unpacking the request.
    request_id: int | None = None

    def to_error(self) -> Error:
        """The `error` of a `Fail`."""
        raise NotImplementedError


class SessionLost(WorkerFailure):
    """A call named a session, or a ref of one, that does not live in this worker."""

    def __init__(self, session: str, reason: str) -> None:
        super().__init__(f"session {session!r} is lost: {reason}")
        self.session = session
        self.reason = reason

    def to_error(self) -> Error:
        return {"_tag": "SessionLost", "session": self.session, "reason": self.reason}


class UnserializableResult(WorkerFailure):
    """A value cannot cross exactly. `path` leads to it, `repr` is at most 200 characters, `reason` ends in a remedy."""

    def __init__(self, path: str, python_type: str, repr: str, reason: str) -> None:
        super().__init__(f"{path} ({python_type}) cannot cross to TypeScript: {reason}. It is {repr}")
        self.path = path
        self.python_type = python_type
        self.repr = repr
        self.reason = reason

    def to_error(self) -> Error:
        return {
            "_tag": "UnserializableResult",
            "path": self.path,
            "pythonType": self.python_type,
            "repr": self.repr,
            "reason": self.reason,
        }


class DecodeError(WorkerFailure):
    """Bytes from the host do not decode. `path` is empty when they are no message at all."""

    def __init__(self, path: str, expected: str, actual: str) -> None:
        super().__init__(f"{path or 'a message'}: expected {expected}, got {actual}")
        self.path = path
        self.expected = expected
        self.actual = actual

    def to_error(self) -> Error:
        return {"_tag": "DecodeError", "path": self.path, "expected": self.expected, "actual": self.actual}


class ProtocolError(WorkerFailure):
    """The host sent something that the contract does not allow."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def to_error(self) -> Error:
        return {"_tag": "ProtocolError", "reason": self.reason}


class CallCancelled(BaseException):
    """Raised inside a running call when the host interrupts it; no Exception, so `except Exception` lets it pass."""


# ---- names and reprs -----------------------------------------------------------------------------------------------


# What `type` itself knows of a class, whatever a metaclass makes of these attributes.
module_of: Callable[[type], object] = type.__dict__["__module__"].__get__
_qualified_name: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def type_name(kind: type) -> str:
    """The qualified name of a class; builtins without their module."""
    module = module_of(kind)
    if module == "builtins" or not isinstance(module, str):
        return _qualified_name(kind)
    return f"{module}.{_qualified_name(kind)}"


class _Repr(reprlib.Repr):
    def repr_instance(self, x: object, level: int) -> str:
        """As `repr`, but exceptions show what they hold to the same depth as containers do: groups that share members
        are small, and their `repr` is not.
        """
        if not isinstance(x, BaseException):
            return super().repr_instance(x, level)
        if level <= 0:
            return f"{type(x).__name__}(...)"
        return f"{type(x).__name__}({', '.join(self.repr1(arg, level - 1) for arg in x.args[:4])})"


_repr = _Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 200


def bounded_repr(value: object, limit: int = 200) -> str:
    """`repr(value)` in at most `limit` characters, whatever `__repr__` does; large containers are not read in full."""
    try:
        text = str.__str__(_repr.repr(value))
    except Exception as failure:
        text = f"<{type_name(type(value))} whose repr raised {type_name(type(failure))}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
