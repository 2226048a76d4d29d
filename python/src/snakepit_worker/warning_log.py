"""Python's warnings, told to the host, which logs them with category, file and line.

What is shown is for Python's own filters to decide. Of that, each text is told once for its place and class, and a
place whose texts always differ falls silent after some, which the last of them says.
"""

from __future__ import annotations

import sys
import threading
import warnings

from .context import running_call
from .errors import type_name
from .outbox import notification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TextIO

    from .gate import Gate
    from .redaction import Redaction

MAX_TEXTS = 8  # of one place
MAX_PLACES = 4096
MAX_CHARACTERS = 8_000

_LOCKING = (__file__.replace("warning_log", "wire"), __file__.replace("warning_log", "gate"))


class WarningLog:
    """Takes what would be printed to stderr."""

    def __init__(self, gate: Gate, send: Callable[[bytes], None], redaction: Redaction) -> None:
        self._gate = gate
        self._send = send
        self._redaction = redaction
        self._told: dict[tuple[type, str, int], set[str]] = {}
        self._print = warnings.showwarning

    def install(self) -> None:
        """Takes over what there is one of in a process."""
        warnings.showwarning = self._show

    def remove(self) -> None:
        """In a child process, which shares nothing with the host: warnings are printed."""
        if warnings.showwarning == self._show:
            warnings.showwarning = self._print

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            return self._print(message, category, filename, lineno, file, line)
        text = str(message)[:MAX_CHARACTERS]
        if len(self._told) >= MAX_PLACES:
            self._told.clear()
        told = self._told.setdefault((category, filename, lineno), set())
        if text in told or len(told) >= MAX_TEXTS:
            return None
        told.add(text)
        if len(told) == MAX_TEXTS:
            text = f"{text} [more warnings of this place are not shown]"
        running = running_call()
        payload = {
            "request_id": None if running is None else running.id,
            "category": type_name(category),
            "message": _plain(self._redaction.text(text)),
            "file": _plain(self._redaction.file(filename)),
            "line": lineno,
        }
        body = notification("snakepit.warning", payload)
        if _is_inside_a_lock():
            # a destructor, or a signal handler, warns while this very thread sends
            threading.Thread(target=self._tell, args=(body,), name="snakepit-warning", daemon=True).start()
        else:
            with self._gate.shield(running):
                self._tell(body)

    def _tell(self, body: bytes) -> None:
        try:
            self._send(body)
        except OSError:
            pass  # the host is gone, which its reader sees too


def _plain(text: str) -> str:
    """Without lone surrogates, which have no form in a notice and are not worth an error."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _is_inside_a_lock() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename in _LOCKING:
            return True
        frame = frame.f_back
    return False
