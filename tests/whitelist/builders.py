"""Requests to whitelist, valid by default, and what its rows say."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.whitelist.timers import TIMERS
from tests.serving import headers

OFFICER = headers("health_officer", subject="officer")
COMMANDER = headers("commander", subject="commander")
GUARD = headers("guard", subject="guard")
RESIDENT = headers("resident", subject="resident")

RUN: dict[str, Callable[..., Awaitable[int]]] = {timer.name: timer.run for timer in TIMERS}


def hours_ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def make_person(external_id: str = "st-1", **given: Any) -> dict[str, Any]:
    return {"external_id": external_id, "role": "steward", "name": "王楼长", "phone": "13800000000", **given}


def make_check(person_id: str, **given: Any) -> dict[str, Any]:
    check = {"kind": "pcr", "outcome": "negative", "sampled_at": hours_ago(1), "reference": str(new_id())}
    return {"person_id": person_id, **check, **given}


def make_policy(**given: Any) -> dict[str, Any]:
    policy = {"zone_class": "sealed", "valid_from": "2022-01-01T00:00:00Z", "legal_ref": "京疫防 2022-11"}
    return {**policy, "pcr_max_age_hours": 48, **given}


async def add_people(client: httpx.AsyncClient, *people: dict[str, Any]) -> list[str]:
    answer = await client.post("/v1/people", headers=COMMANDER, json={"people": people or (make_person(),)})
    assert answer.status_code == 200, answer.text
    return [item["person_id"] for item in answer.json()["items"]]


async def add_checks(client: httpx.AsyncClient, *checks: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post("/v1/checks", headers=OFFICER, json={"checks": checks})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def add_policy(client: httpx.AsyncClient, **given: Any) -> str:
    head = {**OFFICER, "idempotency-key": str(new_id())}
    answer = await client.post("/v1/policies", headers=head, json=make_policy(**given))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["policy_id"])


async def run(sessions: Sessions, timer: str, *, now: datetime | None = None) -> int:
    """Run one of the worker's timers once, as the worker does; `now` stands for a later moment."""
    async with sessions.begin() as session:
        return await RUN[timer](session, now or await database.now(session))


async def list_events(sessions: Sessions, key: str | None = None) -> list[dict[str, Any]]:
    """What whitelist has told the others, in order: the name's middle, the sequence and the payload."""
    async with sessions() as session:
        rows = await session.execute(
            text("""
                SELECT split_part(type, '.', 2) AS name, version, payload FROM outbox_event
                WHERE CAST(:key AS text) IS NULL OR key = :key ORDER BY id
            """),
            {"key": key},
        )
        return [{"name": row.name, "sequence": row.version, **row.payload} for row in rows]


async def count(sessions: Sessions, table: str) -> int:
    async with sessions() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def keys_of(sessions: Sessions) -> set[UUID]:
    async with sessions() as session:
        return set((await session.execute(text("SELECT scope_id FROM vault_keys"))).scalars())
