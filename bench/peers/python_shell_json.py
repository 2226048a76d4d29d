"""The python-shell peer in json mode: the floor's messages, so that it can call more than one function."""

import json
import math
import sys

TARGETS = {"math.sqrt": math.sqrt}

readline, write, flush = sys.stdin.readline, sys.stdout.write, sys.stdout.flush

while line := readline():
    message = json.loads(line)
    value = TARGETS[message["target"]](*message["args"])
    write(json.dumps({"id": message["id"], "value": value}) + "\n")
    flush()
