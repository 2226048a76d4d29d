"""Writes the golden vectors: one `.json` and one `.bin` per message and per kind of value.

    python protocol/golden/generate.py

The bytes come from the small encoder below, which is written from `protocol/README.md` and shares no code with either
side, so that both are tested against the contract and not against each other. The notation is described in README.md.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent

Notation = object
Vector = dict[str, object]


# ---- the reference encoder: notation to bytes ----------------------------------------------------------------------


def encode(value: Notation) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return _header(len(value), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(encode, value))
    assert isinstance(value, dict), value
    if len(value) == 1 and next(iter(value)).startswith("$"):
        [(sigil, content)] = value.items()
        return bytes(_SIGILS[sigil](content))
    entries = b"".join(_text(key) + encode(item) for key, item in value.items())
    return _header(len(value), 0x80, 15, (None, 0xDE, 0xDF)) + entries


def _header(size: int, fix: int, fix_limit: int, codes: tuple[int | None, int, int]) -> bytes:
    """The shortest header for a size: in the code itself, or in 8, 16 or 32 bits."""
    if size <= fix_limit:
        return bytes([fix | size])
    for code, limit, format_ in zip(codes, (0xFF, 0xFFFF, 0xFFFFFFFF), (">BB", ">BH", ">BI")):
        if code is not None and size <= limit:
            return struct.pack(format_, code, size)
    raise ValueError(size)


def _int(value: int) -> bytes:
    """The shortest form: fixint, then 8, 16, 32, 64 bits, unsigned when not negative; extension 2 beyond."""
    if -32 <= value < 128:
        return struct.pack(">b" if value < 0 else ">B", value)
    codes = (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3)
    for code, width in zip(codes, (1, 2, 4, 8)):
        low, high = (0, 1 << 8 * width) if value >= 0 else (-(1 << 8 * width - 1), 0)
        if low <= value < high:
            return bytes([code]) + value.to_bytes(width, "big", signed=value < 0)
    width = 1
    while not -(1 << 8 * width - 1) <= value < 1 << 8 * width - 1:
        width += 1
    return _extension(2, value.to_bytes(width, "big", signed=True))


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return _header(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + data


def _bytes(data: bytes) -> bytes:
    return _header(len(data), 0, -1, (0xC4, 0xC5, 0xC6)) + data


def _extension(code: int, data: bytes) -> bytes:
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(len(data))
    if fixed is not None:
        return bytes([fixed, code]) + data
    return _header(len(data), 0, -1, (0xC7, 0xC8, 0xC9)) + bytes([code]) + data


def _pairs(entries: list[list[Notation]]) -> list[Notation]:
    return [part for entry in entries for part in entry]


_SIGILS: dict[str, Any] = {
    "$int": lambda digits: _int(int(digits)),
    "$float": lambda digits: b"\xcb" + struct.pack(">d", float(digits)),
    "$bytes": lambda digits: _bytes(bytes.fromhex(digits)),
    "$tuple": lambda items: _extension(1, encode(items)),
    "$set": lambda items: _extension(3, encode(items)),
    "$map": lambda entries: _extension(4, encode(_pairs(entries))),
    "$complex": lambda parts: _extension(5, struct.pack("<dd", *map(float, parts))),
    "$decimal": lambda digits: _extension(6, digits.encode("ascii")),
    "$datetime": lambda parts: _extension(7, encode(parts)),
    "$date": lambda parts: _extension(8, encode(parts)),
    "$time": lambda parts: _extension(9, encode(parts)),
    "$timedelta": lambda parts: _extension(10, encode(parts)),
    "$text": lambda units: _extension(11, _from_units(units).encode("utf-8", "surrogatepass")),
    "$double": lambda digits: _extension(12, struct.pack("<d", float(digits))),
    "$adapted": lambda parts: _extension(13, encode(parts)),
    "$shared": lambda place: _extension(14, encode(place)),
    "$ref": lambda parts: _extension(15, encode(parts)),
    "$callback": lambda number: _extension(16, encode(number)),
}


def _from_units(units: list[int]) -> str:
    """A string of UTF-16 code units; pairs of surrogates are one character, lone ones stay."""
    return struct.pack(f"<{len(units)}H", *units).decode("utf-16-le", "surrogatepass")


# ---- the vectors ---------------------------------------------------------------------------------------------------


def vectors() -> Iterator[tuple[Vector, bytes]]:
    """Every vector with its bytes."""
    names = set()
    for kind, cases in (("message", _messages()), ("value", _values())):
        for name, value, *marks in cases:
            full = f"{kind}-{name}"
            assert full not in names, full
            names.add(full)
            vector: Vector = {
                "name": full,
                "kind": kind,
                "value": value,
                "typescript": "decode" if "typescript decodes" in marks or _has_whole_float(value) else "exact",
                "python": "decode"
                if "python decodes" in marks or _has(value, ("$double", "$callback", "$shared"))
                else "exact",
            }
            yield vector, encode(value)


# What only the host sends.
_FROM_HOST = ("$double", "$callback", "$shared")


def _has(value: Notation, sigils: tuple[str, ...]) -> bool:
    if isinstance(value, list):
        return any(_has(item, sigils) for item in value)
    return isinstance(value, dict) and any(key in sigils or _has(item, sigils) for key, item in value.items())


def _has_whole_float(value: Notation) -> bool:
    """Whether there is a float that JavaScript cannot tell from an integer, or -0."""
    if isinstance(value, list):
        return any(map(_has_whole_float, value))
    if not isinstance(value, dict):
        return False
    digits = value.get("$float")
    if isinstance(digits, str):
        return math.isfinite(float(digits)) and float(digits).is_integer()
    return any(map(_has_whole_float, value.values()))


def _float(value: float) -> Notation:
    return {"$float": "-0.0" if value == 0 and math.copysign(1, value) < 0 else repr(value)}


def _big(value: int) -> Notation:
    return value if abs(value) <= 1 << 53 else {"$int": str(value)}


def _hex(data: bytes) -> Notation:
    return {"$bytes": data.hex()}


def _tensor(dtype: Notation, shape: list[int], data: bytes) -> Notation:
    return {"$adapted": ["tensor", [dtype, shape, _hex(data)]]}


def _messages() -> Iterator[tuple[object, ...]]:
    call = {"payload_version": 1, "python_module": "statistics", "function": "mean", "args": [[1, 2, 4]], "kwargs": {}}
    yield (
        "request-hello",
        _request(0, "snakepit.hello", {"protocol_version": 1, "token": "5f2c9b1e7a0d", "channel": "data"}),
    )
    yield (
        "exit-hello",
        _exit(
            0,
            {
                "_tag": "Success",
                "value": {
                    "protocol_version": 1,
                    "worker": "default-1-4f6c",
                    "pid": 4711,
                    "python": "3.12.4",
                    "implementation": "CPython",
                    "platform": "linux-x86_64",
                    "packages": {"numpy": "2.4.6", "pandas": None},
                },
            },
        ),
    )
    yield "request-call", _request(1, "snakebridge.call", call)
    yield (
        "request-call-traced",
        {
            **_request(2, "snakebridge.call", call, (["tracestate", "vendor=1"],)),
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "00f067aa0ba902b7",
            "sampled": True,
        },
    )
    yield (
        "request-call-method",
        _request(
            4_294_967_296,
            "snakebridge.call",
            {
                "payload_version": 1,
                "call_type": "method",
                "instance": {"$ref": ["session-1", "default-1-4f6c", 7, "sklearn.linear_model.LinearRegression"]},
                "function": "fit",
                "args": [_tensor("<f8", [2, 1], struct.pack("<2d", 1, 2)), {"$tuple": [1, _float(0.5)]}],
                "kwargs": {"sample_weight": None, "on_progress": {"$callback": 3}},
                "result": "ref",
                "idempotent": False,
                "session_id": "session-1",
                "deadline_ms": 1_753_000_000_000,
            },
        ),
    )
    yield (
        "request-stream",
        _request(3, "snakebridge.stream", {"payload_version": 1, "function": "range", "args": [10], "kwargs": {}}),
    )
    yield "request-release-refs", _request(4, "snakepit.release", {"session_id": "session-1", "refs": [7, 8]})
    yield "request-release-session", _request(5, "snakepit.release", {"session_id": "session-1"})
    yield (
        "request-tools",
        _request(
            6,
            "snakepit.tools",
            {
                "session_id": "session-1",
                "tools": [
                    {
                        "name": "lookup",
                        "description": "Finds a customer",
                        "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}},
                    }
                ],
            },
        ),
    )
    yield "request-raise", _request(7, "snakepit.raise", {"request_id": 1})
    yield "request-stack", _request(8, "snakepit.stack", {})
    yield "request-memory", _request(9, "snakepit.memory", {})
    yield "request-shutdown", _request(10, "snakepit.shutdown", {})
    yield (
        "request-callback",
        _request(1, "snakepit.callback", {"request_id": 2, "callback": 3, "args": [_float(0.25)], "kwargs": {}}),
    )
    yield (
        "request-callback-tool",
        _request(
            2,
            "snakepit.callback",
            {"request_id": 2, "session_id": "session-1", "tool": "lookup", "args": [], "kwargs": {"id": 12}},
        ),
    )
    yield "request-parked", _request(3, "snakepit.parked", {"request_id": 2})
    yield (
        "request-warning",
        _request(
            0,
            "snakepit.warning",
            {
                "request_id": 2,
                "category": "sklearn.exceptions.ConvergenceWarning",
                "message": "lbfgs failed to converge",
                "file": "<site-packages>/sklearn/linear_model/_logistic.py",
                "line": 465,
            },
        ),
    )
    yield "request-grant", _request(4, "snakepit.grant", {"bytes": 100_032, "most": 16_777_216})
    yield "request-released", _request(0, "snakepit.released", {"regions": [7, 12]})
    yield "request-free", _request(11, "snakepit.free", {"places": [[3, 4096], [3, 167_936]]})
    yield "request-trim", _request(12, "snakepit.trim", {"places": [[1, 64]]})
    yield "request-forget", _request(13, "snakepit.forget", {"segments": [2, 3]})
    yield "exit-success-kept", {**_exit(9, {"_tag": "Success", "value": 3}), "kept": [7]}
    yield "ack", {"_tag": "Ack", "requestId": 3}
    yield "interrupt", {"_tag": "Interrupt", "requestId": 3}
    yield "ping", {"_tag": "Ping"}
    yield "pong", {"_tag": "Pong"}
    yield "chunk", {"_tag": "Chunk", "requestId": 3, "values": [0, "one", {"two": [2]}]}
    yield "exit-success", _exit(1, {"_tag": "Success", "value": _float(2.3333333333333335)})
    yield "exit-success-timed", {**_exit(2, {"_tag": "Success", "value": {"mean": _float(0.5)}}), "pythonMicros": 1250}
    yield "exit-stream-end", _exit(3, {"_tag": "Success", "value": None})
    yield "exit-fail", _exit(1, _failure({"_tag": "Fail", "error": _python_error()}))
    yield "exit-fail-syntax", _exit(1, _failure({"_tag": "Fail", "error": _syntax_error()}))
    yield "exit-fail-library", _exit(1, _failure({"_tag": "Fail", "error": _library_error()}))
    for name, error in _ml_errors():
        yield f"exit-fail-{name}", _exit(1, _failure({"_tag": "Fail", "error": error}))
    yield (
        "exit-fail-session-lost",
        _exit(
            4,
            _failure(
                {"_tag": "Fail", "error": {"_tag": "SessionLost", "session": "session-9", "reason": "it was released"}}
            ),
        ),
    )
    yield (
        "exit-fail-unserializable",
        _exit(
            5,
            _failure(
                {
                    "_tag": "Fail",
                    "error": {
                        "_tag": "UnserializableResult",
                        "path": "result.rows[3]",
                        "pythonType": "_io.TextIOWrapper",
                        "repr": "<_io.TextIOWrapper name='a.txt' mode='r' encoding='UTF-8'>",
                        "reason": "it has no form on the wire",
                    },
                }
            ),
        ),
    )
    yield (
        "exit-fail-decode",
        _exit(
            6,
            _failure(
                {
                    "_tag": "Fail",
                    "error": {
                        "_tag": "DecodeError",
                        "path": "args[0]",
                        "expected": "a date: [year, month, day]",
                        "actual": "ValueError: month must be in 1..12",
                    },
                }
            ),
        ),
    )
    yield (
        "exit-fail-protocol",
        _exit(
            7,
            _failure({"_tag": "Fail", "error": {"_tag": "ProtocolError", "reason": "payload_version 2 is not known"}}),
        ),
    )
    yield "exit-die", _exit(8, _failure({"_tag": "Die", "defect": "the worker lost its event loop"}))
    yield "exit-interrupt", _exit(9, _failure({"_tag": "Interrupt", "fiberId": None}))
    yield (
        "exit-interrupt-not-started",
        {**_exit(10, _failure({"_tag": "Interrupt", "fiberId": None})), "started": False},
    )
    yield "defect", {"_tag": "Defect", "defect": "the frame has 2147483648 bytes, the limit is 1073741824"}


def _request(number: int, tag: str, payload: object, headers: tuple[list[str], ...] = ()) -> dict[str, object]:
    return {"_tag": "Request", "id": number, "tag": tag, "payload": payload, "headers": list(headers)}


def _exit(number: int, exit_: object) -> dict[str, object]:
    return {"_tag": "Exit", "requestId": number, "exit": exit_}


def _failure(reason: object) -> dict[str, object]:
    return {"_tag": "Failure", "cause": [reason]}


def _python_error() -> dict[str, object]:
    key_error = {
        "_tag": "KeyError",
        "pythonType": "KeyError",
        "mro": ["KeyError", "LookupError", "Exception", "BaseException"],
        "message": "'rate'",
        "args": ["rate"],
        "frames": [
            {"file": "/app/model.py", "line": 11, "function": "Model.rate", "source": 'return self.options["rate"]'}
        ],
        "notes": [],
        "cause": None,
        "context": None,
        "exceptions": [],
        "call": None,
    }
    member = {**key_error, "message": "1", "args": [1], "frames": [], "callback": 7}
    group = {
        **key_error,
        "_tag": "ExceptionGroup",
        "pythonType": "ExceptionGroup",
        "mro": ["ExceptionGroup", "BaseExceptionGroup", "Exception", "BaseException"],
        "message": "two at once (1 sub-exception)",
        "args": ["two at once", "[KeyError(1)]"],
        "frames": [],
        "exceptions": [member],
        "truncated": [{"field": "exceptions", "kept": 1, "total": 40, "reason": "limit"}],
    }
    return {
        "_tag": "ValueError",
        "pythonType": "app.model.BadRate",
        "mro": ["app.model.BadRate", "ValueError", "Exception", "BaseException"],
        "message": "the rate is missing",
        "args": ["the rate is missing", {"$tuple": [1, 2]}, "<object object at 0x7f0000000000>"],
        "frames": [
            {
                "file": "/app/train.py",
                "line": 40,
                "function": "fit",
                "source": "loss = model.check()",
                "column": 12,
                "caret": [7, 20],
            },
            {"file": "/app/model.py", "line": 13, "function": "Model.check", "source": "raise BadRate(...) from error"},
        ],
        "notes": ["while fitting fold 3"],
        "cause": key_error,
        "context": group,
        "exceptions": [],
        "call": {
            "target": "app.train.fit",
            "callType": "function",
            "arguments": [
                {"name": "0", "type": "numpy.ndarray", "shape": [2, 1], "dtype": "float64"},
                {
                    "name": "weights",
                    "type": "torch.Tensor",
                    "shape": [3],
                    "dtype": "torch.float32",
                    "device": "cuda:0",
                },
                {"name": "folds", "type": "int"},
            ],
        },
        "truncated": [
            {"field": "frames", "kept": 2, "total": 40, "reason": "limit"},
            {"field": "context", "kept": 0, "total": 1, "reason": "seen", "pythonType": "KeyError"},
        ],
        "repro": "/tmp/repro/20260101-120000-app.train.fit-1/reproduce.py",
    }


def _syntax_error() -> dict[str, object]:
    return {
        **_plain_error("SyntaxError", ["SyntaxError"], "invalid syntax (given.py, line 2)"),
        "syntax": {"file": "given.py", "line": 2, "source": "b = = 2", "column": 5, "caret": [4, 5]},
    }


def _library_error() -> dict[str, object]:
    return {
        **_plain_error("ValueError", ["json.decoder.JSONDecodeError", "ValueError"], "Expecting value: line 2 column 2"),
        "library": {"name": None, "version": None, "attributes": {"msg": "Expecting value", "lineno": 2, "colno": 2}},
    }


def _plain_error(tag: str, ancestors: list[str], message: str) -> dict[str, object]:
    return {
        "_tag": tag,
        "pythonType": ancestors[0],
        "mro": [*ancestors, "Exception", "BaseException"],
        "message": message,
        "args": [message],
        "frames": [],
        "notes": [],
        "cause": None,
        "context": None,
        "exceptions": [],
        "call": None,
    }


def _ml_errors() -> Iterator[tuple[str, dict[str, object]]]:
    """One of each kind of machine-learning error, with a name."""
    yield (
        "shape",
        {
            **_plain_error(
                "ValueError",
                ["ValueError"],
                "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                "(n?,k),(k,m?)->(n?,m?) (size 2 is different from 3)",
            ),
            "ml": {
                "_tag": "ShapeMismatch",
                "operation": "matmul",
                "operands": [{"name": "args[0]", "shape": [2, 3]}, {"name": "args[1]", "shape": [2, 4]}],
                "dimension": {"axes": [1, 0], "sizes": [3, 2]},
                "suggestion": "transpose args[0]: (3, 2) and (2, 4) multiply",
                "decidedBy": "arguments",
            },
        },
    )
    yield (
        "features",
        {
            **_plain_error("ValueError", ["ValueError"], "X has 3 features, but SVC is expecting 4 features as input."),
            "ml": {
                "_tag": "ShapeMismatch",
                "operation": None,
                "operands": [{"name": "expected", "shape": [None, 4]}, {"name": "X", "shape": [10, 3]}],
                "dimension": {"axes": [1, 1], "sizes": [4, 3]},
                "suggestion": "pass the 4 features that the estimator was fitted with",
                "decidedBy": "message",
            },
        },
    )
    yield (
        "dtype",
        {
            **_plain_error("RuntimeError", ["RuntimeError"], "expected scalar type Float but found Double"),
            "ml": {
                "_tag": "DtypeMismatch",
                "operation": "linear",
                "expected": "torch.float32",
                "actual": "torch.float64",
                "operand": "args[0]",
                "cast": "args[0].to(torch.float32)",
                "suggestion": "cast it: args[0].to(torch.float32)",
                "decidedBy": "arguments",
            },
        },
    )
    yield (
        "device",
        {
            **_plain_error(
                "RuntimeError",
                ["RuntimeError"],
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
            ),
            "ml": {
                "_tag": "DeviceMismatch",
                "operation": None,
                "operands": [{"name": "args[0]", "device": "cuda:0"}, {"name": "args[1]", "device": "cpu"}],
                "suggestion": 'move args[1]: args[1].to("cuda:0")',
                "decidedBy": "arguments",
            },
        },
    )
    yield (
        "no-device",
        {
            **_plain_error("AssertionError", ["AssertionError"], "Torch not compiled with CUDA enabled"),
            "ml": {
                "_tag": "DeviceNotAvailable",
                "operation": None,
                "device": "cuda",
                "available": ["cpu"],
                "suggestion": "use one of cpu, or install a build of torch with CUDA",
                "decidedBy": "message",
            },
        },
    )
    yield (
        "memory",
        {
            **_plain_error(
                "RuntimeError",
                ["torch.OutOfMemoryError", "RuntimeError"],
                "CUDA out of memory. Tried to allocate 2.00 GiB.",
            ),
            "ml": {
                "_tag": "OutOfMemory",
                "operation": None,
                "device": "cuda:0",
                "requestedBytes": 2_147_483_648,
                "freeBytes": 1_048_576,
                "totalBytes": None,
                "suggestion": "use a smaller batch, or the CPU",
                "decidedBy": "class",
            },
        },
    )


def _values() -> Iterator[tuple[object, ...]]:
    yield "null", None
    yield "booleans", [True, False]
    yield from _integers()
    yield from _floats()
    yield from _texts()
    yield from _binaries()
    yield from _containers()
    yield from _numbers()
    yield from _times()
    yield from _tensors()
    yield from _tables()
    yield "shared", {"$shared": [3, 4096, 160_000, 7, False]}
    yield "shared-writable", {"$shared": [3, 4096, 160_000, 7, True]}
    yield "adapted", {"$adapted": ["point", {"x": 1, "y": {"$tuple": [2, 3]}}]}
    yield "ref", {"$ref": ["session-1", "default-1-4f6c", 7, "sklearn.svm._classes.SVC"]}
    yield "ref-in-list", [1, {"$ref": ["s", "w", 4_294_967_296, "object"]}]
    yield "callback", {"$callback": 3}
    yield "callback-large", {"$callback": 70_000}


def _integers() -> Iterator[tuple[object, ...]]:
    edges = {
        "fix": [0, 1, 127, -1, -32],
        "8-bit": [128, 255, -33, -128],
        "16-bit": [256, 65_535, -129, -32_768],
        "32-bit": [65_536, (1 << 32) - 1, -32_769, -(1 << 31)],
        "64-bit": [1 << 32, (1 << 53) - 1, -(1 << 31) - 1, -(1 << 53) + 1],
        "beyond-safe": [(1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 53) - 1, -(1 << 63)],
        "beyond-64-bit": [1 << 64, -(1 << 63) - 1, (1 << 71) - 1, 1 << 71, -(1 << 71), -(1 << 71) - 1],
        "huge": [10**40, -(10**40), (1 << 127) - 1, 1 << 2048],
    }
    for name, numbers in edges.items():
        yield f"int-{name}", [_big(number) for number in numbers]
    # 2^53 is no safe integer, though JavaScript can hold it.
    yield "int-2-to-the-53", [{"$int": str(1 << 53)}, {"$int": str(-(1 << 53))}]


def _floats() -> Iterator[tuple[object, ...]]:
    yield "float", [_float(number) for number in (0.5, -1.5, 0.1, 5e-324, 2.2250738585072014e-308, 1.1)]
    yield "float-whole", [_float(number) for number in (0.0, 5.0, -3.0, 1e300, 9007199254740993.0)]
    yield "float-minus-zero", _float(-0.0)
    yield "float-not-finite", [_float(math.nan), _float(math.inf), _float(-math.inf)]
    yield "float-from-javascript", [{"$double": "5.0"}, {"$double": "-0.0"}, {"$double": "1e+300"}]


def _texts() -> Iterator[tuple[object, ...]]:
    yield "text-empty", ""
    yield "text", "Grüße, 世界 😀"
    yield "text-nul", "a\0b"
    for size in (31, 32, 255, 256, 65_536):
        yield f"text-{size}", "x" * size
    yield "text-lone-surrogate", {"$text": [0x61, 0xD800, 0x62]}
    several = [[0xDC00], [0xDC00, 0xD800], [0xD83D, 0xDE00, 0xDFFF]]
    yield "text-lone-surrogates", [{"$text": units} for units in several]


def _binaries() -> Iterator[tuple[object, ...]]:
    yield "bytes-empty", _hex(b"")
    yield "bytes", _hex(bytes(range(16)))
    for size in (255, 256, 65_536):
        yield f"bytes-{size}", _hex(bytes(size))


def _containers() -> Iterator[tuple[object, ...]]:
    yield "list-empty", []
    yield "list-nested", [[], [[]], [1, [2, [3, [None]]]]]
    for size in (15, 16, 65_536):
        yield f"list-{size}", [1] * size
    yield "map-empty", {}
    yield "map", {"b": 1, "a": [True, None], "": {"nested": "yes"}}
    for size in (15, 16):
        yield f"map-{size}", {f"k{number}": number for number in range(size)}
    yield "map-int-keys", {"$map": [[1, "one"], [-5, "minus five"], ["1", "text"]]}
    yield (
        "map-mixed-keys",
        {"$map": [[None, 1], [True, 2], [_float(0.5), 3], [_hex(b"k"), 4], [{"$tuple": [1, "a"]}, {"x": 5}]]},
    )
    yield "map-proto-key", {"$map": [["__proto__", 1], ["a", 2]]}
    yield "map-proto-key-nested", {"outer": {"$map": [["__proto__", {"polluted": True}]]}}
    yield "map-surrogate-key", {"$map": [[{"$text": [0xD800]}, 1], ["a", 2]]}
    yield "tuple-empty", {"$tuple": []}
    yield "tuple", {"$tuple": [1, "two", [3]]}
    yield "tuple-nested", {"$tuple": [{"$tuple": []}, {"$tuple": [{"$tuple": [1]}]}]}
    for size in (2, 3, 7, 8, 15, 16, 300):
        yield f"tuple-{size}", {"$tuple": [1] * size}
    yield "set-empty", {"$set": []}
    yield "set", {"$set": [7]}
    yield "tuple-in-set-in-map", {"$map": [[1, {"$set": [{"$tuple": [1, {"$tuple": ["a"]}]}]}]]}
    yield "set-in-set", {"$set": [{"$set": [1]}]}
    yield "deep", _nested(60)


def _nested(levels: int) -> Notation:
    value: Notation = None
    for level in range(levels):
        value = {"$tuple": [value]} if level % 3 == 2 else [value] if level % 3 else {"next": value}
    return value


def _numbers() -> Iterator[tuple[object, ...]]:
    yield "complex", [{"$complex": ["1.5", "-2.5"]}, {"$complex": ["0.0", "1.0"]}]
    yield "complex-edges", [{"$complex": ["-0.0", "nan"]}, {"$complex": ["inf", "-inf"]}]
    yield "decimal", [{"$decimal": digits} for digits in ("0", "1.10", "-273.15", "123456789012345678901234567890.5")]
    yield "decimal-exponents", [{"$decimal": digits} for digits in ("1E+5", "1E-10", "0E+3")], "typescript decodes"


def _times() -> Iterator[tuple[object, ...]]:
    moment = [2024, 2, 29, 23, 59, 58]
    yield "datetime-naive", {"$datetime": [*moment, 0, None]}
    yield "datetime-utc", {"$datetime": [*moment, 999_000, 0]}
    yield "datetime-microseconds", {"$datetime": [*moment, 123_456, 0]}
    yield (
        "datetime-offset",
        [
            {"$datetime": [*moment, 0, 19_800]},
            {"$datetime": [*moment, 0, -12_600]},
            {"$datetime": [*moment, 0, 3_208]},
        ],
    )
    yield "datetime-zone", {"$datetime": [2024, 7, 1, 12, 0, 0, 0, ["Europe/Berlin", 7_200]]}
    yield "datetime-zone-utc", {"$datetime": [2024, 7, 1, 12, 0, 0, 0, ["UTC", 0]]}
    # The clock shows half past two twice on this night.
    yield (
        "datetime-zone-fold",
        [
            {"$datetime": [2024, 10, 27, 2, 30, 0, 0, ["Europe/Berlin", 7_200]]},
            {"$datetime": [2024, 10, 27, 2, 30, 0, 0, ["Europe/Berlin", 3_600]]},
        ],
    )
    yield (
        "datetime-limits",
        [
            {"$datetime": [1, 1, 1, 0, 0, 0, 0, None]},
            {"$datetime": [9999, 12, 31, 23, 59, 59, 999_999, None]},
            {"$datetime": [1969, 12, 31, 23, 59, 59, 999_000, 0]},
        ],
    )
    yield "date", [{"$date": [2024, 2, 29]}, {"$date": [1, 1, 1]}, {"$date": [9999, 12, 31]}]
    yield "time", [{"$time": [0, 0, 0, 0, None]}, {"$time": [23, 59, 59, 999_999, None]}]
    yield "time-zone", [{"$time": [12, 0, 0, 0, zone]} for zone in (0, 3_600, ["UTC", 0])]
    yield "timedelta", [{"$timedelta": [0, 0, 0]}, {"$timedelta": [1, 2, 3]}, {"$timedelta": [400, 86_399, 999_999]}]
    negative = [{"$timedelta": [-1, 86_399, 999_999]}, {"$timedelta": [-2, 0, 0]}]
    yield "timedelta-negative", negative, "typescript decodes"


def _tensors() -> Iterator[tuple[object, ...]]:
    numeric = {
        "|b1": "?",
        "|i1": "b",
        "<i2": "h",
        "<i4": "i",
        "<i8": "q",
        "|u1": "B",
        "<u2": "H",
        "<u4": "I",
        "<u8": "Q",
        "<f2": "e",
        "<f4": "f",
        "<f8": "d",
    }
    for dtype, code in numeric.items():
        yield f"tensor-{dtype[1:]}", _tensor(dtype, [2, 2], struct.pack(f"<4{code}", 0, 1, 0, 1))
    yield "tensor-f8-edges", _tensor("<f8", [4], struct.pack("<4d", math.nan, math.inf, -0.0, 5e-324))
    yield "tensor-0-d", _tensor("<f8", [], struct.pack("<d", 2.5))
    yield "tensor-empty", _tensor("<f4", [0, 3], b"")
    yield "tensor-3-d", _tensor("<i4", [2, 3, 4], struct.pack("<24i", *range(24)))
    rest = {
        "big-endian": _tensor(">f8", [2], struct.pack(">2d", 1.5, -2.5)),
        "c8": _tensor("<c8", [1], struct.pack("<2f", 1.5, -2.5)),
        "c16": _tensor("<c16", [1], struct.pack("<2d", 1.5, -2.5)),
        "bytes": _tensor("|S3", [2], b"ab\0xyz"),
        "text": _tensor("<U2", [2], "é\0世界".encode("utf-32-le")),
        "datetime": _tensor("<M8[ns]", [2], struct.pack("<2q", 1_700_000_000_123_456_789, -(1 << 63))),
        "timedelta": _tensor("<m8[s]", [1], struct.pack("<q", -5)),
        "void": _tensor("|V4", [1], b"\x01\x02\x03\x04"),
        "records": _tensor([["x", "<i4"], ["", "|V4"], ["y", "<f8", [2]]], [1], struct.pack("<i4x2d", 7, 0.5, 1.5)),
        "records-nested": _tensor([["a", [["b", "|i1"]]], ["c", "|u1"]], [2], bytes([1, 2, 255, 4])),
    }
    for name, value in rest.items():
        yield f"tensor-{name}", value, "typescript decodes"
    yield (
        "tensor-objects",
        {"$adapted": ["tensor", ["|O", [2, 2], [None, {"a": 1}, [1], {"$tuple": [2]}]]]},
        "typescript decodes",
    )


def _tables() -> Iterator[tuple[object, ...]]:
    # An Arrow IPC stream written by pyarrow: name utf8 ["a", "b", null], count int32 [1, 2, 3], share float64
    # [0.5, null, 2.5].
    stream = bytes.fromhex((FOLDER / "table.arrows.hex").read_text())
    yield "table", {"$adapted": ["arrow", _hex(stream)]}, "typescript decodes", "python decodes"
    for kind in ("pandas", "polars", "pyarrow"):
        yield (
            f"table-{kind}",
            {"$adapted": ["arrow", [kind, _hex(stream)]]},
            "typescript decodes",
            "python decodes",
        )


def main() -> None:
    for old in [*FOLDER.glob("*.json"), *FOLDER.glob("*.bin")]:
        old.unlink()
    for vector, data in vectors():
        (FOLDER / f"{vector['name']}.json").write_text(json.dumps(vector) + "\n")
        (FOLDER / f"{vector['name']}.bin").write_bytes(data)


if __name__ == "__main__":
    main()
