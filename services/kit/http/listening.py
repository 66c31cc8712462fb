"""What every request passes: its id, its line in the log, its count; JSON only, or a sheet only."""

import re
import time
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import correlation, words
from services.kit.http import problems, sheets
from services.kit.ids import new_id
from services.kit.words import Speech, Words

log = structlog.get_logger()

REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "http_request_duration_seconds",
    "From the request's head to the answer's end",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
WITH_BODY: Final = {"POST", "PUT", "PATCH"}
# What a body must be, and what is said of any other: at the address of a sheet, and at every other address.
A_SHEET: Final = (sheets.MEDIA_TYPE, ("kit.sheet_media_type", "Only CSV is read here"))
A_DOCUMENT: Final = ("application/json", problems.BY_STATUS[415])


class BrokenOff(Exception):
    """An answer ended in its middle: the connection ends with it."""


class Listening:
    """Pure ASGI: nothing is buffered, and a client that goes away is seen by the route."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, words: Words) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then count it by its route's template."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = str(new_id())
        started, status, has_begun = time.perf_counter(), 500, False

        async def send_noted(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                told = ((b"x-request-id", request_id.encode()), *_language_of(speech))
                message["headers"] = [*message["headers"], *told]
            await send(message)

        accepted = headers.get(b"accept-language", b"").decode("latin-1")
        with correlation.bind_request(request_id), words.speak(self._words, accepted) as speech:
            try:
                await self._answer(scope, headers, receive, send_noted)
            except Exception as failure:  # noqa: BLE001 - the edge
                # Told here: the server's own log would have the message, and so what a resident wrote.
                answer = problems.of_failure(failure, route=_route_of(scope))
                if has_begun:
                    raise BrokenOff from None
                await answer(scope, receive, send_noted)
            finally:
                _count(scope, status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        kind, refusal = A_SHEET if scope["path"].endswith(".csv") else A_DOCUMENT
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
            await problems.answer(400, *problems.BY_STATUS[400])(scope, receive, send)
        elif _length_of(headers) > self._body_bytes:
            await problems.answer(413, *problems.BY_STATUS[413])(scope, receive, send)
        elif _has_other_body(scope, headers, kind):
            await problems.answer(415, *refusal)(scope, receive, send)
        else:
            await self._app(scope, _limited(receive, self._body_bytes), send)


def _language_of(speech: Speech) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an answer that has words for a person; any other is alike in all languages."""
    if not speech.has_spoken:
        return ()
    return (b"content-language", speech.language.tag.encode()), (b"vary", b"accept-language")


def _length_of(headers: dict[bytes, bytes]) -> int:
    # What is no number the server has refused already.
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


def _limited(receive: Receive, most: int) -> Receive:
    # The framework's own limit answers with plain text; a body without a length is counted as it comes.
    got = 0

    async def receive_counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            raise HTTPException(413)
        return message

    return receive_counted


def _has_other_body(scope: Scope, headers: dict[bytes, bytes], wanted: str) -> bool:
    if scope["method"] not in WITH_BODY:
        return False
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return has_body and kind != wanted.encode()


def _route_of(scope: Scope) -> str:
    """Return the route's template, of which there are as many as routes."""
    return getattr(scope.get("route"), "path_format", None) or "unmatched"


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = _route_of(scope)
    method = scope["method"] if scope["method"] in METHODS else "other"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)
    log.info("request.answered", method=method, route=route, status=status, seconds=round(seconds, 6))
