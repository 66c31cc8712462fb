"""What is sent to each route, about a thing of the planted town."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.catalog.outlets.items import LEDGER
from services.catalog.stock.offers.routes import GOODS
from services.whitelist.people.routes import STAFF_LIST
from tests.catalog import goods
from tests.catalog.builders import make_outlet
from tests.dispatch.builders import make_pass, make_vehicle
from tests.e2e.matrix import Asking
from tests.orders.ground import line
from tests.orders.openings import slot_times
from tests.orders.towns import area, household
from tests.whitelist.builders import make_check, make_person, make_policy

Things = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Call:
    """How a route is asked for a thing.

    `about` names the ids that stand for the thing (the last of the path if nothing is said), `shows` the id
    that is in a list only for those who may see it, `before` what is written first so that it can be done,
    `rules` the codes by which the rules may refuse what the caller may ask.
    """

    about: tuple[str, ...] | None = None
    query: tuple[str, ...] = ()
    body: Callable[[Things], Any] | None = None
    sheet: Callable[[Things], str] | None = None
    shows: str | None = None
    before: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)

    def ids_of(self, path: str) -> tuple[str, ...]:
        return tuple(part.strip("{}") for part in path.split("/") if part.startswith("{"))

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names of the ids that stand for the thing."""
        return self.ids_of(path)[-1:] if self.about is None else self.about

    def asking(self, method: str, path: str, things: Things, unknown: Things | None = None) -> Asking:
        mine = {**things, **{name: things[other] for name, other in self.known.items()}, **(unknown or {})}
        return Asking(
            method=method,
            path=path.format_map(mine),
            query={name: mine[name] for name in self.query},
            body=self.body(mine) if self.body else None,
            sheet=self.sheet(mine) if self.sheet else None,
        )


def at(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def _policy(_: Things) -> Any:
    return {"answer_seconds": 60, "legal_ref": "京商务 2022-4", "valid_from": at()}


def _goods(things: Things) -> str:
    head, line = GOODS.example.splitlines()
    plu, _, rest = line.split(",", 2)
    return f"{head}\n{plu},{things['product_id']},{rest}\n"


def _rule(_: Things) -> Any:
    return {
        "kind": "ceiling",
        "legal_ref": "张家口 2022",
        "valid_from": "2022-03-01",
        "ceiling_fen_per_kg": 900,
    }


def _product(_: Things) -> Any:
    named = {"external_id": "m", "name": "m", "variety": "m", "unit_name": "500 g", "category": "vegetables"}
    return {"products": [named]}


ASK_AGAIN = """
    UPDATE assignments SET status = 'asked', accepted_orders = NULL, answered_at = NULL, refusal_reason = NULL
"""
CATALOG = {
    "POST /v1/emergency-outlets": Call(body=lambda _: {}),
    "GET /v1/emergency-outlets": Call(shows="outlet_id"),
    "GET /v1/incidents/{incident_id}/supply": Call(),
    "POST /v1/outlets": Call(body=lambda _: {"outlets": [make_outlet(external_id="m")]}),
    "GET /v1/outlets": Call(shows="outlet_id"),
    "POST /v1/outlets.csv": Call(sheet=lambda _: LEDGER.example),
    "GET /v1/outlets/{outlet_id}": Call(),
    "GET /v1/outlets/{outlet_id}/assignments": Call(),
    "POST /v1/outlets/{outlet_id}/assignments/{assignment_id}/acceptance": Call(
        body=lambda _: {"capacity_orders": 10}, before=(ASK_AGAIN,)
    ),
    "POST /v1/outlets/{outlet_id}/assignments/{assignment_id}/refusal": Call(
        body=lambda _: {"reason": "short of hands"}, before=(ASK_AGAIN,)
    ),
    "POST /v1/outlets/{outlet_id}/deals": Call(
        body=lambda _: {
            "deals": [{"plu": "1001", "sold_on": "2022-03-01", "sale_fen": 120, "purchase_fen": 100}]
        }
    ),
    "POST /v1/outlets/{outlet_id}/offers": Call(
        body=lambda things: {"offers": [goods.make_listing(things["product_id"], "2001")]}
    ),
    "GET /v1/outlets/{outlet_id}/offers": Call(),
    "POST /v1/outlets/{outlet_id}/offers.csv": Call(sheet=_goods),
    "POST /v1/outlets/{outlet_id}/pledge": Call(
        body=lambda _: {"text_version": "2022-05", "signed_by": "王店长"}
    ),
    "POST /v1/outlets/{outlet_id}/qualification": Call(body=lambda _: {}),
    "POST /v1/outlets/{outlet_id}/stock-changes": Call(
        body=lambda _: {"changes": [goods.make_change("1001", quantity=7)]}
    ),
    "GET /v1/price-refusals": Call(shows="outlet_id"),
    "POST /v1/price-rules": Call(body=_rule),
    "GET /v1/price-rules": Call(shows="rule_id"),
    "POST /v1/price-rules/{rule_id}/confirmation": Call(
        before=("UPDATE price_rules SET status = 'proposed', confirmed_at = NULL, confirmed_by = NULL",)
    ),
    "POST /v1/products": Call(body=_product),
    "GET /v1/products": Call(shows="product_id"),
    "POST /v1/supply-policies": Call(body=_policy),
    "GET /v1/supply-policies": Call(shows="supply_policy_id"),
    "GET /v1/zones/{zone_id}/assignments": Call(),
    "GET /v1/zones/{zone_id}/menu": Call(),
}  # fmt: skip


def _order(things: Things) -> Any:
    return {"household_id": things["household_id"], "slot_id": things["slot_id"], "lines": _lines(things)}


def _lines(things: Things) -> Any:
    return [line(UUID(things["product_id"]), 1, 120)]


def _areas(things: Things) -> Any:
    return {"areas": [area("M", "building", things["community_code"])]}


def _households(things: Things) -> Any:
    return {"households": [household("M1", UUID(things["building_id"]))]}


def _group(things: Things) -> Any:
    return {
        "community_id": things["community_id"], "slot_id": things["slot_id"], "minimum": 2,
        "cut_off_at": at(hours=1), "below_minimum": "cancel",
    }  # fmt: skip


def _zone(things: Things) -> Any:
    return {
        "title": "one village", "zone_class": "sealed", "community_ids": [things["community_id"]],
        "slots": [slot_times()],
    }  # fmt: skip


ORDERS = {
    "POST /v1/areas": Call(body=_areas),
    "GET /v1/areas": Call(shows="community_id"),
    "POST /v1/group-orders": Call(body=_group, about=("community_id",)),
    "GET /v1/group-orders": Call(query=("community_id",), about=("community_id",), shows="group_id"),
    "GET /v1/group-orders/{group_id}": Call(),
    "POST /v1/group-orders/{group_id}/cut-off": Call(body=lambda _: {"cut_off_at": at(minutes=25)}),
    "POST /v1/group-orders/{group_id}/parts": Call(
        about=("household_id",),
        body=lambda things: {"household_id": things["household_id"], "lines": _lines(things)},
    ),
    "POST /v1/households": Call(body=_households),
    "GET /v1/households": Call(query=("building_id",), about=("building_id",), shows="household_id"),
    "GET /v1/households/{household_id}": Call(),
    "POST /v1/households/{household_id}/check-ins": Call(body=lambda _: {"outcome": "nothing_needed"}),
    "GET /v1/households/{household_id}/check-ins": Call(),
    "POST /v1/households/{household_id}/erasure": Call(),
    "GET /v1/incidents/{incident_id}": Call(),
    "POST /v1/incidents/{incident_id}/closure": Call(
        body=lambda _: {"abandon_undelivered": True, "reason": "lifted"},
        before=("UPDATE zones SET status = 'closed', closed_at = created_at WHERE status <> 'prepared'",),
    ),
    "GET /v1/incidents/{incident_id}/report": Call(),
    "POST /v1/orders": Call(about=("household_id",), body=_order),
    "GET /v1/orders": Call(about=("household_id",), query=("household_id",), shows="order_id"),
    "GET /v1/orders/{order_id}": Call(),
    "POST /v1/orders/{order_id}/cancellation": Call(),
    "GET /v1/orders/{order_id}/events": Call(),
    "POST /v1/zones": Call(body=_zone, about=("community_id",), known={"community_id": "other_community_id"}),
    "GET /v1/zones": Call(shows="zone_id"),
    "GET /v1/zones/{zone_id}": Call(),
    "POST /v1/zones/{zone_id}/activation": Call(body=lambda _: {}, known={"zone_id": "prepared_zone_id"}),
    "POST /v1/zones/{zone_id}/closure": Call(body=lambda _: {"reason": "lifted"}),
    "GET /v1/zones/{zone_id}/slots": Call(),
    "POST /v1/zones/{zone_id}/slots": Call(
        body=lambda _: {"slots": [slot_times(cut_off=timedelta(hours=5))]}
    ),
}  # fmt: skip


def _duties(things: Things) -> Any:
    duty = {
        "person_id": things["person_id"], "role": "steward", "community_id": things["community_id"],
        "building_ids": [things["building_id"]], "starts_at": at(hours=30), "ends_at": at(hours=33),
    }  # fmt: skip
    return {"duties": [duty]}


WHITELIST = {
    "POST /v1/checks": Call(body=lambda things: {"checks": [make_check(things["person_id"])]}),
    "POST /v1/duties": Call(body=_duties),
    "GET /v1/duties": Call(shows="person_id"),
    "POST /v1/people": Call(body=lambda _: {"people": [make_person("m")]}),
    "GET /v1/people": Call(shows="person_id"),
    "POST /v1/people.csv": Call(sheet=lambda _: STAFF_LIST.example),
    "GET /v1/people/{person_id}": Call(),
    "GET /v1/people/{person_id}/clearance": Call(),
    "POST /v1/people/{person_id}/commitment": Call(
        body=lambda _: {"text_version": "2022-12", "signed_at": at(hours=-1)}
    ),
    "POST /v1/policies": Call(body=lambda _: make_policy()),
    "GET /v1/policies": Call(shows="policy_id"),
}


def _hand_over(things: Things) -> Any:
    note = {
        "hand_over_id": things["hand_over_id"], "load_unit_id": things["load_unit_id"], "leg": 1,
        "giver_id": things["outlet_id"], "taker_id": things["driver_id"], "occurred_at": at(seconds=-1),
        "proof": {"kind": "qr", "value": things["label"]},
    }  # fmt: skip
    return {"hand_overs": [note]}


def _split(things: Things) -> Any:
    return {
        "split_id": things["split_id"], "steward_id": things["person_id"],
        "occurred_at": things["split_at"], "losses": [_loss(things)],
        "proof": {"kind": "qr", "value": things["crate_label"]},
    }  # fmt: skip


def _loss(things: Things) -> Any:
    return {"offer_id": things["lost_offer_id"], "reason": "missing", "grams": int(things["lost_g"])}


def _passes(things: Things) -> Any:
    later = {"valid_from": at(days=40), "valid_to": at(days=41)}
    return {"passes": [make_pass(plate=things["plate"], number="110115000009", **later)]}


BULK = {"load_id": "bulk_load_id"}
MADE_READY = (
    """
    UPDATE plans SET status = 'ready', committed_at = NULL FROM trips
    WHERE trips.plan_id = plans.plan_id AND trips.status = 'planned'
    """,
    "UPDATE trips SET status = 'proposed', driver_id = NULL WHERE status = 'planned'",
)
DISPATCH = {
    "GET /v1/breaches": Call(shows="breach_id"),
    "POST /v1/breaches/{breach_id}/closure": Call(body=lambda _: {"reason": "the neighbour helped"}),
    "GET /v1/crew": Call(shows="person_id"),
    "POST /v1/hand-overs": Call(about=("load_unit_id",), body=_hand_over),
    "GET /v1/hand-overs": Call(about=("load_id",), query=("load_id",)),
    "GET /v1/incidents/{incident_id}/deliveries": Call(),
    "GET /v1/labels.html": Call(
        about=("slot_id", "outlet_id"), query=("slot_id", "outlet_id"), known={"slot_id": "packed_slot_id"}
    ),
    "GET /v1/load-units/{load_unit_id}": Call(),
    "GET /v1/load-units/{load_unit_id}/label": Call(),
    "GET /v1/load-units/{load_unit_id}/label.svg": Call(),
    "GET /v1/loads": Call(shows="load_id"),
    "GET /v1/loads/{load_id}": Call(),
    "GET /v1/loads/{load_id}/labels.html": Call(),
    "GET /v1/loads/{load_id}/manifest": Call(known=BULK),
    "POST /v1/loads/{load_id}/split": Call(known=BULK, body=_split),
    "GET /v1/loads/{load_id}/split": Call(known=BULK),
    "POST /v1/passes": Call(body=_passes),
    "GET /v1/passes": Call(shows="vehicle_id"),
    "POST /v1/plans": Call(
        body=lambda things: {"slot_ids": [things["slot_id"]], "seconds": 1}, about=("slot_id",),
        known={"slot_id": "closed_slot_id"}, rules=("dispatch.pool_empty",),
    ),
    "GET /v1/plans/{plan_id}": Call(),
    "POST /v1/plans/{plan_id}/commitment": Call(
        body=lambda _: {}, before=MADE_READY, rules=("dispatch.loads_taken",)
    ),
    "GET /v1/portions": Call(
        about=("order_id",), query=("order_id",), known={"order_id": "packed_order_id"}, shows="portion_id"
    ),
    "GET /v1/portions/{portion_id}": Call(),
    "GET /v1/rescues": Call(shows="rescue_id"),
    "GET /v1/rescues/{rescue_id}": Call(),
    "POST /v1/rescues/{rescue_id}/assignment": Call(
        body=lambda things: {"person_id": things["person_id"]},
        rules=("dispatch.rescue_settled", "dispatch.taker_unfit"),
    ),
    "GET /v1/trips": Call(shows="trip_id"),
    "GET /v1/trips/{trip_id}": Call(),
    "POST /v1/trips/{trip_id}/departure": Call(),
    "POST /v1/trips/{trip_id}/driver": Call(body=lambda things: {"person_id": things["driver_id"]}),
    "GET /v1/trips/{trip_id}/events": Call(),
    "POST /v1/vehicles": Call(body=lambda _: {"vehicles": [make_vehicle(plate="京A00009")]}),
    "GET /v1/vehicles": Call(shows="vehicle_id"),
    "POST /v1/rescues/{rescue_id}/closure": Call(
        body=lambda _: {"reason": "carries on"}, rules=("dispatch.rescue_settled",)
    ),
    "POST /v1/vehicles/{vehicle_id}/return": Call(),
    "POST /v1/vehicles/{vehicle_id}/loss": Call(body=lambda _: {"reason": "the gear box"}),
    "POST /v1/work-sites": Call(
        body=lambda things: {
            "work_sites": [{
                "code": "9", "title": "作业点9", "position": {"lat": 39.65, "lon": 116.29},
                "community_ids": [things["community_id"]],
            }]
        }
    ),
    "GET /v1/work-sites": Call(shows="community_id"),
}  # fmt: skip
CALLS = {**CATALOG, **ORDERS, **DISPATCH, **WHITELIST}
