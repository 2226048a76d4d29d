"""The Python side of Snakepit: runs calls that arrive from TypeScript.

Layout: ``worker`` assembles everything; ``wire`` moves frames; ``values``, ``adapters``, ``arrays`` and ``tables`` turn
values into bytes and back; ``resolve`` finds targets; ``execution`` runs one request; ``control`` answers while a
call runs; ``event_loop`` runs ``async def`` targets; ``sessions`` holds the objects behind refs; ``callbacks`` calls
TypeScript. Code that runs inside a call imports from here what it wants to know of the call.
"""

from .callbacks import CallbackError, tools
from .context import cancelled, deadline, session_id, traceparent
from .errors import CallCancelled

__all__ = [
    "CallCancelled",
    "CallbackError",
    "cancelled",
    "deadline",
    "session_id",
    "tools",
    "traceparent",
]

__version__ = "0.7.0"
