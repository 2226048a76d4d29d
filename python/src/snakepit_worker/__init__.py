"""The Python side of Snakepit: runs calls that arrive from TypeScript.

Layout: ``worker`` assembles everything and reads requests; ``wire`` moves frames; ``values``, ``adapters``, ``arrays``,
``devices`` and ``tables`` turn values into bytes and back. ``execution`` runs one request, with ``gate`` (which calls
run and may be stopped), ``invocation`` (what a payload asks for), ``resolve`` (finding targets), ``streams``,
``event_loop`` (``async def`` targets) and ``outbox`` (what is sent). ``control`` answers while a call runs;
``sessions`` holds the objects behind refs; ``callbacks`` calls TypeScript; ``context`` is what code inside a call can
ask. ``storage`` decides which bytes go through ``shared_memory``. ``fork_server`` forks workers from a process that has
imported them already; ``lifeline`` has them die with the host; ``memory`` knows how much of it they have.

Of tables, ``arrow_stream`` writes and reads the bytes, ``pandas_frames`` keeps values as pandas has them, and
``arrivals`` finds what a target's annotations ask for.

``errors`` are failures of the worker itself; ``description`` turns exceptions into reports, with ``tracebacks`` (frames
and their source), ``redaction`` (paths), ``suggestions`` (nearest names), ``library_errors`` (fields of libraries' own
exceptions), ``ml_errors`` (shapes, dtypes, devices, memory: from ``operations``, what failed on what, by
``array_rules`` or by ``array_messages``) and ``reproduction`` (scripts that raise an exception again).
``warning_log`` tells the host of warnings.

Code that runs inside a call imports from here what it wants to know of the call.
"""

from __future__ import annotations

from .callbacks import CallbackError, tools
from .context import cancelled, deadline, session_id, traceparent
from .errors import CallCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def empty(shape: int | tuple[int, ...], dtype: object = float) -> Any:
    """An ndarray in shared memory with arbitrary items, like `numpy.empty`: as a result it crosses without a copy.

    Needs numpy. It is an ordinary array where no memory is shared; once it was answered, it is read-only.
    """
    from .arrays import empty

    return empty(shape, dtype)


__all__ = [
    "CallCancelled",
    "CallbackError",
    "cancelled",
    "deadline",
    "empty",
    "session_id",
    "tools",
    "traceparent",
]

__version__ = "0.7.0"
