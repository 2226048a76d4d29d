"""Functions, classes and values to reach."""

import os
import threading

VALUE = 42
_hidden = "secret"


def echo(value):
    return value


def type_of(value):
    return type(value).__name__


def add(left, right, *, scale=1):
    return (left + right) * scale


def everything(*args, **kwargs):
    return [list(args), kwargs]


def _private():
    return "private"


def identity():
    """Where this runs."""
    return [os.getpid(), threading.current_thread().name]


def environment(name):
    return os.environ.get(name)


class Counter:
    """Counts, and shows every way to reach an object."""

    kind = "counter"

    def __init__(self, start=0):
        self.value = start
        self.items = {}
        self._secret = "secret"

    def increment(self, by=1):
        self.value += by
        return self.value

    def __getitem__(self, key):
        return self.items[key]

    def __setitem__(self, key, value):
        self.items[key] = value

    def __iter__(self):
        return iter(range(self.value))

    def __len__(self):
        return self.value

    @property
    def doubled(self):
        return 2 * self.value

    @staticmethod
    def helper(value):
        return value + 1

    class Nested:
        def __init__(self):
            self.name = "nested"


class Block:
    """A context manager that remembers how it was left."""

    def __init__(self):
        self.log = []

    def __enter__(self):
        self.log.append("enter")
        return self

    def __exit__(self, kind, error, traceback):
        self.log.append(f"exit {None if kind is None else kind.__name__}: {error}")
        return False


class Suppressing:
    """A context manager that swallows any exception."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.seen = kind.__name__
        return True


class Unsendable:
    """Nothing in TypeScript is like it."""

    def __repr__(self):
        return "<Unsendable>"


def unsendable():
    return {"rows": [1, Unsendable()]}


def raise_with_notes():
    try:
        raise KeyError("inner")
    except KeyError as inner:
        error = ValueError("outer", 7)
        error.__notes__ = ["first note", "second note"]
        raise error from inner


class OwnError(LookupError):
    pass


def raise_own():
    raise OwnError("mine")


def call_twice(function, argument):
    return [function(argument), function(argument)]


def raise_given(name, *args):
    """Raises a built-in exception by name."""
    import builtins

    raise getattr(builtins, name)(*args)


class Model:
    """What a program loads anew while it runs."""

    def __init__(self, number: int) -> None:
        self.number = number

    def version(self) -> int:
        return self.number


model = Model(1)


def load_model(number: int) -> None:
    global model
    model = Model(number)
