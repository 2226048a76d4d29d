"""Looks for what must not be seen: anything that looks like a token of 32 random bytes."""

import os
import re
import sys

TOKEN = re.compile(r"(?<![\w/.-])[A-Za-z0-9_-]{43}(?![\w/.-])")


def everything():
    with open("/proc/self/cmdline", encoding="utf-8") as cmdline:
        arguments = cmdline.read().split("\0")
    found = [text for text in [*arguments, *sys.argv] if TOKEN.search(text)]
    found += [name for name in os.environ if "SNAKEPIT" in name and "TOKEN" in name]
    return found or "nothing"
