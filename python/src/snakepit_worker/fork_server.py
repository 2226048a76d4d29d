"""The fork server: has imported the worker and what ``preload`` names, and forks workers from itself.

One worker is forked ahead. It listens, has copied the pages that it will write to, and waits for its boot
configuration, so that little is left to do once it is asked for. It belongs to the server, and is in its process group,
until then. The next is forked when it is up, and not while it needs the processor.

Forking is safe here because of what this process does not do: it starts no thread, opens no connection to the host but
the boot channel, and refuses to preload modules that start threads. A forked worker begins with fresh random state,
default signal handlers, and none of the server's sockets. Partner of ``forkServer.ts``.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys

from .control import ControlThread
from .lifeline import hold_to
from .worker import BOOT_FD, LIFELINE_FD, listen, rehearse, remove, run_forked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_SIGNALS = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)
_ORDER_BYTES = 4_096


def main() -> None:
    """Serves forks until the host closes the boot channel."""
    lifeline = socket.socket(fileno=LIFELINE_FD)
    hold_to(lifeline)
    Server(socket.socket(fileno=BOOT_FD), lifeline).serve()


class Spare:
    """A worker that was forked ahead, as the server sees it."""

    def __init__(self, pid: int, path: str, line: socket.socket) -> None:
        self.pid = pid
        self.path = path
        # it closes its end when it is up
        self.line = line

    def close(self) -> None:
        """Clears away what one that has died before it was asked for leaves behind."""
        self.line.close()
        remove(self.path)


class Server:
    """Reads commands, forks, reports pids and exits."""

    def __init__(self, pipe: socket.socket, lifeline: socket.socket) -> None:
        self._pipe = pipe
        self._inherited = [lifeline]
        self._rest = b""
        self._environment: dict[str, str] = {}
        self._directory = ""
        self._openblas: list[str] = []
        self._pid = os.getpid()
        self._spare: Spare | None = None
        # what tells that workers which were asked for are up, or have ended
        self._rising: list[socket.socket] = []

    def serve(self) -> None:
        """Runs until the boot channel closes."""
        options = self._read_line()
        if options is None:
            return
        self._environment = options["environment"]
        self._directory = options["directory"]
        for path in reversed(options["python_path"]):
            sys.path.insert(0, path)
        refusal = preload(options["preload"])
        if refusal is not None:
            self._report({"refused": refusal})
            return
        if "numpy" in sys.modules:
            from . import arrays  # noqa: F401  # what a worker would import with its first array
        rehearse()
        # looked for here and once: what a worker reads of its maps are pages that it copies
        self._openblas = openblas_libraries()
        # What has been imported moves out of the collector's sight: a collection in a worker does not copy its pages.
        # There is none here before: what it frees are holes in these pages, and workers would fill them.
        gc.freeze()
        # a handler has to be there for the wakeup descriptor to be written to
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # nor may a preloaded module keep signals from the server or its workers
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        waker, wakeup = socket.socketpair()
        waker.setblocking(False)
        wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        self._inherited += [waker, wakeup]
        self._report({"ready": True})
        self._fork_ahead()
        while True:
            readable, _, _ = select.select([self._pipe, waker, *self._rising], [], [])
            if waker in readable:
                waker.recv(4096)
                self._reap()
            if self._pipe in readable:
                data = self._pipe.recv(65536)
                if not data:
                    return
                self._rest += data
                while b"\n" in self._rest:
                    line, self._rest = self._rest.split(b"\n", 1)
                    self._fork(line)
            for risen in [end for end in self._rising if end in readable]:
                self._rising.remove(risen)
                risen.close()
                # not when one has died while it waited: what killed it may kill the next
                if not self._rising and self._spare is None:
                    self._fork_ahead()

    def _fork(self, command: bytes) -> None:
        head, boot = command.split(b"\t", 1)
        number: int = json.loads(head)["fork"]
        try:
            spare = self._start(boot + b"\n")
        except OSError as error:
            self._report({"forked": number, "failed": f"{type(error).__name__}: {error}"})
            return
        self._rising.append(spare.line)
        try:
            os.setpgid(spare.pid, spare.pid)
        except OSError:
            pass  # the worker was faster, or has ended
        self._report({"forked": number, "pid": spare.pid, "socket": spare.path})

    def _start(self, order: bytes) -> Spare:
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                spare.line.sendall(order)
                return spare
            except OSError:
                spare.close()
                os.waitpid(spare.pid, 0)  # it has died, and the host has never heard of it
        spare = self._fork_spare()
        spare.line.sendall(order)
        return spare

    def _fork_ahead(self) -> None:
        try:
            self._spare = self._fork_spare()
        except OSError:
            return  # too many processes: the next command tries again, and reports it
        self._report({"ahead": self._spare.path})

    def _fork_spare(self) -> Spare:
        path = f"{self._directory}/{os.urandom(6).hex()}.sock"
        listener = listen(path)
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            for end in (listener, ours, theirs):
                end.close()
            remove(path)
            raise
        if pid > 0:
            listener.close()
            theirs.close()
            return Spare(pid, path, ours)
        status = 1
        try:
            ours.close()
            self._become_worker()
            self._wait(path, listener, theirs)
            status = 0
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 1
            if isinstance(exit.code, str):
                print(exit.code, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            flush_and_leave(status)

    def _wait(self, path: str, listener: socket.socket, line: socket.socket) -> None:
        """Runs a worker once its boot configuration has come; ends with the server before that."""
        rehearse()
        thread = ControlThread()
        order = b""
        while not order.endswith(b"\n"):
            more = line.recv(_ORDER_BYTES)
            if not more:
                remove(path)
                os._exit(0)  # nothing of it has run that exit functions of preloaded modules would be for
            order += more
        try:
            os.setpgid(0, 0)
        except OSError:
            pass  # the server was faster
        run_forked({**json.loads(order), "socket": path}, listener, self._pid, thread, line.close)

    def _become_worker(self) -> None:
        """Leaves behind what is the server's."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._pipe.close()
        for end in (*self._inherited, *self._rising):
            end.close()
        reset_after_fork(self._environment, self._openblas)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._spare is not None and pid == self._spare.pid:
                self._spare.close()
                self._spare = None
            elif os.WIFSIGNALED(status):
                self._report({"exited": pid, "code": None, "signal": os.WTERMSIG(status)})
            else:
                self._report({"exited": pid, "code": os.waitstatus_to_exitcode(status), "signal": None})

    def _read_line(self) -> dict[str, Any] | None:
        while b"\n" not in self._rest:
            data = self._pipe.recv(65536)
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        options: dict[str, Any] = json.loads(line)
        return options

    def _report(self, message: dict[str, Any]) -> None:
        self._pipe.sendall(json.dumps(message).encode() + b"\n")


def preload(modules: list[str]) -> str | None:
    """Imports modules into the server; answers why one cannot be there, or None."""
    import importlib

    for name in modules:
        before = thread_count()
        try:
            importlib.import_module(name)
        except BaseException as error:
            import traceback

            return f"preload: {name!r} does not import:\n{''.join(traceback.format_exception(error)).rstrip()}"
        if thread_count() > before:
            started = f"started {thread_count() - before} thread(s) when it was imported, and threads"
            return f"preload: {name!r} {started} do not survive a fork; take it out of `preload`"
        if gpu_is_open():
            opened = "opened a GPU when it was imported, and its context"
            return f"preload: {name!r} {opened} does not survive a fork; take it out of `preload`"
    return None


def thread_count() -> int:
    """Threads of this process, native ones too."""
    return len(os.listdir("/proc/self/task"))


def gpu_is_open() -> bool:
    """Whether this process holds a descriptor of an NVIDIA or AMD GPU."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith(("/dev/nvidia", "/dev/kfd")):
            return True
    return False


def reset_after_fork(environment: dict[str, str], openblas: list[str]) -> None:
    """Gives a forked worker its variables, random numbers and numeric threads of its own; `openblas` are the libraries.

    ``random`` reseeds itself; numpy's global generator does not. Generators that a preloaded module made for itself are
    its own business, and the guide says so.
    """
    os.environ.update(environment)
    # `numpy.random` is imported on first use; where it was not, a worker's own import seeds it
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "")
    if openblas and threads.isdecimal() and int(threads) > 1:
        set_openblas_threads(openblas, int(threads))


def openblas_libraries() -> list[str]:
    """Paths of the OpenBLAS libraries in this process."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return sorted({line.split(maxsplit=5)[5].strip() for line in maps if "openblas" in line})


def set_openblas_threads(paths: list[str], threads: int) -> None:
    """Tells OpenBLAS libraries that were loaded with one thread how many they may use now."""
    import ctypes

    for path in paths:
        library = ctypes.CDLL(path)
        for symbol in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads"):
            if hasattr(library, symbol):
                getattr(library, symbol)(threads)
                break


def flush_and_leave(status: int) -> NoReturn:
    """Ends a forked worker: it must not unwind into the server's main loop."""
    import atexit

    try:
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # nobody reads it any more, or user code has closed it
    os._exit(status)


if __name__ == "__main__":
    main()
