"""Values of orders that are valid by default."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.contracts.values import WantedLine
from services.kit.ids import new_id
from services.orders.intake.domain import Channel, NewOrder, Quota, Rule, Slot
from services.orders.register.domain import Home


def make_home(**given: Any) -> Home:
    ids: dict[str, Any] = {name: new_id() for name in ("household_id", "community_id", "building_id")}
    return Home(**({**ids, "path": ()} | given))


def make_rule(quota: Quota | None = None) -> Rule:
    return Rule(new_id(), date(2022, 4, 6), quota or Quota(5, 50))


def make_slot(**given: Any) -> Slot:
    ids: dict[str, Any] = {name: new_id() for name in ("slot_id", "zone_id", "incident_id")}
    rest = {
        "cut_off_at": datetime.now(UTC) + timedelta(hours=1), "capacity": 100, "taken": 0, "is_open": True,
        "rule": make_rule(), "community_ids": frozenset(),
    }  # fmt: skip
    return Slot(**(ids | rest | given))


def make_new_order(*, quantity: int = 1, **given: Any) -> NewOrder:
    line = WantedLine(line=1, product_id=new_id(), quantity=quantity, seen_price_fen=450)
    ids: dict[str, Any] = {name: new_id() for name in ("order_id", "household_id", "slot_id")}
    rest = {"channel": Channel.RESIDENT, "lines": (line,), "correlation_id": "c", "client": "someone"}
    return NewOrder(**(ids | rest | given))
