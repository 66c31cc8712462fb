"""Retrying is safe: the key's row is written in the transaction of the effect, and kept as long as it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import crash_points, database
from services.kit.errors import Conflict, Fault, Problem, Rejected, Unreadable
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

LONGEST_KEY: Final = 200
AS_PARAMETER: Final = {
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}

LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:identity, 0))")
FIND = text("""
    SELECT digest, status, location, body FROM idempotency
    WHERE principal = :principal AND route = :route AND key = :key
""")
KEEP = text("""
    INSERT INTO idempotency (principal, route, key, digest, status, location, body, is_report)
    VALUES (:principal, :route, :key, :digest, :status, :location, :body, :is_report)
""")

FIND_ALL = text("""
    SELECT stored.principal, stored.route, stored.key, digest, status, location, body
    FROM idempotency AS stored
    JOIN unnest(CAST(:principals AS text[]), CAST(:routes AS text[]), CAST(:keys AS text[]))
      AS asked (principal, route, key) USING (principal, route, key)
""")
KEEP_ALL = text("""
    INSERT INTO idempotency (principal, route, key, digest, status, location, body)
    SELECT * FROM unnest(
        CAST(:principals AS text[]), CAST(:routes AS text[]), CAST(:keys AS text[]),
        CAST(:digests AS bytea[]), CAST(:statuses AS smallint[]), CAST(:locations AS text[]),
        CAST(:bodies AS bytea[])
    ) AS row (principal, route, key, digest, status, location, body)
    ORDER BY principal, route, key
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

    @property
    def lock_name(self) -> str:
        """Return the name under which one transaction at a time works on the key."""
        return f"{self.principal}\n{self.route}\n{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An acceptance as it is kept."""

    status: int
    body: bytes
    location: str | None = None
    is_replayed: bool = False

    def as_response(self) -> Response:
        """Return it as it is sent, the first time and every later time."""
        return make_response(self.status, self.body, self.location, replayed=self.is_replayed)


# Gets the places, in the batch, of the requests that are new; returns what becomes of each, in their order.
Decide = Callable[[Sequence[int]], Awaitable[Sequence[Answer | Problem]]]


@dataclass(frozen=True, slots=True)
class Once:
    """A request that has its effect once; the route answers through `accept`."""

    identity: Identity
    session: AsyncSession

    async def accept(
        self, view: BaseModel, *, status: int = 201, location: str | None = None, is_report: bool = False
    ) -> Response:
        """Keep the answer with the effect and return it; `view` holds ids only, nothing personal.

        Of a report each item is told apart by itself: its key is kept for a month, not as long as a thing.
        """
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
                "is_report": is_report,
            },
        )
        await crash_points.reach("key.kept")
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
    return Identity(caller.subject, f"{request.method} {request.scope['path']}", idempotency_key, digest)


Identified = Annotated[Identity, Depends(identify)]


async def claim(session: AsyncSession, identity: Identity) -> Once:
    """Claim the key for this transaction; raise `Replayed`, `Rejected` or `Conflict` where it was used."""
    # Not got: the same request is under way. Told at once, for a wait would hold this connection.
    if not (await session.execute(LOCK, {"identity": identity.lock_name})).scalar_one():
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


async def decide_once(
    session: AsyncSession, identities: Sequence[Identity], decide: Decide
) -> list[Answer | Problem]:
    """Let a batch of requests have each its effect once; a batch of one is what `claim` and `accept` do.

    Answers come in the order asked: what was accepted before is replayed, twins of a batch share one answer.
    """
    outcomes = await _find_known(session, identities)
    first_of = {identity: place for place, identity in reversed(list(enumerate(identities)))}
    fresh = [place for identity, place in sorted(first_of.items(), key=lambda found: found[1])
             if place not in outcomes]  # fmt: skip
    decided = dict(zip(fresh, await decide(fresh) if fresh else (), strict=True))
    accepted = [
        (identities[place], outcome) for place, outcome in decided.items() if isinstance(outcome, Answer)
    ]
    await _keep_all(session, accepted)

    outcomes |= decided
    for place, identity in enumerate(identities):
        if place not in outcomes:
            first = first_of[identity]
            outcomes[place] = _share(outcomes[first], is_same=identity.digest == identities[first].digest)
    return [outcomes[place] for place in range(len(identities))]


async def _find_known(session: AsyncSession, identities: Sequence[Identity]) -> dict[int, Answer | Problem]:
    """Return what is known without deciding: keys in other hands, and keys that were used."""
    got = await database.try_names(session, [identity.lock_name for identity in identities])
    # A new statement sees what was committed before its lock was got.
    stored = {(row.principal, row.route, row.key): row for row in await _find_all(session, identities)}
    known: dict[int, Answer | Problem] = {}
    for place, identity in enumerate(identities):
        row = stored.get((identity.principal, identity.route, identity.key))
        if not got[place]:
            known[place] = in_flight()
        elif row is not None and row.digest != identity.digest:
            known[place] = other_body()
        elif row is not None:
            known[place] = Answer(status=row.status, body=row.body, location=row.location, is_replayed=True)
    return known


async def _find_all(session: AsyncSession, identities: Sequence[Identity]) -> Sequence[Row[Any]]:
    asked = {
        "principals": [identity.principal for identity in identities],
        "routes": [identity.route for identity in identities],
        "keys": [identity.key for identity in identities],
    }
    return (await session.execute(FIND_ALL, asked)).all()


async def _keep_all(session: AsyncSession, accepted: Sequence[tuple[Identity, Answer]]) -> None:
    if not accepted:
        return
    await session.execute(
        KEEP_ALL,
        {
            "principals": [identity.principal for identity, _ in accepted],
            "routes": [identity.route for identity, _ in accepted],
            "keys": [identity.key for identity, _ in accepted],
            "digests": [identity.digest for identity, _ in accepted],
            "statuses": [answer.status for _, answer in accepted],
            "locations": [answer.location for _, answer in accepted],
            "bodies": [answer.body for _, answer in accepted],
        },
    )
    await crash_points.reach("key.kept")


def _share(first: Answer | Problem, *, is_same: bool) -> Answer | Problem:
    match first:
        case Answer() if is_same:
            return replace(first, is_replayed=True)
        case Answer():
            return other_body()
        case _:
            # A refusal uses up no key: the other body may be judged when it comes again.
            return first if is_same else in_flight()


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
