"""What the payload of a call asks for: a target to call, or something to do with the object of a ref."""

from __future__ import annotations

from . import arrivals
from .errors import ProtocolError, SessionLost, bounded_repr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .resolve import Resolver

PAYLOAD_VERSION = 1

_FIELDS = frozenset(
    {
        "payload_version",
        "call_type",
        "library",
        "python_module",
        "function",
        "class",
        "attr",
        "instance",
        "args",
        "kwargs",
        "result",
        "idempotent",
        "session_id",
        "deadline_ms",
    }
)

# Sets of payload fields that were found valid, kept to look up rather than check again.
_MAX_SHAPES = 256

_NO_ARGS: list[Any] = []
_NO_KWARGS: dict[str, Any] = {}


class Invoker:
    """Does what payloads ask for. Raises what the target raises, ProtocolError for a payload against the contract, and
    SessionLost where the result would be a ref that has no session to live in.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._shapes: set[tuple[str, ...]] = set()

    def invoke(self, payload: dict[str, Any]) -> Any:
        """Runs the target; its result may still be a coroutine, or something to iterate over."""
        shape = tuple(payload)
        if shape not in self._shapes:
            self._check_fields(shape)
        if payload["payload_version"] != PAYLOAD_VERSION:
            raise ProtocolError(
                f"payload_version {payload['payload_version']!r} is not known here; "
                f"this worker speaks {PAYLOAD_VERSION}"
            )
        session = payload.get("session_id")
        if session is not None and type(session) is not str:
            raise _unexpected("session_id", "a text", session)
        args = payload.get("args")
        if args is None:
            args = _NO_ARGS
        elif type(args) is not list:
            raise _unexpected("args", "a list", args)
        kwargs = payload.get("kwargs")
        if kwargs is None:
            kwargs = _NO_KWARGS
        elif type(kwargs) is not dict:
            raise _unexpected("kwargs", "a map", kwargs)
        call_type = payload.get("call_type")
        if call_type is None:
            call_type = "function"
        result = payload.get("result")
        if result is not None and result != "value" and result != "ref":
            raise _unexpected("result", "'value' or 'ref'", result)
        if session is None and (result == "ref" or call_type == "class"):
            raise SessionLost("", "the result would be a ref, and refs live in sessions: make the call in one")
        if call_type == "function":
            return _call(self._target(payload, "function"), args, kwargs)
        act = _ACTS.get(call_type) if type(call_type) is str else None
        if act is None:
            known = ", ".join(["function", *_ACTS])
            raise ProtocolError(f"call_type {bounded_repr(call_type)} is not known here; known: {known}")
        return act(self, payload, args, kwargs)

    def _check_fields(self, shape: tuple[str, ...]) -> None:
        unknown = sorted(name for name in shape if name not in _FIELDS)
        if unknown:
            raise ProtocolError(f"unknown payload fields: {', '.join(unknown)}; known: {', '.join(sorted(_FIELDS))}")
        if "payload_version" not in shape:
            raise ProtocolError(f"payload_version is missing; this worker speaks {PAYLOAD_VERSION}")
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes.add(shape)

    def _target(self, payload: dict[str, Any], field: str) -> Any:
        module = "builtins" if payload.get("python_module") is None else _name(payload, "python_module")
        return self._resolver.target(module, _name(payload, field))

    def _class(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        return _call(self._target(payload, "class"), args, kwargs)

    def _module_attr(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("module_attr", args, 0, 0, kwargs)
        return self._target(payload, "attr")

    def _method(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        return _call(self._resolver.attribute(_instance(payload), _name(payload, "function")), args, kwargs)

    def _get_attr(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("get_attr", args, 0, 0, kwargs)
        return self._resolver.attribute(_instance(payload), _name(payload, "attr"))

    def _set_attr(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("set_attr", args, 1, 1, kwargs)
        instance, name = _instance(payload), _name(payload, "attr")
        self._resolver.check(name, name)
        setattr(instance, name, args[0])

    def _item(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("item", args, 1, 2, kwargs)
        instance = _instance(payload)
        if len(args) == 1:
            return instance[args[0]]
        instance[args[0]] = args[1]
        return None

    def _iterate(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("iterate", args, 0, 0, kwargs)
        return _instance(payload)

    def _enter(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("enter", args, 0, 0, kwargs)
        return _instance(payload).__enter__()

    def _exit(self, payload: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        _check_count("exit", args, 0, 1, kwargs)
        instance = _instance(payload)
        if not args:
            return instance.__exit__(None, None, None)
        from .callbacks import CallbackError

        error = CallbackError(str(args[0]))
        return instance.__exit__(CallbackError, error, None)


_ACTS: dict[str, Callable[[Invoker, dict[str, Any], list[Any], dict[str, Any]], Any]] = {
    "class": Invoker._class,
    "method": Invoker._method,
    "get_attr": Invoker._get_attr,
    "set_attr": Invoker._set_attr,
    "module_attr": Invoker._module_attr,
    "item": Invoker._item,
    "iterate": Invoker._iterate,
    "enter": Invoker._enter,
    "exit": Invoker._exit,
}


def _call(target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if arrivals.are_possible():
        args, kwargs = arrivals.settle(target, args, kwargs)
    return target(*args, **kwargs)


def _name(payload: dict[str, Any], field: str) -> str:
    name = payload.get(field)
    if type(name) is not str:
        raise _unexpected(field, "a text", name)
    return name


def _instance(payload: dict[str, Any]) -> Any:
    if "instance" not in payload:
        raise ProtocolError(f"call_type {payload['call_type']!r} wants an instance, which is missing")
    return payload["instance"]


def _check_count(call_type: str, args: list[Any], least: int, most: int, kwargs: dict[str, Any]) -> None:
    if not least <= len(args) <= most:
        takes = str(least) if least == most else f"{least} to {most}"
        raise ProtocolError(f"call_type {call_type!r} takes {takes} arguments, got {len(args)}")
    if kwargs:
        raise ProtocolError(f"call_type {call_type!r} takes no keyword arguments, got {', '.join(kwargs)}")


def _unexpected(field: str, expected: str, actual: object) -> ProtocolError:
    if actual is None:
        return ProtocolError(f"payload field {field!r} is missing; expected {expected}")
    return ProtocolError(f"payload field {field!r}: expected {expected}, got {bounded_repr(actual)}")
