"""One worker: takes the boot configuration, lets the host in, and runs what it asks for until it says goodbye."""

from __future__ import annotations

import hmac
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from ormsgpack import packb, unpackb

from .callbacks import Callback, Callbacks, tools
from .context import watch_main
from .control import Control
from .errors import ProtocolError, SessionLost, WorkerFailure
from .execution import Execution, Gate, too_large
from .lifeline import hold_to
from .memory import limit_memory
from .resolve import Resolver
from .sessions import Sessions
from .values import Unpacker
from .wire import Channel, FrameError

PROTOCOL_VERSION = 1

# Descriptors that the host hands to a process it spawns.
BOOT_FD = 3
LIFELINE_FD = 4


def main() -> None:
    """Runs a spawned worker on the boot configuration that the host writes to a descriptor."""
    pipe = socket.socket(fileno=BOOT_FD)
    # kept in a variable, since a socket that is forgotten is closed
    lifeline = socket.socket(fileno=LIFELINE_FD)
    lifeline.set_inheritable(False)
    hold_to(lifeline)
    boot = _read_boot(pipe)
    for path in reversed(boot["python_path"]):
        sys.path.insert(0, path)
    listener = listen(boot)
    pipe.sendall(b"listening\n")
    pipe.close()
    _run(boot, _accept(boot, listener, ("data", "control")))


def run_forked(boot: dict[str, Any], listener: socket.socket) -> None:
    """Runs a worker in a process that was just forked for it."""
    channels = _accept(boot, listener, ("data", "control", "stdout", "stderr", "lifeline"))
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(channels[name].fileno(), descriptor)
        channels[name].close_descriptor()
    hold_to(channels["lifeline"].connection)
    _run(boot, channels)


def _run(boot: dict[str, Any], channels: dict[str, Channel]) -> None:
    import faulthandler

    if boot.get("memory_limit_bytes") is not None:
        limit_memory(boot["memory_limit_bytes"])
    faulthandler.enable()
    # prints the Python stacks from the signal's own C code: it works while native code holds the interpreter lock
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    Worker(boot, channels["data"], channels["control"]).serve()


def _read_boot(pipe: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        data = pipe.recv(65536)
        if not data:
            raise SystemExit("snakepit: the host closed the boot channel before it sent a configuration")
        line += data
    boot: dict[str, Any] = json.loads(line)
    return boot


def listen(boot: dict[str, Any]) -> socket.socket:
    """The socket on which the host opens its channels; its folder is closed to other users, and so is the socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(boot["socket"])
    os.chmod(boot["socket"], 0o600)
    listener.listen(8)
    return listener


def _accept(boot: dict[str, Any], listener: socket.socket, wanted: tuple[str, ...]) -> dict[str, Channel]:
    """Waits until the host has opened every channel; strangers are turned away."""
    deadline = time.monotonic() + boot["start_timeout_seconds"]
    parent = os.getppid()
    channels: dict[str, Channel] = {}
    try:
        while len(channels) < len(wanted):
            connection = _wait_for_peer(listener, deadline, parent)
            # a peer that connects and says nothing must not keep the host out
            connection.settimeout(5)
            channel = Channel(connection, boot["max_frame_bytes"])
            name = _greet(channel, boot, [name for name in wanted if name not in channels])
            if name is not None:
                connection.settimeout(None)
                channels[name] = channel
    except TimeoutError:
        raise SystemExit(f"snakepit: the host did not connect within {boot['start_timeout_seconds']} s") from None
    finally:
        listener.close()
        os.unlink(boot["socket"])
    return channels


def _wait_for_peer(listener: socket.socket, deadline: float, parent: int) -> socket.socket:
    """The next connection. There is no lifeline yet, so a parent that dies meanwhile has to be noticed here."""
    while True:
        listener.settimeout(max(0.0, min(0.25, deadline - time.monotonic())))
        try:
            return listener.accept()[0]
        except (TimeoutError, BlockingIOError):
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            if os.getppid() != parent:
                raise SystemExit("snakepit: the process that started this one has died") from None


def _greet(channel: Channel, boot: dict[str, Any], wanted: list[str]) -> str | None:
    """Checks who connected. Answers the channel's name, or None after having turned the peer away."""
    try:
        frames = channel.read()
        hello: Any = unpackb(frames[0]) if frames else {}
        payload = hello["payload"]
        name: str = payload["channel"]
        token, version = payload["token"], payload["protocol_version"]
        known = hello["tag"] == "snakepit.hello" and isinstance(token, str) and isinstance(name, str)
    except (OSError, FrameError, ValueError, KeyError, TypeError):
        _turn_away(channel, "expected a snakepit.hello request")
        return None
    if not known or not hmac.compare_digest(token.encode(), boot["token"].encode()):
        _turn_away(channel, "wrong token")
        return None
    if version != PROTOCOL_VERSION:
        _turn_away(channel, f"protocol version {version!r} is not known here; this worker speaks {PROTOCOL_VERSION}")
        return None
    if name not in wanted:
        _turn_away(channel, f"channel {name!r} is unknown or taken")
        return None
    info = {
        "protocol_version": PROTOCOL_VERSION,
        "worker": boot["worker"],
        "pid": os.getpid(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
        "platform": sys.platform,
    }
    if name in ("data", "control"):
        channel.send(packb({"_tag": "Exit", "requestId": 0, "exit": {"_tag": "Success", "value": info}}))
    return name


def _turn_away(channel: Channel, reason: str) -> None:
    try:
        channel.send(packb({"_tag": "Defect", "defect": reason}))
    except OSError:
        pass  # the peer has left
    channel.close()


class Worker:
    """The parts of a worker and its main loop."""

    def __init__(self, boot: dict[str, Any], data: Channel, control: Channel) -> None:
        self._data = data
        self._threads: int = boot["threads"] if boot["profile"] == "thread" else 0
        self._sessions = sessions = Sessions(boot["worker"])
        self._callbacks = Callbacks(self._send)
        self._unpacker = Unpacker(
            self._resolve_ref,
            lambda number: Callback(self._callbacks, number),
        )
        self._execution = Execution(
            data, Gate(), Resolver(boot["allow_private"]), sessions, self._callbacks, self._unpacker
        )
        self._control = Control(control, self._execution, self._callbacks, self._unpacker, self._on_shutdown)
        watch_main(lambda: self._execution.gate.on_main)
        signal.signal(signal.SIGUSR1, self._execution.on_signal)

    def _resolve_ref(self, session: str, worker: str, ref: int, _type: str) -> object:
        if threading.current_thread() is threading.main_thread():
            self._execution.refs_seen.add(session)
        return self._sessions.get(session, worker, ref)

    def _send(self, message: dict[str, Any], session: str | None) -> None:
        body = self._execution.packer(session).pack(message, "args")
        if len(body) > self._data.limit:
            raise too_large(message["payload"]["args"], len(body), self._data.limit, "args")
        self._data.send(body)

    def _on_shutdown(self) -> None:
        self._data.close()

    def serve(self) -> None:
        """Runs requests until the host closes the data channel."""
        self._control.start()
        execution = self._execution
        # the quick way relies on the interpreter lock
        quick = execution.run_quick if self._threads == 0 and has_interpreter_lock() else _never
        submit = self._start_threads() if self._threads else execution.run
        try:
            while True:
                frames = self._data.read()
                if frames is None:
                    break
                for frame in frames:
                    if quick(frame):
                        continue
                    request = self._decode(frame)
                    if request is None:
                        continue
                    tag = request["tag"]
                    if tag == "snakebridge.call" or tag == "snakebridge.stream":
                        submit(request)
                        execution.learn(frame, request)
                    else:
                        self._housekeep(request)
        except FrameError as error:
            self._defect(str(error))
        except OSError:
            pass  # the host, or the shutdown, closed the channel
        self._callbacks.close()

    def _decode(self, frame: bytes | memoryview) -> dict[str, Any] | None:
        """The request in a frame; None when there is none, after the host was told."""
        self._execution.refs_seen.clear()
        try:
            request: Any = self._unpacker.unpack(frame)
            if self._execution.refs_seen:
                self._check_refs(request)
            if (
                request["_tag"] == "Request"
                and type(request["id"]) is int
                and type(request["payload"]) is dict
                and type(request["tag"]) is str
            ):
                return request  # type: ignore[no-any-return]  # all that the caller reads was checked
            reason = f"expected a Request with an integer id and a payload on the data channel, got {request['_tag']!r}"
        except WorkerFailure as failure:
            number = failure.request_id if failure.request_id is not None else _number_of(frame)
            if number is not None:
                self._execution.refuse(number, failure)
                return None
            reason = f"data message does not decode: {failure}"
        except (AttributeError, KeyError, TypeError, IndexError):
            reason = "expected a Request with an integer id and a payload on the data channel, got something else"
        self._defect(reason)
        return None

    def _check_refs(self, request: dict[str, Any]) -> None:
        """Refs may be used in their own session only, whoever knows them."""
        session = request["payload"].get("session_id")
        for foreign in self._execution.refs_seen - {session}:
            failure = SessionLost(foreign, f"its ref was used in a call of {'no session' if session is None else session}")
            failure.request_id = request["id"]
            raise failure

    def _housekeep(self, request: dict[str, Any]) -> None:
        try:
            self._keep_house(request)
        except (AttributeError, KeyError, TypeError) as error:
            self._execution.refuse(request["id"], ProtocolError(f"the payload of {request['tag']} is malformed: {error!r}"))

    def _keep_house(self, request: dict[str, Any]) -> None:
        tag, payload = request["tag"], request["payload"]
        if tag == "snakepit.release":
            session: str = payload["session_id"]
            refs: list[int] | None = payload.get("refs")
            self._execution.release(session, refs)
            if refs is None:
                tools.release(session)
        elif tag == "snakepit.tools":
            tools.register(self._callbacks, payload.get("session_id"), payload["tools"])
        else:
            self._execution.refuse(request["id"], ProtocolError(f"unknown request tag {tag!r}"))
            return
        exit = {"_tag": "Success", "value": None}
        self._data.send(packb({"_tag": "Exit", "requestId": request["id"], "exit": exit}))

    def _defect(self, reason: str) -> None:
        try:
            self._data.send(packb({"_tag": "Defect", "defect": reason}))
        except OSError:
            pass  # nobody is left to tell

    def _start_threads(self) -> Any:
        from queue import SimpleQueue

        requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
        execution = self._execution

        def work() -> None:
            while True:
                execution.run_beside(requests.get())

        for index in range(self._threads):
            threading.Thread(target=work, name=f"snakepit-call-{index}", daemon=True).start()

        def submit(request: dict[str, Any]) -> None:
            execution.gate.queue(request["id"])
            requests.put(request)

        return submit


def has_interpreter_lock() -> bool:
    """Whether only one thread runs Python code at a time; false on free-threaded builds."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return ask is None or bool(ask())


def _number_of(frame: bytes | memoryview) -> int | None:
    """The number of a request that does not decode, when the frame begins as the host's requests do: a map, `id` first."""
    head = bytes(frame[:13])
    if len(head) == 13 and head[0] & 0xF0 == 0x80 and head[1:5] == b"\xa2id\xcf":
        return int.from_bytes(head[5:13], "big")
    return None


def _never(_frame: bytes | memoryview) -> bool:
    return False
