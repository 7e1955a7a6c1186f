"""A scripted server, and official clients that talk to it."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import openai
import pytest
import pytest_asyncio

from formwork_client.testing import ScriptedServer, scripted_server

Start = Callable[..., ScriptedServer]
# Read once: every client would read all authorities of the machine, for nothing here.
_TLS: dict[str, Any] = {"verify": ssl.create_default_context(), "trust_env": False}


def _options(server: ScriptedServer) -> dict[str, Any]:
    return {"base_url": server.base_url, "api_key": "any", "max_retries": 0}


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server with a script."""
    with ExitStack() as stack:
        yield lambda *script: stack.enter_context(scripted_server(*script))


@pytest.fixture
def connect() -> Iterator[Callable[[ScriptedServer], openai.OpenAI]]:
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(
            openai.OpenAI(**_options(server), http_client=openai.DefaultHttpxClient(**_TLS))
        )


@pytest_asyncio.fixture
async def connect_async() -> AsyncIterator[Callable[[ScriptedServer], openai.AsyncOpenAI]]:
    async with AsyncExitStack() as stack:

        def connect(server: ScriptedServer) -> openai.AsyncOpenAI:
            http_client = openai.DefaultAsyncHttpxClient(**_TLS)
            client = openai.AsyncOpenAI(**_options(server), http_client=http_client)
            stack.push_async_callback(client.close)
            return client

        yield connect
