"""A town whose goods are on the road or at the gate, and what becomes of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from services.contracts.access import Role
from services.dispatch import solving
from services.dispatch.loads.marks import Marks
from services.dispatch.plans import application as plans
from services.dispatch.rescues import application as rescues
from services.kit import database
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.vault import Master
from tests.dispatch.builders import make_cleared, make_duty, make_suspended, rows, tell
from tests.dispatch.towns import Town, make_town, solve_here
from tests.serving import headers

ROADSIDE = {"lat": 39.645, "lon": 116.29}


def minutes_from_now(minutes: float) -> datetime:
    """A rescue is opened by the clock: what is part of it cannot be told by a moment kept from the start."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


@dataclass(frozen=True)
class Carried:
    """A town with a steward on duty, whose loads are on a trip; every moment is told in minutes from now."""

    town: Town
    marks: Marks
    steward: UUID
    trip: dict[str, Any]

    @property
    def sessions(self) -> Sessions:
        return self.town.sessions

    @property
    def driver(self) -> UUID:
        return UUID(self.trip["driver_id"])

    @property
    def other(self) -> UUID:
        return next(person for person in self.town.drivers if person != self.driver)

    async def units(self) -> list[Any]:
        return list(
            await rows(
                self.sessions,
                "SELECT load_unit_id, load_id, outlet_id, loads.household_id FROM load_units "
                "JOIN loads USING (load_id) ORDER BY load_id, load_units.number",
            )
        )

    async def hand_over(  # noqa: PLR0913 - what a hand-over has
        self,
        leg: int,
        giver: UUID | None,
        taker: UUID | None,
        *,
        minutes: float = 0,
        only: UUID | None = None,
        only_unit: UUID | None = None,
        by: dict[str, str] | None = None,
        **given: Any,
    ) -> list[dict[str, Any]]:
        """All loads change hands on a leg, or one; nobody given is the outlet, or the household."""
        picture = {"photo_sha256": "ab" * 32} if leg == 3 else {}
        notes = [
            {
                "hand_over_id": str(new_id()),
                "load_unit_id": str(unit.load_unit_id),
                "leg": leg,
                "giver_id": str(giver or unit.outlet_id),
                "taker_id": str(taker or unit.household_id),
                "occurred_at": minutes_from_now(minutes).isoformat(),
                "proof": {"kind": "qr", "value": self.marks.label_of(unit.load_unit_id), **picture},
                **given,
            }
            for unit in await self.units()
            if only in (None, unit.load_id) and only_unit in (None, unit.load_unit_id)
        ]
        head = by or self.town.commander()
        answer = await self.town.client.post("/v1/hand-overs", json={"hand_overs": notes}, headers=head)
        assert answer.status_code == 200, answer.text
        items = list(answer.json()["items"])
        assert {item["outcome"] for item in items} == {"recorded"}, items
        return items

    async def suspend(self, person: UUID, role: Role = Role.DRIVER, *, minutes: float = -3) -> None:
        await tell(self.sessions, make_suspended(person, role), sequence=2, at=minutes_from_now(minutes))

    async def rescues(self, **asked: Any) -> list[dict[str, Any]]:
        answer = await self.town.client.get("/v1/rescues", params=asked, headers=self.town.commander())
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def rescue(self, rescue_id: str | None = None) -> dict[str, Any]:
        """The one rescue there is, with its candidates."""
        if rescue_id is None:
            ((rescue_id,),) = await rows(self.sessions, "SELECT rescue_id FROM rescues")
        path = f"/v1/rescues/{rescue_id}"
        answer = await self.town.client.get(path, headers=self.town.commander())
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def plan(self) -> dict[str, Any]:
        """The one trip of the plan that waits, which is solved and committed by itself."""
        assert await solving.solve_next(self.sessions, solve_here)
        async with self.sessions.begin() as session:
            assert await plans.commit_automatic(session, await database.now(session)) == 1
        ((plan_id,),) = await rows(
            self.sessions,
            "SELECT plan_id FROM plans WHERE status = 'committed' ORDER BY plan_id DESC LIMIT 1",
        )
        (trip,) = (await self.town.read_plan(str(plan_id)))["trips"]
        return dict(trip)

    async def sweep(self) -> int:
        async with self.sessions.begin() as session:
            return await rescues.open_late(session, await database.now(session))

    async def follow(self, minutes: float = 0) -> int:
        """Everything that the clock starts for open rescues; how many rescues it was done for."""
        done = 0
        for work in (rescues.settle_over, rescues.call_late, rescues.plan_waiting, rescues.plan_left):
            async with self.sessions.begin() as session:
                done += await work(session, await database.now(session) + timedelta(minutes=minutes))
        return done

    async def lose(self, vehicle_id: str, key: str | None = None) -> httpx.Response:
        return await self.town.client.post(
            f"/v1/vehicles/{vehicle_id}/loss",
            json={"reason": "in the ditch"},
            headers=headers("commander", key=key or new_id().hex, subject="hall"),
        )

    async def close(self, rescue_id: str) -> httpx.Response:
        return await self.town.client.post(
            f"/v1/rescues/{rescue_id}/closure",
            json={"reason": "tested again"},
            headers=self.town.commander(),
        )

    async def bring_back(self, vehicle_id: str, subject: str = "hall") -> httpx.Response:
        return await self.town.client.post(
            f"/v1/vehicles/{vehicle_id}/return",
            headers=headers("commander", key=new_id().hex, subject=subject),
        )


async def make_carried(
    client: httpx.AsyncClient, sessions: Sessions, folder: Path, *, legs: int = 1, **given: Any
) -> Carried:
    """Bring all loads of a town on the road, with two legs to the gate, with none on a trip."""
    town = await make_town(client, sessions, **{"orders": 2, "vehicles": 2, "drivers": 2, **given})
    steward = new_id()
    await tell(sessions, make_cleared(steward, Role.STEWARD))
    await tell(sessions, make_duty(steward, town.zone))
    marks = Marks(Master.of_file(folder / "master.key").derive("dispatch.marks"))
    carried = Carried(town, marks, steward, await town.committed())
    if legs > 0:
        await carried.hand_over(1, None, carried.driver, minutes=-4, place=ROADSIDE)
    if legs > 1:
        await carried.hand_over(2, carried.driver, steward, minutes=-3.5)
    return carried
