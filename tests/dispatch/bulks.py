"""Groups that travel in bulk: their parts, their word, and one of their loads on its way."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx

from services.contracts import sharing
from services.contracts.access import Role
from services.contracts.orders import Form, GroupDecided, OrderConfirmed, ZoneOpened
from services.dispatch.loads.marks import Marks
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.vault import Master
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_duty,
    make_line,
    make_order,
    make_zone,
    pack,
    rows,
    tell,
)
from tests.dispatch.relays import put_on_trip

TRIES = 3
SHOP: Final = UUID(int=201)
CABBAGE, RICE, EGGS, MELON, JASMINE = (UUID(int=number) for number in (101, 102, 103, 104, 105))
GOODS: Final[Mapping[str, tuple[UUID, int]]] = {
    "cabbage": (CABBAGE, 1500),
    "rice": (RICE, 5000),
    "eggs": (EGGS, 800),
    "melon": (MELON, 30_000),
    "jasmine": (JASMINE, 4999),
}
# Another offer of the same product.
PRODUCTS: Final[Mapping[str, UUID]] = {"jasmine": RICE}
SEED: Final = "5d41402abc4b2a76b9719d911017c592"


def make_part(zone: ZoneOpened, group_id: UUID, wanted: Mapping[str, int], **given: Any) -> OrderConfirmed:
    """A household's confirmed part: so many units of each of its goods."""
    shop = given.pop("outlet_id", SHOP)
    lines = [
        make_line(
            line=line, product_id=PRODUCTS.get(name, GOODS[name][0]), offer_id=GOODS[name][0],
            outlet_id=shop, name=name, quantity=quantity, grams=GOODS[name][1],
        )
        for line, (name, quantity) in enumerate(wanted.items(), 1)
    ]  # fmt: skip
    return make_order(zone, *lines, group_id=group_id, form=Form.BULK, **given)


def make_decided(zone: ZoneOpened, group_id: UUID, confirmed: int, **given: Any) -> GroupDecided:
    wanted = {
        "group_id": group_id,
        "zone_id": zone.zone_id,
        "slot_id": zone.slots[0].slot_id,
        "community_id": zone.communities[0].community_id,
        "incident_id": zone.incident_id,
        "form": Form.BULK,
        "confirmed": confirmed,
        "rule": sharing.RULE,
        "seed": SEED,
    }
    return GroupDecided(**{**wanted, **given})


WANTED: Final = ({"cabbage": 4, "rice": 2}, {"cabbage": 14}, {"eggs": 5})


@dataclass(frozen=True, kw_only=True)
class BulkRelay:
    """A load in bulk for three doors: two crates, five bags, a driver on a trip, a steward on duty."""

    client: httpx.AsyncClient
    sessions: Sessions
    marks: Marks
    zone: ZoneOpened
    orders: list[OrderConfirmed]
    driver: UUID
    steward: UUID
    load_id: UUID
    crates: list[UUID]
    portions: list[UUID]
    bags: list[list[UUID]]

    def note(
        self, leg: int, unit: UUID, door: int = 0, *, minutes: int | None = None, **given: Any
    ) -> dict[str, Any]:
        """A hand-over as a device notes it, a minute after the leg before it."""
        giver, taker = {
            1: (SHOP, self.driver),
            2: (self.driver, self.steward),
            3: (self.steward, self.orders[door].household_id),
        }[leg]
        occurred_at = NOW + (leg - 10 if minutes is None else minutes) * HOUR / 60
        picture = {"photo_sha256": "ab" * 32} if leg == 3 else {}
        wanted = {
            "hand_over_id": new_id(),
            "load_unit_id": unit,
            "leg": leg,
            "giver_id": giver,
            "taker_id": taker,
            "occurred_at": occurred_at.isoformat(),
            "proof": {"kind": "qr", "value": self.marks.label_of(unit), **picture},
        }
        return {
            name: str(value) if isinstance(value, UUID) else value
            for name, value in {**wanted, **given}.items()
        }

    def crate_notes(self, *legs: int) -> list[dict[str, Any]]:
        return [self.note(leg, crate) for leg in legs for crate in self.crates]

    def door_notes(self, door: int, **given: Any) -> list[dict[str, Any]]:
        return [self.note(3, bag, door, **given) for bag in self.bags[door]]

    def headers(self, role: str | UUID = "commander", door: int = 0) -> dict[str, str]:
        """Who speaks in a role; a person's id is a steward other than the one on duty."""
        key = new_id().hex
        if isinstance(role, UUID):
            return serving.headers("steward", key=key, subject=role)
        match role:
            case "driver":
                return serving.headers(role, key=key, subject=self.driver)
            case "steward":
                return serving.headers(role, key=key, subject=self.steward)
            case "outlet":
                return serving.headers(role, key=key, outlet_id=SHOP)
            case "resident":
                return serving.headers(role, key=key, household_id=self.orders[door].household_id)
        return serving.headers(role, key=key, zone_ids=[self.zone.path[1]])

    async def record(self, *notes: dict[str, Any], role: str = "commander") -> list[dict[str, Any]]:
        answer = await self._send("/v1/hand-overs", {"hand_overs": list(notes)}, self.headers(role))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def get(self, path: str, role: str = "commander", door: int = 0) -> Any:
        answer = await self.client.get(path, headers=self.headers(role, door))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def split_note(self, *losses: tuple[UUID, str, int], minutes: int = -8, **given: Any) -> dict[str, Any]:
        """A split as a device tells it, just after the gate."""
        wanted = {
            "split_id": str(new_id()),
            "steward_id": str(self.steward),
            "proof": {"kind": "qr", "value": self.marks.label_of(self.crates[-1])},
            "occurred_at": (NOW + minutes * HOUR / 60).isoformat(),
            "losses": [
                {"offer_id": str(offer_id), "reason": reason, "grams": grams}
                for offer_id, reason, grams in losses
            ],
        }
        return {**wanted, **given}

    async def split(self, note: dict[str, Any], role: str | UUID = "steward") -> httpx.Response:
        return await self._send(f"/v1/loads/{self.load_id}/split", note, self.headers(role))

    async def _send(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        """Send as a device does: what got no answer in time is asked again with its key."""
        for _ in range(TRIES):
            answer = await self.client.post(path, json=body, headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        return answer

    async def holders(self) -> dict[UUID, str | None]:
        load = await self.get(f"/v1/loads/{self.load_id}")
        return {UUID(unit["load_unit_id"]): unit["holder_id"] for unit in load["units"]}


async def make_bulk_relay(
    client: httpx.AsyncClient,
    sessions: Sessions,
    folder: Path,
    *,
    wanted: Sequence[Mapping[str, int]] = WANTED,
    chance: random.Random | None = None,
) -> BulkRelay:
    """Bring a load in bulk to its outlet's door; the marks are those of the application in `folder`.

    With `chance`, its group's words come in another order, each of them twice.
    """
    zone, group_id = make_zone(), new_id()
    driver, steward = new_id(), new_id()
    orders = [
        make_part(zone, group_id, each, household_id=UUID(int=2000 + door))
        for door, each in enumerate(wanted)
    ]
    await tell(sessions, zone)
    words = [*orders, make_decided(zone, group_id, len(orders))]
    for word in chance.sample(words * 2, len(words) * 2) if chance else words:
        await tell(sessions, word)
    await pack(sessions)
    await tell(sessions, make_cleared(driver), make_cleared(steward, Role.STEWARD))
    await tell(sessions, make_duty(steward, zone))
    ((load_id,),) = await rows(sessions, "SELECT load_id FROM loads WHERE group_id = :id", id=group_id)
    await put_on_trip(sessions, zone, load_id, driver)
    units = await rows(
        sessions,
        "SELECT load_unit_id, portion_id FROM load_units WHERE load_id = :id ORDER BY number",
        id=load_id,
    )
    portions = await rows(
        sessions, "SELECT portion_id FROM portions WHERE load_id = :id ORDER BY household_id", id=load_id
    )
    return BulkRelay(
        client=client,
        sessions=sessions,
        marks=Marks(Master.of_file(folder / "master.key").derive("dispatch.marks")),
        zone=zone,
        orders=orders,
        driver=driver,
        steward=steward,
        load_id=load_id,
        crates=[unit.load_unit_id for unit in units if unit.portion_id is None],
        portions=[portion.portion_id for portion in portions],
        bags=[
            [unit.load_unit_id for unit in units if unit.portion_id == portion.portion_id]
            for portion in portions
        ],
    )
