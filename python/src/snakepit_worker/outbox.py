"""What the worker says on the data channel: messages packed with the refs of their session, and failures described."""

from __future__ import annotations

from ormsgpack import packb

from . import storage
from .description import Describer, ErrorOptions, undescribed
from .errors import CallCancelled, UnserializableResult, WorkerFailure, bounded_repr, type_name
from .library_errors import LibraryErrors
from .memory import release_frames
from .values import Packer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Running
    from .sessions import Sessions
    from .wire import Channel


# How the number of a call stands in its `Exit`.
_ID = b"\xa9requestId"
_NO_ID = _ID + b"\0"


def notification(tag: str, payload: dict[str, Any]) -> bytes:
    """The body of a message to the host that is not answered."""
    return packb({"_tag": "Request", "id": 0, "tag": tag, "payload": payload, "headers": [], "isNotification": True})


class Outbox:
    """Packs and sends; any thread may."""

    def __init__(
        self,
        channel: Channel,
        sessions: Sessions,
        errors: ErrorOptions | None = None,
        folders: list[str] | None = None,
        libraries: LibraryErrors | None = None,
    ) -> None:
        self.send = channel.send
        self._limit = channel.limit
        self._sessions = sessions
        self._plain = Packer()
        self._packers: dict[str, Packer] = {}
        plain = self._plain.pack_value
        # no refs are made for what an exception holds
        self._describer = Describer(
            errors or ErrorOptions(), lambda value: plain(value, "args"), folders or [], libraries
        )
        self.redaction = self._describer.redaction
        # made while there is memory for it
        self._last_words = self._failed(0, {"_tag": "Fail", "error": undescribed(MemoryError(), MemoryError())})

    def pack(self, message: dict[str, Any], session: str | None, root: str, value: object) -> bytes:
        """The body of a message about `value`, which is called `root` in failures.

        What cannot cross is kept as a ref where there is a session. Raises UnserializableResult.
        """
        packer = self._plain if session is None else self._packer(session)
        try:
            body = packer.pack(message, root)
            if len(body) > self._limit:
                raise _too_large(value, len(body), self._limit, root)
        except BaseException:
            storage.discard()
            raise
        storage.commit()
        return body

    def success(self, running: Running, value: object, micros: int | None) -> bytes:
        """The `Exit` of a call that has a result, and may have been measured."""
        reply: dict[str, Any] = {
            "_tag": "Exit",
            "requestId": running.id,
            "exit": {"_tag": "Success", "value": value},
        }
        if micros is not None:
            reply["pythonMicros"] = micros
        return self.pack(reply, running.payload.get("session_id"), "result", value)

    def chunk(self, running: Running, value: object, index: int) -> bytes:
        """One item of a stream."""
        message = {"_tag": "Chunk", "requestId": running.id, "values": [value]}
        return self.pack(message, running.payload.get("session_id"), f"result[{index}]", value)

    def failure(self, running: Running, error: BaseException) -> bytes:
        """The `Exit` of a call that failed. There is one whatever the exception is made of."""
        # Not `isinstance`, which asks the exception for its `__class__`: that may be code of the target's.
        kind = type(error)
        try:
            if issubclass(kind, CallCancelled):
                return self._failed(running.id, {"_tag": "Interrupt", "fiberId": None})
            if issubclass(kind, WorkerFailure):
                described = error.to_error()  # type: ignore[attr-defined]  # it is a WorkerFailure
            else:
                if issubclass(kind, MemoryError):
                    # what used up the memory hangs on the frames that failed, and describing the error takes some too
                    release_frames(error)
                described = self._describer.describe(error, running.payload)
            return self._failed(running.id, {"_tag": "Fail", "error": described}, running.micros)
        except BaseException as failure:
            try:
                return self._failed(running.id, {"_tag": "Fail", "error": undescribed(error, failure)}, running.micros)
            except MemoryError:
                return self._last_words.replace(_NO_ID, _ID + b"\xcf" + running.id.to_bytes(8, "big"), 1)

    def refuse(self, request_id: int, error: WorkerFailure) -> None:
        """Fails a request that could not be read, or that asks for what there is not."""
        self.send(self._failed(request_id, {"_tag": "Fail", "error": error.to_error()}))

    def _failed(self, request_id: int, reason: dict[str, Any], micros: int | None = None) -> bytes:
        exit = {"_tag": "Failure", "cause": [reason]}
        reply: dict[str, Any] = {"_tag": "Exit", "requestId": request_id, "exit": exit}
        if micros is not None:
            reply["pythonMicros"] = micros
        return self.pack(reply, None, "error", None)

    def _packer(self, session: str) -> Packer:
        known = self._packers.get(session)
        if known is None:
            sessions = self._sessions
            known = self._packers[session] = Packer(lambda value: sessions.keep(session, value), sessions.forget)
        return known

    def forget(self, session: str) -> None:
        """The session is over."""
        self._packers.pop(session, None)


def _too_large(value: object, size: int, limit: int, path: str) -> UnserializableResult:
    reason = (
        f"it takes {size} bytes, and a frame has at most maxFrameBytes = {limit}; "
        "send less, stream it, or raise `maxFrameBytes` of the pool"
    )
    return UnserializableResult(path, type_name(type(value)), bounded_repr(value), reason)
