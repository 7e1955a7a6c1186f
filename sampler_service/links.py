"""The services that a worker calls."""

from dataclasses import dataclass

import grpc.aio
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceStub

from mesh.channels import Caller, open_channel
from mesh.config import MeshConfig


@dataclass(frozen=True)
class Links:
    """Stubs of the compiler and the scheduler, and who calls them."""

    caller: Caller
    compiler: CompilerServiceStub
    scheduler: SchedulerServiceStub
    channels: tuple[grpc.aio.Channel, ...]

    async def close(self) -> None:
        """Close the channels."""
        for channel in self.channels:
            await channel.close(None)


def open_links(config: MeshConfig, token: str) -> Links:
    """Return links that connect when they are used; call it on the event loop."""
    compiler = open_channel(config.compiler_address, config)
    scheduler = open_channel(config.scheduler_address, config)
    return Links(
        Caller(token),
        CompilerServiceStub(compiler),
        SchedulerServiceStub(scheduler),
        (compiler, scheduler),
    )
