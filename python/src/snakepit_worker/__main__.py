"""Starts a worker from the boot configuration on file descriptor 3."""

from .worker import main

main()
