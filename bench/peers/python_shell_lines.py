"""The python-shell peer in text mode: one number per line in, its square root per line out, and nothing else."""

import math
import sys

readline, write, flush = sys.stdin.readline, sys.stdout.write, sys.stdout.flush

while line := readline():
    write(f"{math.sqrt(float(line))}\n")
    flush()
