"""A worker process: how it lets the host in, what targets may do to it, and how it ends."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from ormsgpack import Ext, packb

from host import DEADLINE, Host, Process, call, quick_call, serve, stream

FUNCTION = Ext(16, packb(7))
HERE = str(Path(__file__).parent)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def wait_until_dead(pid: int) -> None:
    while is_alive(pid):  # the deadline of the test bounds it
        os.sched_yield()


# ---- letting the host in -------------------------------------------------------------------------------------------


def test_listens_on_a_socket_of_its_user_until_both_channels_are_open(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        assert process.listening()
        assert stat.S_IMODE(os.stat(process.socket).st_mode) == 0o600
        data = process.connect()
        process.hello(data, "data")
        info = data.value_of(0)
        assert {"protocol_version": 1, "worker": "w-1", "pid": process.process.pid}.items() <= info.items()
        control = process.connect()
        process.hello(control, "control")
        control.value_of(0)
        control.send({"_tag": "Ping"})
        control.take(lambda message: message["_tag"] == "Pong")
        assert not os.path.exists(process.socket)


@pytest.mark.parametrize(
    ("channel", "changes", "reason"),
    [
        ("data", {"token": "a guess"}, "wrong token"),
        ("data", {"token": 5}, "wrong token"),
        ("data", {"protocol_version": 2}, "protocol version 2 is not known here; this worker speaks 1"),
        ("gossip", {}, "channel 'gossip' is unknown or taken"),
    ],
)
def test_turns_strangers_away_and_lets_the_host_in_afterwards(
    tmp_path: Path, channel: str, changes: dict[str, object], reason: str
) -> None:
    with Process(tmp_path) as process:
        assert process.listening()
        stranger = process.connect()
        process.hello(stranger, channel, **changes)
        assert stranger.take(lambda message: message["_tag"] == "Defect")["defect"] == reason
        assert stranger.ends()
        for name in ("data", "control"):
            wire = process.connect()
            process.hello(wire, name)
            wire.value_of(0)


@pytest.mark.parametrize("bodies", [[packb(5)], [packb({})], [b"\xc1"], [packb({"payload": 1})]])
def test_turns_away_what_is_no_hello(tmp_path: Path, bodies: list[bytes]) -> None:
    with Process(tmp_path) as process:
        assert process.listening()
        stranger = process.connect()
        stranger.send_frames(*bodies)
        assert "snakepit.hello" in stranger.take(lambda message: message["_tag"] == "Defect")["defect"]


def test_gives_up_when_nobody_connects(tmp_path: Path) -> None:
    with Process(tmp_path, start_timeout_seconds=0.05) as process:
        code, _, err = process.end()
        assert code == 1
        assert "did not connect within 0.05 s" in err
        assert not os.path.exists(process.socket)


def test_gives_up_when_the_host_is_gone_before_it_sent_a_configuration(tmp_path: Path) -> None:
    with Process(tmp_path, python_path=[]) as process:
        process.process.kill()
        process.end()
    import socket
    import subprocess
    import sys

    from host import SOURCE

    ours, theirs = socket.socketpair()
    program = f"import os; os.dup2({theirs.fileno()}, 3); from snakepit_worker.worker import main; main()"
    with theirs:
        ours.close()
        done = subprocess.run(
            [sys.executable, "-c", program],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert "before it sent a configuration" in done.stderr


# ---- leaving -------------------------------------------------------------------------------------------------------


def test_leaves_on_shutdown_with_its_exit_handlers(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:say_goodbye"))
        host.data.value_of(1)
        assert host.ask("snakepit.shutdown") is None
        code, out, err = process.end()
        assert (code, out, err) == (0, "goodbye\n", "")


@pytest.mark.parametrize("profile", ["process", "thread"])
@pytest.mark.parametrize("name", ["wait_for", "wait_for_async"])
def test_lets_the_running_call_finish_and_begins_no_other(tmp_path: Path, profile: str, name: str) -> None:
    with Process(tmp_path, profile=profile) as process:
        host = process.open()
        path = tmp_path / "go"
        host.data.send(call(1, f"process_targets:{name}", str(path)))
        while "wait_for" not in host.ask("snakepit.stack") and name == "wait_for":
            pass
        if name == "wait_for_async":
            host.data.request_of("snakepit.parked")
        else:
            host.data.send(call(2, "process_targets:say_goodbye"))
        host.ask("snakepit.shutdown")
        path.touch()
        assert host.data.value_of(1) == "waited"
        assert host.data.ends()
        assert process.end() == (0, "", "")


@pytest.mark.parametrize("before", ["idle", "busy", "leaving"])
def test_ends_with_its_children_when_the_host_is_gone(
    tmp_path: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:leave_a_child"))
        child = host.data.value_of(1)
        assert is_alive(child)
        if before == "busy":
            host.data.send(call(2, "time:sleep", 3600))
        elif before == "leaving":
            host.data.send(call(2, "process_targets:linger_at_exit"))
            host.data.value_of(2)
            host.ask("snakepit.shutdown")
        host.close()
        code, _, _ = process.end()
        assert code == -signal.SIGKILL
        wait_until_dead(child)


def test_a_broken_frame_ends_it_with_a_defect(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.socket.sendall(b"\0\0\0\0")
        assert "frame of 0 bytes" in host.data.take(lambda message: message["_tag"] == "Defect")["defect"]
        assert host.data.ends()
        assert process.end()[0] == 1


# ---- what targets do to the process --------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["process", "thread"])
def test_a_forked_child_has_no_part_in_the_connection(tmp_path: Path, profile: str) -> None:
    with Process(tmp_path, profile=profile) as process:
        host = process.open()
        for number in (1, 4):
            host.data.send_frames(quick_call(number, "process_targets", "fork_and_return"))
            assert host.data.value_of(number) == "parent"
            host.data.send_frames(quick_call(number + 1, "process_targets", "fork_and_raise"))
            assert host.data.value_of(number + 1) == "child left with 0"
            host.data.send_frames(quick_call(number + 2, "process_targets", "sockets_in_child"))
            assert host.data.value_of(number + 2) == 0
        assert host.data._read == []
        host.data.send(call(9, "process_targets:call_back_in_child", FUNCTION))
        assert "a process that the worker has forked cannot call TypeScript" in host.data.value_of(9)
        host.ask("snakepit.shutdown")
        assert process.end()[0] == 0


@pytest.mark.parametrize(
    ("name", "expected"), [("close_standard_files", "closed"), ("change_directory", "/"), ("ignore_signals", None)]
)
def test_a_target_may_take_its_surroundings_apart(tmp_path: Path, name: str, expected: object) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, f"process_targets:{name}"))
        assert host.data.value_of(1) == expected
        host.data.send(call(2, "process_targets:is_cancelled"))
        assert host.data.value_of(2) is False
        host.ask("snakepit.shutdown")
        process.end()


def test_a_target_that_closes_all_files_ends_the_worker(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:close_all_files"))
        assert host.data.ends()
        assert process.end()[0] != 0


def test_a_signal_to_interrupt_is_a_failure_of_the_call(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        for number in range(1, 4):
            host.data.send_frames(quick_call(number, "process_targets", "interrupt_myself"))
            assert host.data.error_of(number)["_tag"] == "KeyboardInterrupt"
        os.kill(process.process.pid, signal.SIGINT)
        host.data.send(call(5, "math:sqrt", 4))
        assert host.data.value_of(5) == 2.0


def test_threads_that_a_target_starts_may_call_back(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:threads_call_back", FUNCTION))
        for _ in range(4):
            request = host.data.request_of("snakepit.callback")
            host.answer(request, request["payload"]["args"][0] * 10)
        assert host.data.value_of(1) == [0, 10, 20, 30]


def test_standard_output_belongs_to_the_user(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        read: list[str] = []
        assert process.process.stdout is not None
        thread = threading.Thread(target=lambda: read.append(process.process.stdout.read()))  # type: ignore[union-attr]
        thread.start()
        host.data.send(call(1, "process_targets:flood", 3))
        assert host.data.value_of(1) == 3
        host.ask("snakepit.shutdown")
        thread.join(DEADLINE)
        assert len(read[0]) == 3 << 20


# ---- requests against the contract, in this process ------------------------------------------------------------------


def test_answers_the_calls_of_one_read_in_their_order() -> None:
    def script(host: Host) -> None:
        frames = [quick_call(number, "math", "sqrt", number) for number in range(1, 301)]
        host.data.send_frames(*frames)
        order = [host.data.take(lambda message: message["_tag"] == "Exit")["requestId"] for _ in frames]
        assert order == list(range(1, 301))

    serve(script)


@pytest.mark.parametrize(
    "message",
    [
        5,
        [],
        {},
        {"_tag": "Gossip", "id": 1},
        {"_tag": "Request", "tag": "snakebridge.call", "payload": {}},
        {"_tag": "Request", "id": "1", "tag": "snakebridge.call", "payload": {}},
        {"_tag": "Request", "id": 1, "tag": "snakebridge.call", "payload": []},
        {"_tag": "Request", "id": 1, "payload": {}},
    ],
)
def test_what_is_no_request_is_answered_by_a_defect(message: object) -> None:
    def script(host: Host) -> None:
        host.data.send(message)
        assert "expected a Request" in host.data.take(lambda answer: answer["_tag"] == "Defect")["defect"]
        host.data.send(call(2, "math:sqrt", 4))
        assert host.data.value_of(2) == 2.0

    serve(script)


@pytest.mark.parametrize(
    ("tag", "payload"),
    [
        ("snakepit.release", {}),
        ("snakepit.release", {"session_id": "s", "refs": 5}),
        ("snakepit.release", {"session_id": ["s"]}),
        ("snakepit.tools", {"tools": [5]}),
        ("snakepit.guess", {}),
    ],
)
def test_housekeeping_against_the_contract_is_refused(tag: str, payload: dict[str, Any]) -> None:
    def script(host: Host) -> None:
        host.data.send({"id": 1, "_tag": "Request", "tag": tag, "headers": [], "payload": payload})
        assert host.data.error_of(1)["_tag"] == "ProtocolError"
        host.data.send(call(2, "math:sqrt", 4))
        assert host.data.value_of(2) == 2.0

    serve(script)


def test_a_request_that_does_not_decode_fails_alone_and_cannot_be_taken_back_afterwards() -> None:
    def script(host: Host) -> None:
        host.data.send_frames(quick_call(1, "math", "sqrt", Ext(99, b"")))
        assert host.data.error_of(1)["_tag"] == "DecodeError"
        host.interrupt(1)
        host.control.send({"_tag": "Ping"})
        host.control.take(lambda message: message["_tag"] == "Pong")
        assert host.control._read == []
        host.data.send_frames(quick_call(2, "math", "sqrt", 4))
        assert host.data.value_of(2) == 2.0

    for threads in (0, 1):
        serve(script, threads=threads)


def test_large_frames_cross_in_both_directions() -> None:
    def script(host: Host) -> None:
        text = "x" * (4 << 20)
        host.data.send(call(1, "builtins:str", text))
        assert host.data.value_of(1) == text
        host.data.send(stream(2, "builtins:list", [text]))
        assert host.data.take(lambda message: message["_tag"] == "Chunk")["values"] == [text]
        host.data.value_of(2)

    serve(script)


def test_a_result_larger_than_a_frame_fails_with_both_numbers(tmp_path: Path) -> None:
    with Process(tmp_path, max_frame_bytes=100_000) as process:
        host = process.open()
        host.data.send(call(1, "builtins:bytes", 200_000))
        error = host.data.error_of(1)
        assert error["_tag"] == "UnserializableResult"
        assert "maxFrameBytes = 100000" in error["reason"]


def test_a_child_of_a_child_says_nothing(tmp_path: Path) -> None:
    with Process(tmp_path) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:fork_in_child"))
        assert host.data.value_of(1) == 0
        host.ask("snakepit.shutdown")
        assert process.end() == (0, "", "")


@pytest.mark.parametrize("profile", ["process", "thread"])
def test_a_call_that_is_struck_inside_a_destructor_is_struck_again(tmp_path: Path, profile: str) -> None:
    with Process(tmp_path, profile=profile) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:hang_in_destructor", str(tmp_path / "began")))
        while not (tmp_path / "began").exists():
            host.ask("snakepit.memory")
        host.interrupt(1)
        answered: list[Any] = []
        thread = threading.Thread(target=lambda: answered.append(host.data.error_of(1)))
        thread.start()
        while thread.is_alive():  # as the host does it, which asks until the call has ended
            host.ask("snakepit.raise", request_id=1)
            thread.join(0.01)
        assert answered == [{"_tag": "Interrupt", "fiberId": None}]
        host.ask("snakepit.shutdown")
        assert process.end() == (0, "", "")


@pytest.mark.parametrize("profile", ["process", "thread"])
def test_a_call_that_uses_up_all_memory_is_settled(tmp_path: Path, profile: str) -> None:
    """By its failure or by the end of the process, never not at all."""
    with Process(tmp_path, profile=profile, threads=2, memory_limit_bytes=48 << 20) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:use_up_memory", "all gone"))
        try:
            error = host.data.error_of(1)
        except (EOFError, ConnectionError):
            assert process.end()[0] != 0
        else:
            assert error["pythonType"] in ("ValueError", "MemoryError")


def test_a_thread_that_fails_ends_the_process(tmp_path: Path) -> None:
    with Process(tmp_path, profile="thread", threads=2) as process:
        host = process.open()
        host.data.send(call(1, "process_targets:break_the_worker"))
        assert host.data.ends()
        code, _, err = process.end()
        assert code == 1
        assert "snakepit: the worker cannot go on: LookupError" in err
