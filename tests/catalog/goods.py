"""Goods of catalog, from a shop's listing to the hand-over; valid by default."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import text

from services.catalog.consumers import HANDLERS
from services.contracts.dispatch import Leg, LoadHandedOver
from services.contracts.orders import GroupLocked, OrderCancelled, OrderConfirmed, OrderPlaced
from services.contracts.values import GivenLine, TallyLine, WantedLine
from services.kit.consumer import deliver
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.catalog.builders import import_outlets, make_outlet, make_received
from tests.serving import headers

INCIDENT = new_id()


async def make_product(client, external_id: str = "cabbage", category: str = "vegetables") -> str:
    body = {
        "external_id": external_id, "name": external_id, "variety": external_id, "unit_name": "500 g",
        "category": category,
    }  # fmt: skip
    head = headers("commander", subject="keeper", key=f"product {external_id} {category}")
    answer = await client.post("/v1/products", json={"products": [body]}, headers=head)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][0]["product_id"]


async def make_shop(client, external_id: str = "shop-1", **given: Any) -> UUID:
    [outlet_id] = await import_outlets(client, make_outlet(external_id=external_id, **given))
    return outlet_id


def make_listing(product_id: Any, plu: str = "1001", **given: Any) -> dict[str, Any]:
    fields = {
        "plu": plu, "product_id": str(product_id), "name": "大白菜", "grams": 500, "purchase_fen": 100,
        "price_fen": 120,
    }  # fmt: skip
    return fields | given


def as_outlet(outlet_id: Any, key: str | None = None) -> dict[str, str]:
    return headers("outlet", key=key or str(new_id()), outlet_id=outlet_id)


async def list_goods(client, outlet_id: Any, *listings: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(
        f"/v1/outlets/{outlet_id}/offers", json={"offers": list(listings)}, headers=as_outlet(outlet_id)
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def read_offers(client, outlet_id: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/outlets/{outlet_id}/offers", headers=headers("regulator"))
    return answer.json()["items"]


def make_change(plu: str = "1001", kind: str = "count", quantity: int = 10, **given: Any) -> dict[str, Any]:
    fields = {"plu": plu, "kind": kind, "quantity": quantity, "observed_at": datetime.now(UTC).isoformat()}
    if kind == "adjustment":
        fields["reason"] = "sold at the till"
    return fields | given


async def change_stock(client, outlet_id: Any, *changes: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
    answer = await client.post(
        f"/v1/outlets/{outlet_id}/stock-changes",
        json={"changes": list(changes), **body},
        headers=as_outlet(outlet_id),
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def stock_up(
    client, outlet_id: Any, product_id: Any, units: int, plu: str = "1001", **given: Any
) -> UUID:
    """List an offer and count so many units of it; return its id."""
    [item] = await list_goods(client, outlet_id, make_listing(product_id, plu, **given))
    await change_stock(client, outlet_id, make_change(plu, quantity=units))
    return UUID(item["offer_id"])


async def bind_ceiling(client, fen_per_kg: int, **scope: Any) -> str:
    """Let a ceiling price bind, proposed by one regulator and confirmed by another; return the rule's id."""
    body = {
        "kind": "ceiling", "scope": scope, "legal_ref": "张家口 2022", "valid_from": "2022-03-01",
        "ceiling_fen_per_kg": fen_per_kg,
    }  # fmt: skip
    head = headers("regulator", subject="inspector", key=str(new_id()))
    proposed = await client.post("/v1/price-rules", json=body, headers=head)
    assert proposed.status_code == 201, proposed.text
    rule_id = proposed.json()["rule_id"]
    second = headers("regulator", subject="second", key=str(new_id()))
    confirmed = await client.post(f"/v1/price-rules/{rule_id}/confirmation", headers=second)
    assert confirmed.status_code == 200, confirmed.text
    return rule_id


def slot_of(zone_id: UUID, day: int = 0) -> UUID:
    """The id of a zone's slot, so many days ahead."""
    return uuid5(zone_id, str(day))


async def open_slots(session: Any, zone_id: UUID, days: int = 3) -> None:
    """Let catalog know of a slot of a zone today and on each of the next days."""
    for day in range(days):
        await session.execute(
            text("""
                INSERT INTO slots
                VALUES (:slot_id, :zone_id, now() + CAST(:day AS integer) * interval '1 day')
            """),
            {"slot_id": slot_of(zone_id, day), "zone_id": zone_id, "day": day},
        )


async def supply_zone(
    sessions: Sessions, outlets: Sequence[UUID], *, zone_id: UUID | None = None, orders: int = 10_000
) -> UUID:
    """Let outlets have accepted to supply a zone, ranked in the order given."""
    zone_id = zone_id or new_id()
    async with sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO zones (zone_id, incident_id, sequence, is_open, title, zone_class, activated_at)
                VALUES (:zone_id, :incident_id, 1, true, '马村', 'sealed', now())
            """),
            {"zone_id": zone_id, "incident_id": INCIDENT},
        )
        await open_slots(session, zone_id)
        for rank, outlet_id in enumerate(outlets, 1):
            await session.execute(
                text("""
                    INSERT INTO assignments (
                        assignment_id, zone_id, outlet_id, kind, rank, status, asked_orders, accepted_orders,
                        distance_m, asked_at, answer_by, answered_at
                    )
                    VALUES (:id, :zone_id, :outlet_id, 'supermarket', :rank, 'accepted', :orders, :orders,
                            100, now(), now() + interval '1 hour', now())
                """),
                {"id": new_id(), "zone_id": zone_id, "outlet_id": outlet_id, "rank": rank, "orders": orders},
            )
    return zone_id


def wanted(product_id: Any, quantity: int = 1, seen: int = 120, number: int = 1, **given: Any) -> WantedLine:
    return WantedLine(
        line=number, product_id=UUID(str(product_id)), quantity=quantity, seen_price_fen=seen, **given
    )


def make_placed(zone_id: UUID, *lines: WantedLine, order_id: UUID | None = None, day: int = 0) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id or new_id(), incident_id=INCIDENT, zone_id=zone_id, slot_id=slot_of(zone_id, day),
        community_id=new_id(), building_id=new_id(), household_id=new_id(), lines=lines,
    )  # fmt: skip


def make_confirmed(
    order_id: UUID, lines: Sequence[GivenLine], *, group_id: UUID | None = None
) -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id, incident_id=INCIDENT, zone_id=new_id(), slot_id=new_id(), community_id=new_id(),
        building_id=new_id(), household_id=new_id(), group_id=group_id, lines=tuple(lines),
    )  # fmt: skip


def make_cancelled(
    order_id: UUID, lines: Sequence[GivenLine] = (), *, group_id: UUID | None = None
) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id, incident_id=INCIDENT, reservation_id=group_id or order_id, lines=tuple(lines)
    )


def make_locked(zone_id: UUID, *tally: TallyLine, households: int = 2) -> GroupLocked:
    return GroupLocked(
        group_id=new_id(), zone_id=zone_id, slot_id=slot_of(zone_id), incident_id=INCIDENT,
        households=households, tally=tally,
    )  # fmt: skip


def make_handed_over(
    order_id: UUID, outlet_id: UUID, *, leg: Leg = Leg.PICK_UP, occurred_at: datetime | None = None
) -> LoadHandedOver:
    return LoadHandedOver(
        load_id=new_id(), order_ids=(order_id,), outlet_id=outlet_id, incident_id=INCIDENT, leg=leg,
        giver_id=new_id(), taker_id=new_id(), occurred_at=occurred_at or datetime.now(UTC), is_breach=False,
    )  # fmt: skip


async def tell(sessions: Sessions, *events: Any, sequence: int = 1) -> None:
    """Let catalog hear events in one batch, as its worker does."""
    batch = [make_received(event, sequence=sequence) for event in events]
    await deliver(sessions, batch, consumer="catalog", handlers=HANDLERS)


async def read_events(sessions: Sessions, key: Any) -> list[tuple[str, int, dict[str, Any]]]:
    """What catalog has said under a key: short name, sequence, content."""
    async with sessions() as session:
        rows = await session.execute(
            text("SELECT type, version, payload FROM outbox_event WHERE key = :key ORDER BY version"),
            {"key": str(key)},
        )
        return [(row.type.split(".")[1], row.version, row.payload) for row in rows]


async def read_given(sessions: Sessions, reservation_id: UUID) -> list[GivenLine]:
    """The lines that a reservation was given."""
    name, _, content = (await read_events(sessions, reservation_id))[0]
    if name == "group_granted":
        return [GivenLine.model_validate(part) for grant in content["grants"] for part in grant["parts"]]
    assert name == "stock_reserved", content
    return [GivenLine.model_validate(one) for one in content["lines"]]


async def read_shelf(sessions: Sessions, offer_id: UUID) -> tuple[int, int]:
    """What is on hand and what is reserved; the ledger is seen to sum to the first."""
    async with sessions() as session:
        row = (
            await session.execute(
                text("""
                    SELECT on_hand, reserved,
                           (SELECT coalesce(sum(delta), 0) FROM stock_ledger WHERE offer_id = :id) AS told,
                           (SELECT coalesce(sum(held + committed), 0) FROM holds WHERE offer_id = :id) AS held
                    FROM stock WHERE offer_id = :id
                """),
                {"id": offer_id},
            )
        ).one()
    assert row.on_hand == row.told
    assert row.reserved == row.held
    return row.on_hand, row.reserved


async def read_status(sessions: Sessions, reservation_id: UUID) -> str | None:
    async with sessions() as session:
        asked = text("SELECT status FROM reservations WHERE reservation_id = :id")
        return (await session.execute(asked, {"id": reservation_id})).scalar_one_or_none()
