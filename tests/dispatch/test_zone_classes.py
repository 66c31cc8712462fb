"""By which class of a zone is judged what was done there: by that of its moment, however late it is told."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from services.contracts.access import Role
from services.contracts.orders import ZoneClosed, ZoneOpened
from services.contracts.values import Clearance, ZoneClass
from services.dispatch.places import domain
from services.kit.database import Sessions
from services.kit.event import Event
from tests.dispatch.builders import HOUR, NOW, make_cleared, rows, tell
from tests.dispatch.bulks import make_bulk_relay
from tests.dispatch.relays import make_relay

ONLY = {
    each: (Clearance(zone_class=each, valid_until=NOW + 24 * HOUR),) for each in ZoneClass
}  # fmt: skip


def closed(zone: ZoneOpened, zone_class: ZoneClass | None) -> ZoneClosed:
    return ZoneClosed(zone_id=zone.zone_id, incident_id=zone.incident_id, zone_class=zone_class)


@pytest.mark.parametrize(
    ("zone_class", "former_class", "since", "known"),
    [
        ("controlled", None, None, "controlled"),
        ("controlled", "sealed", NOW, "controlled"),
        ("controlled", "sealed", NOW + HOUR, "sealed"),
        # Its closing was heard of, and not yet its opening; or nothing at all.
        ("controlled", None, NOW + HOUR, "sealed"),
        (None, None, None, "sealed"),
    ],
)
def test_the_class_of_a_moment_is_the_one_in_force_then(
    zone_class: str | None, former_class: str | None, since: datetime | None, known: str
) -> None:
    zone = SimpleNamespace(zone_class=zone_class, former_class=former_class, class_since=since)
    assert domain.class_at(zone, NOW) == ZoneClass(known)


@pytest.mark.parametrize("is_closed_first", [False, True])
async def test_what_was_done_before_a_zone_was_closed_is_judged_the_same_before_and_after(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path, *, is_closed_first: bool
) -> None:
    relay = await make_bulk_relay(client, service_sessions, tmp_path)
    laxer = make_cleared(relay.steward, Role.STEWARD, clearances=ONLY[ZoneClass.CONTROLLED])
    await tell(service_sessions, laxer, sequence=2)
    words: list[tuple[Event, int]] = [(closed(relay.zone, ZoneClass.CONTROLLED), 3)]
    if is_closed_first:
        # The opening again, later and more of it: what the closing has stated stays.
        words.append((relay.zone, 2))
        for word, sequence in words:
            await tell(service_sessions, word, sequence=sequence, at=NOW - 5 * HOUR / 60)
    gate = await relay.record(*relay.crate_notes(2))
    split = (await relay.split(relay.split_note())).json()
    if not is_closed_first:
        for word, sequence in words:
            await tell(service_sessions, word, sequence=sequence, at=NOW - 5 * HOUR / 60)
    assert ([item["is_breach"] for item in gate], split["is_breach"]) == ([True, True], True)
    codes = [
        reason["code"]
        for row in await rows(service_sessions, "SELECT reasons FROM breaches")
        for reason in row.reasons
    ]
    assert codes == ["dispatch.person_not_cleared"] * 3

    door = await relay.record(*relay.door_notes(0, minutes=-4))
    assert [item["is_breach"] for item in door] == [False] * len(relay.bags[0])


async def test_a_lifted_regime_leaves_the_class_as_it_was(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    relay = await make_relay(client, service_sessions)
    await tell(service_sessions, closed(relay.zone, None), sequence=2)
    found = await rows(service_sessions, "SELECT zone_class, former_class, class_since FROM zones")
    assert [tuple(row) for row in found] == [("sealed", None, None)]


async def test_a_zone_that_passes_into_a_stricter_class_takes_its_work_from_who_is_not_cleared_for_it(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    relay = await make_relay(client, service_sessions)
    laxer = relay.zone.model_copy(update={"zone_class": ZoneClass.CONTROLLED})
    await tell(service_sessions, laxer, sequence=2)
    word = make_cleared(relay.driver, clearances=ONLY[ZoneClass.CONTROLLED])
    await tell(service_sessions, word, sequence=2)
    await relay.record(relay.note(1, 0))
    await tell(service_sessions, closed(relay.zone, ZoneClass.CONTROLLED), sequence=3)
    assert (await relay.get("/v1/rescues"))["items"] == []

    await tell(service_sessions, closed(relay.zone, ZoneClass.SEALED), sequence=4)

    (rescue,) = (await relay.get("/v1/rescues"))["items"]
    assert rescue["holder_id"] == str(relay.driver)
    assert [row.status for row in await rows(service_sessions, "SELECT status FROM trips")] == ["stranded"]
