"""The situation report: what Baton itself says of an incident, put together from its services."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from services.console.scenarios.case import Item
from services.console.scenarios.orders import Day
from services.console.scenarios.town import Town

GRAMS_A_TONNE = 1_000_000
METRES_A_KILOMETRE = 1000
Report = dict[str, Any]


async def gather(town: Town, zone: Item, day: Day, *, bus: str, failure: str | None = None) -> Report:
    """Return the report of a zone's incident; its keys are an interface of their own."""
    incident = f"/v1/incidents/{zone['incident_id']}"
    ordered = await town.commander.get(f"{incident}/report")
    supplied = await town.commander.get(f"{incident}/supply")
    carried = await town.commander.get(f"{incident}/deliveries")
    asked = Counter(
        outlet_id for order in day.decided for outlet_id in {line["outlet_id"] for line in order["given"]}
    )
    return {
        "scenario": town.case.name,
        "bus": bus,
        "seconds_to_assign": zone["seconds_to_assign"],
        "seconds_to_open": zone["seconds_to_open"],
        "outlets_by_kind": supplied["outlets_by_kind"],
        "largest_shop_orders": max(asked.values(), default=0),
        "households": ordered["households"],
        **_of_orders(ordered, day),
        **_of_goods(carried),
        "price_refusals": supplied["price_refusals"],
        "suspended": carried["suspended"],
        "reassigned": carried["reassigned"],
        "rescued": carried["rescued"],
        "rescues_open": carried["rescues_open"],
        "unreached_households": len(ordered["unreached_household_ids"]),
        "undelivered": ordered["undelivered"],
        "failure": failure,
    }


def _of_orders(ordered: Item, day: Day) -> Report:
    states: Mapping[str, int] = ordered["orders"]
    return {
        "orders": {
            "placed": states["placed"],
            "confirmed": states["confirmed"],
            "refused": states["refused"],
            "cancelled": states["cancelled"],
            "delivered": states["fulfilled"],
            "lost": states["lost"],
        },
        "group_orders": ordered["group_orders"],
        "refusals": ordered["refusals"],
        "refused_at_once": dict(day.refusals),
    }


def _of_goods(carried: Item) -> Report:
    return {
        "load_units": carried["load_units"],
        "portions": carried["portions"],
        "portions_at_door": carried["delivered"],
        "portions_emptied": carried["emptied"],
        "bulk": carried["bulk"],
        "trips": carried["trips"],
        "tonnes": round(carried["grams"] / GRAMS_A_TONNE, 3),
        "kilometres": round(carried["metres"] / METRES_A_KILOMETRE, 1),
        "handovers": carried["handovers"],
        "breaches": carried["breaches"],
    }


def find_failures(report: Report) -> list[str]:
    """Return why a report is no success: an accepted order without its door, a household nobody reached."""
    failures = [report["failure"]] if report["failure"] else []
    if report["undelivered"]:
        failures.append(f"{len(report['undelivered'])} accepted orders did not reach their door")
    if report["orders"]["delivered"] != report["orders"]["confirmed"]:
        failures.append("confirmed and delivered differ")
    if report["portions"] != report["portions_at_door"] + report["portions_emptied"]:
        failures.append("a portion is unaccounted for")
    bulk = report["bulk"]
    if bulk["in_g"] != bulk["portions_g"] + bulk["loss_g"]:
        failures.append(f"what was carried in bulk is not what was shared out and lost: {bulk}")
    if report["rescues_open"]:
        failures.append(f"{report['rescues_open']} rescues were not worked off")
    if report["unreached_households"]:
        failures.append(f"{report['unreached_households']} sealed households were neither served nor asked")
    if not report["orders"]["delivered"]:
        failures.append("nothing was delivered")
    return failures


def write(reports: list[Report], path: Path) -> None:
    """Write the reports, one object a scenario."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(reports, indent=2, ensure_ascii=False) + "\n")


def show(report: Report, title: str, console: Console) -> None:
    """Print a report as a person reads it."""
    table = Table(title=f"{title}: situation report", show_header=False)
    for name, value in report.items():
        table.add_row(name.replace("_", " "), _worded(value))
    console.print(table)


def _worded(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_worded(inner)}" for name, inner in value.items()) or "none"
        case None:
            return "none"
        case list():
            return f"{len(value)}: {', '.join(map(str, value[:5]))}" if value else "none"
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
