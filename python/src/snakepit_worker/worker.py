"""One worker: takes the boot configuration, lets the host in, and runs what it asks for until it says goodbye."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time

# what `hmac.compare_digest` is, without `hmac`, which loads OpenSSL
from _operator import _compare_digest as compare_digest

from ormsgpack import packb, unpackb

from . import storage
from .callbacks import Callback, Callbacks, tools
from .context import running_call, watch_main
from .control import Control, ControlThread, complain, end_with_host, give_up
from .description import ErrorOptions
from .errors import CallCancelled, ProtocolError, SessionLost, WorkerFailure
from .execution import Execution
from .gate import Gate
from .library_errors import LibraryErrors
from .lifeline import hold_to
from .memory import limit_memory
from .outbox import Outbox, notification
from .resolve import Resolver
from .sessions import Sessions
from .shared_memory import SharedMemory
from .values import Unpacker
from .warning_log import WarningLog
from .wire import Channel, FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROTOCOL_VERSION = 1

# How the host's notices go on after their first byte; its calls have their number there.
_NOTICE = b"\xa4"

# Descriptors that the host hands to a process it spawns.
BOOT_FD = 3
LIFELINE_FD = 4


def _nothing() -> None:
    pass


def main() -> None:
    """Runs a spawned worker on the boot configuration that the host writes to a descriptor."""
    pipe = socket.socket(fileno=BOOT_FD)
    _held = _lifeline()  # a socket that is forgotten is closed
    boot = _read_boot(pipe)
    for path in reversed(boot["python_path"]):
        sys.path.insert(0, path)
    listener = listen(boot["socket"])
    pipe.sendall(b"listening\n")
    pipe.close()
    _run(boot, _accept(boot, listener, ("data", "control"), os.getppid()))


def _lifeline() -> socket.socket | None:
    """Ties this process to the life of its host."""
    try:
        lifeline = socket.socket(fileno=LIFELINE_FD)
    except OSError:
        return None  # started by hand, or by a host that handed over none
    lifeline.set_inheritable(False)
    hold_to(lifeline)
    return lifeline


def run_forked(
    boot: dict[str, Any],
    listener: socket.socket,
    server: int,
    thread: ControlThread,
    on_up: Callable[[], object],
) -> None:
    """Runs a worker in a process that was forked for it by the process `server`; `on_up` is called once it answers."""
    channels = _accept(boot, listener, ("data", "control", "stdout", "stderr", "lifeline"), server)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(channels[name].fileno(), descriptor)
        channels[name].close_descriptor()
    hold_to(channels["lifeline"].connection)
    _run(boot, channels, thread, on_up)


def _run(
    boot: dict[str, Any],
    channels: dict[str, Channel],
    thread: ControlThread | None = None,
    on_up: Callable[[], object] = _nothing,
) -> None:
    # before any code of the user's runs: libraries look at these when they open a GPU
    os.environ.update(boot.get("environment", {}))
    if sys.stderr is not None:
        faulthandler.enable()
        # prints the Python stacks from the signal's own C code: it works while native code holds the interpreter lock
        faulthandler.register(signal.SIGUSR2, all_threads=True)
    worker = Worker(boot, channels["data"], channels["control"], end_with_host)
    worker.install()
    if boot.get("memory_limit_bytes") is not None:
        worker.limit_memory(boot["memory_limit_bytes"])
    try:
        code = worker.serve(thread, on_up)
    except BaseException as error:
        give_up(error)
    raise SystemExit(code)


def rehearse() -> None:
    """Does for nothing what a worker does when it starts.

    The fork server remembers what is made once, and a worker that waits copies the pages that it will write to.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, 1 << 20)
        boot = {"worker": "", "token": "", "profile": "process", "allow_private": False, "python_path": []}
        hello = {"protocol_version": PROTOCOL_VERSION, "token": "", "channel": "data"}
        Channel(theirs, 1 << 20).send(packb({"tag": "snakepit.hello", "payload": hello}))
        _greet(channel, boot, ["data"])
        Worker(boot, channel, channel, end_with_host)


def _read_boot(pipe: socket.socket) -> dict[str, Any]:
    line = b""
    while not line.endswith(b"\n"):
        data = pipe.recv(65536)
        if not data:
            raise SystemExit("snakepit: the host closed the boot channel before it sent a configuration")
        line += data
    boot: dict[str, Any] = json.loads(line)
    return boot


def listen(path: str) -> socket.socket:
    """The socket on which the host opens its channels; its folder is closed to other users, and so is the socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(8)
    return listener


def remove(path: str) -> None:
    """Removes a socket's name."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the host has removed the directory


def _accept(boot: dict[str, Any], listener: socket.socket, wanted: tuple[str, ...], parent: int) -> dict[str, Channel]:
    """Waits until the host has opened every channel; strangers are turned away."""
    deadline = time.monotonic() + boot["start_timeout_seconds"]
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
        remove(boot["socket"])
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
        # one frame: a host that is let in waits for the answer
        hello: Any = unpackb(frames[0]) if frames is not None and len(frames) == 1 else {}
        payload = hello["payload"]
        name: str = payload["channel"]
        token, version = payload["token"], payload["protocol_version"]
        known = hello["tag"] == "snakepit.hello" and isinstance(token, str) and isinstance(name, str)
    except (OSError, FrameError, ValueError, KeyError, TypeError):
        _turn_away(channel, "expected a snakepit.hello request")
        return None
    if not known or not compare_digest(token.encode(), boot["token"].encode()):
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
    """The parts of a worker and its main loop. ``on_lost`` is called, on any thread, when the host is gone."""

    def __init__(self, boot: dict[str, Any], data: Channel, control: Channel, on_lost: Callable[[], object]) -> None:
        self._data = data
        self._on_lost = on_lost
        self._threads: int = boot["threads"] if boot["profile"] == "thread" else 0
        self._sessions = Sessions(boot["worker"])
        self._gate = Gate()
        errors = ErrorOptions(**boot.get("errors", {}))
        libraries = LibraryErrors(boot.get("library_errors", []))
        self._outbox = Outbox(data, self._sessions, errors, boot.get("python_path"), libraries)
        self._callbacks = Callbacks(self._gate, self._send, self._read_answer, self._take_answer)
        self._unpacker = Unpacker(self._resolve_ref, self._callback)
        self._execution = Execution(
            self._gate, Resolver(boot["allow_private"]), self._sessions, self._callbacks, self._unpacker, self._outbox
        )
        self._control = Control(control, self._execution, self._callbacks, self._leave, on_lost)
        self._warnings = WarningLog(self._gate, self._outbox.send, self._outbox.redaction)
        self._leaving = False
        self._share(boot.get("shared"))
        watch_main(lambda: self._gate.on_main)

    def install(self) -> None:
        """Takes over what there is one of in a process."""
        signal.signal(signal.SIGUSR1, self._gate.on_stop)
        signal.signal(signal.SIGINT, self._gate.on_interrupt)
        self._warnings.install()
        show = sys.unraisablehook

        def on_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
            if unraisable.exc_type is CallCancelled:
                self._gate.on_swallowed()
            else:
                show(unraisable)

        sys.unraisablehook = on_unraisable
        os.register_at_fork(after_in_child=self._after_fork)

    def limit_memory(self, limit: int) -> None:
        """Sets a ceiling; before it, starts the thread that could not be started once a call has used it up."""
        self._execution.start_loop()
        limit_memory(limit)

    def serve(self, thread: ControlThread | None = None, on_up: Callable[[], object] = _nothing) -> int:
        """Runs requests until the host says goodbye or breaks the connection; answers the exit code."""
        self._control.start(thread or ControlThread())
        on_up()
        code = 0
        try:
            self._read_requests()
            if not self._leaving:
                self._on_lost()
        except FrameError as error:
            self._defect(str(error))
            code = 1
        except OSError as error:
            complain(f"the data channel broke: {error}")
            self._on_lost()
            code = 1
        if code == 0:
            self._gate.drain()
        self._callbacks.close()
        return code

    def _read_requests(self) -> None:
        # the quick way is for one thread, and relies on the interpreter lock
        is_quick = self._threads == 0 and has_interpreter_lock()
        quick = self._execution.run_quick if is_quick else _never
        learn = self._execution.learn if is_quick else _learn_nothing
        submit = self._start_threads() if self._threads else self._execution.run
        while True:
            frames = self._data.read()
            if frames is None:
                return
            for frame in frames:
                if not quick(frame):
                    self._take(frame, submit, learn)

    def _take(
        self,
        frame: bytes | memoryview,
        submit: Callable[[dict[str, Any]], None],
        learn: Callable[[bytes | memoryview, dict[str, Any]], None],
    ) -> None:
        if frame[1:2] == _NOTICE and self._notice(frame):
            return
        request = self._decode(frame)
        if request is None:
            return
        tag = request["tag"]
        if tag == "snakebridge.call" or tag == "snakebridge.stream":
            submit(request)
            learn(frame, request)
        else:
            self._housekeep(request)

    def _notice(self, frame: bytes | memoryview) -> bool:
        """Takes `snakepit.free`, which comes often where results are used in place, and wants no answer."""
        try:
            notice: Any = unpackb(frame)
            if notice["tag"] != "snakepit.free":
                return False
            if storage.memory is not None:
                storage.memory.free(notice["payload"]["places"])
        except (ValueError, KeyError, TypeError):
            return False  # the general way says what is wrong
        return True

    def _decode(self, frame: bytes | memoryview) -> dict[str, Any] | None:
        """The request in a frame; None when there is none, after the host was told."""
        self._execution.refs_seen.clear()
        memory = storage.memory
        try:
            request: Any = self._unpacker.unpack(frame)
            if memory is not None and (views := memory.take_views()):
                self._execution.views[request["id"]] = views
            if self._execution.refs_seen:
                self._check_refs(request)
                self._execution.refs_seen.clear()
            if (
                request["_tag"] == "Request"
                and type(request["id"]) is int
                and type(request["payload"]) is dict
                and type(request["tag"]) is str
            ):
                if type(frame) is memoryview:
                    frame.release()  # its values have been copied out of it
                return request  # type: ignore[no-any-return]  # all that the caller reads was checked
            reason = f"expected a Request with an integer id and a payload on the data channel, got {request['_tag']!r}"
        except WorkerFailure as failure:
            if memory is not None:
                memory.take_views()
            number = failure.request_id if failure.request_id is not None else _number_of(frame)
            if number is not None:
                if self._gate.skip(number):
                    self._outbox.refuse(number, failure)
                return None
            reason = f"data message does not decode: {failure}"
        except (AttributeError, KeyError, TypeError, IndexError):
            reason = "expected a Request with an integer id and a payload on the data channel, got something else"
        self._defect(reason)
        return None

    def _check_refs(self, request: dict[str, Any]) -> None:
        """Refs may be used in their own session only, whoever knows them."""
        session = request["payload"].get("session_id")
        for foreign in self._execution.refs_seen:
            if foreign != session:
                failure = _foreign(foreign, session)
                failure.request_id = request["id"]
                raise failure

    def _resolve_ref(self, session: str, worker: str, ref: int, _type: str) -> object:
        self._execution.refs_seen.add(session)
        return self._sessions.get(session, worker, ref)

    def _callback(self, number: int) -> Callback:
        return Callback(self._callbacks, number)

    def _housekeep(self, request: dict[str, Any]) -> None:
        try:
            self._keep_house(request)
        except (AttributeError, KeyError, TypeError) as error:
            reason = f"the payload of {request['tag']} is malformed: {error!r}"
            self._outbox.refuse(request["id"], ProtocolError(reason))

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
            self._outbox.refuse(request["id"], ProtocolError(f"unknown request tag {tag!r}"))
            return
        exit = {"_tag": "Success", "value": None}
        self._outbox.send(packb({"_tag": "Exit", "requestId": request["id"], "exit": exit}))

    def _defect(self, reason: str) -> None:
        try:
            self._outbox.send(packb({"_tag": "Defect", "defect": reason}))
        except OSError:
            pass  # nobody is left to tell

    def _start_threads(self) -> Callable[[dict[str, Any]], None]:
        from queue import SimpleQueue

        requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
        execution, gate = self._execution, self._gate

        def work() -> None:
            try:
                while True:
                    execution.run_beside(requests.get())
            except BaseException as error:
                give_up(error)

        for index in range(self._threads):
            threading.Thread(target=work, name=f"snakepit-call-{index}", daemon=True).start()

        def submit(request: dict[str, Any]) -> None:
            gate.queue(request["id"])
            requests.put(request)

        return submit

    def _share(self, shared: dict[str, Any] | None) -> None:
        """Opens the shared memory of the host's, if it has any."""

        def ask(size: int, most: int) -> list[int] | None:
            granted: Any = self._callbacks.ask("snakepit.grant", {"bytes": size, "most": most})
            return granted if type(granted) is list and len(granted) == 3 else None

        if shared is None:
            storage.use(None)
        else:
            memory = SharedMemory(shared["prefixes"], ask, lambda: self._gate.shield(running_call()))
            storage.use(memory, shared["threshold_bytes"], shared["strict"])

    def _send(self, message: dict[str, Any], session: str | None) -> None:
        """Sends a call to TypeScript."""
        self._outbox.send(self._outbox.pack(message, session, "args", message["payload"].get("args")))

    def _read_answer(self, frame: bytes | memoryview, session: str | None, number: int) -> dict[str, Any]:
        """The answer to a call to TypeScript, which may hold refs of the session that made the call."""

        def resolve(owner: str, worker: str, ref: int, _type: str) -> object:
            if owner != session:
                raise _foreign(owner, session)
            return self._sessions.get(owner, worker, ref)

        try:
            answer: Any = Unpacker(resolve, self._callback).unpack(frame)
        except BaseException:
            self._take_answer(number)
            raise
        if storage.memory is not None and storage.memory.has_views:
            self._take_answer(number)
        return answer  # type: ignore[no-any-return]  # the control thread has seen that it is an Exit

    def _take_answer(self, number: int) -> None:
        """Tells the host which shared bytes of an answer are looked at, now that it was read, or never will be."""
        memory = storage.memory
        if memory is None:
            return
        payload = {"answer": number, "kept": SharedMemory.keep(memory.take_views() or ())}
        self._outbox.send(notification("snakepit.taken", payload))
        # those of the answers before it, which may be many in one call
        self._execution.flush_released()

    def _leave(self) -> None:
        """The host says goodbye: what runs finishes, nothing else begins."""
        self._leaving = True
        self._gate.close()
        self._data.stop_reading()

    def _after_fork(self) -> None:
        """A child that the target forks shares nothing with the host."""
        self._warnings.remove()
        storage.use(None)
        self._data.after_fork()
        self._control.after_fork()
        self._gate.after_fork()
        self._sessions.after_fork()
        self._callbacks.after_fork()


def has_interpreter_lock() -> bool:
    """Whether only one thread runs Python code at a time; false on free-threaded builds."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return ask is None or bool(ask())


def _foreign(session: str, user: str | None) -> SessionLost:
    return SessionLost(session, f"its ref was used in a call of {'no session' if user is None else user}")


def _number_of(frame: bytes | memoryview) -> int | None:
    """The number of a request that does not decode, when it begins as the host's requests do: a map, `id` first."""
    head = bytes(frame[:13])
    if len(head) == 13 and head[0] & 0xF0 == 0x80 and head[1:5] == b"\xa2id\xcf":
        return int.from_bytes(head[5:13], "big")
    return None


def _never(_frame: bytes | memoryview) -> bool:
    return False


def _learn_nothing(_frame: bytes | memoryview, _request: dict[str, Any]) -> None:
    pass
