"""The fork server's own parts: what it refuses to preload, and what a forked worker begins with."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ormsgpack import packb, unpackb

from package_path import ENVIRONMENT
from snakepit_worker.control import ControlThread
from snakepit_worker.fork_server import preload, thread_count
from snakepit_worker.worker import listen, run_forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forking is for Linux only")


class Client:
    """Speaks to a fork server as the host does."""

    def __init__(self, directory: Path, options: dict[str, Any] | None = None) -> None:
        boot, boot_peer = socket.socketpair()
        self.lifeline, lifeline_peer = socket.socketpair()
        with boot_peer, lifeline_peer:
            # the server expects the two on fixed descriptors, as the host hands them over
            given = (boot_peer.fileno(), lifeline_peer.fileno())
            code = (
                f"import os; spare = [os.dup(given) for given in {given}]; "
                "os.closerange(3, min(spare)); [os.dup2(end, place) for end, place in zip(spare, (3, 4))]; "
                "from snakepit_worker import fork_server; fork_server.main()"
            )
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], pass_fds=given, start_new_session=True, env=ENVIRONMENT
            )
        boot.settimeout(10)
        self.boot = boot
        self._lines = boot.makefile("r", encoding="utf-8")
        common = {"directory": str(directory), "preload": [], "python_path": [], "environment": {}}
        self._send({**common, **(options or {})})

    def fork(self, number: int, boot: dict[str, Any]) -> None:
        """Asks for a worker."""
        self._send({"fork": number}, boot)

    def _send(self, *parts: dict[str, Any]) -> None:
        self.boot.sendall("\t".join(map(json.dumps, parts)).encode() + b"\n")

    def read(self) -> Any:
        """The next report of what was asked for, or of an end."""
        while "ahead" in (report := json.loads(self._lines.readline())):
            pass
        return report

    def read_ahead(self) -> str:
        """Where the next worker listens that is forked ahead."""
        while "ahead" not in (report := json.loads(self._lines.readline())):
            pass
        path: str = report["ahead"]
        return path

    def close(self) -> None:
        """Cuts the lifeline, which ends the server."""
        for end in (self.lifeline, self._lines, self.boot):
            end.close()
        self.process.wait(timeout=5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Client]:
    """A server that has nothing preloaded."""
    client = Client(tmp_path)
    assert client.read() == {"ready": True}
    yield client
    client.close()


def boot(seconds: float = 60) -> dict[str, Any]:
    """A worker's boot configuration, and how long it waits for the host to connect."""
    return {
        "token": "t",
        "worker": "w",
        "profile": "process",
        "environment": {},
        "max_frame_bytes": 1024,
        "allow_private": False,
        "memory_limit_bytes": None,
        "python_path": [],
        "start_timeout_seconds": seconds,
    }


def test_a_fork_is_reported_with_its_process_and_so_is_its_end(server: Client) -> None:
    server.fork(7, boot(0.2))
    forked = server.read()
    assert forked["forked"] == 7
    # nobody connects to it, so it leaves
    assert server.read() == {"exited": forked["pid"], "code": 1, "signal": None}


def test_a_worker_that_is_killed_is_reported_with_the_signal(server: Client) -> None:
    server.fork(1, boot())
    pid = server.read()["pid"]
    os.kill(pid, 9)
    assert server.read() == {"exited": pid, "code": None, "signal": 9}


def test_a_forked_worker_leads_a_process_group_of_its_own(server: Client) -> None:
    server.fork(1, boot())
    pid = server.read()["pid"]
    assert os.getpgid(pid) == pid
    os.kill(pid, 9)


def has_ended(process: int) -> bool:
    """Whether the process of a descriptor, which is closed, ends soon."""
    ended, _, _ = select.select([process], [], [], 5)
    os.close(process)
    return bool(ended)


def spares(server: Client) -> list[int]:
    """The worker that was forked ahead, once it is there: the server's child in its own process group."""

    def found() -> list[int]:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if os.getpgid(pid) == server.process.pid]

    deadline = time.monotonic() + 5
    while not found():
        assert time.monotonic() < deadline
    return found()


def greet(path: str) -> list[socket.socket]:
    """Opens the channels of a worker as the host does."""
    connections = []
    for name in ("data", "control", "stdout", "stderr", "lifeline"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(path)
        payload = {"protocol_version": 1, "token": "t", "channel": name}
        body = packb({"_tag": "Request", "id": 0, "tag": "snakepit.hello", "payload": payload, "headers": []})
        connection.sendall(len(body).to_bytes(4, "little") + body)
        connections.append(connection)
    return connections


def test_one_worker_is_forked_ahead_and_lets_the_host_in_that_connects_before_it_asks(server: Client) -> None:
    path = server.read_ahead()
    (spare,) = spares(server)
    connections = greet(path)
    server.fork(1, boot())
    assert server.read() == {"forked": 1, "pid": spare, "socket": path}
    data = connections[0]
    greeting = unpackb(data.recv(4096)[4:])
    assert greeting["exit"]["value"]["pid"] == spare
    for connection in connections:
        connection.close()


def test_the_next_is_forked_ahead_when_the_one_that_was_asked_for_is_up(server: Client) -> None:
    path = server.read_ahead()
    (spare,) = spares(server)
    server.fork(1, boot())
    assert server.read()["pid"] == spare
    # it waits for the host, and the server for it
    readable, _, _ = select.select([server.boot], [], [], 0.1)
    assert readable == []
    connections = greet(path)
    assert server.read_ahead() != path
    assert spares(server) != [spare]
    for connection in connections:
        connection.close()


def test_the_next_is_forked_ahead_also_when_the_one_that_was_asked_for_never_comes_up(server: Client) -> None:
    path = server.read_ahead()
    server.fork(1, boot())
    os.kill(server.read()["pid"], 9)
    assert server.read_ahead() != path


def test_a_worker_that_was_forked_ahead_and_has_died_is_made_up_for(server: Client) -> None:
    path = server.read_ahead()
    (spare,) = spares(server)
    process = os.pidfd_open(spare)
    os.kill(spare, 9)
    assert has_ended(process)
    server.fork(1, boot())
    forked = server.read()
    assert forked["pid"] != spare
    assert forked["socket"] != path
    assert not Path(path).exists()
    os.kill(forked["pid"], 9)
    # the end of a process that the host has never heard of is not told
    assert server.read() == {"exited": forked["pid"], "code": None, "signal": 9}


def test_a_worker_that_was_forked_ahead_ends_with_its_server(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.read() == {"ready": True}
    (spare,) = spares(client)
    process = os.pidfd_open(spare)
    client.process.kill()
    client.close()
    assert has_ended(process)


def test_a_worker_whose_server_dies_before_the_host_connects_leaves_no_socket(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.read() == {"ready": True}
    client.fork(1, boot())
    forked = client.read()
    worker = os.pidfd_open(forked["pid"])
    client.process.kill()
    client.close()
    assert has_ended(worker)
    assert not Path(forked["socket"]).exists()


def test_a_worker_whose_server_died_at_once_does_not_wait_for_the_host(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    died = 0  # no process has this number, so no parent has
    thread = ControlThread()
    with pytest.raises(SystemExit, match="has died"):
        run_forked({**boot(), "socket": path}, listen(path), died, thread, lambda: None)
    thread.run(lambda: None)


def test_a_module_that_blocks_signals_hides_no_ends_from_the_server(tmp_path: Path) -> None:
    (tmp_path / "with_mask.py").write_text(
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})\n"
    )
    client = Client(tmp_path, {"preload": ["with_mask"], "python_path": [str(tmp_path)]})
    assert client.read() == {"ready": True}
    client.fork(1, boot(0.2))
    forked = client.read()
    assert client.read() == {"exited": forked["pid"], "code": 1, "signal": None}
    client.close()


def test_a_fork_that_cannot_listen_fails_and_the_server_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    client = Client(folder)
    assert client.read() == {"ready": True}
    client.fork(1, boot())
    failed = client.read()
    assert failed["forked"] == 1
    assert "FileNotFoundError" in failed["failed"]
    folder.mkdir()
    client.fork(2, boot(0.2))
    assert "pid" in client.read()
    client.close()


def test_the_server_refuses_what_does_not_import(tmp_path: Path) -> None:
    client = Client(tmp_path, {"preload": ["no_such_module"]})
    refused = client.read()["refused"]
    client.close()
    assert refused.startswith("preload: 'no_such_module' does not import:")
    assert "ModuleNotFoundError" in refused


def test_a_module_that_starts_threads_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_thread.py").write_text(
        "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    before = thread_count()
    refusal = preload(["with_thread"])
    sys.modules["with_thread"].stop.set()
    assert refusal is not None
    assert refusal.startswith("preload: 'with_thread' started 1 thread(s)")
    assert before >= 1


def test_a_module_without_threads_is_taken() -> None:
    assert preload(["fractions", "json"]) is None
