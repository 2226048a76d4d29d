"""A worker that breaks the contract: what a call's target is named is done to the host. It runs as it is imported."""

import json
import os
import socket
import struct
import sys

from ormsgpack import packb, unpackb

pipe = socket.socket(fileno=3)
boot = json.loads(pipe.recv(65536))
listener = socket.socket(socket.AF_UNIX)
listener.bind(boot["socket"])
listener.listen(2)
pipe.sendall(b"listening\n")


def frame(body):
    return struct.pack("<I", len(body)) + body


def message(value):
    return frame(packb(value))


def success(number, value):
    return {"_tag": "Exit", "requestId": number, "exit": {"_tag": "Success", "value": value}}


def failure(number, reason):
    return {"_tag": "Exit", "requestId": number, "exit": {"_tag": "Failure", "cause": [reason]}}


def read(connection):
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        sys.exit(0)
    return unpackb(connection.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL))


GREETING = {
    "protocol_version": 1,
    "worker": boot["worker"],
    "pid": os.getpid(),
    "python": "3.13.0",
    "implementation": "cpython",
    "platform": sys.platform,
}

channels = {}
while len(channels) < 2:
    connection, _ = listener.accept()
    channels[read(connection)["payload"]["channel"]] = connection
    if os.environ.get("FAKE_HELLO") == "refuse":
        connection.sendall(message({"_tag": "Defect", "defect": "not today"}))
    elif os.environ.get("FAKE_HELLO") == "nonsense":
        connection.sendall(message([1, 2, 3]))
    else:
        connection.sendall(message(success(0, GREETING)))

read(channels["control"])  # the first ping
channels["control"].sendall(message({"_tag": "Pong"}))
os.unlink(boot["socket"])

data = channels["data"]
while True:
    request = read(data)
    number, target = request["id"], request["payload"].get("function")
    replies = {
        "ok": [message(success(number, "fine"))],
        "oversized": [struct.pack("<I", 0xFFFFFFFF)],
        "zero_length": [struct.pack("<I", 0)],
        "garbage": [frame(b"\xc1\xc1\xc1")],
        "not_a_map": [message(5)],
        "unknown_tag": [message({"_tag": "Gossip", "requestId": number})],
        "defect": [message({"_tag": "Defect", "defect": "beyond repair"})],
        "no_request_id": [message({"_tag": "Exit", "exit": {"_tag": "Success", "value": 1}})],
        "unknown_notice": [
            message({"_tag": "Request", "id": 1, "tag": "snakepit.guess", "payload": {}, "headers": []})
        ],
        # a map of three whose value is a byte that MessagePack does not use
        "bad_value": [frame(packb(success(number, None))[:-1] + b"\xc1")],
        "bad_exit": [message({"_tag": "Exit", "requestId": number, "exit": {"_tag": "Maybe"}})],
        "no_exit": [message({"_tag": "Exit", "requestId": number})],
        "bad_reason": [message(failure(number, 7))],
        "twice": [message(success(number, "first")), message(success(number, "second"))],
        "strangers": [
            message(success(number + 1000, "not mine")),
            message({"_tag": "Chunk", "requestId": number + 1001, "values": [1]}),
            message(success(number, "mine")),
        ],
        "in_pieces": [bytes([byte]) for byte in message(success(number, "together"))],
        "truncated": [message(success(number, "never"))[:-3]],
    }
    for part in replies.get(target, []):
        data.sendall(part)
    if target == "truncated":
        os._exit(0)
