"""Finds the Python object that a dotted target names."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# Far more than any package is deep.
_MAX_NAMES = 64


class Resolver:
    """Resolves targets and remembers where they are: the owner is kept, the last attribute is read anew each time."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._parents: dict[tuple[str, str], tuple[Any, str]] = {}

    def target(self, module: str, path: str) -> Any:
        """The object at ``path`` inside ``module``; both dotted. Raises ImportError or AttributeError."""
        key = (module, path)
        known = self._parents.get(key)
        if known is None:
            known = self._parents[key] = self._find(module, path)
        return self._read(known[0], known[1], f"{module}.{path}")

    def place(self, module: str, path: str) -> tuple[Any, str] | None:
        """Where a target that was found before is: the object that has it, and the attribute's name."""
        return self._parents.get((module, path))

    def attribute(self, owner: object, path: str) -> Any:
        """An attribute of an object that a ref names."""
        names = path.split(".")
        for name in names:
            self.check(name, path)
        for name in names[:-1]:
            owner = getattr(owner, name)
        return getattr(owner, names[-1])

    def check(self, name: str, target: str) -> None:
        """Refuses names that start with an underscore, unless the pool allows them."""
        if name.startswith("_") and not self._allow_private and name not in _PUBLIC_DUNDERS:
            raise AttributeError(
                f"{target!r} is private: names that start with an underscore are refused; "
                "set `allowPrivate` on the pool to allow them"
            )

    def _find(self, module: str, path: str) -> tuple[Any, str]:
        names = [*module.split("."), *path.split(".")]
        if len(names) > _MAX_NAMES or not all(name.isidentifier() for name in names):
            shown = f"{module}.{path}"
            raise ValueError(
                f"{shown[:200]!r} is no target: expected a dotted path of Python names, {_MAX_NAMES} at most"
            )
        for name in names:
            self.check(name, f"{module}.{path}")
        # The module part may run into classes ("datetime.datetime" + "now"): import as far as modules go.
        owner, depth = _import_longest(names[:-1], f"{module}.{path}")
        for index in range(depth, len(names) - 1):
            owner = self._read(owner, names[index], ".".join(names[: index + 1]))
        return owner, names[-1]

    def _read(self, owner: Any, name: str, target: str) -> Any:
        try:
            return getattr(owner, name)
        except AttributeError:
            module = getattr(owner, "__name__", None)
            if isinstance(owner, type(sys)) and module is not None:
                # "package.submodule" where nobody has imported the submodule yet
                try:
                    return import_module(f"{module}.{name}")
                except ModuleNotFoundError as error:
                    if error.name != f"{module}.{name}":
                        raise
            raise AttributeError(_unknown(owner, name, target), name=name, obj=owner) from None


# Documented dunders that are part of an object's public face.
_PUBLIC_DUNDERS = frozenset({"__call__", "__version__", "__name__", "__doc__", "__len__", "__file__"})


def _import_longest(names: list[str], target: str) -> tuple[Any, int]:
    for depth in range(len(names), 0, -1):
        name = ".".join(names[:depth])
        try:
            return import_module(name), depth
        except ModuleNotFoundError as error:
            # Missing is the module itself or a package above it: try the shorter name. Anything else is a failure
            # of the module's own.
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            if depth == 1:
                raise ModuleNotFoundError(_unknown_module(names[0], target), name=names[0]) from None
    raise AssertionError("a target has at least one name")


def _unknown_module(name: str, target: str) -> str:
    return f"no module named {name!r} (target {target!r})"


def _unknown(owner: object, name: str, target: str) -> str:
    kind = "module" if isinstance(owner, type(sys)) else "object"
    label = getattr(owner, "__name__", type(owner).__name__)
    return f"{kind} {label!r} has no attribute {name!r} (target {target!r})"
