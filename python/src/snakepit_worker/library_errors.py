"""What the host wants to know of libraries' exceptions: attributes by name, and the library's version.

The host names classes and attributes once, in `library_errors` of the boot configuration. They are read when such an
exception is described, and only then. Reading an attribute may run code of the library's, so whatever it raises leaves
that attribute out.
"""

from __future__ import annotations

from .errors import bounded_repr, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .errors import Error

_MAX_DEPTH = 6
_MAX_ITEMS = 256  # of one attribute, all levels together
_CACHE_LIMIT = 4096


class LibraryErrors:
    """``descriptions`` is `library_errors` of the boot configuration: ``[{ types, library, attributes }]``."""

    def __init__(self, descriptions: list[dict[str, Any]]) -> None:
        self._descriptions = descriptions
        self._known: dict[type, tuple[str | None, list[str]] | None] = {}
        self._versions: dict[str, str | None] = {}

    def wanted(self, kind: type) -> tuple[str | None, list[str]] | None:
        """The distribution and the attributes that somebody wants to know of a class; None when nobody asked."""
        if kind not in self._known:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[kind] = self._look(kind)
        return self._known[kind]

    def report(self, error: BaseException, value: Callable[[object], object]) -> Error | None:
        """`{ name, version, attributes }`, or None when nobody asked. ``value`` makes of a leaf what can cross."""
        wanted = self.wanted(type(error))
        if wanted is None:
            return None
        library, paths = wanted
        attributes: Error = {}
        for path in paths:
            try:
                attributes[path] = _Copy(value).of(_read(error, path), 0)
            except Exception:
                continue  # there is none, or it cannot be read: the host takes it for null
        return {"name": library, "version": self._version(library), "attributes": attributes}

    def _look(self, kind: type) -> tuple[str | None, list[str]] | None:
        names = {type_name(base) for base in kind.__mro__}
        found = [each for each in self._descriptions if not names.isdisjoint(each["types"])]
        if not found:
            return None
        paths = [path for each in found for path in each["attributes"]]
        return found[0]["library"], list(dict.fromkeys(paths))

    def _version(self, library: str | None) -> str | None:
        if library is None:
            return None
        if library not in self._versions:
            from importlib import metadata

            try:
                self._versions[library] = metadata.version(library)
            except Exception:
                self._versions[library] = None  # it is not installed as a distribution
        return self._versions[library]


def _read(error: BaseException, path: str) -> object:
    """The attribute at a dotted path; ``name()`` at its end is called without arguments."""
    found: object = error
    for name in path.split("."):
        if name.endswith("()"):
            found = getattr(found, name[:-2])()
        else:
            found = getattr(found, name)
    return found


class _Copy:
    """Copies lists and dicts, so that one leaf that cannot cross does not spoil what it stands in."""

    __slots__ = ("_left", "_value")

    def __init__(self, value: Callable[[object], object]) -> None:
        self._value = value
        self._left = _MAX_ITEMS

    def of(self, value: object, depth: int) -> object:
        kind = type(value)
        if depth < _MAX_DEPTH and kind in (list, tuple):
            items = value[: self._take(len(value))]  # type: ignore[arg-type,index]
            return [self.of(item, depth + 1) for item in items]
        if depth < _MAX_DEPTH and kind is dict and all(type(key) is str for key in value):  # type: ignore[attr-defined]
            items = list(value.items())  # type: ignore[attr-defined]
            return {key: self.of(item, depth + 1) for key, item in items[: self._take(len(items))]}
        if isinstance(value, BaseException):
            return bounded_repr(value)
        return self._value(value)

    def _take(self, size: int) -> int:
        taken = min(size, self._left)
        self._left -= taken
        return taken
