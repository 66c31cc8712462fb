import json
from base64 import b64decode
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text

from services.kit.ids import new_id
from services.orders.register import certificates
from services.orders.register.certificates import Certificate
from tests.orders.bus import deliver
from tests.orders.openings import activate, close, duty, prepare
from tests.orders.towns import plant_town
from tests.serving import headers

READER = headers("commander")


async def sealed_town(client, **given):
    town = await plant_town(client, **given)
    zone = await prepare(client, town)
    answer = await activate(client, town, zone["zone_id"])
    assert answer.status_code == 202, answer.text
    return town, zone, answer.json()["incident_id"]


async def ask(client, household_id, head, outcome="nothing_needed", **given):
    return await client.post(
        f"/v1/households/{household_id}/check-ins", json={"outcome": outcome, **given}, headers=head
    )


def hotline(town, key="k"):
    return headers("hotline", key=key, zone_ids=[town.town_id], subject="hotline-1")


async def finish(client, town, incident_id, **given):
    return await client.post(
        f"/v1/incidents/{incident_id}/closure", json=given, headers=town.commander(key=str(new_id()))
    )


async def scalar(sessions, statement, **given):
    async with sessions() as session:
        return (await session.execute(text(statement), given)).scalar_one()


async def insert_order(sessions, zone, incident_id, household_id, status):
    """A row as intake leaves it; how it comes to be is intake's own matter."""
    async with sessions.begin() as session:
        building_id, community_id = (
            await session.execute(
                text("SELECT building_id, community_id FROM households WHERE household_id = :id"),
                {"id": household_id},
            )
        ).one()
        rule_id = (
            await session.execute(
                text("SELECT rule_id FROM quota_rules WHERE zone_id = :id"), {"id": UUID(zone["zone_id"])}
            )
        ).scalar_one()
        given = {
            "order_id": new_id(), "household": household_id, "building": building_id,
            "community": community_id,
            "zone": UUID(zone["zone_id"]), "incident": UUID(incident_id), "slot": UUID(zone["slot_ids"][0]),
            "rule": rule_id, "status": status, "now": datetime.now(UTC),
            "given": "[{}]" if status in ("confirmed", "fulfilled") else "[]",
            "refusals": '[{"code": "catalog.short"}]' if status == "refused" else "[]",
        }  # fmt: skip
        await session.execute(
            text("""
                INSERT INTO household_quotas (household_id, rule_id, day, limit_orders, limit_units)
                VALUES (:household, :rule, current_date, 9, 99) ON CONFLICT DO NOTHING
            """),
            given,
        )
        await session.execute(
            text("""
                INSERT INTO orders (order_id, household_id, building_id, community_id, zone_id, incident_id,
                    slot_id, channel, client, rule_id, day, units, lines, status, given, refusals, placed_at,
                    sequence)
                VALUES (:order_id, :household, :building, :community, :zone, :incident, :slot, 'resident',
                    'c', :rule, current_date, 1, '[]', :status, CAST(:given AS jsonb),
                    CAST(:refusals AS jsonb), :now, 1)
            """),
            given,
        )
        return given["order_id"]


async def test_a_steward_on_duty_and_the_hotline_check_in(client, service_sessions) -> None:
    town, _, incident_id = await sealed_town(client)
    building = town.all_buildings[0]
    (home,) = town.households[building]
    on_duty = duty(town, building)
    await deliver(service_sessions, (on_duty, 1))
    steward = headers("steward", key="s", subject=on_duty.person_id)
    first = await ask(client, home, steward, "needs_help", note="insulin ends tomorrow")
    second = await ask(client, home, hotline(town), "served_elsewhere")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == {
        "check_in_id": first.json()["check_in_id"],
        "household_id": str(home),
        "incident_id": incident_id,
        "outcome": "needs_help",
    }
    again = await ask(client, home, steward, "needs_help", note="insulin ends tomorrow")
    assert again.content == first.content
    assert await scalar(service_sessions, "SELECT count(*) FROM check_ins") == 2


async def test_nobody_else_checks_in(client, service_sessions) -> None:
    town, *_ = await sealed_town(client)
    (home,) = town.households[town.all_buildings[0]]
    for role, status in (("steward", 404), ("hotline", 404), ("resident", 403), ("commander", 403)):
        head = headers(role, key="k", household_id=home)
        answer = await ask(client, home, head)
        assert answer.status_code == status, role
        assert (await ask(client, new_id(), head)).json() == answer.json()
    assert await scalar(service_sessions, "SELECT count(*) FROM check_ins") == 0


async def test_a_household_outside_every_active_zone_is_not_checked_in(client, service_sessions) -> None:
    town = await plant_town(client)
    (home,) = town.households[town.all_buildings[0]]
    answer = await ask(client, home, hotline(town))
    assert (answer.status_code, answer.json()["code"]) == (422, "orders.household_not_in_zone")
    assert await scalar(service_sessions, "SELECT count(*) FROM check_ins") == 0


async def test_a_note_is_read_by_those_who_may_and_lies_sealed(client, service_sessions) -> None:
    town, *_ = await sealed_town(client)
    (home,) = town.households[town.all_buildings[0]]
    await ask(client, home, hotline(town), "needs_help", note="金丝雀的药")
    seen = await client.get(f"/v1/households/{home}/check-ins", headers=hotline(town))
    assert [item["note"] for item in seen.json()["items"]] == ["金丝雀的药"]
    hidden = await client.get(f"/v1/households/{home}/check-ins", headers=town.commander())
    assert (hidden.status_code, hidden.json()["code"]) == (404, "kit.not_found")
    reads = "SELECT string_agg(reader || ' ' || purpose, ',') FROM personal_reads"
    assert await scalar(service_sessions, reads) == "hotline-1 care"
    async with service_sessions() as session:
        tables = await session.execute(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        )
        for table in tables.scalars().all():
            rows = (await session.execute(text(f"SELECT t::text FROM {table} AS t"))).scalars().all()
            assert [row for row in rows if "金丝雀" in row or "金丝雀".encode().hex() in row] == [], table


async def test_the_report_names_who_was_neither_served_nor_asked(client, service_sessions) -> None:
    town, zone, incident_id = await sealed_town(client, villages=2, households=3)
    one, two = town.all_buildings
    served, asked, both = town.households[one]
    *waiting, refused = town.households[two]
    for household_id in (served, both):
        await insert_order(service_sessions, zone, incident_id, household_id, "fulfilled")
    owed = await insert_order(service_sessions, zone, incident_id, waiting[0], "confirmed")
    await insert_order(service_sessions, zone, incident_id, refused, "refused")
    await insert_order(service_sessions, zone, incident_id, waiting[1], "cancelled")
    await ask(client, asked, hotline(town, "1"), "needs_help")
    await ask(client, both, hotline(town, "2"), "needs_help")
    await ask(client, both, hotline(town, "3"), "nothing_needed")
    answer = await client.get(f"/v1/incidents/{incident_id}/report", headers=town.commander())
    assert answer.json() == {
        "households": 6,
        "served": 2,
        "asked": 2,
        "unreached_household_ids": sorted(map(str, [*waiting, refused])),
        "needs_help_household_ids": [str(asked)],
        "orders": {
            "placed": 5, "undecided": 0, "confirmed": 3, "refused": 1, "cancelled": 1, "fulfilled": 2,
            "lost": 0,
        },
        "group_orders": 0,
        "refusals": {"catalog.short": 1},
        "undelivered": [str(owed)],
    }  # fmt: skip


async def test_only_the_command_reads_the_report(client) -> None:
    town, _, incident_id = await sealed_town(client)
    for role in ("resident", "steward", "leader", "hotline"):
        head = headers(role, zone_ids=[town.town_id])
        answer = await client.get(f"/v1/incidents/{incident_id}/report", headers=head)
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden"), role


async def test_an_incident_that_does_not_exist_is_not_found(client) -> None:
    for path in ("", "/report"):
        answer = await client.get(f"/v1/incidents/{new_id()}{path}", headers=READER)
        assert (answer.status_code, answer.json()["code"]) == (404, "kit.not_found")


async def test_an_incident_with_an_open_zone_is_not_closed(client, service_sessions) -> None:
    town, zone, incident_id = await sealed_town(client)
    answer = await finish(client, town, incident_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "orders.zones_still_open")
    assert answer.json()["errors"][0]["params"] == {"zone_id": zone["zone_id"], "status": "activated"}
    destroyed = "SELECT count(*) FROM vault_keys WHERE wrapped IS NULL"
    assert await scalar(service_sessions, destroyed) == 0


async def test_a_commander_of_elsewhere_closes_no_incident(client) -> None:
    town, zone, incident_id = await sealed_town(client)
    await close(client, town, zone["zone_id"])
    for head in (headers("commander", key="k", zone_ids=[new_id()]), headers("resident", key="k")):
        answer = await client.post(f"/v1/incidents/{incident_id}/closure", json={}, headers=head)
        assert (answer.status_code, answer.json()["code"]) == (403, "kit.forbidden")
    assert (await client.get(f"/v1/incidents/{incident_id}", headers=READER)).json()["status"] == "open"


async def test_a_closed_incident_is_certified_and_its_notes_are_gone_but_not_the_register(
    client, service_sessions
) -> None:
    town, zone, incident_id = await sealed_town(client, households=2)
    home, _ = town.households[town.all_buildings[0]]
    await ask(client, home, hotline(town), "needs_help", note="the last dose")
    await ask(client, home, hotline(town, "again"))
    await insert_order(service_sessions, zone, incident_id, home, "fulfilled")
    await close(client, town, zone["zone_id"])
    answer = await finish(client, town, incident_id)
    assert answer.status_code == 200

    said = answer.json()
    certificate = Certificate(said["statement"], b64decode(said["signature"]), b64decode(said["public_key"]))
    assert certificates.is_genuine(certificate)
    statement = json.loads(said["statement"])
    assert (statement["kind"], statement["scope_id"]) == ("incident", incident_id)
    assert statement["destroyed"] == {
        "key": {"scope_id": incident_id, "algorithm": "AES-256-GCM"}, "sealed_records": {"check_in_notes": 1},
    }  # fmt: skip
    kept = {each["what"]: each["rows"] for each in statement["kept"]}
    assert kept == {"orders": 1, "check_ins": 2, "households": 2}
    assert all(each["reason"] for each in statement["kept"])
    seen = (await client.get(f"/v1/incidents/{incident_id}", headers=READER)).json()
    assert (seen["status"], seen["certificate"], seen["abandoned"]) == ("closed", said, None)
    assert [zone["status"] for zone in seen["zones"]] == ["closed"]

    notes = await client.get(f"/v1/households/{home}/check-ins", headers=hotline(town))
    assert [item["note"] for item in notes.json()["items"]] == [None, None]
    wrapped = "SELECT wrapped FROM vault_keys WHERE scope_id = :id"
    assert await scalar(service_sessions, wrapped, id=UUID(incident_id)) is None
    contact = await client.get(f"/v1/households/{home}", headers=hotline(town))
    assert contact.json()["contact"]["name"] == "name of T0000000"

    again = await finish(client, town, incident_id)
    assert (again.status_code, again.json()["code"]) == (409, "orders.incident_already_closed")
    late = await prepare(client, town)
    joined = await activate(client, town, late["zone_id"], incident_id=incident_id)
    assert (joined.status_code, joined.json()["code"]) == (422, "orders.incident_closed")


async def test_a_door_that_stays_shut_reaches_nobody_and_takes_no_need_away(client, service_sessions) -> None:
    town, _, incident_id = await sealed_town(client, households=3)
    silent, needy, found = town.households[town.all_buildings[0]]
    await ask(client, silent, hotline(town, "1"), "no_answer")
    await ask(client, needy, hotline(town, "2"), "needs_help")
    await ask(client, needy, hotline(town, "3"), "no_answer")
    await ask(client, found, hotline(town, "4"), "no_answer")
    await ask(client, found, hotline(town, "5"), "served_elsewhere")
    seen = (await client.get(f"/v1/incidents/{incident_id}/report", headers=town.commander())).json()
    assert (seen["asked"], seen["unreached_household_ids"]) == (2, [str(silent)])
    assert seen["needs_help_household_ids"] == [str(needy)]


async def test_an_incident_is_not_closed_over_orders_that_have_not_arrived_unless_they_are_given_up(
    client, service_sessions
) -> None:
    town, zone, incident_id = await sealed_town(client, households=4)
    homes = town.households[town.all_buildings[0]]
    for home, status in zip(homes, ("confirmed", "confirmed", "placed", "cancelled"), strict=True):
        await insert_order(service_sessions, zone, incident_id, home, status)
    await close(client, town, zone["zone_id"])
    owed = await finish(client, town, incident_id)
    assert (owed.status_code, owed.json()["code"]) == (409, "orders.orders_undelivered")
    assert [error["params"] for error in owed.json()["errors"]] == [{"undelivered": 2, "undecided": 1}]
    for body in ({"abandon_undelivered": True}, {"reason": "flood"}, {"abandon": True}):
        refused = await finish(client, town, incident_id, **body)
        assert (refused.status_code, refused.json()["code"]) == (422, "kit.invalid")
    assert await scalar(service_sessions, "SELECT count(*) FROM certificates") == 0
    assert await scalar(service_sessions, "SELECT count(*) FROM vault_keys WHERE wrapped IS NULL") == 0

    given_up = await finish(client, town, incident_id, abandon_undelivered=True, reason="flood")
    assert given_up.status_code == 200
    seen = (await client.get(f"/v1/incidents/{incident_id}", headers=READER)).json()
    assert (seen["status"], seen["abandoned"]) == ("closed", {"orders": 3, "reason": "flood"})
    report = (await client.get(f"/v1/incidents/{incident_id}/report", headers=town.commander())).json()
    assert len(report["undelivered"]) == 2
