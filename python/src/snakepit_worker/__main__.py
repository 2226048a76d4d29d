"""Starts a worker from the boot configuration on file descriptor 3."""

from .worker import main

if __name__ == "__main__":
    main()
