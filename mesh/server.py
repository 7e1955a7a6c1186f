"""A gRPC server as every service runs one: guarded, health-checked, drained on SIGTERM."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

import grpc.aio
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined] # stubs lack it
from grpc_reflection.v1alpha import reflection

from mesh.config import MeshConfig
from mesh.interceptors import MeshInterceptor

log = structlog.get_logger()


class MeshServer:
    """One listening gRPC server with health on it, serving once `start` has returned.

    Args:
        config: Section `mesh`.
        token: The mesh token that callers must show.
        services: Descriptors of the services that `register` adds.
        register: Adds the servicers to the server.
    """

    def __init__(
        self,
        config: MeshConfig,
        token: str,
        services: Sequence[ServiceDescriptor],
        register: Callable[[grpc.aio.Server], None],
    ) -> None:
        self._config = config
        self._names = [service.full_name for service in services]
        self._server = grpc.aio.server(
            interceptors=[MeshInterceptor(token)],
            options=[
                ("grpc.max_receive_message_length", config.max_message_bytes),
                ("grpc.max_send_message_length", config.max_message_bytes),
                ("grpc.so_reuseport", 0),
                # peers ping as mesh.channels says, also between streams; and a peer that vanished
                # without a word is noticed
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            ],
        )
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        register(self._server)
        if config.reflection:
            reflection.enable_server_reflection(
                [*self._names, reflection.SERVICE_NAME], self._server
            )

    async def start(self, address: str) -> int:
        """Listen on `host:port` (port 0 picks one) and report SERVING; return the port.

        Raises:
            RuntimeError: The port is taken.
        """
        port = int(self._server.add_insecure_port(address))
        await self._server.start()
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self) -> None:
        """Report NOT_SERVING, let calls in flight end within `drain_seconds`, then cut the rest."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._config.drain_seconds)


async def serve_until_signal(
    server: MeshServer, address: str, *, on_drain: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        server: Not yet started.
        address: `host:port`.
        on_drain: Awaited before the server stops: lets work in flight end.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = await server.start(address)
    log.info("serving", address=address, port=port)
    await stop.wait()
    log.info("draining")
    if on_drain is not None:
        await on_drain()
    await server.stop()
    log.info("stopped")
