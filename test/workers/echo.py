"""Gives back what it gets."""

constant = 42
_hidden = 1


def one(value: object) -> object:
    return value


def everything(*args: object, **kwargs: object) -> object:
    return [list(args), kwargs]


def nothing_that_crosses() -> object:
    return object()
