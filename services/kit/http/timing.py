"""A request ends in time: what takes longer than the service's limit is broken off and told so."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.http import problems

# Timeouts nest: gateway 5 s > service 3 s > statement 1.5 s > lock 1 s > pool 0.5 s. The rest of the 3 s is
# for what is broken off: its connection is given up, whether or not the server still answers.
ANSWERS_WITHIN: Final = 2.7
ENDS_AT: Final = "baton.ends_at"
LATE: Final = (
    "kit.timeout",
    "No answer came in time; whether it was done is not known, and the same Idempotency-Key tells",
)


class InTime:
    """Pure ASGI: a request whose answer has not begun within the limit is cancelled and answered with 503.

    The cancelled request's transaction is rolled back, unless its commit was under way: then it may have been
    done all the same. So this 503, as any, says "unknown"; the request sent again with its key has its effect
    once. An answer that has begun is not broken off: a slow reader and a stream have all the time they want.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and wait for the beginning of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[ENDS_AT] = asyncio.get_running_loop().time() + ANSWERS_WITHIN
        limit = asyncio.timeout(ANSWERS_WITHIN)

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
            await problems.answer(503, *LATE, retry_after=1)(scope, receive, send)


def time_left(request: Request) -> float:
    """Return how many seconds a request has until it is broken off."""
    ends_at: float = request.scope[ENDS_AT]
    return ends_at - asyncio.get_running_loop().time()
