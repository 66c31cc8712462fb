from datetime import timedelta

import httpx

from services.contracts.access import Role
from services.contracts.values import Clearance, ZoneClass
from services.contracts.whitelist import Heartbeat
from services.dispatch.crew import domain, queries
from services.dispatch.crew.domain import CrewClearance, Duty
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_duty,
    make_suspended,
    make_zone,
    rows,
    tell,
)


def clearance(**given) -> CrewClearance:
    wanted = {
        "person_id": new_id(),
        "role": Role.DRIVER,
        "valid_until": {ZoneClass.SEALED: NOW + HOUR},
    }
    return CrewClearance(**{**wanted, **given})


def test_a_person_is_cleared_for_a_class_until_its_moment_not_included() -> None:
    assert domain.is_cleared(clearance(), ZoneClass.SEALED, NOW)
    assert not domain.is_cleared(clearance(), ZoneClass.SEALED, NOW + HOUR)
    assert not domain.is_cleared(clearance(), ZoneClass.CONTROLLED, NOW)


def test_an_unknown_and_a_suspended_person_are_not_cleared() -> None:
    assert not domain.is_cleared(None, ZoneClass.SEALED, NOW)
    assert not domain.is_cleared(clearance(is_suspended=True), ZoneClass.SEALED, NOW)


def test_the_copy_is_as_fresh_as_its_oldest_partition() -> None:
    fresh = dict.fromkeys(range(12), NOW)
    assert not domain.is_degraded(fresh, NOW + timedelta(seconds=60))
    assert domain.is_degraded({**fresh, 7: NOW - timedelta(seconds=1)}, NOW + timedelta(seconds=60))
    assert domain.is_degraded(dict.fromkeys(range(11), NOW), NOW)
    assert domain.is_degraded({}, NOW)


def test_only_drivers_drive() -> None:
    driver, steward = clearance(), clearance(role=Role.STEWARD)
    found = domain.cleared_drivers([driver, steward], NOW)
    assert found == {
        ZoneClass.SEALED: frozenset({driver.person_id}),
        ZoneClass.CONTROLLED: frozenset(),
        ZoneClass.PRECAUTION: frozenset(),
    }


def test_a_steward_is_at_the_doors_of_the_duty_while_it_lasts() -> None:
    community, building, other = new_id(), new_id(), new_id()
    duty = Duty(
        person_id=new_id(),
        role=Role.STEWARD,
        community_id=community,
        building_ids=frozenset({building}),
        starts_at=NOW,
        ends_at=NOW + HOUR,
    )
    at_gate = Duty(
        person_id=duty.person_id,
        role=Role.STEWARD,
        community_id=community,
        building_ids=frozenset(),
        starts_at=NOW + HOUR,
        ends_at=NOW + 2 * HOUR,
    )

    def stands(building_id, at, community_id=community) -> bool:
        return domain.is_steward_of(
            [duty, at_gate], community_id=community_id, building_id=building_id, at=at
        )

    assert stands(building, NOW)
    assert not stands(other, NOW)
    assert not stands(building, NOW - timedelta(seconds=1))
    assert stands(other, NOW + HOUR)
    assert not stands(other, NOW + 2 * HOUR)
    assert not stands(building, NOW, community_id=new_id())


async def test_the_newest_word_on_a_person_stands_whichever_came_last(service_sessions: Sessions) -> None:
    late, early = new_id(), new_id()
    await tell(service_sessions, make_suspended(late), sequence=2)
    await tell(service_sessions, make_cleared(late), sequence=1)
    await tell(service_sessions, make_cleared(early), sequence=1)
    await tell(service_sessions, make_suspended(early), sequence=2)
    await tell(service_sessions, make_suspended(early), sequence=2)
    async with service_sessions() as session:
        found = await queries.lock_clearances(session, [late, early, new_id()])
    assert {person: each.is_suspended for person, each in found.items()} == {late: True, early: True}


async def test_a_clearance_replaces_what_was_said_before(service_sessions: Sessions) -> None:
    person = new_id()
    await tell(service_sessions, make_cleared(person), sequence=1)
    only = (Clearance(zone_class=ZoneClass.PRECAUTION, valid_until=NOW + HOUR),)
    await tell(service_sessions, make_cleared(person, clearances=only), sequence=2)
    async with service_sessions() as session:
        found = await queries.lock_clearances(session, [person])
    assert found[person].valid_until == {ZoneClass.PRECAUTION: NOW + HOUR}


async def test_a_beat_never_goes_back(service_sessions: Sessions) -> None:
    def beat(at) -> Heartbeat:
        return Heartbeat(partition=3, key_of_partition="beat-3", beat_at=at)

    await tell(service_sessions, beat(NOW), sequence=2)
    await tell(service_sessions, beat(NOW - HOUR), sequence=1)
    async with service_sessions() as session:
        assert await queries.find_beats(session) == {3: NOW}


async def test_a_duty_is_its_newest_word(service_sessions: Sessions) -> None:
    zone, steward = make_zone(), new_id()
    duty = make_duty(steward, zone)
    moved = duty.model_copy(update={"ends_at": NOW + HOUR})
    await tell(service_sessions, moved, sequence=2)
    await tell(service_sessions, duty, sequence=1)
    found = await rows(service_sessions, "SELECT ends_at, building_ids FROM duties")
    assert [tuple(row) for row in found] == [(NOW + HOUR, list(zone.communities[0].building_ids))]


async def test_the_crew_is_shown_with_how_fresh_that_is(
    client: httpx.AsyncClient, service_sessions: Sessions
) -> None:
    cleared, suspended = sorted((new_id(), new_id()))
    await tell(service_sessions, make_cleared(cleared))
    await tell(service_sessions, make_suspended(suspended))
    shown = (await client.get("/v1/crew", headers=serving.headers("health_officer"))).json()["items"]
    assert [each["cleared_for"] for each in shown] == [["sealed", "controlled", "precaution"], []]
    assert [each["codes"] for each in shown] == [[], ["whitelist.pcr_positive"]]
    assert [each["is_degraded"] for each in shown] == [True, True]

    beats = [
        Heartbeat(partition=each, key_of_partition=f"beat-{each}", beat_at=NOW + HOUR) for each in range(12)
    ]
    await tell(service_sessions, *beats)
    shown = (await client.get("/v1/crew", headers=serving.headers("health_officer"))).json()["items"]
    assert [each["is_degraded"] for each in shown] == [False, False]


async def test_a_driver_does_not_read_others_clearance(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/crew", headers=serving.headers("driver"))
    assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
