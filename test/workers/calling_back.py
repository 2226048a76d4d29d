"""Python code that calls TypeScript."""

import asyncio
import threading
import time

import snakepit_worker
from snakepit_worker import CallbackError, tools

kept = []


def apply(function, *args, **kwargs):
    return function(*args, **kwargs)


def apply_and_sleep(function, seconds):
    """Goes on for a while after the callback has answered."""
    function()
    time.sleep(seconds)


def apply_many(function, values):
    return [function(value) for value in values]


def apply_to_bytes(function, size):
    return function(bytes(size))


def caught(function, *args):
    """How a failure of TypeScript looks here."""
    try:
        function(*args)
    except CallbackError as error:
        return [type(error).__name__, error.tag, str(error)]
    return None


async def apply_async(function, *args):
    return await function(*args)


async def gather(function, count):
    return await asyncio.gather(*(function(index) for index in range(count)))


async def caught_async(function):
    try:
        await function()
    except CallbackError as error:
        return [error.tag, str(error)]


def from_thread(function, value):
    """Calls from a thread that user code started."""
    result = []
    thread = threading.Thread(target=lambda: result.append(function(value)))
    thread.start()
    thread.join()
    return result[0]


def with_thread_name(function):
    """Calls on the call's own thread."""
    function(threading.current_thread().name)
    return threading.current_thread().name


def keep(function):
    kept.append(function)


def call_kept():
    return kept[-1]()


def nested(function, depth):
    return function(depth)


def stream_through(function, count):
    for index in range(count):
        yield function(index)


class Model:
    """Keeps a function for its methods."""

    def __init__(self, function):
        self.function = function

    def predict(self, value):
        return self.function(value)


def describe_tools():
    return {name: [tool.description, tool.parameters] for name, tool in tools.items()}


def use_tool(name, *args, **kwargs):
    return tools[name](*args, **kwargs)


def use_tool_in_thread(name, **kwargs):
    return from_thread(lambda given: tools[name](**given), kwargs)


async def use_tool_async(name, **kwargs):
    return await tools[name](**kwargs)


def has_tool(name):
    return name in tools


def deadline_inside(function):
    return function(snakepit_worker.deadline())


def pull(function, count):
    """Looks at large arrays one after the other."""
    return [float(function(index)[0]) for index in range(count)]


def pull_items(function, count):
    for index in range(count):
        yield float(function(index)[0])


async def pull_async(function, count):
    return [float((await function(index))[0]) for index in range(count)]


def try_many(function, count):
    """How many answers came."""
    answers = 0
    for index in range(count):
        try:
            function(index)
            answers += 1
        except CallbackError:
            pass
    return answers


async def give_up_on(function):
    """Does not wait for the answer."""
    try:
        await asyncio.wait_for(function(), 0.001)
    except asyncio.TimeoutError:
        return "gave up"


def make_arrays(size):
    """Arrays in shared memory that die one after the other."""
    while True:
        snakepit_worker.empty((size,), "u1")[0] = 1
