"""One load on its way from an outlet to a door: two bags, a driver on a trip, a steward on duty."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.contracts.access import Role
from services.contracts.orders import OrderConfirmed, ZoneOpened
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_duty,
    make_line,
    make_order,
    make_zone,
    rows,
    tell,
)

TRIP = (
    """
    INSERT INTO vehicles VALUES (:vehicle_id, :plate, 'van', 500000, 100, 39, 116, :starts, :ends)
    """,
    """
    INSERT INTO plans (plan_id, incident_id, zone_ids, slot_ids, cause, is_automatic, status, seed, seconds,
                       requested_at, committed_at)
    VALUES (:plan_id, :incident_id, ARRAY[CAST(:zone_id AS uuid)], ARRAY[CAST(:slot_id AS uuid)], 'asked',
            false, 'committed', 1, 1, :starts, :starts)
    """,
    """
    INSERT INTO trips (trip_id, plan_id, number, incident_id, zone_ids, vehicle_id, driver_id, status,
                       departs_at, depart_by, ends_at, metres, grams, pieces, capacity_g, capacity_pieces)
    VALUES (:trip_id, :plan_id, 1, :incident_id, ARRAY[CAST(:zone_id AS uuid)], :vehicle_id, :driver_id,
            'planned', :starts, :starts, :ends, 5200, 15000, 2, 500000, 100)
    """,
    "INSERT INTO trip_loads (trip_id, load_id, is_held) VALUES (:trip_id, :load_id, true)",
    "INSERT INTO trip_seats (trip_id, driver_id, seated_at) VALUES (:trip_id, :driver_id, :starts)",
)


@dataclass(frozen=True)
class Relay:
    client: httpx.AsyncClient
    sessions: Sessions
    zone: ZoneOpened
    order: OrderConfirmed
    driver: UUID
    steward: UUID
    outlet: UUID
    load_id: UUID
    portion_id: UUID
    labels: dict[UUID, str]

    @property
    def units(self) -> list[UUID]:
        return list(self.labels)

    def note(self, leg: int, unit: int = 0, *, minutes: int | None = None, **given: Any) -> dict[str, Any]:
        """A hand-over as a device notes it, a minute after the leg before it."""
        giver, taker = {
            1: (self.outlet, self.driver),
            2: (self.driver, self.steward),
            3: (self.steward, self.order.household_id),
        }[leg]
        occurred_at: datetime = NOW + ((leg - 10 if minutes is None else minutes) * HOUR / 60)
        wanted = {
            "hand_over_id": new_id(),
            "load_unit_id": self.units[unit],
            "leg": leg,
            "giver_id": giver,
            "taker_id": taker,
            "occurred_at": occurred_at.isoformat(),
            "proof": self.scan(leg, unit),
        }
        return {
            name: str(value) if isinstance(value, UUID) else value
            for name, value in {**wanted, **given}.items()
        }

    def scan(self, leg: int, unit: int = 0) -> dict[str, str]:
        """The proof of a leg: the scanned label, and at the door a picture with it."""
        picture = {"photo_sha256": "ab" * 32} if leg == 3 else {}
        return {"kind": "qr", "value": self.labels[self.units[unit]], **picture}

    def headers(self, role: str = "commander", key: str | None = None) -> dict[str, str]:
        key = key or new_id().hex
        match role:
            case "driver":
                return serving.headers(role, key=key, subject=self.driver)
            case "steward":
                return serving.headers(role, key=key, subject=self.steward)
            case "outlet":
                return serving.headers(role, key=key, outlet_id=self.outlet)
            case "resident":
                return serving.headers(role, key=key, household_id=self.order.household_id)
        return serving.headers(role, key=key, zone_ids=[self.zone.path[1]])

    async def record(self, *notes: dict[str, Any], role: str = "commander") -> list[dict[str, Any]]:
        answer = await self.client.post(
            "/v1/hand-overs", json={"hand_overs": list(notes)}, headers=self.headers(role)
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def get(self, path: str, role: str = "commander") -> Any:
        answer = await self.client.get(path, headers=self.headers(role))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pin(self) -> str:
        return str((await self.get(f"/v1/portions/{self.portion_id}", "resident"))["pin"])

    async def moments(self) -> tuple[Any, ...]:
        query = (
            "SELECT leg, touched_at, picked_up_at, at_gate_at, delivered_at FROM loads WHERE load_id = :id"
        )
        return tuple((await rows(self.sessions, query, id=self.load_id))[0])


async def put_on_trip(sessions: Sessions, zone: ZoneOpened, load_id: UUID, driver: UUID) -> None:
    given = {
        "vehicle_id": new_id(),
        "plate": new_id().hex[:12],
        "plan_id": new_id(),
        "trip_id": new_id(),
        "incident_id": zone.incident_id,
        "zone_id": zone.zone_id,
        "slot_id": zone.slots[0].slot_id,
        "driver_id": driver,
        "load_id": load_id,
        "starts": NOW - HOUR,
        "ends": NOW + 4 * HOUR,
    }
    async with sessions.begin() as session:
        for statement in TRIP:
            await session.execute(text(statement), given)


async def make_relay(client: httpx.AsyncClient, sessions: Sessions) -> Relay:
    zone = make_zone()
    line = make_line(quantity=3, grams=5000)
    order = make_order(zone, line)
    driver, steward = new_id(), new_id()
    await tell(sessions, zone)
    await tell(sessions, order)
    await tell(sessions, make_cleared(driver), make_cleared(steward, Role.STEWARD))
    await tell(sessions, make_duty(steward, zone))
    load_id = (await rows(sessions, "SELECT load_id FROM loads"))[0].load_id
    await put_on_trip(sessions, zone, load_id, driver)
    units = await rows(sessions, "SELECT load_unit_id FROM load_units ORDER BY number")
    portion_id = (await rows(sessions, "SELECT portion_id FROM portions"))[0].portion_id
    head = serving.headers("outlet", outlet_id=line.outlet_id)
    labels = {}
    for unit in units:
        label = await client.get(f"/v1/load-units/{unit.load_unit_id}/label", headers=head)
        labels[unit.load_unit_id] = label.json()["text"]
    return Relay(
        client=client,
        sessions=sessions,
        zone=zone,
        order=order,
        driver=driver,
        steward=steward,
        outlet=line.outlet_id,
        load_id=load_id,
        portion_id=portion_id,
        labels=labels,
    )
