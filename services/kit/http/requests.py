"""Reading bodies strictly: JSON of one meaning, or a refusal before anything is understood."""

import json
from collections.abc import Callable, Coroutine
from math import isfinite
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from services.kit.errors import Fault, Problem, Rejected, Unreadable

LONGEST_INTEGER = 20
LONGEST_FRACTION = 64


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
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except HTTPException as refusal:
                # FastAPI makes one 400 of whatever a reader raises; ours says more.
                if isinstance(refusal.__cause__, Problem):
                    raise refusal.__cause__ from None
                raise

        return handle_strictly


def read_json(body: bytes) -> Any:
    """Return the value of a document; raise `Unreadable` for what is no JSON, `Rejected` for a double key."""
    try:
        # UTF-8 alone (RFC 8259): the library would guess UTF-16 too, and let half a character pass.
        document = body.decode()
        value = _DECODER.decode(document)
    except (ValueError, RecursionError) as error:
        raise Unreadable("kit.unreadable", "The body is no JSON document") from error
    if "\\u" in document and not _is_writable(value):
        raise Unreadable("kit.unreadable", "The body has a NUL or half a character in a text")
    return value


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Rejected(
            "kit.duplicate_key", "An object has the same key twice", faults=[Fault("", "kit.duplicate_key")]
        )
    return found


def _read_integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise ValueError("a number too long to mean anything here")
    return int(digits)


def _read_fraction(digits: str) -> float:
    if len(digits) > LONGEST_FRACTION or not isfinite(number := float(digits)):
        raise ValueError("a number too long or too large to mean anything here")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _is_writable(value: Any) -> bool:
    """Say whether every text can be written to a column; without recursion, for the depth is the sender's."""
    todo = [value]
    while todo:
        match todo.pop():
            case str() as text:
                if "\x00" in text or not _is_whole(text):
                    return False
            case list() as items:
                todo += items
            case dict() as found:
                todo += found.keys()
                todo += found.values()
    return True


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Made once: `json.loads` makes one for each document.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_read_object,
    parse_constant=_refuse_constant,
    parse_int=_read_integer,
    parse_float=_read_fraction,
)
