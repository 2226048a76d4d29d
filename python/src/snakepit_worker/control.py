"""The control channel: answered by a thread of its own, so that a worker answers while a call keeps it busy."""

from __future__ import annotations

import os
import signal
import sys
import threading

from ormsgpack import packb, unpackb

from . import storage
from .memory import resident_bytes, when_there_is_memory
from .wire import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from .callbacks import Callbacks
    from .execution import Execution
    from .wire import Channel

# How long a worker that was told to leave may take for it once its host is gone.
_LEAVE_SECONDS = 5.0


class ControlThread:
    """The thread of a control channel, which can be there before the channel is."""

    def __init__(self) -> None:
        self._work: list[Callable[[], object]] = []
        self._given = threading.Lock()
        self._given.acquire()
        threading.Thread(target=self._wait, name="snakepit-control", daemon=True).start()

    def run(self, work: Callable[[], object]) -> None:
        """Gives it what it is for."""
        self._work.append(work)
        self._given.release()

    def _wait(self) -> None:
        self._given.acquire()
        self._work.pop()()


class Control:
    """Reads the control channel until it closes. Its end means that the host is gone, and ``on_lost`` is called."""

    def __init__(
        self,
        channel: Channel,
        execution: Execution,
        callbacks: Callbacks,
        on_shutdown: Callable[[], object],
        on_lost: Callable[[], object],
    ) -> None:
        self._channel = channel
        self._execution = execution
        self._callbacks = callbacks
        self._on_shutdown = on_shutdown
        self._on_lost = on_lost
        self._leaving = threading.Event()

    def start(self, thread: ControlThread) -> None:
        """Begins to read, on this thread."""
        thread.run(self._run)

    def after_fork(self) -> None:
        """In a child process: lets go of the channel."""
        self._channel.after_fork()

    def _run(self) -> None:
        try:
            while True:
                frames = self._channel.read()
                if frames is None:
                    break
                for frame in frames:
                    when_there_is_memory(self._take, frame)
        except (OSError, FrameError) as error:
            complain(f"the control channel broke: {error}")
        self._callbacks.close()
        if self._leaving.is_set():
            # exit handlers of the target's may take their time, but nobody is left to end a process that hangs
            threading.Event().wait(_LEAVE_SECONDS)
        self._on_lost()

    def _take(self, frame: bytes | memoryview) -> None:
        try:
            # Only answers to callbacks hold values, which the thread that waits for them decodes.
            message: Any = unpackb(frame, ext_hook=_skip)
            self._handle(message["_tag"], message, frame)
        except OSError:
            raise  # the channel broke
        except Exception as error:
            # this thread outlives whatever a host says
            self._defect(f"control message is malformed or does not decode: {type(error).__name__}: {error}")

    def _handle(self, tag: str, message: dict[str, Any], frame: bytes | memoryview) -> None:
        if tag == "Ack":
            self._execution.ack(_number(message["requestId"]))
        elif tag == "Ping":
            self._channel.send(packb({"_tag": "Pong"}))
        elif tag == "Exit":
            self._callbacks.deliver(_number(message["requestId"]), frame)
        elif tag == "Interrupt":
            number = _number(message["requestId"])
            if self._execution.cancel(number):
                exit = {"_tag": "Failure", "cause": [{"_tag": "Interrupt", "fiberId": None}]}
                self._channel.send(packb({"_tag": "Exit", "requestId": number, "exit": exit, "started": False}))
        elif tag == "Request":
            self._request(message)
        else:
            self._defect(f"unknown message on the control channel: {tag!r}")

    def _defect(self, reason: str) -> None:
        self._channel.send(packb({"_tag": "Defect", "defect": reason}))

    def _request(self, message: dict[str, Any]) -> None:
        tag, payload = message["tag"], message["payload"]
        value: object
        if tag == "snakepit.recall":
            value = [number for number in map(_number, payload["request_ids"]) if self._execution.gate.drop(number)]
        elif tag == "snakepit.raise":
            value = self._execution.stop(_number(payload["request_id"]))
        elif tag == "snakepit.stack":
            value = stacks()
        elif tag == "snakepit.memory":
            value = {"rss_bytes": resident_bytes()}
        elif tag == "snakepit.trim":
            self._execution.flush_released()
            value = []
            if storage.memory is not None:
                storage.memory.free(payload["places"])
                value = storage.memory.trim()
        elif tag == "snakepit.forget":
            value = None
            if storage.memory is not None:
                storage.memory.forget_segments(map(_number, payload["segments"]))
        elif tag == "snakepit.shutdown":
            value = None
            self._leaving.set()
        else:
            defect = f"unknown request on the control channel: {tag!r}"
            exit = {"_tag": "Failure", "cause": [{"_tag": "Die", "defect": defect}]}
            self._channel.send(packb({"_tag": "Exit", "requestId": message["id"], "exit": exit}))
            return
        success = {"_tag": "Success", "value": value}
        self._channel.send(packb({"_tag": "Exit", "requestId": message["id"], "exit": success}))
        if tag == "snakepit.shutdown":
            self._on_shutdown()


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"expected the number of a request, got {value!r}")
    return value


def _skip(_code: int, _data: bytes) -> object:
    return None


def stacks() -> str:
    """The Python stacks of all threads, innermost frame last."""
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"Thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def complain(reason: str) -> None:
    """Writes a line to stderr, wherever the target has left that."""
    try:
        os.write(2, f"snakepit: {reason}\n".encode())
    except OSError:
        pass  # it is closed


def give_up(error: BaseException) -> NoReturn:
    """Ends this process after an exception that would lose a call: the host settles what a process leaves behind."""
    try:
        complain(f"the worker cannot go on: {type(error).__name__}")
        import traceback

        traceback.print_tb(error.__traceback__)
    finally:
        os._exit(1)


def end_with_host() -> None:
    """The host is gone: this process and those it started end now, whatever they are doing."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
