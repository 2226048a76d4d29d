"""The engine: runs one request from its frame, or from what was decoded of it, to its reply.

A call runs on the thread that handles it: the main thread in the ``process`` profile, one of several in the ``thread``
profile. Only ``async def`` targets, other awaitables and async generators move to the event loop; the host is told
(``snakepit.parked``), since the thread is free again.

``gate`` decides which calls run and stops them, ``invocation`` does what a payload asks for, ``streams`` sends items,
``outbox`` packs and sends.
"""

from __future__ import annotations

import threading

# what `operator.attrgetter` is
from _operator import attrgetter
from struct import Struct
from time import perf_counter_ns

from ormsgpack import Ext, packb, unpackb

from . import storage
from .arrivals import are_possible, settle
from .context import current
from .control import give_up
from .errors import CallCancelled, WorkerFailure
from .gate import NO_THREAD, Running
from .invocation import PAYLOAD_VERSION, Invoker
from .outbox import notification
from .shared_memory import SharedMemory
from .streams import send_items, send_items_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .callbacks import Callbacks
    from .event_loop import EventLoop
    from .gate import Gate
    from .outbox import Outbox
    from .resolve import Place, Resolver
    from .sessions import Sessions
    from .shared_memory import View
    from .values import Unpacker

_REF = 15

# A request as the host writes it: a map of five, `id` first as a u64; `run_quick` compares and cuts at these places.
_HEAD = b"\x85\xa2id\xcf"
_NUMBER = len(_HEAD)
_COMMON = _NUMBER + 8
_ARGS = b"\xa4args"
_ENVELOPE = ("id", "_tag", "tag", "headers", "payload")
_PLAIN = ("payload_version", "library", "python_module", "function", "args")
_MAX_PLANS = 4096
_read_head = Struct(f">{_NUMBER}sQ").unpack_from

# An `Exit` with a success around its number and its value, as `packb` would spell it but for the number, a u64.
_SUCCESS_HEAD = b"\x83\xa4_tag\xa4Exit\xa9requestId"
_SUCCESS_TAIL = b"\xa4exit\x82\xa4_tag\xa7Success\xa5value"

# Types whose values MessagePack carries as they are, whatever the value; integers may be too large, text may hold
# surrogates.
_INLINE = frozenset({type(None), bool, float})

# Types whose instances are nothing to wait for, known without a look at their attributes.
_SETTLED = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})


class Execution:
    """Runs requests; shared by all threads of a worker."""

    def __init__(
        self,
        gate: Gate,
        resolver: Resolver,
        sessions: Sessions,
        callbacks: Callbacks,
        unpacker: Unpacker,
        outbox: Outbox,
    ) -> None:
        self.gate = gate
        self._resolver = resolver
        self._invoker = Invoker(resolver)
        self._sessions = sessions
        self._callbacks = callbacks
        self._ext_hook = unpacker.hook
        self._outbox = outbox
        # Sessions of the refs met while a frame was unpacked.
        self.refs_seen: set[str] = set()
        # What the arguments of a call look at in shared memory, by the number of the call.
        self.views: dict[int, list[View]] = {}
        # What calls of one target have in common, as bytes: its place, what reads it there, and a record to run with.
        self._plans: dict[bytes | memoryview, tuple[Place, Callable[[Any], Any], Running]] = {}
        # Where the args of the call before began, which is nearly always right for the next.
        self._args_at = 0
        self._loop: EventLoop | None = None
        self._loop_lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------------------------
    # One request
    # ------------------------------------------------------------------------------------------------------------------

    def run(self, request: dict[str, Any]) -> None:
        """Runs a request on the main thread."""
        running = Running(request)
        try:
            # inside, since from here on the call can be stopped
            if not self.gate.begin_on_main(running):
                self.views.pop(running.id, None)
                return
            body = self._run(running)
        except BaseException as error:
            running.shielded = True
            body = self._outbox.failure(running, error)
        self.gate.on_main = None
        if body is not None:
            self._reply(running, body)

    def run_beside(self, request: dict[str, Any]) -> None:
        """Runs a request on a thread other than the main one, which is the call's until it returns."""
        running = Running(request)
        running.thread = threading.get_ident()
        try:
            if not self.gate.begin(running):
                self.views.pop(running.id, None)
                return
            current.set(running)
            body = self._run(running)
        except BaseException as error:
            running.shielded = True
            body = self._outbox.failure(running, error)
        current.set(None)
        if body is None:
            return
        try:
            self._reply(running, body)
        except OSError:
            pass  # the connection is gone, which its reader sees too
        self.gate.end(running)

    def _reply(self, running: Running, body: bytes) -> None:
        """Sends the `Exit` of a call, which says which of the shared bytes that it was given are still looked at."""
        if self.views:
            payload = running.payload
            for name in ("args", "kwargs"):
                if name in payload:
                    payload[name] = type(payload[name])()  # what nobody else has kept dies here
            body = self._with_kept(running.id, body)
        self._outbox.send(body)
        if (memory := storage.memory) is not None and memory.dead:
            self.flush_released()

    def _with_kept(self, request_id: int, body: bytes) -> bytes:
        views = self.views.pop(request_id, None)
        kept = None if views is None else SharedMemory.keep(views)
        if not kept:
            return body
        # one more entry behind those of the map: a map of fewer than 15 has its size in the low bits of the first byte
        return bytes((body[0] + 1,)) + body[1:] + packb("kept") + packb(kept)

    def flush_released(self) -> None:
        """Tells the host which of the shared bytes that were kept are not used any more."""
        memory = storage.memory
        regions = [] if memory is None else memory.released()
        if regions:
            self._outbox.send(notification("snakepit.released", {"regions": regions}))

    def run_quick(self, frame: bytes | memoryview) -> bool:
        """Runs a call whose like was run before, without decoding its envelope; answers whether it was one.

        The host encodes what calls of one target have in common in the same bytes each time, between the number (always
        a u64, at a fixed place) and the arguments (last). Bytes seen and checked before need not be decoded again.
        """
        if type(frame) is not bytes:
            return False
        at = self._args_at
        plan = self._plans.get(frame[_COMMON:at])
        if plan is None:
            at = frame.find(_ARGS, _COMMON) + len(_ARGS)
            plan = self._plans.get(frame[_COMMON:at])
            if plan is None:
                return False
            self._args_at = at
        head, number = _read_head(frame)
        if head != _HEAD:
            return False
        place, read, running = plan
        if not place.is_current:
            return False
        try:
            args = unpackb(frame[at:], ext_hook=self._ext_hook)
        except (ValueError, WorkerFailure):
            return False  # the general way finds out what is wrong, and whose fault it is
        memory = storage.memory
        if memory is not None and (views := memory.take_views()):
            self.views[number] = views
        if self.refs_seen or type(args) is not list:
            self.views.pop(number, None)
            return False  # and it checks that refs belong to the call's session
        gate = self.gate
        try:
            # No lock: the interpreter's own makes each step whole, and `Gate.drop` takes them in the opposite order, so
            # that one of the two sees the other. Builds without that lock do not come here.
            running.id = number
            running.shielded = False
            gate.on_main = running
            gate.last = number
            if gate.refusing and gate.refuses(number):
                gate.on_main = None
                self.views.pop(number, None)
                return True
            try:
                # part of the call: what is inside a module may be properties
                try:
                    function = read(place.module)
                except AttributeError:
                    function = self._resolver.target(running.payload["python_module"], running.payload["function"])
                if are_possible():
                    args, _ = settle(function, args, {})
                value = function(*args)
            finally:
                running.shielded = True
            kind = type(value)
            if kind in _INLINE:
                body = _SUCCESS_HEAD + frame[_NUMBER - 1 : _COMMON] + _SUCCESS_TAIL + packb(value)
            elif kind in _SETTLED or not hasattr(kind, "__await__"):
                body = self._outbox.success(running, value, None)
            else:
                # it outlives this turn, and the plan's record is used again
                own = self._own(running, args)
                gate.on_main = own
                if running.cancelled:
                    own.cancel(number)
                reply = self._park(own, self._settle, value)
                gate.on_main = None
                if reply is None:
                    return True
                body = reply
        except BaseException as error:
            running.shielded = True
            # lent to the record until the failure is described
            running.payload["args"] = args
            body = self._outbox.failure(running, error)
            del running.payload["args"]
        gate.on_main = None
        if memory is not None and (self.views or memory.dead):
            value = args = None
            body = self._with_kept(number, body)
            self._outbox.send(body)
            self.flush_released()
            return True
        self._outbox.send(body)
        return True

    def _own(self, running: Running, args: list[Any]) -> Running:
        """The same call with a record of its own, in place of the one that its plan lends to each call."""
        own = Running({**running.request, "id": running.id, "payload": {**running.payload, "args": args}})
        own.shielded = True
        return own

    def learn(self, frame: bytes | memoryview, request: dict[str, Any]) -> None:
        """Remembers the common bytes of a plain function call, for ``run_quick``."""
        payload = request["payload"]
        if type(frame) is not bytes or tuple(payload) != _PLAIN or tuple(request) != _ENVELOPE:
            return
        if not frame.startswith(_HEAD) or len(self._plans) >= _MAX_PLANS or request["tag"] != "snakebridge.call":
            return
        if request["headers"] or payload["payload_version"] != PAYLOAD_VERSION:
            return
        names = [payload["library"], payload["python_module"], payload["function"]]
        # In ASCII, `_ARGS` is nowhere but at the field's own name.
        if not all(type(name) is str and name.isascii() for name in names):
            return
        place = self._resolver.place(payload["python_module"], payload["function"])
        if place is None:
            return  # it failed: its next call is to fail the same way
        at = frame.find(_ARGS, _COMMON) + len(_ARGS)
        common = {**request, "payload": {key: value for key, value in payload.items() if key != "args"}}
        self._plans[frame[_COMMON:at]] = (place, attrgetter(".".join(place.names)), Running(common))

    def _run(self, running: Running) -> bytes | None:
        """The reply of a call that may be stopped while the target runs; None when the event loop goes on with it."""
        payload = running.payload
        is_stream = running.request["tag"] == "snakebridge.stream"
        began = perf_counter_ns()
        try:
            value = self._invoker.invoke(payload)
            call_type = payload.get("call_type")
            kind = type(value)
            # a call of a class is about the object; anything else that can be awaited is a promise of the result
            waits = kind not in _SETTLED and call_type != "class" and hasattr(kind, "__await__")
            iterates_async = not waits and (is_stream or call_type == "iterate") and hasattr(kind, "__aiter__")
            if not waits and not iterates_async:
                if is_stream:
                    send_items(running, value, self._outbox, self.gate)
                    value = None
                elif call_type == "iterate":
                    value = list(value)
        finally:
            if running.request.get("sampled"):
                running.micros = (perf_counter_ns() - began) // 1000
            self.gate.leave(running)
        if is_stream and (waits or iterates_async):
            return self._park(running, self._stream, value)
        if waits or iterates_async:
            return self._park(running, self._settle, value)
        if not is_stream:
            value = self._kept(payload, value)
        return self._outbox.success(running, value, running.micros)

    def _kept(self, payload: dict[str, Any], value: object) -> object:
        """The ref of a result that stays in Python; any other result itself."""
        if payload.get("result") == "ref" or payload.get("call_type") == "class":
            return Ext(_REF, packb(list(self._sessions.keep(payload["session_id"], value))))
        return value

    def release(self, session: str, refs: list[int] | None) -> None:
        """Releases refs of a session, or the session."""
        if refs is None:
            self._outbox.forget(session)
        self._sessions.release(session, refs)

    # ------------------------------------------------------------------------------------------------------------------
    # The event loop
    # ------------------------------------------------------------------------------------------------------------------

    def _park(
        self, running: Running, work: Callable[[Running, Any], Coroutine[Any, Any, object]], value: Any
    ) -> bytes | None:
        """Hands the call over to the event loop."""
        loop = self.start_loop()
        self.gate.move(running)
        self._outbox.send(notification("snakepit.parked", {"request_id": running.id}))
        loop.start(self._finish(running, work, value), lambda task: self._ended(running, value, task))
        return None

    def start_loop(self) -> EventLoop:
        """The event loop, which is started by the first call that needs it, or while there is memory for its thread."""
        with self._loop_lock:
            if self._loop is None:
                from .event_loop import EventLoop

                self._loop = EventLoop()
                self._callbacks.loop_thread = self._loop.thread
            return self._loop

    async def _finish(
        self, running: Running, work: Callable[[Running, Any], Coroutine[Any, Any, object]], value: Any
    ) -> None:
        """A task from its first step to its reply."""
        import asyncio

        current.set(running)
        try:
            # A task that is cancelled before its first step never takes it, and would not reply.
            if running.cancelled:
                _close(value)
                raise CallCancelled("the caller went away")
            running.task = asyncio.current_task()
            began = perf_counter_ns()
            try:
                result = await work(running, value)
            finally:
                if running.request.get("sampled"):
                    running.micros = (perf_counter_ns() - began) // 1000
            body = self._outbox.success(running, result, running.micros)
        except asyncio.CancelledError as error:
            # targets also cancel tasks of their own
            stopped = CallCancelled("the caller went away") if running.cancelled else error
            body = self._outbox.failure(running, stopped)
        except BaseException as error:
            body = self._outbox.failure(running, error)
        result = value = None
        running.task = None
        try:
            self._reply(running, body)
        except OSError:
            pass  # the connection is gone, which its reader sees too
        self.gate.end(running)

    def _ended(self, running: Running, value: Any, task: asyncio.Task[None]) -> None:
        """Sees that a call whose task is over was answered."""
        if self.gate.find(running.id) is not running:
            return
        try:
            if not task.cancelled():
                task.result()
            # other code has cancelled it before its first step
            import asyncio

            _close(value)
            self._reply(running, self._outbox.failure(running, asyncio.CancelledError()))
            self.gate.end(running)
        except BaseException as error:
            give_up(error)

    async def _settle(self, running: Running, value: Any) -> object:
        if hasattr(value, "__await__"):
            value = await value
        if running.payload.get("call_type") == "iterate":
            value = [item async for item in value] if hasattr(value, "__aiter__") else list(value)
        return self._kept(running.payload, value)

    async def _stream(self, running: Running, value: Any) -> None:
        await send_items_async(running, value, self._outbox)

    # ------------------------------------------------------------------------------------------------------------------
    # From the control thread
    # ------------------------------------------------------------------------------------------------------------------

    def ack(self, request_id: int) -> None:
        """The host is done with one chunk."""
        running = self.gate.find(request_id)
        if running is not None:
            self._add_credit(running)

    def cancel(self, request_id: int) -> bool:
        """Asks a call to stop. True when it had not begun, and never will."""
        if self.gate.drop(request_id):
            return True
        running = self.gate.cancel(request_id)
        if running is not None:
            self._wake(running)
        return False

    def stop(self, request_id: int) -> bool:
        """Raises ``CallCancelled`` inside a running call; answers whether it was running."""
        running = self.gate.stop(request_id)
        if running is None:
            return False
        self._wake(running)
        if running is self.gate.on_main and running.stopping:
            try:
                threading.Thread(target=self._signal, args=(running,), name="snakepit-stop", daemon=True).start()
            except RuntimeError:
                # no memory for a thread: one signal now, and another when the host asks again
                self._strike(running)
        return True

    def _signal(self, running: Running) -> None:
        """Signals the main thread until its call is struck: a signal that comes just before a system call begins is
        noted, but the system call is not interrupted.
        """
        seconds = 0.01
        while self._strike(running):
            threading.Event().wait(seconds)
            seconds = min(2 * seconds, 1.0)

    def _strike(self, running: Running) -> bool:
        """Signals the main thread if its call is still to be struck; answers whether it was."""
        import signal

        # not to a handler of the target's
        if signal.getsignal(signal.SIGUSR1) != self.gate.on_stop:
            return False
        if self.gate.on_main is not running or not running.stopping:
            return False
        signal.pthread_kill(running.thread, signal.SIGUSR1)
        return True

    def _wake(self, running: Running) -> None:
        """Cancels the task of a call on the event loop; any other sees that it was cancelled when it waits for acks."""
        if running.thread != NO_THREAD:
            self._add_credit(running)
        elif self._loop is not None:
            self._loop.call(lambda: _cancel(running))

    def _add_credit(self, running: Running) -> None:
        credit = running.credit
        if isinstance(credit, threading.Semaphore):
            credit.release()
        elif credit is not None and self._loop is not None:
            self._loop.call(credit.release)


def _cancel(running: Running) -> None:
    """Cancels a task once, however often the host asks: its cleanup may wait for something too."""
    if running.task is not None and not running.struck:
        running.strike()
        running.task.cancel()


def _close(value: Any) -> None:
    """Ends a coroutine that was never begun, which would warn of it otherwise."""
    close = getattr(value, "close", None)
    if close is not None:
        close()
