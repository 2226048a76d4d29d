"""Runs one request: finds the target, calls it, sends what comes of it.

A call runs on the thread that handles it: the main thread in the ``process`` profile, one of several in the ``thread``
profile. Only ``async def`` targets and async generators move to the event loop; the host is told (``snakepit.parked``),
since the thread is free again.
"""

from __future__ import annotations

import threading
from struct import Struct
from time import perf_counter_ns
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from ormsgpack import Ext, packb, unpackb

from .context import current
from .errors import (
    CallCancelled,
    ProtocolError,
    SessionLost,
    UnserializableResult,
    WorkerFailure,
    bounded_repr,
    describe,
    type_name,
)
from .memory import release_frames
from .values import Packer

if TYPE_CHECKING:
    import asyncio

    from .callbacks import Callbacks
    from .event_loop import EventLoop
    from .resolve import Resolver
    from .sessions import Sessions
    from .values import Unpacker
    from .wire import Channel

PAYLOAD_VERSION = 1

# How many chunks a stream may run ahead of the host's acks.
WINDOW = 16

_REF = 15

# A request as the host writes it: a map of five, `id` first as a u64; `run_quick` compares and cuts at these places.
_HEAD = b"\x85\xa2id\xcf"
_NUMBER = len(_HEAD)
_COMMON = _NUMBER + 8
_ARGS = b"\xa4args"
_ENVELOPE = ("id", "_tag", "tag", "headers", "payload")
_PLAIN = ("payload_version", "library", "python_module", "function", "args")
_MAX_PLANS = 4096
_read_u64 = Struct(">Q").unpack_from

# An `Exit` with a success around its number and its value, as `packb` would spell it but for the number, a u64.
_SUCCESS_HEAD = b"\x83\xa4_tag\xa4Exit\xa9requestId"
_SUCCESS_TAIL = b"\xa4exit\x82\xa4_tag\xa7Success\xa5value"

# Types whose values MessagePack carries as they are, whatever the value; integers may be too large, text may hold surrogates.
_INLINE = frozenset({type(None), bool, float})

# Sets of payload fields that were found valid, kept to look up rather than check again.
_MAX_SHAPES = 256

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

    # Class attributes rather than slots: a call that needs none of these does not pay for setting them.
    _cancelled = -1
    thread = 0
    credit: threading.Semaphore | asyncio.Semaphore | None = None
    task: asyncio.Task[None] | None = None

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.payload: dict[str, Any] = request["payload"]
        self.id: int = request["id"]

    @property
    def cancelled(self) -> bool:
        """Whether this call was cancelled; said by number, since a record may be lent to one call after another."""
        return self._cancelled == self.id

    def cancel(self, request_id: int) -> None:
        """Marks the call of this number as cancelled."""
        self._cancelled = request_id


class Gate:
    """Decides whether a call begins or was taken back before: exactly one of the two, whatever the threads do."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0
        self._queued: set[int] = set()
        self.dropped: set[int] = set()
        # Calls on the event loop and on threads other than the main one.
        self._beside: dict[int, Running] = {}
        # The call on the main thread, in the `process` profile.
        self.on_main: Running | None = None

    def queue(self, request_id: int) -> None:
        """A call waits inside the worker for one of its threads."""
        with self.lock:
            if request_id not in self.dropped:
                self._queued.add(request_id)
                self.last = request_id

    def begin_on_main(self, running: Running) -> bool:
        """Whether the call may begin on the main thread; false when it was taken back."""
        with self.lock:
            if self.dropped and running.id in self.dropped:
                self.dropped.discard(running.id)
                return False
            self.last = running.id
            self.on_main = running
        return True

    def was_dropped(self, request_id: int) -> bool:
        """Whether a call was taken back before it began."""
        with self.lock:
            if request_id not in self.dropped:
                return False
            self.dropped.discard(request_id)
            return True

    def begin(self, running: Running) -> bool:
        """Whether the call may begin on another thread; false when it was taken back."""
        with self.lock:
            if running.id in self.dropped:
                self.dropped.discard(running.id)
                return False
            self._queued.discard(running.id)
            self._beside[running.id] = running
        return True

    def move(self, running: Running) -> None:
        """The call goes on on the event loop; its thread is free."""
        with self.lock:
            self._beside[running.id] = running
            self.on_main = None

    def end(self, running: Running) -> None:
        """A call that ran beside the main thread is over."""
        with self.lock:
            self._beside.pop(running.id, None)

    def find(self, request_id: int) -> Running | None:
        """The running call of this number."""
        running = self.on_main
        if running is not None and running.id == request_id:
            return running
        return self._beside.get(request_id)

    def cancel(self, request_id: int) -> Running | None:
        """Marks the running call of this number as cancelled, and answers it."""
        running = self.find(request_id)
        if running is not None:
            running.cancel(request_id)
        return running

    def drop(self, request_id: int) -> bool:
        """Takes a call back unless it has begun; answers whether it did."""
        with self.lock:
            # Entered first and looked at second: `run_quick` does the same two steps the other way round, without the lock.
            self.dropped.add(request_id)
            if request_id in self._queued:
                self._queued.discard(request_id)
                return True
            if request_id <= self.last:
                self.dropped.discard(request_id)
                return False
        return True


class Execution:
    """Runs requests; shared by all threads of a worker."""

    def __init__(
        self,
        channel: Channel,
        gate: Gate,
        resolver: Resolver,
        sessions: Sessions,
        callbacks: Callbacks,
        unpacker: Unpacker,
    ) -> None:
        self._channel = channel
        self._limit = channel.limit
        self.gate = gate
        self._resolver = resolver
        self._sessions = sessions
        self._callbacks = callbacks
        self._ext_hook = unpacker.hook
        # Sessions of the refs met while a frame was unpacked.
        self.refs_seen: set[str] = set()
        # What calls of one target have in common, as bytes: the target's owner, its name, and a record to run with.
        self._args_at = 0
        self._plans: dict[bytes | memoryview, tuple[Any, str, Running]] = {}
        self._plain = Packer()
        self._packers: dict[str, Packer] = {}
        self._loop: EventLoop | None = None
        self._loop_lock = threading.Lock()
        self._shapes: set[tuple[str, ...]] = set()

    # ------------------------------------------------------------------------------------------------------------------
    # One request
    # ------------------------------------------------------------------------------------------------------------------

    def run(self, request: dict[str, Any]) -> None:
        """Runs a request on the main thread."""
        running = Running(request)
        if not self.gate.begin_on_main(running):
            return
        try:
            body = self._run_timed(running)
        except BaseException as error:
            self.gate.on_main = None
            body = self._failure(running, error)
        self.gate.on_main = None
        if body is not None:
            self._channel.send(body)

    def run_quick(self, frame: bytes | memoryview) -> bool:
        """Runs a call whose like was run before, without decoding its envelope; answers whether it was one.

        The host encodes what calls of one target have in common in the same bytes each time, between the number (always a
        u64, at a fixed place) and the arguments (last). Bytes seen and checked before need not be decoded again.
        """
        if type(frame) is not bytes:
            return False
        at = self._args_at  # where the call before had them: nearly always right
        plan = self._plans.get(frame[_COMMON:at])
        if plan is None:
            at = frame.find(_ARGS, _COMMON) + len(_ARGS)
            plan = self._plans.get(frame[_COMMON:at])
            if plan is None:
                return False
            self._args_at = at
        if not frame.startswith(_HEAD):
            return False
        owner, name, running = plan
        try:
            function = getattr(owner, name)
            args = unpackb(frame[at:], ext_hook=self._ext_hook)
        except (AttributeError, ValueError, WorkerFailure):
            return False  # the general way finds out what is wrong, and whose fault it is
        if self.refs_seen:
            return False  # and it checks that refs belong to the call's session
        number: int = _read_u64(frame, _NUMBER)[0]
        gate = self.gate
        # No lock: the interpreter's own makes each step whole, and `Gate.drop` takes them in the opposite order, so that one
        # of the two sees the other. Builds without that lock do not come here.
        running.id = number
        gate.on_main = running
        gate.last = number
        if gate.dropped and gate.was_dropped(number):
            gate.on_main = None
            return True
        try:
            value = function(*args)
            if type(value) in _INLINE:
                gate.on_main = None
                body = _SUCCESS_HEAD + frame[_NUMBER - 1 : _COMMON] + _SUCCESS_TAIL + packb(value)
            else:
                if type(value) is CoroutineType:
                    running = self._replace(running)  # it outlives this turn, and the plan's is used again
                reply = self._reply(running, value, None)
                gate.on_main = None
                if reply is None:
                    return True
                body = reply
        except BaseException as error:
            gate.on_main = None
            running = self._replace(running)
            running.payload["args"] = args
            body = self._failure(running, error)
        self._channel.send(body)
        return True

    def _replace(self, running: Running) -> Running:
        """The same call with a record of its own, in place of the one that its plan lends to each call."""
        request = {**running.request, "id": running.id, "payload": {**running.payload}}
        own = Running(request)
        with self.gate.lock:
            if running.cancelled:
                own.cancel(own.id)
            if self.gate.on_main is running:
                self.gate.on_main = own
        return own

    def learn(self, frame: bytes | memoryview, request: dict[str, Any]) -> None:
        """Remembers the common bytes of a plain function call, for ``run_quick``."""
        payload = request["payload"]
        if type(frame) is not bytes or tuple(payload) != _PLAIN or tuple(request) != _ENVELOPE:
            return
        if not frame.startswith(_HEAD) or len(self._plans) >= _MAX_PLANS or request["tag"] != "snakebridge.call":
            return
        if type(payload["python_module"]) is not str or type(payload["function"]) is not str:
            return
        place = self._resolver.place(payload["python_module"], payload["function"])
        if place is None or payload["payload_version"] != PAYLOAD_VERSION:
            return  # it failed: its next call is to fail the same way
        # No text in the envelope can hold these bytes: 0xa4 begins no character in UTF-8.
        at = frame.find(_ARGS, _COMMON) + len(_ARGS)
        common = {**request, "payload": {key: value for key, value in payload.items() if key != "args"}}
        self._plans[frame[_COMMON:at]] = (*place, Running(common))

    def run_beside(self, request: dict[str, Any]) -> None:
        """Runs a request on a thread of its own."""
        running = Running(request)
        running.thread = threading.get_ident()
        if not self.gate.begin(running):
            return
        current.set(running)
        try:
            body = self._run_timed(running)
        except BaseException as error:
            body = self._failure(running, error)
        current.set(None)
        if body is not None:
            self.gate.end(running)
            self._channel.send(body)

    def _run_timed(self, running: Running) -> bytes | None:
        began = perf_counter_ns()
        value = self._invoke(running.payload)
        return self._reply(running, value, began if running.request.get("sampled") else None)

    def _reply(self, running: Running, value: Any, began: int | None) -> bytes | None:
        """The reply that carries the value; None when the event loop goes on with the call."""
        kind = type(value)
        if running.request["tag"] == "snakebridge.stream":
            if kind is CoroutineType or kind is AsyncGeneratorType or hasattr(value, "__aiter__"):
                self._park(running, self._stream_async(running, value))
                return None
            self._stream(running, value)
            value = None
        elif kind is CoroutineType:
            self._park(running, self._await(running, value))
            return None
        elif running.payload.get("call_type") == "iterate":
            value = list(value)
        elif running.payload.get("result") == "ref" or running.payload.get("call_type") == "class":
            value = self._keep(running.payload, value)
        reply: dict[str, Any] = {
            "_tag": "Exit",
            "requestId": running.id,
            "exit": {"_tag": "Success", "value": value},
        }
        if began is not None:
            reply["pythonMicros"] = (perf_counter_ns() - began) // 1000
        self.gate.on_main = None
        body = self.packer(running.payload.get("session_id")).pack(reply)
        if len(body) > self._limit:
            raise too_large(value, len(body), self._limit, "result")
        return body

    def _failure(self, running: Running, error: BaseException) -> bytes:
        reason: dict[str, Any]
        if isinstance(error, CallCancelled) or (running.cancelled and isinstance(error, GeneratorExit)):
            reason = {"_tag": "Interrupt", "fiberId": None}
        elif isinstance(error, WorkerFailure):
            reason = {"_tag": "Fail", "error": error.to_error()}
        else:
            if isinstance(error, MemoryError):
                # what used up the memory hangs on the frames that failed, and describing the error takes some too
                release_frames(error)
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
        shape = tuple(payload)
        if shape not in self._shapes:
            self._check_fields(shape)
        if payload["payload_version"] != PAYLOAD_VERSION:
            raise ProtocolError(
                f"payload_version {payload['payload_version']!r} is not known here; this worker speaks {PAYLOAD_VERSION}"
            )
        call_type = payload.get("call_type", "function")
        args = payload.get("args", _NO_ARGS)
        if call_type == "function":
            function = self._resolver.target(payload.get("python_module", "builtins"), payload["function"])
            if "kwargs" in payload:
                return function(*args, **payload["kwargs"])
            return function(*args)
        kwargs = payload.get("kwargs", _NO_KWARGS)
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

    def _check_fields(self, shape: tuple[str, ...]) -> None:
        unknown = sorted(set(shape) - _FIELDS)
        if unknown:
            raise ProtocolError(f"unknown payload fields: {', '.join(unknown)}; known: {', '.join(sorted(_FIELDS))}")
        if "payload_version" not in shape:
            raise ProtocolError(f"payload_version is missing; this worker speaks {PAYLOAD_VERSION}")
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes.add(shape)

    def _item(self, _payload: dict[str, Any], instance: Any, args: list[Any]) -> Any:
        if len(args) == 1:
            return instance[args[0]]
        if len(args) == 2:
            instance[args[0]] = args[1]
            return None
        raise ProtocolError(f"call_type 'item' takes a key, or a key and a value; got {len(args)} arguments")

    def _iterate(self, payload: dict[str, Any], instance: Any, _args: list[Any]) -> Any:
        return instance

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
                if len(body) > self._limit:
                    raise too_large(value, len(body), self._limit, f"result[{index}]")
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
            if len(body) > self._limit:
                raise too_large(value, len(body), self._limit, f"result[{index}]")
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
        running = self.gate.find(request_id)
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
        self.gate.move(running)
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
            if len(body) > self._limit:
                raise too_large(value, len(body), self._limit, "result")
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
        running = self.gate.cancel(request_id)
        if running is not None:
            self._release_credit(running)
            if running.task is not None and self._loop is not None:
                self._loop.call(running.task.cancel)
        return False

    def stop(self, request_id: int) -> bool:
        """Raises ``CallCancelled`` inside a running call; answers whether it was running."""
        running = self.gate.cancel(request_id)
        if running is None:
            return False
        if running.task is not None:
            if self._loop is not None:
                self._loop.call(running.task.cancel)
        elif running.thread == 0:
            import signal

            # the handler looks again, on the main thread itself, whether this call is still the one that runs
            self._stopping = request_id
            signal.pthread_kill(self._main_thread, signal.SIGUSR1)
        else:
            import ctypes

            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(running.thread), ctypes.py_object(CallCancelled))
        return True

    _stopping = 0
    _main_thread = threading.main_thread().ident or 0

    def on_signal(self, _signal: int, _frame: object) -> None:
        """Runs on the main thread between two bytecodes, or inside a system call that the signal interrupted."""
        running = self.gate.on_main
        if running is not None and running.id == self._stopping:
            raise CallCancelled("the caller went away")


def too_large(value: object, size: int, limit: int, path: str) -> UnserializableResult:
    """The failure of a value that makes its message larger than a frame may be."""
    reason = (
        f"it takes {size} bytes, and a frame has at most maxFrameBytes = {limit}; "
        "send less, stream it, or raise `maxFrameBytes` of the pool"
    )
    return UnserializableResult(path, type_name(type(value)), bounded_repr(value), reason)


_INSTANCE_CALLS: dict[str, Any] = {
    "method": None,
    "get_attr": None,
    "set_attr": None,
    "item": Execution._item,
    "iterate": Execution._iterate,
    "enter": Execution._enter,
    "exit": Execution._exit,
}
