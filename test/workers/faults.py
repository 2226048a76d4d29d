"""What a worker can suffer: connections that break, crashes, exits."""

import ctypes
import os
import signal
import socket
import stat
import sys


def cut_wire():
    """Shuts down every connection of this process, as a broken network would."""
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                connection = socket.socket(fileno=os.dup(descriptor))
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        except OSError:
            pass


def kill_self(name, *last_words):
    """Ends this process by a signal, after having said something on stderr."""
    for line in last_words:
        print(line, file=sys.stderr, flush=True)
    os.kill(os.getpid(), getattr(signal, name))


def read_null():
    """Reads memory at address 0."""
    return ctypes.string_at(0)


def leave(code):
    """Ends this process without a word."""
    os._exit(code)


def raise_exit(code):
    """What ``sys.exit`` raises is an exception of the call, not the end of the worker."""
    sys.exit(code)
