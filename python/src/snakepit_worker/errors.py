"""Errors on the wire: Python exceptions as `protocol/README.md` describes them, and the failures of the worker itself.

`describe` turns an exception into the `error` of a `Fail`. It is part of every failing call, so it walks the
traceback itself, reads source lines only for the frames it keeps, and remembers what depends on the class alone. It
does not raise: exceptions whose `__str__`, `__repr__` or `__dir__` raise are described as far as they can be.

A `WorkerFailure` is not raised by the target: the worker could not find a session, decode an argument or pack a
result. It has its own tag and fields on the wire.
"""

from __future__ import annotations

import linecache
import reprlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Error = dict[str, object]
    Frame = dict[str, object]

MAX_FRAMES = 15
MAX_MESSAGE = 8_000  # characters
MAX_CHAIN = 8  # causes, contexts and groups inside each other
MAX_ERRORS = 64  # in one description, all levels together
MAX_MEMBERS = 32  # of one group
MAX_NOTES = 32
MAX_ARGS = 32
MAX_ARG_BYTES = 65_536  # packed

_OUTERMOST_FRAMES = 5
_CACHE_LIMIT = 4096


# ---- failures of the worker itself ---------------------------------------------------------------------------------


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


# ---- Python exceptions ---------------------------------------------------------------------------------------------


def describe(
    error: BaseException,
    *,
    call: dict[str, object] | None = None,
    encode: Callable[[object], bytes] | None = None,
) -> Error:
    """The `error` of a `Fail` for a Python exception, ready to be packed.

    `call` is the payload of the request that failed; it becomes the call context. `encode` packs one of the exception's
    args, to see whether it crosses; by default no refs are made for them.
    """
    described = _Description(encode or _pack_plainly).one(error, 0)
    if call is not None:
        context = described["call"] = _call_context(call)
        if isinstance(error, TypeError):
            message = str(described["message"])
            if not described["frames"]:
                # no code of the target has run: the call itself was wrong, and Python does not say which call
                message = f"{message} (target {context['target']!r})"
            described["message"] = _with_suggestion(message, lambda: _keyword_suggestion(message, call))
    return described


class _Description:
    """What one call of `describe` has seen so far: chains can be circular, and groups can share members."""

    __slots__ = ("_encode", "_seen")

    def __init__(self, encode: Callable[[object], bytes]) -> None:
        self._encode = encode
        self._seen: set[int] = set()

    def one(self, error: BaseException, depth: int) -> Error:
        self._seen.add(id(error))
        kind = type(error)
        tag, name, mro, suggest = _kinds.get(kind) or _learn(kind)
        message = _message(error)
        if suggest is not None:
            message = _with_suggestion(message, lambda: suggest(error))
        frames, left_out = _frames(error.__traceback__)
        notes = _notes(error)
        if left_out:
            notes.append(f"[{left_out} frames of the traceback after the {_OUTERMOST_FRAMES} outermost are left out]")
        if isinstance(error, SyntaxError):
            _locate(error, frames, notes)
        args = error.args
        members = getattr(error, "exceptions", None) if tag in _GROUPS else None
        cause = error.__cause__
        context = None if error.__suppress_context__ else error.__context__
        return {
            "_tag": tag,
            "pythonType": name,
            "mro": mro,
            "message": message,
            "args": self._args(args) if args else [],
            "frames": frames,
            "notes": notes,
            "cause": self._linked(cause, depth, notes, "cause") if cause is not None else None,
            "context": self._linked(context, depth, notes, "context") if context is not None else None,
            "exceptions": self._members(members, depth, notes) if members else [],
            "call": None,
        }

    def _linked(self, error: BaseException, depth: int, notes: list[str], link: str) -> Error | None:
        if id(error) in self._seen:
            notes.append(f"[its {link} is {type_name(type(error))}, which this report holds already]")
            return None
        if depth + 1 >= MAX_CHAIN or len(self._seen) >= MAX_ERRORS:
            notes.append(f"[its {link}, {type_name(type(error))}, and what is behind it are left out]")
            return None
        return self.one(error, depth + 1)

    def _members(self, members: object, depth: int, notes: list[str]) -> list[Error]:
        found = [member for member in members if isinstance(member, BaseException)]  # type: ignore[attr-defined]
        described: list[Error] = []
        for member in found[:MAX_MEMBERS]:
            if depth + 1 >= MAX_CHAIN or len(self._seen) >= MAX_ERRORS or id(member) in self._seen:
                continue
            described.append(self.one(member, depth + 1))
        if len(described) < len(found):
            notes.append(f"[{len(found) - len(described)} of {len(found)} exceptions of the group are left out]")
        return described

    def _args(self, args: tuple[object, ...]) -> list[object]:
        encoded: list[object] = []
        for arg in args[:MAX_ARGS]:
            kind = type(arg)
            if kind is str:
                encoded.append(_bounded(arg))  # type: ignore[arg-type]
            elif arg is None or kind is bool or kind is float:
                encoded.append(arg)
            elif isinstance(arg, BaseException):
                encoded.append(bounded_repr(arg))  # the members of a group, which stand under `exceptions`
            else:
                try:
                    small = len(self._encode(arg)) <= MAX_ARG_BYTES
                    encoded.append(arg if small else bounded_repr(arg))
                except Exception:
                    encoded.append(bounded_repr(arg))
        if len(args) > MAX_ARGS:
            encoded.append(f"[{len(args) - MAX_ARGS} more args are left out]")
        return encoded


def _message(error: BaseException) -> str:
    try:
        return _bounded(str.__str__(str(error)))
    except BaseException as failure:  # `__str__` is anybody's code, and may even call sys.exit
        return f"<the message is lost: {type_name(type(error))}.__str__ raised {type_name(type(failure))}>"


def _bounded(text: str) -> str:
    if len(text) <= MAX_MESSAGE:
        return text
    return f"{text[:MAX_MESSAGE]}... [{len(text) - MAX_MESSAGE} more characters are left out]"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    if not notes or not isinstance(notes, (list, tuple)):
        return []
    texts = [_bounded(note) if type(note) is str else bounded_repr(note) for note in notes[:MAX_NOTES]]
    if len(notes) > MAX_NOTES:
        texts.append(f"[{len(notes) - MAX_NOTES} more notes are left out]")
    return texts


def _locate(error: SyntaxError, frames: list[Frame], notes: list[str]) -> None:
    """The text that does not parse is the innermost frame; the column is a note."""
    if error.filename is None or error.lineno is None:
        return
    source = _bounded(error.text.strip()) if isinstance(error.text, str) else ""
    frames.append({"file": str(error.filename), "line": error.lineno, "function": "<module>", "source": source})
    if error.offset is not None:
        notes.append(f"{error.filename}, line {error.lineno}, column {error.offset}")


# ---- the call that failed ------------------------------------------------------------------------------------------


def _call_context(payload: dict[str, object]) -> dict[str, object]:
    """`{ target, callType, arguments }`: what was called, and the types of its arguments but not their values."""
    call_type = payload.get("call_type") or "function"
    name = payload.get("class") or payload.get("function") or payload.get("attr")
    if "instance" in payload:
        owner = type_name(type(payload["instance"]))
    else:
        owner = str(payload.get("python_module") or "builtins")
    args = payload.get("args")
    kwargs = payload.get("kwargs")
    arguments: list[object] = []
    if isinstance(args, list):
        arguments += [_argument(str(index), arg) for index, arg in enumerate(args[:MAX_ARGS])]
    if isinstance(kwargs, dict):
        arguments += [_argument(str(key), kwargs[key]) for key in list(kwargs)[:MAX_ARGS]]
    return {"target": f"{owner}.{name}" if name else owner, "callType": call_type, "arguments": arguments}


def _argument(name: str, value: object) -> dict[str, object]:
    kind = type(value)
    described: dict[str, object] = {"name": name, "type": type_name(kind)}
    if kind.__module__ != "builtins":
        try:
            shape = getattr(value, "shape", None)
            if isinstance(shape, tuple) and all(type(size) is int for size in shape):
                described["shape"] = list(shape)
            dtype = getattr(value, "dtype", None)
            if dtype is not None:
                described["dtype"] = _bounded(str(dtype))
        except Exception:  # a property of the user's raised
            return {"name": name, "type": type_name(kind)}
    return described


# ---- what depends on the class alone -------------------------------------------------------------------------------

_GROUPS = frozenset({"ExceptionGroup", "BaseExceptionGroup"})
_kinds: dict[type, tuple[str, str, list[str], Callable[[BaseException], str | None] | None]] = {}


def _learn(kind: type) -> tuple[str, str, list[str], Callable[[BaseException], str | None] | None]:
    if len(_kinds) >= _CACHE_LIMIT:
        _kinds.clear()
    tag = "PythonException"
    for base in kind.__mro__:
        # The backport `exceptiongroup` brings the groups to Python 3.10.
        if base.__module__ == "builtins" or (base.__module__ == "exceptiongroup" and base.__name__ in _GROUPS):
            if base in (Exception, BaseException, object):
                break
            if not base.__name__.startswith("_"):
                tag = base.__name__
                break
    suggest: Callable[[BaseException], str | None] | None = None
    if issubclass(kind, AttributeError):
        suggest = _attribute_suggestion
    elif issubclass(kind, NameError):
        suggest = _name_suggestion
    elif issubclass(kind, ImportError):
        suggest = _import_suggestion
    mro = [type_name(base) for base in kind.__mro__ if base is not object]
    learned = _kinds[kind] = (tag, type_name(kind), mro, suggest)
    return learned


def type_name(kind: type) -> str:
    """The qualified name of a class; builtins without their module."""
    module = kind.__module__
    if module == "builtins" or not isinstance(module, str):
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


# ---- frames --------------------------------------------------------------------------------------------------------

_OWN = __file__.rpartition("errors.py")[0]
_IMPORT = "<frozen importlib"
_sources: dict[tuple[str, int], str] = {}


def _frames(traceback: TracebackType | None) -> tuple[list[Frame], int]:
    """The frames to show, outermost first, and how many were left out between the outermost ones and the rest."""
    kept: list[TracebackType] = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        # The worker's own frames, and the import system's, say nothing about the target.
        if not file.startswith(_OWN) and not file.startswith(_IMPORT):
            kept.append(traceback)
        traceback = traceback.tb_next
    left_out = len(kept) - MAX_FRAMES
    if left_out > 0:
        kept = kept[:_OUTERMOST_FRAMES] + kept[_OUTERMOST_FRAMES - MAX_FRAMES :]
    else:
        left_out = 0
    return [_frame(each) for each in kept], left_out


if sys.version_info >= (3, 11):

    def _frame(traceback: TracebackType) -> Frame:
        code = traceback.tb_frame.f_code
        line = traceback.tb_lineno or 0
        source = _sources.get((code.co_filename, line))
        if source is None:
            source = _read_source(traceback, line)
        return {"file": code.co_filename, "line": line, "function": code.co_qualname, "source": source}

else:

    def _frame(traceback: TracebackType) -> Frame:
        code = traceback.tb_frame.f_code
        line = traceback.tb_lineno or 0
        source = _sources.get((code.co_filename, line))
        if source is None:
            source = _read_source(traceback, line)
        return {"file": code.co_filename, "line": line, "function": code.co_name, "source": source}


def _read_source(traceback: TracebackType, line: int) -> str:
    if len(_sources) >= _CACHE_LIMIT:
        _sources.clear()
    frame = traceback.tb_frame
    file = frame.f_code.co_filename
    try:
        source = linecache.getline(file, line, frame.f_globals).strip()
    except Exception:
        source = ""  # a loader of the user's raised
    source = _sources[file, line] = source[:500]
    return source


# ---- nearest names -------------------------------------------------------------------------------------------------


def _with_suggestion(message: str, suggest: Callable[[], str | None]) -> str:
    if "Did you mean" in message:
        return message
    try:
        name = suggest()
    except Exception:
        return message  # a __dir__ or a __getattr__ of the user's raised
    return f"{message.removesuffix('.')}. Did you mean: {name!r}?" if name is not None else message


def _attribute_suggestion(error: BaseException) -> str | None:
    name = getattr(error, "name", None)
    owner = getattr(error, "obj", None)
    return nearest(name, dir(owner)) if isinstance(name, str) and owner is not None else None


def _name_suggestion(error: BaseException) -> str | None:
    name = getattr(error, "name", None)
    traceback = error.__traceback__
    if not isinstance(name, str) or traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    return nearest(name, [*frame.f_locals, *frame.f_globals, *frame.f_builtins])


def _import_suggestion(error: BaseException) -> str | None:
    module = sys.modules.get(getattr(error, "name", None) or "")
    wanted = getattr(error, "name_from", None)  # Python 3.12
    if wanted is None:
        _, found, rest = str(error).partition("cannot import name '")
        wanted = rest.partition("'")[0] if found else None
    if isinstance(wanted, str):
        return nearest(wanted, dir(module)) if module is not None else None
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _module_suggestion(error.name)
    return None


def _module_suggestion(name: str) -> str | None:
    """The nearest module: in the package that has no such submodule, else among the top-level ones that are known."""
    package, _, last = name.rpartition(".")
    parent = sys.modules.get(package) if package else None
    if parent is not None:
        import pkgutil

        path = getattr(parent, "__path__", None)
        found = nearest(last, [module.name for module in pkgutil.iter_modules(path)]) if path else None
        return f"{package}.{found}" if found else None
    return nearest(name, [*sys.stdlib_module_names, *sys.modules]) if not package else None


def _keyword_suggestion(message: str, call: dict[str, object]) -> str | None:
    _, found, rest = message.partition("got an unexpected keyword argument '")
    keyword = rest.partition("'")[0]
    kwargs = call.get("kwargs")
    # Otherwise the target did get its keywords, and some call inside it did not.
    if not found or not isinstance(kwargs, dict) or keyword not in kwargs:
        return None
    import inspect

    parameters = inspect.signature(_called(call)).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return nearest(keyword, [each.name for each in parameters if each.kind in named])


def _called(call: dict[str, object]) -> Callable[..., object]:
    """What a payload calls. It was found once already, so nothing is imported; raises when it is not there any more."""
    name = str(call.get("class") or call["function"])
    found: object = call["instance"] if "instance" in call else sys.modules[str(call.get("python_module", "builtins"))]
    for segment in name.split("."):
        found = getattr(found, segment)
    return found  # type: ignore[return-value]


def nearest(name: str, candidates: list[str]) -> str | None:
    """The candidate most like `name`, if one is like it. Private names are only suggested for private names."""
    slack = 1 + len(name) // 3
    private = name.startswith("_")
    near = [
        candidate
        for candidate in candidates
        if isinstance(candidate, str)
        and abs(len(candidate) - len(name)) <= slack
        and candidate != name
        and (private or not candidate.startswith("_"))
    ]
    if not near:
        return None
    from difflib import get_close_matches

    lowered = {candidate.lower(): candidate for candidate in near}
    matches = get_close_matches(name.lower(), lowered, 1, 0.7)
    return lowered[matches[0]] if matches else None


# ---- reprs ---------------------------------------------------------------------------------------------------------

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 200


def bounded_repr(value: object, limit: int = 200) -> str:
    """`repr(value)` in at most `limit` characters, whatever `__repr__` does; large containers are not read in full."""
    try:
        text = str.__str__(_repr.repr(value))
    except Exception as failure:
        text = f"<{type_name(type(value))} whose repr raised {type_name(type(failure))}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _pack_plainly(value: object) -> bytes:
    global _plain
    if _plain is None:
        from .values import Packer

        _plain = Packer().pack_value
    return _plain(value, "args")


_plain: Callable[[object, str], bytes] | None = None
