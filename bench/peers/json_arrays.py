"""Arrays of floats as JSON, for both peers: imported by pythonia, run as a line loop by python-shell."""

import json
import sys
from functools import lru_cache


def total(values: list[float]) -> float:
    """Take an array as an argument; the answer is small."""
    return sum(values)


@lru_cache(maxsize=1)
def thirds(length: int) -> list[float]:
    """Answer an array that is made once: 0, 1/3, 2/3, ... so that most values need all their digits."""
    return [i / 3 for i in range(length)]


def serve() -> None:
    """Answer one JSON line per JSON line: the total of an array, or an array of the given length."""
    while line := sys.stdin.readline():
        message = json.loads(line)
        answer = thirds(message) if isinstance(message, int) else total(message)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
