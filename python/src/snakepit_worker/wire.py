"""Frames over one connection: a length, u32 little-endian, then that many bytes. Partner of ``channel.ts``."""

from __future__ import annotations

import os
import socket
import threading
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# Large enough for many small frames in one system call; larger frames get a buffer of their own.
_CHUNK = 1 << 16

_read_u32 = Struct("<I").unpack_from


class FrameError(Exception):
    """The peer broke the framing; the connection cannot go on."""


class Channel:
    """One connection. One thread reads; any thread sends."""

    def __init__(self, connection: socket.socket, max_frame_bytes: int) -> None:
        self._socket = connection
        self.limit = max_frame_bytes
        self._rest = b""
        self._writing = threading.Lock()

    def read(self) -> list[bytes | memoryview] | None:
        """Waits for at least one frame and answers all that have arrived; None when the peer has closed."""
        data = self._rest
        frames: list[bytes | memoryview] = []
        while True:
            position, size = 0, len(data)
            while size - position >= 4:
                length = _read_u32(data, position)[0]
                if length == 0 or length > self.limit:
                    if frames:
                        break  # what came before it is whole
                    raise FrameError(f"frame of {length} bytes; expected 1 to {self.limit}")
                end = position + 4 + length
                if end > size:
                    if length > _CHUNK and not frames:
                        self._rest = b""
                        return [self._read_large(data[position + 4 :], length)]
                    break
                frames.append(data[position + 4 : end])
                position = end
            if frames:
                self._rest = data[position:]
                return frames
            received = self._socket.recv(_CHUNK)
            if not received:
                if data:
                    raise FrameError(f"connection closed inside a frame, {len(data)} bytes after its start")
                return None
            data = data + received if data else received

    def _read_large(self, start: bytes, length: int) -> memoryview:
        buffer = bytearray(length)
        view = memoryview(buffer)
        filled = len(start)
        view[:filled] = start
        while filled < length:
            count = self._socket.recv_into(view[filled:])
            if count == 0:
                raise FrameError(f"connection closed inside a frame: {filled} of {length} bytes arrived")
            filled += count
        return view

    def send(self, body: bytes) -> None:
        """Sends one frame at once: a reply that waited for company would wait for the next call too."""
        with self._writing:
            try:
                if len(body) > _CHUNK:
                    # a large body is not copied once more to join its length
                    self._socket.sendall(len(body).to_bytes(4, "little"))
                    self._socket.sendall(body)
                else:
                    self._socket.sendall(len(body).to_bytes(4, "little") + body)
            except OSError:
                # nothing can follow what was cut short: the reader, on both sides, is to see that
                self._shut(socket.SHUT_RDWR)
                raise

    @property
    def connection(self) -> socket.socket:
        """The socket."""
        return self._socket

    def fileno(self) -> int:
        """Descriptor of the socket."""
        return self._socket.fileno()

    def close_descriptor(self) -> None:
        """Closes this descriptor; the connection goes on where it was duplicated to."""
        self._socket.close()

    def stop_reading(self) -> None:
        """Ends a wait of the reading thread, which gets what has arrived and then the end. Sending goes on."""
        self._shut(socket.SHUT_RD)

    def close(self) -> None:
        """Closes the connection in both directions."""
        self._shut(socket.SHUT_RDWR)
        self._socket.close()

    def _shut(self, direction: int) -> None:
        try:
            self._socket.shutdown(direction)
        except OSError:
            pass  # the peer was faster

    def after_fork(self) -> None:
        """In a child process: lets go of the connection, which stays open for the parent."""
        self._socket.close()
        self._socket = _OfTheParent()  # type: ignore[assignment]  # has what is called here
        self._writing = threading.Lock()  # another thread may have held it


class _OfTheParent:
    """Stands for a connection in a forked child. A child that reads or writes it has come back from the call that it
    was forked in, and ends here: the next calls are not its own.
    """

    def sendall(self, _data: bytes) -> NoReturn:
        os._exit(0)

    def recv(self, _size: int) -> NoReturn:
        os._exit(0)

    def close(self) -> None:
        """A child of the child lets go of nothing."""
