"""Paths that say nothing about whose machine it is, as `protocol/README.md` describes them."""

from __future__ import annotations

import os
import re

_PACKAGES = re.compile(r".*/(?:site|dist)-packages/")
_PYTHON = os.path.dirname(os.__file__) + "/"


class Redaction:
    """Shortens paths; ``folders`` are those that the user's modules come from. Off, it answers what it is given."""

    def __init__(self, folders: list[str], on: bool = True) -> None:
        self._on = on
        home = os.path.expanduser("~").rstrip("/")
        # a process without a home has "~" or "/" there
        self._home = home if home.startswith("/") and len(home) > 1 else None
        # as a whole name: not what is only the beginning of one, nor what lies deeper
        # `re` compiles it when it is used, and remembers it: few workers have to, and a forked one copies pages for it
        self._home_pattern = rf"(?<![\w.~/-]){re.escape(home)}(?![\w.-])"
        roots = {os.path.realpath(folder) for folder in folders} | {os.path.abspath(folder) for folder in folders}
        self._roots = sorted((root.rstrip("/") + "/" for root in roots if len(root) > 1), key=len, reverse=True)

    def file(self, path: str) -> str:
        """The path of a file of code."""
        if not self._on or not path.startswith("/"):
            return path
        packages = _PACKAGES.match(path)
        if packages is not None:
            return f"<site-packages>/{path[packages.end() :]}"
        if path.startswith(_PYTHON):
            return f"<python>/{path[len(_PYTHON) :]}"
        for root in self._roots:
            if path.startswith(root):
                return path[len(root) :]
        return self.text(path)

    def text(self, text: str) -> str:
        """A text that may hold paths."""
        if not self._on or self._home is None or self._home not in text:
            return text
        return re.sub(self._home_pattern, "~", text)
