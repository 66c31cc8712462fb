"""Reading bodies strictly: JSON of one meaning, or a refusal before anything is understood."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from services.kit.errors import Fault, Rejected, Unreadable

LONGEST_NUMBER = 20


class StrictRequest(Request):
    """A request whose JSON has no duplicate key, no NaN, no NUL, no endless number and no endless depth."""

    async def json(self) -> Any:
        """Return the body's value; raise `Unreadable` or `Rejected` where it has none or two meanings."""
        if not hasattr(self, "_strict"):
            self._strict = read_json(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that reads its body strictly; every router of a service is made of these."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, given a strict request."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def read_json(body: bytes) -> Any:
    """Return the value of a document; raise `Unreadable` for what is no JSON, `Rejected` for a double key."""
    try:
        value = json.loads(
            body,
            object_pairs_hook=_read_object,
            parse_constant=_refuse_constant,
            parse_int=_read_int,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("kit.unreadable", "The body is no JSON document") from error
    if b"\\u0000" in body and _has_nul(value):
        raise Unreadable("kit.unreadable", "The body has a NUL in a text")
    return value


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Rejected(
            "kit.duplicate_key", "An object has the same key twice", faults=[Fault("", "kit.duplicate_key")]
        )
    return found


def _read_int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("a number too long to mean anything here")
    return int(digits)


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
        case _:
            return False
