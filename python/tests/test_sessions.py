"""Objects by session and ref id."""

from __future__ import annotations

import threading

import pytest

from snakepit_worker import sessions as module
from snakepit_worker.errors import SessionLost
from snakepit_worker.sessions import Sessions


def test_a_ref_finds_its_object_and_names_its_type() -> None:
    sessions = Sessions("w")
    value = object()
    session, worker, ref, kind = sessions.keep("s", value)
    assert (session, worker, kind) == ("s", "w", "object")
    assert sessions.get("s", "w", ref) is value
    assert sessions.keep("s", threading.Thread())[3] == "threading.Thread"


@pytest.mark.parametrize(
    ("session", "worker", "ref", "reason"),
    [
        ("s", "other", 1, "belongs to worker other"),
        ("t", "w", 1, "not open on this worker"),
        ("s", "w", 2, "ref 2 was released"),
    ],
)
def test_a_ref_of_elsewhere_is_lost(session: str, worker: str, ref: int, reason: str) -> None:
    sessions = Sessions("w")
    sessions.keep("s", object())
    with pytest.raises(SessionLost, match=reason):
        sessions.get(session, worker, ref)


def test_ids_are_never_used_again() -> None:
    sessions = Sessions("w")
    first = sessions.keep("s", object())
    sessions.forget([first])
    assert sessions.keep("s", object())[2] != first[2]
    with pytest.raises(SessionLost):
        sessions.get(*first[:3])


def test_released_refs_are_gone_and_the_others_stay() -> None:
    sessions = Sessions("w")
    gone, stays = sessions.keep("s", "gone"), sessions.keep("s", "stays")
    sessions.release("s", [gone[2], 99])
    with pytest.raises(SessionLost, match="released"):
        sessions.get(*gone[:3])
    assert sessions.get(*stays[:3]) == "stays"
    sessions.release("never opened", [1])


def test_a_released_session_takes_no_more_objects() -> None:
    sessions = Sessions("w")
    sessions.keep("s", object())
    sessions.release("s", None)
    with pytest.raises(SessionLost, match="released while the call ran"):
        sessions.keep("s", object())


def test_the_memory_of_released_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    sessions = Sessions("w")
    for number in range(10):
        sessions.release(f"s{number}", None)
    assert list(sessions._released) == ["s7", "s8", "s9"]


def test_a_destructor_may_use_the_sessions() -> None:
    sessions = Sessions("w")
    kept: list[object] = []

    class Chain:
        def __del__(self) -> None:
            kept.append(sessions.keep("other", "more"))

    sessions.keep("s", Chain())
    sessions.release("s", None)
    assert len(kept) == 1


def test_threads_keep_objects_under_ids_of_their_own() -> None:
    sessions = Sessions("w")
    refs: list[int] = []

    def keep() -> None:
        refs.extend([sessions.keep("s", number)[2] for number in range(1000)])

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(refs)) == 4000
