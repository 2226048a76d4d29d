"""Python code that prints, as any code may."""

import os
import sys
import threading


def fill(stream, size):
    """Writes ``size`` bytes in lines of 100."""
    out = getattr(sys, stream)
    line = "x" * 99 + "\n"
    for _ in range(size // 100):
        out.write(line)
    out.flush()
    return size


def fill_both(size):
    """Fills stdout and stderr at the same time."""
    threads = [threading.Thread(target=fill, args=(name, size)) for name in ("stdout", "stderr")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return size


def endless_line(size):
    """Writes ``size`` bytes without a newline."""
    sys.stderr.write("y" * size)
    sys.stderr.flush()
    return size


def say(stream, text):
    """Prints one line."""
    print(text, file=getattr(sys, stream), flush=True)


def raw(descriptor, data):
    """Writes bytes to a descriptor, past Python's streams."""
    return os.write(descriptor, data)


def from_child(text):
    """Lets a process that Python starts print to the inherited stdout."""
    import subprocess

    subprocess.run(["sh", "-c", f"echo {text}"], check=True)


def close_streams():
    """Closes both streams; the wire does not depend on them."""
    os.close(1)
    os.close(2)
    return "still here"


def read_input():
    """Reads stdin, which is empty."""
    return sys.stdin.read()
