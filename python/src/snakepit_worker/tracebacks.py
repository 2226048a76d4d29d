"""Frames on the wire: which of a traceback are shown, with their source lines and the part of them that failed.

This is part of every failing call. What is known of a place in the code is kept, so that failing there again costs
neither a look at the file nor one at the table of positions.
"""

from __future__ import annotations

import importlib
import linecache
import sys

# what `weakref.ref` is
from _weakref import ref
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType

    from .redaction import Redaction

    Frame = dict[str, object]

MAX_SOURCE = 500  # characters

_CACHE_LIMIT = 4096
# Where the files begin whose code is the worker's own or the import system's.
_HIDDEN = (__file__.rpartition("tracebacks.py")[0], "<frozen importlib", importlib.__file__)
_HAS_POSITIONS = sys.version_info >= (3, 11)


def shown(traceback: TracebackType | None) -> list[TracebackType]:
    """The entries of a traceback, outermost first, without the worker's own and the import system's, which say nothing
    about the target.
    """
    entries: list[TracebackType] = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_HIDDEN):
            entries.append(traceback)
        traceback = traceback.tb_next
    return entries


class Frames:
    """Describes entries of tracebacks."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        # By the identity of the code and the instruction: Python would have to search for the line. What was edited and
        # loaded again is other code, even where nothing moved. Code is not kept: `exec` makes any amount of it.
        self._known: dict[tuple[int, int], tuple[Frame, ref[CodeType]]] = {}

    def describe(self, entry: TracebackType) -> Frame:
        """One frame. It is shared between reports: nobody changes it."""
        code = entry.tb_frame.f_code
        known = self._known.get((id(code), entry.tb_lasti))
        # the identity may have been that of another
        return known[0] if known is not None and known[1]() is code else self._learn(entry)

    def _learn(self, entry: TracebackType) -> Frame:
        code = entry.tb_frame.f_code
        line = entry.tb_lineno or 0
        text = source_line(entry)
        source = text.strip()
        frame: Frame = {
            "file": self._redaction.file(code.co_filename),
            "line": line,
            "function": getattr(code, "co_qualname", code.co_name),  # Python 3.11
            "source": source[:MAX_SOURCE],
        }
        span = expression_span(code, entry.tb_lasti, line) if source else None
        if span is not None:
            mark(frame, text, *span)
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()
        self._known[id(code), entry.tb_lasti] = frame, ref(code)
        return frame


def source_line(entry: TracebackType) -> str:
    """The line of the file, as it stands there; empty when there is none."""
    try:
        linecache.checkcache(entry.tb_frame.f_code.co_filename)  # the file may have been edited, and loaded again
        return linecache.getline(entry.tb_frame.f_code.co_filename, entry.tb_lineno or 0, entry.tb_frame.f_globals)
    except Exception:
        return ""  # a loader of the user's raised


def expression_span(code: CodeType, instruction: int, line: int) -> tuple[int, int | None] | None:
    """Where in its line, in bytes, the expression of an instruction begins and ends; its end is None when it ends in a
    later line. None where Python does not know.
    """
    if not _HAS_POSITIONS or instruction < 0:
        return None
    position = next(islice(code.co_positions(), instruction // 2, None), None)  # type: ignore[attr-defined, unused-ignore]
    if position is None:
        return None
    first, last, start, end = position
    if first != line or start is None or end is None:
        return None
    return start, end if last == first else None


def mark(frame: Frame, text: str, start: int, end: int | None) -> None:
    """Adds `column` and `caret` to a frame; `start` and `end` count bytes of the line."""
    data = text.encode("utf-8", "surrogatepass")
    column = len(data[:start].decode("utf-8", "replace"))
    indent = len(text) - len(text.lstrip())
    size = len(text.strip())
    first = column - indent
    last = size if end is None else len(data[:end].decode("utf-8", "replace")) - indent
    if not 0 <= first < last <= size:
        return
    frame["column"] = column + 1
    if (first, last) != (0, size) and last <= MAX_SOURCE:
        frame["caret"] = [first, last]
