"""Finds the Python object that a dotted target names."""

from __future__ import annotations

from importlib import import_module
from sys import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_Module = type(modules[__name__])

# Far more than any package is deep.
_MAX_NAMES = 64
_MOST_PLACES = 4096


class Place:
    """Where a target is: the module that it begins in, which is kept, and the names from there, read anew each time."""

    __slots__ = ("_module_name", "module", "names")

    def __init__(self, module: Any, module_name: str, names: list[str]) -> None:
        self.module = module
        self.names = names
        self._module_name = module_name

    @property
    def is_current(self) -> bool:
        """Whether the module is still the one that an import would answer."""
        return modules.get(self._module_name) is self.module


class Resolver:
    """Resolves targets and remembers the modules that they are in: whatever is inside a module may change."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._places: dict[tuple[str, str], Place] = {}

    def target(self, module: str, path: str) -> Any:
        """The object at ``path`` inside ``module``; both dotted. Raises ImportError or AttributeError."""
        key = (module, path)
        known = self._places.get(key)
        place = known if known is not None and known.is_current else self._find(module, path)
        value = place.module
        for name in place.names:
            value = _read(value, name, module, path)
        if place is not known:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[key] = place
        return value

    def place(self, module: str, path: str) -> Place | None:
        """Where a target that was found before is."""
        return self._places.get((module, path))

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

    def _find(self, module: str, path: str) -> Place:
        names = [*module.split("."), *path.split(".")]
        if len(names) > _MAX_NAMES or not all(name.isidentifier() for name in names):
            shown = f"{module}.{path}"
            raise ValueError(
                f"{shown[:200]!r} is no target: expected a dotted path of Python names, {_MAX_NAMES} at most"
            )
        for name in names:
            self.check(name, f"{module}.{path}")
        # The module part may run into classes ("datetime.datetime" + "now"): import as far as modules go.
        found, depth = _import_longest(names[:-1], f"{module}.{path}")
        return Place(found, ".".join(names[:depth]), names[depth:])


def _read(owner: Any, name: str, module: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        package = getattr(owner, "__name__", None)
        if isinstance(owner, _Module) and package is not None:
            # "package.submodule" where nobody has imported the submodule yet
            try:
                return import_module(f"{package}.{name}")
            except ModuleNotFoundError as missing:
                if missing.name != f"{package}.{name}":
                    raise
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # by Python code, a property or a `__getattr__`, that has its own reason
        raise AttributeError(_unknown(owner, name, f"{module}.{path}"), name=name, obj=owner) from None


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
    kind = "module" if isinstance(owner, _Module) else "object"
    label = getattr(owner, "__name__", type(owner).__name__)
    return f"{kind} {label!r} has no attribute {name!r} (target {target!r})"
