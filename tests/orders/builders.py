"""Values of orders that are valid by default."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.contracts.values import WantedLine
from services.kit.ids import new_id
from services.orders.intake.domain import Channel, NewOrder, Place, Slot


def make_place(**given: Any) -> Place:
    ids = {name: new_id() for name in ("household_id", "community_id", "building_id", "area_id")}
    return Place(**(ids | given))


def make_slot(**given: Any) -> Slot:
    ids: dict[str, Any] = {name: new_id() for name in ("slot_id", "zone_id", "incident_id", "area_id")}
    rest = {
        "cut_off_at": datetime.now(UTC) + timedelta(hours=1), "capacity": 100, "taken": 0, "is_open": True,
    }  # fmt: skip
    return Slot(**(ids | rest | given))


def make_new_order(*, quantity: int = 1, **given: Any) -> NewOrder:
    line = WantedLine(line=1, product_id=new_id(), quantity=quantity, seen_price_fen=450)
    ids: dict[str, Any] = {name: new_id() for name in ("order_id", "household_id", "slot_id")}
    rest = {"channel": Channel.RESIDENT, "lines": (line,), "correlation_id": "c"}
    return NewOrder(**(ids | rest | given))
