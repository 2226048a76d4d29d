"""Exceptions as the host gets them, for tests."""

from __future__ import annotations

from typing import Any

from snakepit_worker.description import Describer, ErrorOptions
from snakepit_worker.values import Packer, Unpacker


def caught(function: Any, *args: Any, **kwargs: Any) -> BaseException:
    try:
        function(*args, **kwargs)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def described(error: BaseException, call: Any = None, **options: Any) -> Any:
    """The description as the host gets it. Paths stay as they are unless asked otherwise."""
    packer = Packer()
    options = {"redact_paths": False, **options}
    describer = Describer(ErrorOptions(**options), lambda value: packer.pack_value(value, "args"), [])
    packed = packer.pack(describer.describe(error, call))
    return Unpacker(lambda *parts: parts, lambda number: number).unpack(packed)
