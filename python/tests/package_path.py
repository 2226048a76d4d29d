"""Where processes that tests start find the package."""

from __future__ import annotations

import os
from pathlib import Path

import snakepit_worker

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(snakepit_worker.__file__).parents[1])}
