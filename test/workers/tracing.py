"""Reads the trace context where code runs."""

import snakepit_worker


async def read_async():
    return snakepit_worker.traceparent()


def read_in_stream():
    yield snakepit_worker.traceparent()
