"""Every refusal as an RFC 9457 problem: a stable code, every failing item named, nothing of the input."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.kit import words
from services.kit.errors import (
    Conflict,
    Fault,
    Forbidden,
    NotFound,
    Problem,
    Rejected,
    Stale,
    Unavailable,
    Unreadable,
)
from services.kit.failures import describe, is_passing

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
STATUS: Final[Mapping[type[Problem], HTTPStatus]] = {
    Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unreadable: HTTPStatus.BAD_REQUEST,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Stale: HTTPStatus.PRECONDITION_FAILED,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
# What the framework refuses by itself, before a route is asked.
BY_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("kit.unreadable", "The request cannot be read"),
    401: ("kit.unauthenticated", "A valid access token is needed"),
    404: ("kit.not_found", "Nothing is found here"),
    405: ("kit.method_not_allowed", "This cannot be done here"),
    413: ("kit.too_large", "The request is too large"),
    415: ("kit.media_type", "Only JSON is read here"),
}


class FaultView(BaseModel):
    """One failing item: where it stands in the request, why, and what was asked and what there is.

    `detail` says it in the caller's language (`Accept-Language`: zh or en).
    """

    pointer: str
    code: str
    params: dict[str, Any]
    detail: str = Field(default_factory=lambda said: words.detail(said["code"], said["params"]))

    @classmethod
    def of(cls, fault: Fault) -> "FaultView":
        """Show one reason of a refusal, as it stands in an item's own answer."""
        return cls(pointer=fault.pointer, code=fault.code, params=dict(fault.params))


class ProblemView(BaseModel):
    """The one form of every refusal (RFC 9457); its title in the caller's language, one for each code."""

    type: str
    title: str
    status: int
    code: str
    errors: list[FaultView] = []


def handle_all(app: FastAPI) -> None:
    """Let `app` answer every refusal as a problem; failures are answered by `Listening`."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_framework)


def answer(  # noqa: PLR0913 - the parts of a problem
    status: int,
    code: str,
    title: str,
    faults: Sequence[Fault] = (),
    *,
    retry_after: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response; `title` is said where its code has no words of its own."""
    said = words.title(code, otherwise=title)
    body: dict[str, Any] = {"type": "about:blank", "title": said, "status": int(status), "code": code}
    if faults:
        body["errors"] = [dict(FaultView.of(fault)) for fault in faults]
    head = {**(headers or {}), "cache-control": "no-store"}
    if retry_after is not None:
        head["retry-after"] = str(retry_after)
    return Response(
        orjson.dumps(body, default=str), status_code=int(status), media_type=MEDIA_TYPE, headers=head
    )


def of_problem(problem: Problem) -> Response:
    """Return a refusal as a response."""
    status = next(status for kind, status in STATUS.items() if isinstance(problem, kind))
    return answer(status, problem.code, problem.title, problem.faults, retry_after=problem.retry_after)


def of_failure(failure: Exception, *, route: str) -> Response:
    """Log a failure and return it as a response; nothing was changed, for nothing was committed."""
    if is_passing(failure):
        log.warning("request.put_off", route=route, error=type(failure).__name__)
        return answer(503, "kit.unavailable", "The service cannot answer now", retry_after=1)
    # The place, never the message: that may repeat what a resident wrote.
    log.error("request.failed", route=route, error=describe(failure))
    return answer(500, "kit.failed", "The service failed; nothing was changed")


def fault_of(error: Mapping[str, Any], pointer: str) -> Fault:
    """Return what a model (pydantic) finds wrong with what stands at `pointer`."""
    return Fault(pointer, f"kit.{error['type']}", _facts(error))


async def _on_problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101 - registered for this class alone
    return of_problem(problem)


async def _on_invalid(_request: Request, invalid: Exception) -> Response:
    assert isinstance(invalid, RequestValidationError)  # noqa: S101 - registered for this class alone
    faults = [fault_of(error, _pointer(_place_of(error))) for error in invalid.errors()]
    # A path that cannot be an id names nothing that exists.
    if all(error["loc"][0] == "path" for error in invalid.errors()):
        return answer(404, *BY_STATUS[404])
    return answer(422, "kit.invalid", "The request has not the form that is wanted here", faults)


async def _on_framework(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)  # noqa: S101 - registered for this class alone
    status = refusal.status_code
    code, title = BY_STATUS.get(status, ("kit.refused", "The request is refused"))
    headers = {"allow": _methods_of(request)} if status == HTTPStatus.METHOD_NOT_ALLOWED else refusal.headers
    return answer(status, code, title, headers=headers)


def _methods_of(request: Request) -> str:
    """Return what can be done at an address: the framework names the first of its routes only."""
    addresses: Sequence[tuple[re.Pattern[str], set[str]]] = request.app.state.addresses
    found = (methods for address, methods in addresses if address.match(request.url.path))
    return ", ".join(sorted({method for methods in found for method in methods}))


def _place_of(error: Mapping[str, Any]) -> Sequence[int | str]:
    # The name of an unknown field is the sender's own word: the object that has it is pointed at.
    place: Sequence[int | str] = error["loc"]
    return place[:-1] if error["type"] == "extra_forbidden" else place


def _pointer(location: Sequence[int | str]) -> str:
    # FastAPI's first word says where it looked: a body's pointer is the document's own.
    where, *path = location
    parts = path if where == "body" else [where, *path]
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _facts(error: Mapping[str, Any]) -> Mapping[str, object]:
    # Limits of the schema only; a fact may be of any type, and none may be a part of the input.
    facts = error.get("ctx", {})
    kept = {"ge", "gt", "le", "lt", "min_length", "max_length", "expected", "multiple_of", "max_digits"}
    return {name: value for name, value in facts.items() if name in kept}
