"""Warnings of a real worker process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from host import Host, Process, call
from snakepit_worker.warning_log import MAX_TEXTS


@pytest.fixture
def process(tmp_path: Any) -> Iterator[Process]:
    with Process(tmp_path) as process:
        yield process


def warnings_until(host: Host, number: int) -> list[dict[str, Any]]:
    """The warnings that came before the reply of a call."""
    found: list[dict[str, Any]] = []
    while True:
        message = host.data.take(lambda _: True)
        if message.get("tag") == "snakepit.warning":
            found.append(message["payload"])
        elif message["_tag"] == "Exit" and message["requestId"] == number:
            return found


def test_a_warning_is_told_once_for_its_place_and_text(process: Process) -> None:
    host = process.open()
    host.data.send(call(1, "raising:warn", "mind the gap"))
    [warning] = warnings_until(host, 1)
    assert warning == {
        "request_id": 1,
        "category": "UserWarning",
        "message": "mind the gap",
        "file": warning["file"],
        "line": warning["line"],
    }
    assert warning["file"].endswith("raising.py")
    assert warning["line"] > 0
    host.data.send(call(2, "raising:warn", "mind the gap"))
    assert warnings_until(host, 2) == []
    host.data.send(call(3, "raising:warn", "a lone \ud800"[:7]))
    assert [each["message"] for each in warnings_until(host, 3)] == ["a lone "]


def test_a_place_that_warns_without_end_falls_silent_and_says_so(process: Process) -> None:
    host = process.open()
    host.data.send(call(1, "raising:warn_often", 100))
    texts = [each["message"] for each in warnings_until(host, 1)]
    assert len(texts) == MAX_TEXTS
    assert texts[0] == "number 0"
    assert texts[-1].endswith("[more warnings of this place are not shown]")


def test_a_forked_process_prints_its_warnings(process: Process) -> None:
    host = process.open()
    host.data.send(call(1, "raising:warn_in_child"))
    assert host.data.value_of(1) == 7
    host.ask("snakepit.shutdown", 2)
    host.close()
    _, _, stderr = process.end()
    assert "UserWarning: from the child" in stderr
