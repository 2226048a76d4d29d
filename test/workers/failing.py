"""Raises."""


def value_error(message: str) -> None:
    raise ValueError(message)


def key_error(key: str) -> None:
    raise KeyError(key)
