"""The HTTP application: routes, and errors in OpenAI's shape."""

from dataclasses import dataclass

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp

from gateway.authentication import Authenticator
from gateway.body import ClientGoneError
from gateway.completions import Completions
from gateway.config import GatewayConfig
from gateway.edge import Edge
from gateway.errors import MEDIA_TYPE, MethodError, UrlUnknownError, reply_of
from gateway.metrics import Metrics
from gateway.models_api import describe_model, list_models
from gateway.openapi import (
    CHAT_REQUEST,
    DETOKENIZE_REQUEST,
    SCHEMA_LIST,
    SCHEMA_REQUEST,
    TOKENIZE_REQUEST,
    json_body,
    query,
)
from gateway.readiness import Readiness
from gateway.schemas_api import Schemas
from gateway.tokenization import Tokenization
from mesh.clock import Clock
from mesh.errors import FormworkError, InternalError
from mesh.models import ModelTable

_METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_CLIENT_GONE = 499  # nginx's number; nobody reads it


@dataclass(frozen=True)
class Parts:
    """What the routes stand on."""

    config: GatewayConfig
    models: ModelTable
    authenticator: Authenticator
    completions: Completions
    tokenization: Tokenization
    schemas: Schemas
    readiness: Readiness
    metrics: Metrics
    clock: Clock


def make_app(parts: Parts) -> ASGIApp:
    """Return the ASGI application."""
    app = FastAPI(
        title="Formwork",
        summary="Answers that fit their schema, through OpenAI's API.",
        redirect_slashes=False,
    )
    _add_inference(app, parts)
    _add_tokenization(app, parts.tokenization)
    _add_schemas(app, parts.schemas)
    _add_operations(app, parts)
    app.add_exception_handler(FormworkError, _render_named)
    app.add_exception_handler(HTTPException, _render_http)
    app.add_exception_handler(ClientGoneError, _render_nothing)
    app.add_exception_handler(Exception, _render_unknown)
    return Edge(app, parts.config, parts.metrics, parts.clock)


def _add_inference(app: FastAPI, parts: Parts) -> None:
    @app.post("/v1/chat/completions", tags=["inference"], openapi_extra=json_body(CHAT_REQUEST))
    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation, in a given form."""
        return await parts.completions.answer(request)

    @app.get("/v1/models", tags=["inference"])
    async def get_models(request: Request) -> Response:
        """List the snapshots and aliases."""
        await parts.authenticator.authenticate(request.headers.get("authorization"))
        return _json(list_models(parts.models))

    @app.get("/v1/models/{model:path}", tags=["inference"])
    async def get_model(request: Request, model: str) -> Response:
        """Describe one snapshot or alias."""
        await parts.authenticator.authenticate(request.headers.get("authorization"))
        return _json(describe_model(parts.models, model))


def _add_tokenization(app: FastAPI, tokenization: Tokenization) -> None:
    @app.post("/v1/tokenize", tags=["tokens"], openapi_extra=json_body(TOKENIZE_REQUEST))
    async def tokenize(request: Request) -> Response:
        """Make a text, or messages, into a model's tokens: their ids are those of `logit_bias`."""
        return await tokenization.tokenize(request)

    @app.post("/v1/detokenize", tags=["tokens"], openapi_extra=json_body(DETOKENIZE_REQUEST))
    async def detokenize(request: Request) -> Response:
        """Make tokens into their text."""
        return await tokenization.detokenize(request)


def _add_schemas(app: FastAPI, schemas: Schemas) -> None:
    @app.post("/v1/schemas", tags=["schemas"], openapi_extra=json_body(SCHEMA_REQUEST))
    async def create_schema(request: Request) -> Response:
        """Register the next version of a named schema, and compile it for every model."""
        return await schemas.create(request)

    @app.get("/v1/schemas", tags=["schemas"], openapi_extra=query(SCHEMA_LIST))
    async def list_schemas(request: Request) -> Response:
        """List the project's schemas, without their bodies."""
        return await schemas.list(request)

    @app.get("/v1/schemas/{schema_id}", tags=["schemas"])
    async def get_schema(request: Request, schema_id: str) -> Response:
        """Describe one schema, with its body."""
        return await schemas.get(request, schema_id)

    @app.delete("/v1/schemas/{schema_id}", tags=["schemas"])
    async def delete_schema(request: Request, schema_id: str) -> Response:
        """Remove one schema."""
        return await schemas.delete(request, schema_id)


def _add_operations(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", tags=["operations"])
    async def get_health() -> Response:
        """Say that the process serves."""
        return _json({"status": "ok"})

    @app.get("/readyz", tags=["operations"])
    async def get_readiness() -> Response:
        """Say whether a request would be served; else what is missing."""
        missing = await parts.readiness.missing()
        if missing:
            return _json({"status": "not ready", "missing": missing}, status=503)
        return _json({"status": "ready"})

    @app.get("/metrics", tags=["operations"])
    async def get_metrics() -> Response:
        """Return the counters for Prometheus."""
        return Response(parts.metrics.render(), media_type=_METRICS_TYPE)


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type=MEDIA_TYPE)


def _reply(error: FormworkError) -> Response:
    reply = reply_of(error)
    return Response(reply.body, reply.status, reply.headers)


async def _render_named(_request: Request, error: Exception) -> Response:
    if not isinstance(error, FormworkError):
        raise error
    return _reply(error)


async def _render_http(request: Request, error: Exception) -> Response:
    """Render what the router says: no such path, or not with this method."""
    if not isinstance(error, HTTPException):
        raise error
    what = f"({request.method} {request.url.path[:200]})"
    if error.status_code == 405:  # noqa: PLR2004 - method not allowed
        response = _reply(MethodError(f"Not allowed to {request.method} on this URL {what}."))
        response.headers.update(error.headers or {})
        return response
    meant = f"/v1{request.url.path[:200]}"
    hint = f"; did you mean {meant}?" if _has_route(request, meant) else ""
    return _reply(UrlUnknownError(f"Invalid URL {what}{hint}"))


def _has_route(request: Request, path: str) -> bool:
    """Return whether there is such a path, for whoever left out `/v1` in the base URL."""
    scope = {**request.scope, "path": path}
    return any(route.matches(scope)[0] is not Match.NONE for route in request.app.routes)


async def _render_nothing(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_GONE)


async def _render_unknown(_request: Request, _error: Exception) -> Response:
    return _reply(InternalError("Internal error."))
