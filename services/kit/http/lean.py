"""The short way to a hot endpoint: its declaration is read once, not by the framework for every request."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import PydanticUndefined
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from services.kit.http.requests import StrictRequest

Endpoint = Callable[..., Awaitable[Any]]
Address = tuple[str, str]
# What the framework, too, hands on as it came.
PLAIN: Final = str | None
LONG_WAY: Final = {
    "path_params", "query_params", "cookie_params", "response_param_name", "websocket_param_name",
    "background_tasks_param_name", "security_scopes_param_name",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A function of the declaration, and where its arguments come from."""

    call: Endpoint
    request: str | None
    headers: Sequence[tuple[str, str, str | None]]
    # By name, the step whose result it is.
    results: Sequence[tuple[str, int]]

    def take(self, request: Request, done: Sequence[Any], body: Mapping[str, Any]) -> Awaitable[Any]:
        """Call the function with what it declares."""
        arguments = dict(body)
        if self.request:
            arguments[self.request] = request
        for name, header, otherwise in self.headers:
            arguments[name] = request.headers.get(header, otherwise)
        for name, place in self.results:
            arguments[name] = done[place]
        return self.call(**arguments)


class Way:
    """The steps to an endpoint that reads a JSON document, plain headers and who calls, and no more."""

    def __init__(self, route: APIRoute) -> None:
        self.route = route
        steps: dict[Endpoint, Step] = {}
        for dependant in _walk(route.dependant):
            _add(steps, dependant)
        *self._before, self._last = steps.values()

    async def answer(self, request: StrictRequest) -> Response:
        """Return the endpoint's response; what is refused is refused in the framework's own order."""
        try:
            has_body = bool(await request.body())
        except ClientDisconnect as gone:
            raise HTTPException(400) from gone
        document = await request.json() if has_body else PydanticUndefined
        done: list[Any] = []
        for step in self._before:
            done.append(await step.take(request, done, {}))
        body, errors = await request_body_to_args(
            self.route.dependant.body_params, document, embed_body_fields=False
        )
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self._last.take(request, done, body)
        return response


class ShortWay:
    """Pure ASGI: some addresses are answered here, every other one by the framework's router."""

    def __init__(self, app: ASGIApp, *, ways: Mapping[Address, Way]) -> None:
        self._app = app
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, its refusals by the application's own handlers."""
        way = self._ways.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if way is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = way.route
        request = StrictRequest(scope, receive)
        try:
            response = await way.answer(request)
        except Exception as refusal:
            handlers = scope["app"].exception_handlers
            handle = next((handlers[kind] for kind in type(refusal).__mro__ if kind in handlers), None)
            if handle is None:
                raise
            response = await handle(request, refusal)
        await response(scope, receive, send)


def ways_to(endpoints: Collection[Endpoint], routers: Sequence[APIRouter]) -> Mapping[Address, Way]:
    """Return the short ways to endpoints; raise `TypeError` for one that asks for what is not read here."""
    return {
        (method, route.path): Way(route)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.endpoint in endpoints
        for method in route.methods or ()
    }


def _walk(dependant: Dependant) -> Iterator[Dependant]:
    for below in dependant.dependencies:
        yield from _walk(below)
    yield dependant


def _add(steps: dict[Endpoint, Step], dependant: Dependant) -> None:
    call = dependant.call
    assert call is not None  # noqa: S101 - whatever is declared can be called
    if call in steps:
        return
    is_plain = all(
        field.field_info.annotation == PLAIN and not field.field_info.metadata
        for field in dependant.header_params
    )
    is_coroutine = iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)
    if not is_plain or not is_coroutine or any(getattr(dependant, name) for name in LONG_WAY):
        raise TypeError(f"{call} asks for more than the short way has")
    places = {known: place for place, known in enumerate(steps)}
    steps[call] = Step(
        call=call,
        request=dependant.request_param_name or dependant.http_connection_param_name,
        headers=[(field.name, field.alias, field.default) for field in dependant.header_params],
        results=[
            (below.name, places[below.call]) for below in dependant.dependencies if below.name and below.call
        ],
    )
