"""Runs one request: finds the target, calls it, sends what comes of it.

A call runs on the thread that handles it: the main thread in the ``process`` profile, one of several in the ``thread``
profile. Only ``async def`` targets and async generators move to the event loop; the host is told (``snakepit.parked``),
since the thread is free again.
"""

from __future__ import annotations

import threading
from time import perf_counter_ns
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from ormsgpack import Ext, packb

from .context import current
from .errors import CallCancelled, ProtocolError, SessionLost, WorkerFailure, describe
from .values import Packer

if TYPE_CHECKING:
    import asyncio

    from .callbacks import Callbacks
    from .event_loop import EventLoop
    from .resolve import Resolver
    from .sessions import Sessions
    from .wire import Channel

PAYLOAD_VERSION = 1

# How many chunks a stream may run ahead of the host's acks.
WINDOW = 16

_REF = 15

_FIELDS = frozenset(
    {
        "payload_version",
        "call_type",
        "library",
        "python_module",
        "function",
        "class",
        "attr",
        "instance",
        "args",
        "kwargs",
        "result",
        "idempotent",
        "session_id",
        "deadline_ms",
    }
)

_NO_ARGS: list[Any] = []
_NO_KWARGS: dict[str, Any] = {}


class Running:
    """A call from its begin to its end."""

    __slots__ = ("cancelled", "credit", "id", "payload", "request", "task", "thread")

    def __init__(self, request: dict[str, Any]) -> None:
        self.id: int = request["id"]
        self.request = request
        self.payload: dict[str, Any] = request["payload"]
        self.cancelled = False
        self.thread = 0
        self.credit: threading.Semaphore | asyncio.Semaphore | None = None
        self.task: asyncio.Task[None] | None = None


class Gate:
    """Decides whether a call begins or was taken back before: exactly one of the two, whatever the threads do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._queued: set[int] = set()
        self._dropped: set[int] = set()
        self.running: dict[int, Running] = {}

    def queue(self, request_id: int) -> None:
        """A call waits inside the worker for one of its threads."""
        with self._lock:
            if request_id in self._dropped:
                return
            self._queued.add(request_id)
            self._last = request_id

    def begin(self, running: Running) -> bool:
        """Whether the call may begin; false when it was taken back."""
        request_id = running.id
        with self._lock:
            if self._dropped and request_id in self._dropped:
                self._dropped.discard(request_id)
                return False
            if self._queued:
                self._queued.discard(request_id)
            if request_id > self._last:
                self._last = request_id
            self.running[request_id] = running
        return True

    def end(self, running: Running) -> None:
        """The call is over."""
        self.running.pop(running.id, None)

    def drop(self, request_id: int) -> bool:
        """Takes a call back unless it has begun; answers whether it did."""
        with self._lock:
            if request_id in self.running:
                return False
            if request_id > self._last:
                self._dropped.add(request_id)
                return True
            if request_id in self._queued:
                self._queued.discard(request_id)
                self._dropped.add(request_id)
                return True
        return False


class Execution:
    """Runs requests; shared by all threads of a worker."""

    def __init__(
        self,
        channel: Channel,
        gate: Gate,
        resolver: Resolver,
        sessions: Sessions,
        callbacks: Callbacks,
    ) -> None:
        self._channel = channel
        self.gate = gate
        self._resolver = resolver
        self._sessions = sessions
        self._callbacks = callbacks
        self._plain = Packer()
        self._packers: dict[str, Packer] = {}
        self._loop: EventLoop | None = None
        self._loop_lock = threading.Lock()
        # The call on the main thread, for the signal handler that stops it.
        self.on_main: Running | None = None

    # ------------------------------------------------------------------------------------------------------------------
    # One request
    # ------------------------------------------------------------------------------------------------------------------

    def run(self, request: dict[str, Any], more: bool) -> None:
        """Runs a `snakebridge.call` or `snakebridge.stream`; ``more`` says that another request follows at once."""
        running = Running(request)
        if not self.gate.begin(running):
            return
        running.thread = threading.get_ident()
        current.set(running)
        payload = running.payload
        reply: dict[str, Any] | None
        try:
            self.on_main = running
            if request.get("sampled"):
                began = perf_counter_ns()
                value = self._invoke(payload)
                micros = (perf_counter_ns() - began) // 1000
                reply = self._success(running, value)
                if reply is not None:
                    reply["pythonMicros"] = micros
            else:
                reply = self._success(running, self._invoke(payload))
            self.on_main = None
            body = None if reply is None else self.packer(payload.get("session_id")).pack(reply)
        except BaseException as error:
            self.on_main = None
            body = self._failure(running, error)
        if body is None:
            current.set(None)
            return  # the event loop has it now, and sends what comes of it
        self.gate.end(running)
        current.set(None)
        if more:
            self._channel.hold(body)
        else:
            self._channel.send(body)

    def _success(self, running: Running, value: Any) -> dict[str, Any] | None:
        """The reply that carries the value; None when the event loop goes on with it."""
        if running.request["tag"] == "snakebridge.stream":
            kind = type(value)
            if kind is CoroutineType or kind is AsyncGeneratorType or hasattr(value, "__aiter__"):
                self._park(running, self._stream_async(running, value))
                return None
            self._stream(running, value)
            value = None
        elif type(value) is CoroutineType:
            self._park(running, self._await(running, value))
            return None
        elif running.payload.get("result") == "ref" or running.payload.get("call_type") == "class":
            value = self._keep(running.payload, value)
        return {"_tag": "Exit", "requestId": running.id, "exit": {"_tag": "Success", "value": value}}

    def _failure(self, running: Running, error: BaseException) -> bytes:
        reason: dict[str, Any]
        if isinstance(error, CallCancelled) or (running.cancelled and isinstance(error, GeneratorExit)):
            reason = {"_tag": "Interrupt", "fiberId": None}
        elif isinstance(error, WorkerFailure):
            reason = {"_tag": "Fail", "error": error.to_error()}
        else:
            reason = {"_tag": "Fail", "error": describe(error, call=running.payload)}
        exit = {"_tag": "Failure", "cause": [reason]}
        return self._plain.pack({"_tag": "Exit", "requestId": running.id, "exit": exit})

    def refuse(self, request_id: int, error: WorkerFailure) -> None:
        """Fails a request that could not even be read."""
        exit = {"_tag": "Failure", "cause": [{"_tag": "Fail", "error": error.to_error()}]}
        self._channel.send(packb({"_tag": "Exit", "requestId": request_id, "exit": exit}))

    def packer(self, session: str | None) -> Packer:
        """The packer of a session, which keeps what cannot cross as refs; the plain one outside sessions."""
        if session is None:
            return self._plain
        known = self._packers.get(session)
        if known is None:
            sessions = self._sessions
            known = self._packers[session] = Packer(lambda value: sessions.keep(session, value), sessions.forget)
        return known

    def release(self, session: str, refs: list[int] | None) -> None:
        """Releases refs of a session, or the session."""
        if refs is None:
            self._packers.pop(session, None)
        self._sessions.release(session, refs)

    # ------------------------------------------------------------------------------------------------------------------
    # What a payload asks for
    # ------------------------------------------------------------------------------------------------------------------

    def _invoke(self, payload: dict[str, Any]) -> Any:
        if payload.get("payload_version") != PAYLOAD_VERSION:
            raise ProtocolError(
                f"payload_version {payload.get('payload_version')!r} is not known here; this worker speaks {PAYLOAD_VERSION}"
            )
        if not _FIELDS.issuperset(payload):
            unknown = ", ".join(sorted(set(payload) - _FIELDS))
            raise ProtocolError(f"unknown payload fields: {unknown}; known: {', '.join(sorted(_FIELDS))}")
        call_type = payload.get("call_type", "function")
        args = payload.get("args", _NO_ARGS)
        kwargs = payload.get("kwargs", _NO_KWARGS)
        if call_type == "function":
            function = self._resolver.target(payload.get("python_module", "builtins"), payload["function"])
            return function(*args, **kwargs) if kwargs else function(*args)
        if call_type == "class":
            self._require_session(payload)
            return self._resolver.target(payload.get("python_module", "builtins"), payload["class"])(*args, **kwargs)
        if call_type == "module_attr":
            return self._resolver.target(payload.get("python_module", "builtins"), payload["attr"])
        if call_type not in _INSTANCE_CALLS:
            known = ", ".join(["function", "class", "module_attr", *_INSTANCE_CALLS])
            raise ProtocolError(f"call_type {call_type!r} is not known here; known: {known}")
        if "instance" not in payload:
            raise ProtocolError(f"call_type {call_type!r} wants an instance")
        instance = payload["instance"]
        if call_type == "method":
            return self._resolver.attribute(instance, payload["function"])(*args, **kwargs)
        if call_type == "get_attr":
            return self._resolver.attribute(instance, payload["attr"])
        if call_type == "set_attr":
            self._resolver.check(payload["attr"], payload["attr"])
            return setattr(instance, payload["attr"], *args)
        return _INSTANCE_CALLS[call_type](self, payload, instance, args)

    def _item(self, _payload: dict[str, Any], instance: Any, args: list[Any]) -> Any:
        if len(args) == 1:
            return instance[args[0]]
        if len(args) == 2:
            instance[args[0]] = args[1]
            return None
        raise ProtocolError(f"call_type 'item' takes a key, or a key and a value; got {len(args)} arguments")

    def _iterate(self, payload: dict[str, Any], instance: Any, _args: list[Any]) -> Any:
        return instance if payload.get("session_id") and current_is_stream() else list(instance)

    def _enter(self, _payload: dict[str, Any], instance: Any, _args: list[Any]) -> Any:
        return instance.__enter__()

    def _exit(self, _payload: dict[str, Any], instance: Any, args: list[Any]) -> Any:
        if not args:
            return instance.__exit__(None, None, None)
        from .callbacks import CallbackError

        error = CallbackError(str(args[0]))
        return instance.__exit__(CallbackError, error, None)

    def _require_session(self, payload: dict[str, Any]) -> str:
        session = payload.get("session_id")
        if not isinstance(session, str):
            raise SessionLost("", "the result would be a ref, and refs live in sessions: make the call in one")
        return session

    def _keep(self, payload: dict[str, Any], value: object) -> Ext:
        return Ext(_REF, packb(list(self._sessions.keep(self._require_session(payload), value))))

    # ------------------------------------------------------------------------------------------------------------------
    # Streams
    # ------------------------------------------------------------------------------------------------------------------

    def _stream(self, running: Running, values: Any) -> None:
        credit = running.credit = threading.Semaphore(WINDOW)
        pack = self.packer(running.payload.get("session_id")).pack
        iterator = iter(values)
        index = 0
        try:
            for value in iterator:
                credit.acquire()
                if running.cancelled:
                    raise CallCancelled("the consumer left the stream")
                body = pack({"_tag": "Chunk", "requestId": running.id, "values": [value]}, f"result[{index}]")
                self._channel.send(body)
                index += 1
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    async def _stream_async(self, running: Running, values: Any) -> Any:
        import asyncio

        if type(values) is CoroutineType:
            values = await values
        credit = running.credit = asyncio.Semaphore(WINDOW)
        pack = self.packer(running.payload.get("session_id")).pack
        index = 0

        async def emit(value: object) -> None:
            nonlocal index
            await credit.acquire()
            body = pack({"_tag": "Chunk", "requestId": running.id, "values": [value]}, f"result[{index}]")
            self._channel.send(body)
            index += 1

        try:
            if hasattr(values, "__aiter__"):
                async for value in values:
                    await emit(value)
            else:
                for value in values:
                    await emit(value)
        finally:
            close = getattr(values, "aclose", None)
            if close is not None:
                await close()
        return None

    def ack(self, request_id: int) -> None:
        """The host is done with one chunk."""
        running = self.gate.running.get(request_id)
        if running is not None and running.credit is not None:
            self._release_credit(running)

    def _release_credit(self, running: Running) -> None:
        credit = running.credit
        if isinstance(credit, threading.Semaphore):
            credit.release()
        elif credit is not None and self._loop is not None:
            self._loop.call(credit.release)

    # ------------------------------------------------------------------------------------------------------------------
    # The event loop
    # ------------------------------------------------------------------------------------------------------------------

    def _park(self, running: Running, coroutine: Any) -> None:
        with self._loop_lock:
            if self._loop is None:
                from .event_loop import EventLoop

                self._loop = EventLoop()
                self._callbacks.loop_thread = self._loop.thread
        notice = {
            "_tag": "Request",
            "id": 0,
            "tag": "snakepit.parked",
            "payload": {"request_id": running.id},
            "headers": [],
            "isNotification": True,
        }
        self._channel.send(packb(notice))

        def on_task(task: asyncio.Task[None]) -> None:
            running.task = task
            if running.cancelled:
                task.cancel()

        self._loop.start(self._finish_async(running, coroutine), on_task)

    async def _await(self, running: Running, coroutine: Any) -> Any:
        value = await coroutine
        return self._keep(running.payload, value) if running.payload.get("result") == "ref" else value

    async def _finish_async(self, running: Running, coroutine: Any) -> None:
        import asyncio

        current.set(running)
        try:
            began = perf_counter_ns()
            value = await coroutine
            exit = {"_tag": "Success", "value": value}
            reply: dict[str, Any] = {"_tag": "Exit", "requestId": running.id, "exit": exit}
            if running.request.get("sampled"):
                reply["pythonMicros"] = (perf_counter_ns() - began) // 1000
            body = self.packer(running.payload.get("session_id")).pack(reply)
        except asyncio.CancelledError:
            body = self._failure(running, CallCancelled("the caller went away"))
        except BaseException as error:
            body = self._failure(running, error)
        self.gate.end(running)
        self._channel.send(body)

    # ------------------------------------------------------------------------------------------------------------------
    # Stopping
    # ------------------------------------------------------------------------------------------------------------------

    def cancel(self, request_id: int) -> bool:
        """Asks a call to stop. True when it had not begun, and never will."""
        if self.gate.drop(request_id):
            return True
        running = self.gate.running.get(request_id)
        if running is not None:
            running.cancelled = True
            self._release_credit(running)
            if running.task is not None and self._loop is not None:
                self._loop.call(running.task.cancel)
        return False

    def stop(self, request_id: int) -> bool:
        """Raises ``CallCancelled`` inside a running call; answers whether it was running."""
        running = self.gate.running.get(request_id)
        if running is None:
            return False
        running.cancelled = True
        if running.task is not None:
            if self._loop is not None:
                self._loop.call(running.task.cancel)
        elif running.thread == threading.main_thread().ident:
            import signal

            # the handler looks again, on the main thread itself, whether this call is still the one that runs
            self._stopping = request_id
            signal.pthread_kill(running.thread, signal.SIGUSR1)
        else:
            import ctypes

            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(running.thread), ctypes.py_object(CallCancelled))
        return True

    _stopping = 0

    def on_signal(self, _signal: int, _frame: object) -> None:
        """Runs on the main thread between two bytecodes, or inside a system call that the signal interrupted."""
        running = self.on_main
        if running is not None and running.id == self._stopping:
            raise CallCancelled("the caller went away")


def current_is_stream() -> bool:
    """Whether the call of this thread is a stream."""
    running = current.get()
    return running is not None and running.request["tag"] == "snakebridge.stream"


_INSTANCE_CALLS: dict[str, Any] = {
    "method": None,
    "get_attr": None,
    "set_attr": None,
    "item": Execution._item,
    "iterate": Execution._iterate,
    "enter": Execution._enter,
    "exit": Execution._exit,
}
