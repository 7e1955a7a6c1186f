"""Serves a gateway until SIGTERM: `python -m gateway.main`."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from gateway.config import GatewayConfig
from gateway.http_protocol import protocol_for
from gateway.schema_store import PostgresSchemaStore
from gateway.store import PostgresKeyStore
from gateway.wiring import Stores, wire
from mesh.clock import SystemClock
from mesh.config import ConfigError, MeshConfig, Settings, load_settings
from mesh.database import Database, database_url
from mesh.garbage import spare_what_is_loaded
from mesh.interpreter import share_interpreter
from mesh.logs import configure_logs
from mesh.models import load_models

log = structlog.get_logger()

_SETTLE_SHARE = 0.25  # of the time to drain; the rest is for requests in flight


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to `serve` and so can end with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


def make_server(app: ASGIApp, config: GatewayConfig, drain_seconds: float) -> Server:
    """Return the HTTP server, not yet started."""
    return Server(
        uvicorn.Config(
            app,
            host=config.http_host,
            port=config.http_port,
            http=protocol_for(config),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=int(config.keep_alive_seconds),
            timeout_graceful_shutdown=int(drain_seconds),
        )
    )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then take nothing new, end what is in flight, and settle."""
    mesh = settings.section("mesh", MeshConfig)
    config = settings.section("gateway", GatewayConfig)
    configure_logs("gateway", log_format=mesh.log_format, level=mesh.log_level)
    keys = Database(database_url())
    schemas = Database(database_url(), pool_size=config.schema_connections)
    stores = Stores(PostgresKeyStore(keys), PostgresSchemaStore(schemas))
    gateway = wire(mesh, config, load_models(settings), stores, SystemClock())
    settle_seconds = mesh.drain_seconds * _SETTLE_SHARE
    server = make_server(gateway.app, config, mesh.drain_seconds - settle_seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    try:
        await gateway.start()
        spare_what_is_loaded()
        share_interpreter()
        await server.serve()
    finally:
        await gateway.close(settle_seconds)
        await keys.close()
        await schemas.close()
    log.info("stopped")


def _stop(server: Server) -> None:
    log.info("draining")
    server.should_exit = True


def main() -> int:
    """Read the configuration and serve; return the exit status."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        uvloop.run(serve(load_settings()))
    except ConfigError as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
