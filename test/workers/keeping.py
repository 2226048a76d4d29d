"""A class whose objects do everything that a ref can ask of them."""

from collections.abc import Iterator


class Box:
    label = "box"

    def __init__(self, items: list[int]) -> None:
        self.items = items
        self.ends: list[object] = []

    def add(self, item: int) -> int:
        self.items.append(item)
        return len(self.items)

    def itself(self) -> "Box":
        return self

    def merge(self, other: "Box") -> list[int]:
        return self.items + other.items

    def __getitem__(self, index: int) -> int:
        return self.items[index]

    def __setitem__(self, index: int, item: int) -> None:
        self.items[index] = item

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.ends.append(None if error is None else str(error))
