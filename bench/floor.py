"""The Python end of the floor: read a frame, call, write a frame, and nothing else."""

import math
import socket
import sys

import ormsgpack

TARGETS = {"math.sqrt": math.sqrt}


def serve(path: str) -> None:
    """Serve one connection on the Unix socket at `path` until it closes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    print("listening", flush=True)
    connection, _ = listener.accept()
    unpack, pack = ormsgpack.unpackb, ormsgpack.packb
    buffer = b""
    while data := connection.recv(65536):
        buffer = buffer + data if buffer else data
        start, end = 0, len(buffer)
        while end - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "little")
            if end - start - 4 < length:
                break
            message = unpack(buffer[start + 4 : start + 4 + length])
            start += 4 + length
            value = TARGETS[message["target"]](*message["args"])
            reply = pack({"id": message["id"], "value": value})
            connection.sendall(len(reply).to_bytes(4, "little") + reply)
        buffer = buffer[start:]


serve(sys.argv[1])
