"""Frames over a connection: however they are cut, and when the peer breaks the rules."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakepit_worker.wire import Channel, FrameError

LIMIT = 1 << 22


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Channel]]:
    peer, connection = socket.socketpair()
    peer.settimeout(20)
    connection.settimeout(20)
    with peer, connection:
        yield peer, Channel(connection, LIMIT)


def framed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def read_all(channel: Channel) -> list[bytes]:
    frames: list[bytes] = []
    while (read := channel.read()) is not None:
        frames += map(bytes, read)
    return frames


def send_beside(peer: socket.socket, pieces: list[bytes]) -> threading.Thread:
    def send() -> None:
        for piece in pieces:
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@settings(max_examples=40)
@given(
    sizes=st.lists(st.one_of(st.integers(1, 20), st.sampled_from([65_531, 65_536, 65_537, 200_000])), max_size=6),
    cuts=st.lists(st.integers(0, 400_000), max_size=6),
)
def test_reads_the_frames_that_were_sent_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    bodies = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
    stream = b"".join(map(framed, bodies))
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    peer, connection = socket.socketpair()
    with peer, connection:
        thread = send_beside(peer, [stream[start:end] for start, end in itertools.pairwise(places)])
        assert read_all(Channel(connection, LIMIT)) == bodies
        thread.join()


def test_answers_all_frames_that_have_arrived(pair: tuple[socket.socket, Channel]) -> None:
    peer, channel = pair
    peer.sendall(framed(b"one") + framed(b"two") + framed(b"three")[:5])
    assert channel.read() == [b"one", b"two"]
    peer.sendall(framed(b"three")[5:])
    assert channel.read() == [b"three"]


@pytest.mark.parametrize("length", [0, LIMIT + 1, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_with_both_numbers(pair: tuple[socket.socket, Channel], length: int) -> None:
    peer, channel = pair
    peer.sendall(framed(b"whole") + struct.pack("<I", length))
    assert channel.read() == [b"whole"]
    with pytest.raises(FrameError, match=f"frame of {length} bytes; expected 1 to {LIMIT}"):
        channel.read()


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_end_inside_a_frame_is_a_failure_and_one_between_frames_is_not(
    pair: tuple[socket.socket, Channel], size: int
) -> None:
    peer, channel = pair
    peer.sendall(framed(b"whole") + framed(bytes(size))[:-1])
    peer.shutdown(socket.SHUT_WR)
    assert channel.read() == [b"whole"]
    with pytest.raises(FrameError, match="inside a frame"):
        channel.read()


def test_many_threads_send_whole_frames_while_the_peer_does_not_read(pair: tuple[socket.socket, Channel]) -> None:
    peer, channel = pair
    bodies = [bytes([index]) * size for index, size in enumerate([3, 100_000, 2_000_000, 65_536, 65_537, 50_000])]
    threads = [threading.Thread(target=channel.send, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    reader = Channel(peer, LIMIT)
    frames: list[bytes] = []
    while len(frames) < len(bodies):
        frames += map(bytes, reader.read() or [])
    for thread in threads:
        thread.join()
    assert sorted(frames) == sorted(bodies)


def test_stop_reading_ends_a_wait_and_leaves_sending_alone(pair: tuple[socket.socket, Channel]) -> None:
    peer, channel = pair
    peer.sendall(framed(b"arrived"))
    read: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: read.append(read_all(channel)))
    thread.start()
    channel.stop_reading()
    thread.join()
    assert read in ([[b"arrived"]], [[]])
    channel.send(b"sent")
    assert peer.recv(100) == framed(b"sent")


def test_close_is_the_end_for_the_peer_and_can_be_repeated(pair: tuple[socket.socket, Channel]) -> None:
    peer, channel = pair
    channel.close()
    assert peer.recv(1) == b""
    channel.close()
