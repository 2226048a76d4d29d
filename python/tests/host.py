"""The host's side of the wire, for tests: in the same process over socket pairs, or of a real worker process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ormsgpack import packb, unpackb

from snakepit_worker import control as control_module
from snakepit_worker.wire import Channel
from snakepit_worker.worker import Worker

DEADLINE = 20.0
MAX_FRAME = 1 << 26

# the end of the host comes at once here
control_module._LEAVE_SECONDS = 0.0

SOURCE = Path(__file__).parent.parent / "src"


class Wire:
    """One channel, seen from the host. Reading fails after the deadline."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE)
        self.socket = connection
        self._channel = Channel(connection, MAX_FRAME)
        self._read: list[Any] = []

    def send(self, *messages: object) -> None:
        self.send_frames(*map(packb, messages))

    def send_frames(self, *bodies: bytes) -> None:
        self.socket.sendall(b"".join(struct.pack("<I", len(body)) + body for body in bodies))

    def take(self, wanted: Callable[[Any], bool]) -> Any:
        """The first message that is wanted; those before it stay for later."""
        for index, message in enumerate(self._read):
            if wanted(message):
                return self._read.pop(index)
        while True:
            frames = self._channel.read()
            if frames is None:
                raise EOFError(f"the worker closed the channel; unread: {self._read}")
            fresh = [unpackb(frame, ext_hook=lambda code, data: (code, data)) for frame in frames]
            for index, message in enumerate(fresh):
                if wanted(message):
                    self._read += fresh[:index] + fresh[index + 1 :]
                    return message
            self._read += fresh

    def exit_of(self, number: int) -> Any:
        return self.take(lambda message: message["_tag"] == "Exit" and message["requestId"] == number)

    def value_of(self, number: int) -> Any:
        exit = self.exit_of(number)["exit"]
        assert exit["_tag"] == "Success", exit
        return exit["value"]

    def error_of(self, number: int) -> Any:
        exit = self.exit_of(number)["exit"]
        assert exit["_tag"] == "Failure", exit
        return exit["cause"][0].get("error", exit["cause"][0])

    def request_of(self, tag: str) -> Any:
        return self.take(lambda message: message["_tag"] == "Request" and message["tag"] == tag)

    def ends(self) -> bool:
        """Whether the worker closes the channel; waits for it."""
        try:
            self.take(lambda _message: False)
        except (EOFError, ConnectionError):
            return True
        return False


class Host:
    """Both channels."""

    def __init__(self, data: Wire, control: Wire) -> None:
        self.data = data
        self.control = control

    def interrupt(self, number: int) -> None:
        self.control.send({"_tag": "Interrupt", "requestId": number})

    def ask(self, tag: str, number: int = 1_000_000, **payload: object) -> Any:
        """The answer to a request on the control channel."""
        self.control.send({"_tag": "Request", "id": number, "tag": tag, "payload": payload, "headers": []})
        return self.control.value_of(number)

    def answer(self, request: Any, value: object) -> None:
        exit = {"_tag": "Success", "value": value}
        self.control.send({"_tag": "Exit", "requestId": request["id"], "exit": exit})

    def close(self) -> None:
        self.data.socket.close()
        self.control.socket.close()


def call(number: int, function: str, *args: object, tag: str = "snakebridge.call", **fields: object) -> dict[str, Any]:
    """A call of a function: `module:path`."""
    module, _, path = function.rpartition(":")
    payload = {
        "payload_version": 1,
        "python_module": module or "builtins",
        "function": path,
        "args": list(args),
        **{"class" if name == "class_" else name: value for name, value in fields.items()},
    }
    return {"id": number, "_tag": "Request", "tag": tag, "headers": [], "payload": payload}


def stream(number: int, function: str, *args: object, **fields: object) -> dict[str, Any]:
    return call(number, function, *args, tag="snakebridge.stream", **fields)


def quick_call(number: int, module: str, function: str, *args: object) -> bytes:
    """A frame as the TypeScript host spells it: the number first, as a u64 of nine bytes."""
    payload = {
        "payload_version": 1,
        "library": module.partition(".")[0],
        "python_module": module,
        "function": function,
        "args": list(args),
    }
    rest = packb({"_tag": "Request", "tag": "snakebridge.call", "headers": [], "payload": payload})
    return b"\x85\xa2id\xcf" + struct.pack(">Q", number) + rest[1:]


def serve(script: Callable[[Host], None], *, threads: int = 0, allow_private: bool = False) -> int:
    """Runs a worker on this thread, which is the main one, and the host's script beside it; answers the exit code.

    The worker is told to leave when the script is done. What the script raises is raised here.
    """
    data, worker_data = socket.socketpair()
    control, worker_control = socket.socketpair()
    host = Host(Wire(data), Wire(control))
    boot = {
        "worker": "w-1",
        "profile": "thread" if threads else "process",
        "threads": threads,
        "allow_private": allow_private,
    }
    worker = Worker(boot, Channel(worker_data, MAX_FRAME), Channel(worker_control, MAX_FRAME), lambda: None)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            script(host)
            host.ask("snakepit.shutdown", 2_000_000)
        except BaseException as error:
            failures.append(error)
            host.close()

    beside = threading.Thread(target=run, name="host")
    with worker_data, worker_control:
        with handlers(worker):
            beside.start()
            code = worker.serve()
            beside.join(DEADLINE)
        host.close()
        for thread in threading.enumerate():
            if thread.name == "snakepit-control":
                thread.join(DEADLINE)
    if failures:
        raise failures[0]
    return code


@contextlib.contextmanager
def handlers(worker: Worker) -> Iterator[None]:
    """The worker's signal handlers, without its hook for forks, which could not be taken back."""
    import signal

    stop = signal.signal(signal.SIGUSR1, worker._gate.on_stop)
    interrupt = signal.signal(signal.SIGINT, worker._gate.on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, stop)
        signal.signal(signal.SIGINT, interrupt)


class Process:
    """A worker process, booted as the TypeScript host does it."""

    def __init__(self, directory: Path, **boot: object) -> None:
        self.socket = str(directory / "worker.sock")
        self.token = "a token"
        self.boot_pipe, pipe = socket.socketpair()
        self.boot_pipe.settimeout(DEADLINE)
        self._connections: list[socket.socket] = []
        number = pipe.fileno()
        move = f"os.dup2({number}, 3); os.close({number})" if number != 3 else "pass"
        program = f"import os; {move}; from snakepit_worker.worker import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", program],
            pass_fds=[number],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        pipe.close()
        configuration = {
            "socket": self.socket,
            "token": self.token,
            "worker": "w-1",
            "profile": "process",
            "threads": 1,
            "max_frame_bytes": MAX_FRAME,
            "allow_private": False,
            "python_path": [],
            "start_timeout_seconds": DEADLINE,
            **boot,
        }
        self.boot_pipe.sendall(json.dumps(configuration).encode() + b"\n")

    def listening(self) -> bool:
        return self.boot_pipe.recv(100) == b"listening\n"

    def connect(self) -> Wire:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connections.append(connection)
        connection.settimeout(DEADLINE)
        connection.connect(self.socket)
        return Wire(connection)

    def hello(self, wire: Wire, channel: str, **changes: object) -> None:
        payload = {"protocol_version": 1, "token": self.token, "channel": channel, **changes}
        wire.send({"_tag": "Request", "id": 0, "tag": "snakepit.hello", "payload": payload, "headers": []})

    def open(self) -> Host:
        assert self.listening()
        data, control = self.connect(), self.connect()
        for wire, channel in ((data, "data"), (control, "control")):
            self.hello(wire, channel)
            assert wire.value_of(0)["pid"] == self.process.pid
        return Host(data, control)

    def end(self) -> tuple[int, str, str]:
        """Waits for the process; its exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out, err

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_error: object) -> None:
        for connection in [self.boot_pipe, *self._connections]:
            connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=DEADLINE)
