"""Preloaded: the fork server hands its second order on and is killed before it tells the host."""

import os
import signal

from snakepit_worker.fork_server import Server

_plain = Server._report


def _report(self: Server, message: dict) -> None:
    if message.get("forked") == 2 and not os.path.exists(os.environ["DIED"]):
        with open(os.environ["DIED"], "w"):
            pass
        # the worker was told, and the host has connected to it
        self._rising[-1].recv(1)
        os.kill(os.getpid(), signal.SIGKILL)
    _plain(self, message)


Server._report = _report
