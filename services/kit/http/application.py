"""The same face for every service: create it, then add the routers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit import database
from services.kit import words as sentences
from services.kit.errors import Unavailable
from services.kit.http import idempotency, lean, problems, streams
from services.kit.http.listening import Listening
from services.kit.http.requests import StrictRoute
from services.kit.http.timing import InTime
from services.kit.http.tokens import TokenReader
from services.kit.settings import ServiceSettings

Background = Callable[[FastAPI], AbstractAsyncContextManager[None]]

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "A refusal, RFC 9457",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}},
    }
    for status in ("4XX", "5XX")
}


def create(  # noqa: PLR0913 - what services differ in
    settings: ServiceSettings,
    *,
    title: str,
    routers: Sequence[APIRouter],
    background: Sequence[Background] = (),
    words: Sequence[str] = (),
    hot: Collection[lean.Endpoint] = (),
) -> FastAPI:
    """Return a service's application; nothing connects before its first request or its lifespan.

    `background` are what runs beside the requests of one process; `words` are the packages whose
    `words.yaml` has a sentence for each code it answers; `hot` endpoints are reached the short way.
    """
    engine = database.create_engine(settings.database_url, pool_size=settings.pool_size)
    app = FastAPI(
        title=title,
        version="1",
        lifespan=_lifespan_of(engine, background),
        docs_url=None,
        redoc_url=None,
        # The gateway shows it at /v1/openapi/<service>.json, in development only.
        openapi_url="/openapi.json",
    )
    app.state.settings = settings
    app.state.stopping = asyncio.Event()
    app.state.sessions = database.create_sessions(engine)
    app.state.tokens = _tokens_of(settings)
    app.state.addresses = _addresses_of(routers)
    app.add_middleware(lean.ShortWay, ways=lean.ways_to(hot, routers))
    app.add_middleware(InTime)
    problems.handle_all(app)
    app.add_exception_handler(idempotency.Replayed, idempotency.on_replayed)
    app.add_middleware(Listening, body_bytes=settings.body_bytes, words=sentences.load(*words))
    for router in (_health(), *routers):
        # As they are: included, each would be declared anew for this application at its first request.
        app.router.routes.extend(router.routes)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


def _tokens_of(settings: ServiceSettings) -> TokenReader:
    return TokenReader(settings.token_keys, issuer=settings.token_issuer, audience=settings.token_audience)


def _addresses_of(routers: Sequence[APIRouter]) -> Sequence[tuple[re.Pattern[str], set[str] | None]]:
    return [
        (route.path_regex, route.methods)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
    ]


def _lifespan_of(engine: AsyncEngine, background: Sequence[Background]) -> Background:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            for run in background:
                await stack.enter_async_context(run(app))
            yield

    return lifespan


def make_router(prefix: str) -> APIRouter:
    """Return a noun's router under `/v1`, its bodies read strictly."""
    return APIRouter(
        prefix=f"/v1{prefix}", route_class=StrictRoute, tags=[prefix.strip("/")], responses=REFUSALS
    )


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, every refusal of it a problem."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for path in made["paths"].values():
            for operation in path.values():
                # FastAPI documents a form of its own for what our handler answers.
                operation["responses"].pop("422", None)
                streams.describe_events(operation["responses"])
                for parameter in operation.get("parameters", ()):
                    if parameter["name"] == "idempotency-key":
                        # Read as if it might be absent, so that its absence has a refusal of its own.
                        parameter.update(idempotency.AS_PARAMETER)
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = problems.ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas["ProblemView"] = problem
        app.openapi_schema = made
    return app.openapi_schema


def _health() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def live() -> Response:
        return Response("ok", media_type="text/plain")

    @router.get("/readyz")
    async def ready(request: Request) -> Response:
        if getattr(request.app.state, "draining", False):
            raise Unavailable("kit.draining", "This process is about to stop")
        # The own pool, never the bus: intake lives on while that is away.
        async with request.app.state.sessions() as session:
            await session.execute(text("SELECT 1"))
        return Response("ok", media_type="text/plain")

    return router
