"""The nearest names: what was meant, where a name, an attribute, a module or a keyword does not exist; and what to do
where a module is not installed.

Python suggests some of these itself, when it prints a traceback; a message that crosses has to hold them.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def suggestion_for(kind: type) -> Callable[[BaseException], str | None] | None:
    """What makes a sentence of what was meant, for exceptions of a class; None for classes that are about no names."""
    if issubclass(kind, AttributeError):
        return _attribute
    if issubclass(kind, NameError):
        return _name
    if issubclass(kind, ImportError):
        return _import
    return None


def with_suggestion(message: str, suggest: Callable[..., str | None], *about: object) -> str:
    """The message with what `suggest(*about)` answers as a sentence more, unless it names what was meant already."""
    if "Did you mean" in message:
        return message
    try:
        suggestion = suggest(*about)
    except Exception:
        return message  # a __dir__ or a __getattr__ of the user's raised
    return f"{message.removesuffix('.')}. {suggestion}" if suggestion is not None else message


def _meant(name: str | None) -> str | None:
    return f"Did you mean: {name!r}?" if name is not None else None


def _attribute(error: BaseException) -> str | None:
    name = getattr(error, "name", None)
    owner = getattr(error, "obj", None)
    return _meant(nearest(name, dir(owner))) if isinstance(name, str) and owner is not None else None


def _name(error: BaseException) -> str | None:
    name = getattr(error, "name", None)
    traceback = error.__traceback__
    if not isinstance(name, str) or traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    return _meant(nearest(name, [*frame.f_locals, *frame.f_globals, *frame.f_builtins]))


def _import(error: BaseException) -> str | None:
    module = sys.modules.get(getattr(error, "name", None) or "")
    wanted = getattr(error, "name_from", None)  # Python 3.12
    if wanted is None:
        _, found, rest = str(error).partition("cannot import name '")
        wanted = rest.partition("'")[0] if found else None
    if isinstance(wanted, str):
        return _meant(nearest(wanted, dir(module))) if module is not None else None
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _meant(_module(error.name)) or _install(error.name)
    return None


def _install(name: str) -> str | None:
    """What makes a module importable; nothing for one whose package is there already."""
    if name.partition(".")[0] in sys.modules:
        return None
    return (
        f"{sys.executable} has none: name its package in the pool's `requirements`, install it there, "
        "or name the folder of your own module in `pythonPath`"
    )


def _module(name: str) -> str | None:
    """The nearest module: in the package that has no such submodule, else among the top-level ones that are known."""
    package, _, last = name.rpartition(".")
    parent = sys.modules.get(package) if package else None
    if parent is not None:
        import pkgutil

        path = getattr(parent, "__path__", None)
        found = nearest(last, [module.name for module in pkgutil.iter_modules(path)]) if path else None
        return f"{package}.{found}" if found else None
    return nearest(name, [*sys.stdlib_module_names, *sys.modules]) if not package else None


def keyword_suggestion(message: str, call: dict[str, object]) -> str | None:
    """Which parameter was meant by a keyword of the call that failed."""
    _, found, rest = message.partition("got an unexpected keyword argument '")
    keyword = rest.partition("'")[0]
    kwargs = call.get("kwargs")
    # Otherwise the target did get its keywords, and some call inside it did not.
    if not found or not isinstance(kwargs, dict) or keyword not in kwargs:
        return None
    import inspect

    parameters = inspect.signature(_called(call)).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return _meant(nearest(keyword, [each.name for each in parameters if each.kind in named]))


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
