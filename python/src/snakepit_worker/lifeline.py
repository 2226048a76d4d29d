"""Dying with the host, even while native code holds the interpreter lock.

The kernel does it: a socket that the host keeps open is set up to signal this process group with SIGKILL when its other
end closes. That needs no thread, no lock and no parent-child relation, and takes grandchildren along. Where it is not
to be had (macOS has no ``F_SETSIG``), the control thread notices the closed connection as soon as it gets to run.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket

_SETSIG = getattr(fcntl, "F_SETSIG", 10)  # Linux; Python has no name for it before 3.13


def hold_to(connection: socket.socket) -> None:
    """Ends this process group when the peer of the connection goes away. The peer must never send on it again."""
    import sys

    if sys.platform != "linux":
        return
    group = os.getpgrp()
    # a group that this process did not found has members that are none of its business
    owner = -group if group == os.getpid() else os.getpid()
    fcntl.fcntl(connection, fcntl.F_SETOWN, owner)
    fcntl.fcntl(connection, _SETSIG, signal.SIGKILL)
    fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)
    # a peer that went away before this sends no signal any more
    try:
        is_cut = not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        is_cut = False
    except OSError:
        is_cut = True
    if is_cut:
        os.kill(owner, signal.SIGKILL)
