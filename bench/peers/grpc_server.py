"""The gRPC peer: an asyncio grpcio server with one unary method, on a free port of the loopback interface."""

import asyncio
import math
import sys

import grpc  # type: ignore
from google.protobuf.wrappers_pb2 import DoubleValue  # type: ignore


async def sqrt(request: DoubleValue, _context: grpc.aio.ServicerContext) -> DoubleValue:
    """Answer the square root of a double."""
    return DoubleValue(value=math.sqrt(request.value))


async def serve() -> None:
    """Print the port, then serve until standard input ends: the bench has closed the peer, or is gone."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        sqrt,
        request_deserializer=DoubleValue.FromString,
        response_serializer=DoubleValue.SerializeToString,
    )
    methods = {"Sqrt": handler}
    service = grpc.method_handlers_generic_handler("snakepit.bench.Math", methods)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(grace=None)


asyncio.run(serve())
