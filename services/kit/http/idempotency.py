"""Retrying is safe: the key's row is written in the transaction of the effect, and kept as long as it."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.errors import Conflict, Fault, Rejected, Unreadable
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

LONGEST_KEY: Final = 200

LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:identity, 0))")
FIND = text("""
    SELECT digest, status, location, body FROM idempotency
    WHERE principal = :principal AND route = :route AND key = :key
""")
KEEP = text("""
    INSERT INTO idempotency (principal, route, key, digest, status, location, body)
    VALUES (:principal, :route, :key, :digest, :status, :location, :body)
""")


class Replayed(Exception):
    """The request was accepted before; the answer is the first one, byte for byte."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two requests the same: the caller, the path and the key; the digest is of the body."""

    principal: str
    route: str
    key: str
    digest: bytes = field(compare=False)


@dataclass(frozen=True, slots=True)
class Once:
    """A request that has its effect once; the route answers through `accept`."""

    identity: Identity
    session: AsyncSession

    async def accept(self, view: BaseModel, *, status: int = 201, location: str | None = None) -> Response:
        """Keep the answer with the effect and return it; `view` holds ids only, nothing personal."""
        body = view.model_dump_json().encode()
        await self.session.execute(
            KEEP,
            {
                "principal": self.identity.principal,
                "route": self.identity.route,
                "key": self.identity.key,
                "digest": self.identity.digest,
                "status": status,
                "location": location,
                "body": body,
            },
        )
        return make_response(status, body, location)


def make_response(status: int, body: bytes, location: str | None, *, replayed: bool = False) -> Response:
    """Return an acceptance as it is sent, the first time and every later time."""
    headers = {"location": location} if location else {}
    if replayed:
        headers["idempotency-replayed"] = "true"
    return Response(body, status_code=status, media_type="application/json", headers=headers)


async def identify(
    request: Request,
    caller: Caller,
    idempotency_key: Annotated[
        str | None, Header(description="Yours for this request: sent again, it has its effect once")
    ] = None,
) -> Identity:
    """Return what the request is told apart by; raise `Unreadable` where it has no key."""
    if not idempotency_key or len(idempotency_key) > LONGEST_KEY:
        raise Unreadable(
            "kit.idempotency_key_missing",
            "This request needs a header Idempotency-Key of 1 to 200 characters",
            faults=[Fault("/header/idempotency-key", "kit.idempotency_key_missing")],
        )
    digest = sha256(await request.body()).digest()
    return Identity(caller.subject, f"{request.method} {request.url.path}", idempotency_key, digest)


Identified = Annotated[Identity, Depends(identify)]


async def claim(session: AsyncSession, identity: Identity) -> Once:
    """Claim the key for this transaction; raise `Replayed`, `Rejected` or `Conflict` where it was used."""
    lock = f"{identity.principal}\n{identity.route}\n{identity.key}"
    # Not got: the same request is under way. Told at once, for a wait would hold this connection.
    if not (await session.execute(LOCK, {"identity": lock})).scalar_one():
        raise in_flight()
    row = (
        await session.execute(
            FIND, {"principal": identity.principal, "route": identity.route, "key": identity.key}
        )
    ).one_or_none()
    if row is None:
        return Once(identity, session)
    if row.digest != identity.digest:
        raise other_body()
    raise Replayed(make_response(row.status, row.body, row.location, replayed=True))


def in_flight() -> Conflict:
    """Return the refusal of a request whose twin is under way."""
    return Conflict(
        "kit.idempotency_in_flight", "The same request is being worked on; ask again", retry_after=1
    )


def other_body() -> Rejected:
    """Return the refusal of a key that was used for another body."""
    return Rejected(
        "kit.idempotency_key_reused",
        "This Idempotency-Key was used for another request",
        faults=[Fault("/header/idempotency-key", "kit.idempotency_key_reused")],
    )


async def _claim(session: Session, identity: Identified) -> Once:
    return await claim(session, identity)


OnceOnly = Annotated[Once, Depends(_claim, scope="function")]


async def on_replayed(_request: Request, replayed: Exception) -> Response:
    """Answer with the first acceptance."""
    assert isinstance(replayed, Replayed)  # noqa: S101 - registered for this class alone
    return replayed.response
