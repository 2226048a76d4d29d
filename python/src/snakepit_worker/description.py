"""Python exceptions on the wire, as `protocol/README.md` describes them.

A `Describer` turns an exception into the `error` of a `Fail`. It is part of every failing call, so it walks the
traceback itself and remembers what depends on the class or the place in the code alone. It does not raise for what
exceptions are made of: one whose `__str__`, `__repr__` or `__dir__` raises is described as far as it can be.
"""

from __future__ import annotations

import os
import sys

from .callbacks import CallbackError
from .errors import bounded_repr, module_of, type_name
from .library_errors import LibraryErrors
from .memory import out_of_memory
from .redaction import Redaction
from .suggestions import keyword_suggestion, suggestion_for, with_suggestion
from .tracebacks import MAX_SOURCE, Frames, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .errors import Error
    from .reproduction import Reproduction

MAX_CHAIN = 8  # causes, contexts and groups inside each other
MAX_ERRORS = 64  # in one report, all levels together
MAX_MEMBERS = 32  # of one group
MAX_NOTES = 32
MAX_MRO = 64
MAX_ARGS = 32
MAX_ARG_BYTES = 65_536  # packed
MAX_ARGS_BYTES = 262_144  # of one report

_CACHE_LIMIT = 4096
_GROUPS = frozenset({"ExceptionGroup", "BaseExceptionGroup"})

# Without one of these, no exception is about arrays; the classifier is not even loaded.
_ARRAY_LIBRARIES = ("numpy", "torch", "jax")

# Without one of these words neither, so that an error in a worker that has numpy costs what others do. To look for one
# after the other takes a tenth of the time of a regular expression of all.
_WORDS_OF_ARRAYS = (
    *("shape", "size", "dimension", "type", "device", "memory", "length", "broadcast", "column", "square", "align"),
    *("cast", "cuda", "gpu", "driver", "nvidia", "backend", "allocate", "merge", "numeric", "loop", "samples"),
    *("features", "array", "tensor", "matri", "integer", "index", "implemented", "operand", "operator", "elements"),
)


class ErrorOptions:
    """`errors` of the boot configuration."""

    __slots__ = ("generate_repro", "max_frames", "max_message", "redact_paths")

    def __init__(
        self,
        max_frames: int = 15,
        max_message: int = 8_000,
        redact_paths: bool = True,
        generate_repro: str | None = None,
    ) -> None:
        self.max_frames = max_frames
        self.max_message = max_message
        self.redact_paths = redact_paths
        self.generate_repro = generate_repro


class Describer:
    """Describes exceptions. ``encode`` packs one of an exception's args, to see whether it crosses; ``folders`` are
    those that the user's modules come from.
    """

    def __init__(
        self,
        options: ErrorOptions,
        encode: Callable[[object], bytes],
        folders: list[str],
        libraries: LibraryErrors | None = None,
    ) -> None:
        self.options = options
        self.libraries = libraries or LibraryErrors([])
        self.redaction = Redaction([*folders, _working_directory()], options.redact_paths)
        self.frames = Frames(self.redaction)
        self.encode = encode
        self._reproduction: Reproduction | None = None

    def describe(self, error: BaseException, call: dict[str, object] | None = None) -> Error:
        """The `error` of a `Fail`, ready to be packed. `call` is the payload of the request that failed."""
        report = _Report(self, call)
        described = report.one(error, 0)
        if call is not None:
            context = described["call"] = call_context(call)
            if isinstance(error, TypeError):
                message = str(described["message"])
                if not described["frames"]:
                    # no code of the target has run: the call itself was wrong, and Python does not say which call
                    message = f"{message} (target {context['target']!r})"
                described["message"] = with_suggestion(message, keyword_suggestion, message, call)
            if self.options.generate_repro is not None:
                path = self._reproduce(self.options.generate_repro, described, call)
                if path is not None:
                    described["repro"] = path
        return described

    def _reproduce(self, directory: str, described: Error, call: dict[str, object]) -> str | None:
        from .reproduction import Reproduction

        if self._reproduction is None:
            self._reproduction = Reproduction(directory)
        return self._reproduction.write(described, call)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it was removed


class _Report:
    """What one report has seen so far: chains can be circular, and groups can share members."""

    __slots__ = ("_arg_bytes", "_call", "_describer", "_limit", "_seen")

    def __init__(self, describer: Describer, call: dict[str, object] | None) -> None:
        self._describer = describer
        self._call = call
        self._limit = describer.options.max_message
        self._seen: set[int] = set()
        self._arg_bytes = MAX_ARGS_BYTES

    def one(self, error: BaseException, depth: int) -> Error:
        self._seen.add(id(error))
        truncated: list[Error] = []
        kind = type(error)
        template, suggest, finish = _kinds.get(kind) or _learn(kind)
        described = template.copy()
        text = _message(error)
        if suggest is not None:
            text = with_suggestion(text, suggest, error)
        message = described["message"] = self._bounded(text, "message", truncated)
        args = error.args
        if len(args) == 1 and args[0] is text and not truncated:
            described["args"] = [message]  # nearly always; it is not bounded and redacted once more
        elif args:
            described["args"] = self._args(args, truncated)
        if entries := shown(error.__traceback__):
            described["frames"] = self._frames(entries, truncated)
        if notes := self._notes(error, truncated):
            described["notes"] = notes
        if (cause := error.__cause__) is not None:
            described["cause"] = self._linked(cause, depth, truncated, "cause")
        if (context := error.__context__) is not None and not error.__suppress_context__:
            described["context"] = self._linked(context, depth, truncated, "context")
        if described["_tag"] in _GROUPS:
            described["exceptions"] = self._members(error, depth, truncated)
        if self._describer.libraries.wanted(kind) is not None:
            described["library"] = self._library(error, truncated)
        if len(kind.__mro__) > MAX_MRO + 1:
            truncated.append(_cut("mro", MAX_MRO, len(kind.__mro__) - 1))
        if truncated:
            described["truncated"] = truncated
        if finish is not None:
            finish(self, error, described)
        else:
            for library in _ARRAY_LIBRARIES:
                if library in sys.modules:
                    if _is_about_arrays(text):
                        self._classify(error, text, entries, depth, described)
                    break
            if isinstance(error, MemoryError) and "ml" not in described and (found := out_of_memory()) is not None:
                described["ml"] = found
        return described

    def _library(self, error: BaseException, truncated: list[Error]) -> Error | None:
        return self._describer.libraries.report(error, lambda value: self._arg(value, "library", truncated))

    def _classify(
        self, error: BaseException, text: str, entries: list[TracebackType], depth: int, described: Error
    ) -> None:
        from .ml_errors import classify

        try:
            found = classify(error, text, entries, self._call if depth == 0 else None)
        except Exception:
            return  # objects of the target's may do anything; the exception is described without it
        if found is not None:
            described["ml"] = found

    def _described(self, error: BaseException, depth: int) -> Error:
        """One exception of several: what one is made of is not to spoil the report of the others."""
        try:
            return self.one(error, depth)
        except Exception as failure:
            return undescribed(error, failure)

    def _linked(self, error: BaseException, depth: int, truncated: list[Error], link: str) -> Error | None:
        if id(error) in self._seen:
            truncated.append({**_cut(link, 0, 1), "reason": "seen", "pythonType": type_name(type(error))})
            return None
        if depth + 1 >= MAX_CHAIN or len(self._seen) >= MAX_ERRORS:
            truncated.append({**_cut(link, 0, 1), "pythonType": type_name(type(error))})
            return None
        return self._described(error, depth + 1)

    def _members(self, error: BaseException, depth: int, truncated: list[Error]) -> list[Error]:
        members: list[BaseException]
        try:
            members = [each for each in error.exceptions if isinstance(each, BaseException)]  # type: ignore[attr-defined]
        except Exception:
            members = [each for each in error.args[-1:] if isinstance(each, BaseException)]
        described: list[Error] = []
        seen = 0
        for member in members[:MAX_MEMBERS]:
            if id(member) in self._seen:
                seen += 1
            elif depth + 1 < MAX_CHAIN and len(self._seen) < MAX_ERRORS:
                described.append(self._described(member, depth + 1))
        if len(described) < len(members):
            reason = "seen" if len(described) + seen == len(members) else "limit"
            truncated.append({**_cut("exceptions", len(described), len(members)), "reason": reason})
        return described

    def _frames(self, entries: list[TracebackType], truncated: list[Error]) -> list[Error]:
        limit = self._describer.options.max_frames
        describe = self._describer.frames.describe
        total = len(entries)
        if total > limit:
            outermost = limit // 3
            truncated.append({**_cut("frames", limit, total), "after": outermost})
            entries = entries[:outermost] + entries[total - (limit - outermost) :]
        return [describe(entry) for entry in entries]

    def _bounded(self, text: str, field: str, truncated: list[Error]) -> str:
        if len(text) > self._limit:
            truncated.append(_cut(field, self._limit, len(text)))
            text = f"{text[: self._limit]}... [{len(text) - self._limit} more characters are left out]"
        return self._describer.redaction.text(text)

    def _notes(self, error: BaseException, truncated: list[Error]) -> list[str]:
        try:
            notes = getattr(error, "__notes__", None)
        except Exception:
            return []  # a `__getattr__` of the user's raised
        if not notes or not isinstance(notes, (list, tuple)):
            return []
        if len(notes) > MAX_NOTES:
            truncated.append(_cut("notes", MAX_NOTES, len(notes)))
        return [
            self._bounded(note if type(note) is str else _repr_of(note), f"notes[{index}]", truncated)
            for index, note in enumerate(notes[:MAX_NOTES])
        ]

    def _args(self, args: tuple[object, ...], truncated: list[Error]) -> list[object]:
        if len(args) > MAX_ARGS:
            truncated.append(_cut("args", MAX_ARGS, len(args)))
        return [self._arg(arg, f"args[{index}]", truncated) for index, arg in enumerate(args[:MAX_ARGS])]

    def _arg(self, arg: object, field: str, truncated: list[Error]) -> object:
        kind = type(arg)
        if kind is str:
            return self._bounded(arg, field, truncated)  # type: ignore[arg-type]
        if arg is None or kind is bool or kind is float:
            return arg
        if not isinstance(arg, BaseException):  # such are members of a group, which stand under `exceptions`
            try:
                size = len(self._describer.encode(arg))
            except BaseException:  # anybody's code, which may even leave
                return _repr_of(arg)
            if size <= min(MAX_ARG_BYTES, self._arg_bytes):
                self._arg_bytes -= size
                return arg
            truncated.append(_cut(field, 0, size))
        return _repr_of(arg)

    def _answer(self, error: BaseException, described: Error) -> None:
        """Which question to the host failed."""
        if error.request_id is not None:  # type: ignore[attr-defined]  # it is a CallbackError
            described["callback"] = error.request_id  # type: ignore[attr-defined]

    def _locate(self, error: BaseException, described: Error) -> None:
        """Where a text does not parse."""
        file, line, text, offset, end = (
            getattr(error, name, None) for name in ("filename", "lineno", "text", "offset", "end_offset")
        )
        if type(file) is not str or type(line) is not int:
            return
        whole = text if type(text) is str else ""
        source = whole.strip()
        syntax: Error = {"file": self._describer.redaction.file(file), "line": line, "source": source[:MAX_SOURCE]}
        if type(offset) is int and offset > 0:
            syntax["column"] = offset
            start = offset - 1 - (len(whole) - len(whole.lstrip()))
            size = min(len(source), MAX_SOURCE)
            same_line = getattr(error, "end_lineno", line) in (line, None)
            until = start + end - offset if same_line and type(end) is int and end > offset else start + 1
            # Python points behind the line when something is missing there
            if source and 0 <= start <= size:
                syntax["caret"] = [start, max(start + 1, min(until, size))]
        described["syntax"] = syntax


def _is_about_arrays(text: str) -> bool:
    lowered = text.lower()
    for word in _WORDS_OF_ARRAYS:  # a generator would take as long as the search
        if word in lowered:
            return True
    return False


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except BaseException as failure:  # `__str__` is anybody's code, and may even call sys.exit
        return f"<the message is lost: {type_name(type(error))}.__str__ raised {type_name(type(failure))}>"


def _repr_of(value: object) -> str:
    try:
        return bounded_repr(value)
    except BaseException as failure:  # as above
        return f"<{type_name(type(value))} whose repr raised {type_name(type(failure))}>"


def _cut(field: str, kept: int, total: int) -> Error:
    return {"field": field, "kept": kept, "total": total, "reason": "limit"}


def undescribed(error: BaseException, failure: BaseException) -> Error:
    """What can be said of an exception without running any code of its own: that code has just failed."""
    kind = type(error)
    try:
        tag = tag_of(kind)
    except Exception:  # a metaclass can be anybody's code as well
        tag = "PythonException"
    described = _nothing_of(kind, tag, [type_name(each) for each in type.mro(kind) if each is not object])
    described["message"] = f"<the details are lost: describing the exception raised {type_name(type(failure))}>"
    return described


# ---- the call that failed ------------------------------------------------------------------------------------------


def call_context(payload: dict[str, object]) -> Error:
    """`{ target, callType, arguments }`: what was called, and the types of its arguments but not their values."""
    call_type = payload.get("call_type") or "function"
    name = payload.get("class") or payload.get("function") or payload.get("attr")
    if "instance" in payload:
        owner = type_name(type(payload["instance"]))
    else:
        owner = str(payload.get("python_module") or "builtins")
    args = payload.get("args")
    kwargs = payload.get("kwargs")
    arguments = _positional(args[:MAX_ARGS]) if isinstance(args, list) else []
    if kwargs and isinstance(kwargs, dict):
        arguments = arguments + [_argument(str(key), kwargs[key]) for key in list(kwargs)[:MAX_ARGS]]
    return {"target": f"{owner}.{name}" if name else owner, "callType": call_type, "arguments": arguments}


_PLAIN = {kind: kind.__name__ for kind in (type(None), bool, int, float, str, bytes, list, tuple, dict, set)}
_positionals: dict[tuple[type, ...], list[Error]] = {}


def _positional(args: list[object]) -> list[Error]:
    """What there is to say of positional arguments. It is shared between reports: nobody changes it."""
    kinds = tuple(map(type, args))
    known = _positionals.get(kinds)
    if known is None:
        known = [_argument(str(index), arg) for index, arg in enumerate(args)]
        if _PLAIN.keys() >= set(kinds):  # nothing but the types is said of these
            if len(_positionals) >= _CACHE_LIMIT:
                _positionals.clear()
            _positionals[kinds] = known
    return known


def _argument(name: str, value: object) -> Error:
    kind = type(value)
    if kind in _PLAIN:
        return {"name": name, "type": _PLAIN[kind]}
    described: Error = {"name": name, "type": type_name(kind)}
    module = module_of(kind)
    if module != "builtins" and isinstance(module, str):
        try:
            shape = getattr(value, "shape", None)
            if isinstance(shape, tuple) and all(type(size) is int for size in shape):
                described["shape"] = list(shape)
                # a column of a table can be called `dtype`
                dtype = None if hasattr(kind, "columns") else getattr(value, "dtype", None)
                if dtype is not None:
                    described["dtype"] = str(dtype)[:MAX_SOURCE]
                device = getattr(value, "device", None) if module.startswith(_DEVICE_LIBRARIES) else None
                if device is not None:
                    described["device"] = str(device)[:MAX_SOURCE]
        except Exception:  # a property of the user's raised
            return {"name": name, "type": type_name(kind)}
    return described


_DEVICE_LIBRARIES = ("torch", "jax", "cupy")


# ---- what depends on the class alone -------------------------------------------------------------------------------

if TYPE_CHECKING:
    # the description of an exception that has nothing to say, which is copied and never changed; what makes a sentence
    # of what was meant; what else there is to say
    Kind = tuple[
        Error, Callable[[BaseException], "str | None"] | None, Callable[[_Report, BaseException, Error], None] | None
    ]

_SYNTAX_ERRORS = frozenset({"SyntaxError", "IndentationError", "TabError"})
_kinds: dict[type, Kind] = {}


def _learn(kind: type) -> Kind:
    if len(_kinds) >= _CACHE_LIMIT:
        _kinds.clear()
    template = _nothing_of(kind, tag_of(kind), [type_name(base) for base in kind.__mro__ if base is not object])
    finish = None
    if template["_tag"] in _SYNTAX_ERRORS:
        finish = _Report._locate
    elif kind is CallbackError:
        finish = _Report._answer
    learned = _kinds[kind] = (template, suggestion_for(kind), finish)
    return learned


def _nothing_of(kind: type, tag: str, mro: list[str]) -> Error:
    """The fields that are always there, in their order."""
    return {
        "_tag": tag,
        "pythonType": type_name(kind),
        "mro": mro[:MAX_MRO],
        "message": "",
        "args": [],
        "frames": [],
        "notes": [],
        "cause": None,
        "context": None,
        "exceptions": [],
        "call": None,
    }


def tag_of(kind: type) -> str:
    """The name of the nearest public built-in class, or `PythonException`."""
    for base in kind.__mro__:
        # The backport `exceptiongroup` brings the groups to Python 3.10.
        if module_of(base) == "builtins" or (module_of(base) == "exceptiongroup" and base.__name__ in _GROUPS):
            if base in (Exception, BaseException, object):
                break
            if not base.__name__.startswith("_"):
                return base.__name__
    return "PythonException"
