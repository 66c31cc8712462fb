"""Groups that travel in bulk: their parts, their word."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from services.contracts import sharing
from services.contracts.orders import Form, GroupDecided, OrderConfirmed, ZoneOpened
from tests.dispatch.builders import make_line, make_order

SHOP: Final = UUID(int=201)
CABBAGE, RICE, EGGS, MELON = (UUID(int=number) for number in (101, 102, 103, 104))
GOODS: Final[Mapping[str, tuple[UUID, int]]] = {
    "cabbage": (CABBAGE, 1500),
    "rice": (RICE, 5000),
    "eggs": (EGGS, 800),
    "melon": (MELON, 30_000),
}
SEED: Final = "5d41402abc4b2a76b9719d911017c592"


def make_part(zone: ZoneOpened, group_id: UUID, wanted: Mapping[str, int], **given: Any) -> OrderConfirmed:
    """A household's confirmed part: so many units of each of its goods."""
    shop = given.pop("outlet_id", SHOP)
    lines = [
        make_line(
            line=line, product_id=GOODS[name][0], offer_id=GOODS[name][0], outlet_id=shop, name=name,
            quantity=quantity, grams=GOODS[name][1],
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
