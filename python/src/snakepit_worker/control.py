"""The control channel: answered by a thread of its own, so that a worker answers while a call keeps it busy."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from ormsgpack import packb

from .errors import WorkerFailure
from .memory import resident_bytes, when_there_is_memory
from .wire import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .callbacks import Callbacks
    from .execution import Execution
    from .values import Unpacker
    from .wire import Channel


class Control:
    """Reads the control channel until it closes. Its end without a goodbye means that the host is gone."""

    def __init__(
        self,
        channel: Channel,
        execution: Execution,
        callbacks: Callbacks,
        unpacker: Unpacker,
        on_shutdown: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._execution = execution
        self._callbacks = callbacks
        self._unpacker = unpacker
        self._on_shutdown = on_shutdown
        self._leaving = False

    def start(self) -> None:
        """Starts the thread."""
        threading.Thread(target=self._run, name="snakepit-control", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                frames = self._channel.read()
                if frames is None:
                    break
                for frame in frames:
                    when_there_is_memory(self._take, frame)
        except (OSError, FrameError) as error:
            if not self._leaving:
                print(f"snakepit: the control channel broke: {error}", file=sys.stderr)
        self._callbacks.close()
        if not self._leaving:
            end_with_host()

    def _take(self, frame: bytes | memoryview) -> None:
        try:
            message: Any = self._unpacker.unpack(frame)
            tag = message["_tag"]
        except (WorkerFailure, KeyError, TypeError) as error:
            request = getattr(error, "request_id", None)
            if request is not None:
                # an answer to a callback that cannot be read fails that callback alone
                reason = {"_tag": "Fail", "error": {"_tag": "DecodeError", "message": str(error)}}
                self._callbacks.deliver(request, {"_tag": "Failure", "cause": [reason]})
            else:
                self._channel.send(packb({"_tag": "Defect", "defect": f"control message does not decode: {error}"}))
            return
        try:
            self._handle(tag, message)
        except (AttributeError, KeyError, TypeError) as error:
            # this thread outlives whatever a host says
            self._channel.send(packb({"_tag": "Defect", "defect": f"control message {tag!r} is malformed: {error!r}"}))

    def _handle(self, tag: str, message: dict[str, Any]) -> None:
        if tag == "Ack":
            self._execution.ack(message["requestId"])
        elif tag == "Ping":
            self._channel.send(packb({"_tag": "Pong"}))
        elif tag == "Exit":
            self._callbacks.deliver(message["requestId"], message["exit"])
        elif tag == "Interrupt":
            if self._execution.cancel(message["requestId"]):
                exit = {"_tag": "Failure", "cause": [{"_tag": "Interrupt", "fiberId": None}]}
                self._channel.send(
                    packb({"_tag": "Exit", "requestId": message["requestId"], "exit": exit, "started": False})
                )
        elif tag == "Request":
            self._request(message)
        else:
            self._channel.send(packb({"_tag": "Defect", "defect": f"unknown message on the control channel: {tag!r}"}))

    def _request(self, message: dict[str, Any]) -> None:
        tag, payload = message["tag"], message["payload"]
        value: object
        if tag == "snakepit.recall":
            value = [request for request in payload["request_ids"] if self._execution.gate.drop(request)]
        elif tag == "snakepit.raise":
            value = self._execution.stop(payload["request_id"])
        elif tag == "snakepit.stack":
            value = stacks()
        elif tag == "snakepit.memory":
            value = {"rss_bytes": resident_bytes()}
        elif tag == "snakepit.shutdown":
            value = None
            self._leaving = True
        else:
            defect = f"unknown request on the control channel: {tag!r}"
            exit = {"_tag": "Failure", "cause": [{"_tag": "Die", "defect": defect}]}
            self._channel.send(packb({"_tag": "Exit", "requestId": message["id"], "exit": exit}))
            return
        success = {"_tag": "Success", "value": value}
        self._channel.send(packb({"_tag": "Exit", "requestId": message["id"], "exit": success}))
        if tag == "snakepit.shutdown":
            self._on_shutdown()


def stacks() -> str:
    """The Python stacks of all threads, innermost frame last."""
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def end_with_host() -> None:
    """The host is gone: this process and those it started end now, whatever they are doing."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
