"""The work sites of a mobile market: each between the communities that it serves."""

from services.console.scenarios.case import Item
from services.console.scenarios.town import Town, taken


async def lay_out(town: Town) -> None:
    """Import the sites of the case's market; neighbours share one."""
    taken(await town.commander.import_all("/v1/work-sites", "work_sites", _sites(town)), "site_id")


def _sites(town: Town) -> list[Item]:
    market = town.case.facts.market
    assert market is not None  # noqa: S101 - only a market's run is laid out
    gates = town.case.gates()
    # From west to east, as many to each as go; which village went to which site is not known.
    villages = sorted(town.case.sealed, key=lambda village: (gates[village.code].lon, village.code))
    parts = [
        villages[
            len(villages) * number // market.work_sites : len(villages) * (number + 1) // market.work_sites
        ]
        for number in range(market.work_sites)
    ]
    return [
        {
            "code": f"{town.case.name}-{number}",
            "title": f"{town.case.title}{number}号作业点",
            "position": {
                "lat": round(sum(gates[village.code].lat for village in part) / len(part), 5),
                "lon": round(sum(gates[village.code].lon for village in part) / len(part), 5),
            },
            "community_ids": [town.areas[village.code] for village in part],
        }
        for number, part in enumerate(parts, start=1)
    ]
