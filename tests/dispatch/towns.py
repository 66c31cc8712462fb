"""A sealed village with its outlet, its orders, a vehicle or two and drivers: all that a wave needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from services.contracts.catalog import ZoneSupplied
from services.contracts.orders import OrderConfirmed, SlotClosed, ZoneOpened
from services.contracts.values import AssignedOutlet, OutletKind, Point
from services.dispatch import solving
from services.dispatch.plans import model
from services.dispatch.plans.domain import Solution, Violation, Wave, find_violations
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.dispatch.builders import (
    make_cleared,
    make_line,
    make_order,
    make_pass,
    make_vehicle,
    make_zone,
    rows,
    tell,
)  # fmt: skip
from tests.serving import headers

OUTLET = Point(lat=39.65, lon=116.30)


async def solve_here(wave: Wave, *, seconds: float, seed: int) -> tuple[Solution, list[Violation]]:
    """As `apart.solve` does, without a process of its own, which takes a second to start."""
    solution = model.plan_wave(wave, seconds=seconds, seed=seed)
    return solution, find_violations(wave, solution)


@dataclass(frozen=True)
class Town:
    """What was told and imported; ids as text where the wire has text."""

    client: httpx.AsyncClient
    sessions: Sessions
    zone: ZoneOpened
    orders: Sequence[OrderConfirmed]
    drivers: Sequence[UUID]

    @property
    def slot_id(self) -> UUID:
        return self.zone.slots[0].slot_id

    def commander(self, key: str | None = None) -> dict[str, str]:
        return headers("commander", key=key or new_id().hex, zone_ids=[self.zone.zone_id])

    def driver(self, person_id: UUID | str, key: str | None = None) -> dict[str, str]:
        return headers("driver", key=key or new_id().hex, subject=person_id)

    async def ask_plan(self, **body: Any) -> str:
        asked = await self.client.post(
            "/v1/plans", json={"slot_ids": [str(self.slot_id)], **body}, headers=self.commander()
        )
        assert asked.status_code == 202, asked.text
        return str(asked.json()["plan_id"])

    async def plan(self) -> str:
        """The id of a plan that is ready."""
        plan_id = await self.ask_plan(seconds=1)
        assert await solving.solve_next(self.sessions, solve_here)
        return plan_id

    async def read_plan(self, plan_id: str) -> dict[str, Any]:
        read = await self.client.get(f"/v1/plans/{plan_id}", headers=self.commander())
        assert read.status_code == 200, read.text
        return dict(read.json())

    async def commit(self, plan_id: str, **body: Any) -> httpx.Response:
        return await self.client.post(f"/v1/plans/{plan_id}/commitment", json=body, headers=self.commander())

    async def committed(self) -> dict[str, Any]:
        """The one trip of a plan that was committed."""
        plan_id = await self.plan()
        done = await self.commit(plan_id)
        assert done.status_code == 200, done.text
        (trip,) = (await self.read_plan(plan_id))["trips"]
        return dict(trip)

    async def load_ids(self) -> list[UUID]:
        return [
            row.load_id for row in await rows(self.sessions, "SELECT load_id FROM loads ORDER BY load_id")
        ]


async def make_town(  # noqa: PLR0913 - what a town has
    client: httpx.AsyncClient,
    sessions: Sessions,
    *,
    orders: int = 3,
    vehicles: int = 1,
    drivers: int = 1,
    grams: int = 1500,
    is_closed: bool = True,
    **given: Any,
) -> Town:
    zone = make_zone(**given)
    outlet = AssignedOutlet(
        outlet_id=new_id(),
        name="田园",
        kind=OutletKind.SUPERMARKET,
        position=OUTLET,
        rank=1,
        capacity_orders=400,
    )
    supplied = ZoneSupplied(
        zone_id=zone.zone_id,
        incident_id=zone.incident_id,
        outlets=(outlet,),
        missing=(),
        seconds_to_assign=1.5,
    )
    await tell(sessions, zone)
    await tell(sessions, supplied)
    made = [make_order(zone, make_line(outlet_id=outlet.outlet_id, grams=grams)) for _ in range(orders)]
    if made:
        await tell(sessions, *made)
    if is_closed:
        closed = SlotClosed(
            slot_id=zone.slots[0].slot_id,
            zone_id=zone.zone_id,
            incident_id=zone.incident_id,
            confirmed=orders,
        )
        await tell(sessions, closed)
    people = sorted(new_id() for _ in range(drivers))
    if people:
        await tell(sessions, *(make_cleared(person_id) for person_id in people))
    await import_fleet(client, vehicles)
    return Town(client, sessions, zone, made, people)


async def import_fleet(client: httpx.AsyncClient, count: int) -> None:
    if not count:
        return
    plates = [f"京A0000{number}" for number in range(1, count + 1)]
    head = headers("commander", key=new_id().hex)
    wanted = {"vehicles": [make_vehicle(plate=plate) for plate in plates]}
    assert (await client.post("/v1/vehicles", json=wanted, headers=head)).status_code == 200
    passes = [make_pass(plate=plate, number=f"11011500000{n}") for n, plate in enumerate(plates)]
    head = headers("commander", key=new_id().hex)
    given = await client.post("/v1/passes", json={"passes": passes}, headers=head)
    assert [item["outcome"] for item in given.json()["items"]] == ["created"] * count, given.text
