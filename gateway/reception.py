"""Lets a request in: who calls, within their project's share, and what they sent."""

from dataclasses import dataclass

from starlette.requests import Request

from gateway.authentication import Authenticator, Caller
from gateway.body import read_body
from gateway.config import GatewayConfig
from gateway.edge import HELD_KEY, LOG_KEY
from gateway.shares import Shares


@dataclass(frozen=True)
class Reception:
    """Stands before every endpoint that needs a key."""

    authenticator: Authenticator
    shares: Shares
    config: GatewayConfig

    async def admit(self, request: Request) -> Caller:
        """Return who calls; the request counts in the project's share until its last byte.

        Raises:
            ApiKeyError: Nobody that is known.
            ProjectBusyError: The project has as many requests in flight as it may.
        """
        caller = await self.authenticator.authenticate(request.headers.get("authorization"))
        request.scope[LOG_KEY].update(project_id=caller.project_id, key_id=caller.key_id)
        request.scope[HELD_KEY].enter_context(self.shares.hold(caller.project_id))
        return caller

    async def receive(self, request: Request) -> tuple[Caller, bytes]:
        """Return who calls and the body; raises as `admit` and `read_body` do."""
        caller = await self.admit(request)
        return caller, await read_body(request.receive, request.headers, self.config)
