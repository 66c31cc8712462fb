"""Talking with Baton through its gateway, as whoever holds a token."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from services.console.machine import keys
from services.contracts.access import Role
from services.kit.ids import new_id

BATCH = 500
AT_ONCE = 24
ANSWERS_WITHIN = 10.0
# Only the edge client retries, always with the same key.
TRIES = 60

Document = Mapping[str, Any]


class Refused(Exception):
    """Baton said no; the problem names every reason."""

    def __init__(self, path: str, problem: Document) -> None:
        super().__init__(f"{path}: {problem.get('status')} {problem.get('code')} {problem.get('errors', '')}")
        self.problem = problem

    @property
    def codes(self) -> list[str]:
        """Return the codes of the failing items, or the problem's own where it names none."""
        return [error["code"] for error in self.problem.get("errors", ())] or [self.problem["code"]]


@dataclass(frozen=True, slots=True)
class Voice:
    """One caller."""

    client: httpx.AsyncClient
    token: str

    async def get(self, path: str, **query: Any) -> Any:
        """Return what is there; raise `Refused`."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Document | None = None, *, key: str | None = None) -> Any:
        """Do something once, however often it has to be sent; raise `Refused`."""
        return await self._ask(
            "POST", path, json=body or {}, headers={"idempotency-key": key or str(new_id())}
        )

    async def list_all(self, path: str, **query: Any) -> list[Any]:
        """Return every item of a list, page after page."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=200, **query, **cursor)
            items += page["items"]
            if not page.get("cursor"):
                return items
            cursor = {"cursor": page["cursor"]}

    async def import_all(self, path: str, name: str, items: Sequence[Document]) -> list[Any]:
        """Import items in batches and return the answer of each; what was refused stays in it."""
        answers: list[Any] = []
        for start in range(0, len(items), BATCH):
            answer = await self.post(path, {name: items[start : start + BATCH]})
            answers += answer["items"]
        return answers

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        head = {"authorization": f"Bearer {self.token}", **given.pop("headers", {})}
        for attempt in range(TRIES):
            try:
                answer = await self.client.request(method, path, headers=head, **given)
            except httpx.TransportError:
                # The gateway is away, or a process behind it is just being started again.
                await asyncio.sleep(min(1.0, 0.05 * 2**attempt))
                continue
            if answer.is_success:
                return answer.json() if answer.content else None
            problem = answer.json()
            if not _is_passing(answer.status_code, problem["code"]):
                raise Refused(path, problem)
            await asyncio.sleep(float(answer.headers.get("retry-after", 0.2)))
        raise Refused(path, {"status": 503, "code": "scenario.no_answer"})


def _is_passing(status: int, code: str) -> bool:
    """Say whether the same request, with its key, may be granted in a moment."""
    return status in (408, 429, 503, 504) or code == "kit.idempotency_in_flight"


@dataclass(frozen=True, slots=True)
class Voices:
    """Gives everyone of a scenario a token of the machine's own key."""

    client: httpx.AsyncClient
    keys: Path

    def of(
        self,
        *roles: Role,
        subject: UUID | str | None = None,
        household_id: UUID | str | None = None,
        outlet_id: UUID | str | None = None,
        zone_ids: Iterable[UUID | str] = (),
    ) -> Voice:
        """Return the voice of a caller with these claims."""
        token = keys.issue(
            self.keys,
            roles=roles,
            subject=_as_id(subject),
            household_id=_as_id(household_id),
            outlet_id=_as_id(outlet_id),
            zone_ids=[UUID(str(zone)) for zone in zone_ids],
        )
        return Voice(self.client, token)


def open_client(gateway: str) -> httpx.AsyncClient:
    """Return a client of the gateway; the caller closes it."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    return httpx.AsyncClient(base_url=gateway, timeout=ANSWERS_WITHIN, limits=limits, trust_env=False)


def _as_id(given: UUID | str | None) -> UUID | None:
    return UUID(str(given)) if given is not None else None
