import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.contracts import sharing
from services.contracts.access import Role
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import serving
from tests.dispatch.builders import (
    HOUR,
    NOW,
    make_cleared,
    make_duty,
    make_order,
    make_suspended,
    rows,
    said,
    tell,
)
from tests.dispatch.bulks import CABBAGE, EGGS, RICE, SEED, BulkRelay, make_bulk_relay

DELIVERED = "dispatch.portion_delivered.v1"
SHORTENED = "dispatch.portion_shortened.v1"
HEAVY_LOSS = ((CABBAGE, "spoiled", 15_500), (EGGS, "missing", 4000))


@pytest.fixture
async def relay(client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path) -> BulkRelay:
    return await make_bulk_relay(client, service_sessions, tmp_path)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def given_of(split: Mapping[str, Any]) -> list[list[tuple[str, int, int]]]:
    """What each household was promised and gets, in the order of the households."""
    doors = sorted(split["portions"], key=lambda each: each["household_id"])
    return [[(line["name"], line["promised"], line["given"]) for line in each["lines"]] for each in doors]


def contents_of(holding: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(line["name"], line["quantity"]) for line in holding["lines"]]


def portions_of(relay: BulkRelay, *given: Mapping[UUID, int]) -> list[dict[str, Any]]:
    return [
        {
            "portion_id": str(portion_id),
            "lines": [{"offer_id": str(offer), "quantity": units} for offer, units in lines.items()],
        }
        for portion_id, lines in zip(relay.portions, given, strict=True)
    ]


FULL = ({CABBAGE: 4, RICE: 2}, {CABBAGE: 14}, {EGGS: 5})


async def untouched(relay: BulkRelay) -> bool:
    """Nothing of a split is there."""
    tables = ["splits", "split_losses", "breaches"]
    found = [await rows(relay.sessions, f"SELECT 1 FROM {table}") for table in tables]
    loads = await rows(relay.sessions, "SELECT split_at, touched_at FROM loads")
    return not any(found) and set(loads) == {(None, None)} and await said(relay.sessions, SHORTENED) == []


async def test_what_is_left_is_shared_to_the_unit_and_what_is_lost_is_told_to_each_who_gets_less(
    relay: BulkRelay,
) -> None:
    lucky, _ = sharing.draw([UUID(int=2000), UUID(int=2001)], seed=SEED, product_id=CABBAGE)
    first, second = 3 + (lucky.int == 2000), 3 + (lucky.int == 2001)
    answer = await relay.split(relay.split_note(*HEAVY_LOSS))
    assert answer.status_code == 200, answer.text
    split = answer.json()
    assert (split["outcome"], split["is_breach"], split["breach_id"]) == ("recorded", False, None)
    assert (split["in_g"], split["portions_g"], split["loss_g"]) == (41_000, 20_500, 20_500)
    assert [(each["offer_id"], each["reason"], each["grams"]) for each in split["losses"]] == [
        (str(CABBAGE), "offcut", 1000), (str(CABBAGE), "spoiled", 15_500), (str(EGGS), "missing", 4000),
    ]  # fmt: skip
    assert given_of(split) == [
        [("cabbage", 4, first), ("rice", 2, 2)], [("cabbage", 14, second)], [("eggs", 5, 0)],
    ]  # fmt: skip

    told = {
        event["household_id"]: (sequence, event) for sequence, event in await said(relay.sessions, SHORTENED)
    }
    short = {UUID(each).int - 2000: (sequence, event["is_empty"]) for each, (sequence, event) in told.items()}
    assert short == {**({0: (1, False)} if first < 4 else {}), 1: (1, False), 2: (1, True)}
    (line,) = told[str(UUID(int=2002))][1]["lines"]
    assert (line["offer_id"], line["promised"], line["given"]) == (str(EGGS), 5, 0)

    shown = await relay.get(f"/v1/loads/{relay.load_id}/split", "steward")
    assert {**shown, "outcome": "recorded"} == split
    load = await relay.get(f"/v1/loads/{relay.load_id}")
    assert datetime.fromisoformat(load["split_at"]) == NOW - 8 * HOUR / 60
    bags = [[(unit["grams"], unit["holder_id"]) for unit in load["units"] if unit["kind"] == "household_bag"]]
    assert sum(grams for grams, _ in bags[0]) == 20_500
    assert [holder for grams, holder in bags[0]] == [
        str(relay.steward) if grams else None for grams, _ in bags[0]
    ]
    assert {unit["holder_id"] for unit in load["units"] if unit["kind"] != "household_bag"} == {None}
    portion = await relay.get(f"/v1/portions/{relay.portions[2]}", "resident", 2)
    assert (portion["is_empty"], portion["delivered_at"]) == (True, None)


async def filled_bags(relay: BulkRelay, door: int) -> list[UUID]:
    found = await rows(
        relay.sessions,
        "SELECT load_unit_id FROM load_units WHERE portion_id = :id AND lines <> '[]' ORDER BY number",
        id=relay.portions[door],
    )
    return [row.load_unit_id for row in found]


async def test_an_empty_portion_waits_for_no_door(relay: BulkRelay) -> None:
    await relay.record(*relay.crate_notes(1, 2))
    await relay.split(relay.split_note(*HEAVY_LOSS))
    for door in (0, 1):
        assert (await rows(relay.sessions, "SELECT leg FROM loads"))[0].leg == 2
        notes = [relay.note(3, bag, door) for bag in await filled_bags(relay, door)]
        assert [item["is_breach"] for item in await relay.record(*notes)] == [False] * len(notes)
    assert (await rows(relay.sessions, "SELECT leg FROM loads"))[0].leg == 3
    delivered = {event["portion_id"] for _, event in await said(relay.sessions, DELIVERED)}
    assert delivered == {str(portion_id) for portion_id in relay.portions[:2]}


async def test_a_portion_that_fits_into_one_bag_may_come_in_any_of_its_bags(relay: BulkRelay) -> None:
    await relay.record(*relay.crate_notes(1, 2))
    split = (
        await relay.split(relay.split_note((RICE, "spoiled", 10_000), (CABBAGE, "spoiled", 9000)))
    ).json()
    first, second = relay.bags[0]
    (portion,) = [each for each in split["portions"] if each["portion_id"] == str(relay.portions[0])]
    units = portion["lines"][0]["given"]
    assert [(bag["load_unit_id"], contents_of(bag)) for bag in portion["bags"]] == [
        (str(first), [("cabbage", units)]), (str(second), []),
    ]  # fmt: skip
    await relay.record(relay.note(3, second), role="steward")
    ((_, event),) = await said(relay.sessions, DELIVERED)
    assert event["portion_id"] == str(relay.portions[0])
    holders = await relay.holders()
    assert (holders[first], holders[second]) == (None, str(relay.orders[0].household_id))
    await tell(relay.sessions, make_suspended(relay.steward, Role.STEWARD), sequence=2)
    found = await rows(relay.sessions, "SELECT load_unit_id FROM rescue_units")
    left = await filled_bags(relay, 1) + await filled_bags(relay, 2)
    assert {row.load_unit_id for row in found} == set(left)


async def test_an_incident_counts_what_left_its_outlets_and_what_became_of_it_at_the_gates(
    relay: BulkRelay,
) -> None:
    await relay.record(*relay.crate_notes(1, 2))
    await relay.split(relay.split_note(*HEAVY_LOSS))
    await relay.record(*[relay.note(3, bag, 0) for bag in await filled_bags(relay, 0)])
    report = await relay.get(f"/v1/incidents/{relay.zone.incident_id}/deliveries")
    assert (report["load_units"], report["portions"], report["delivered"], report["emptied"]) == (2, 3, 1, 1)
    assert report["bulk"] == {"loads": 1, "in_g": 41_000, "portions_g": 20_500, "loss_g": 20_500}
    assert (report["grams"], report["handovers"]["leg1"], report["handovers"]["leg2"]) == (41_000, 2, 2)


async def test_a_load_of_which_all_is_lost_is_over(relay: BulkRelay) -> None:
    everything = [(CABBAGE, "missing", 27_000), (RICE, "missing", 10_000), (EGGS, "missing", 4000)]
    assert (await relay.split(relay.split_note(*everything))).json()["portions_g"] == 0
    found = await rows(relay.sessions, "SELECT leg, delivered_at = split_at AS at_once FROM loads")
    assert [tuple(row) for row in found] == [(3, True)]
    assert {event["is_empty"] for _, event in await said(relay.sessions, SHORTENED)} == {True}


async def test_doors_told_before_the_split_count_for_what_was_in_the_bags(relay: BulkRelay) -> None:
    await relay.record(*relay.door_notes(0), *relay.door_notes(2, minutes=-2))
    assert len(await said(relay.sessions, DELIVERED)) == 2
    answer = await relay.split(relay.split_note(*HEAVY_LOSS))
    assert answer.json()["outcome"] == "recorded"
    found = await rows(
        relay.sessions, "SELECT delivered_at, is_empty, sequence FROM portions ORDER BY household_id"
    )
    # Whoever was told to have taken an empty bag has nothing, and is told so.
    assert [(row.delivered_at is not None, row.is_empty) for row in found] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip
    assert found[2].sequence == 2


async def test_the_same_split_told_again_is_answered_as_the_first_time(relay: BulkRelay) -> None:
    note = relay.split_note(*HEAVY_LOSS)
    first = (await relay.split(note)).json()
    await relay.record(*relay.door_notes(0))
    turned = {**note, "losses": note["losses"][::-1], "place": {"lat": 39.6, "lon": 116.2}}
    again = (await relay.split(turned, "commander")).json()
    assert again == {**first, "outcome": "repeated"}

    changed = relay.split_note(split_id=note["split_id"])
    assert code_of(await relay.split(changed)) == (409, "dispatch.split_id_reused")
    assert code_of(await relay.split(relay.split_note())) == (409, "dispatch.load_already_split")
    assert len(await rows(relay.sessions, "SELECT 1 FROM splits")) == 1
    assert len(await rows(relay.sessions, "SELECT 1 FROM split_losses")) == 3


async def test_an_id_is_one_loads_alone(
    relay: BulkRelay, client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path
) -> None:
    note = relay.split_note()
    assert (await relay.split(note)).status_code == 200
    other = await make_bulk_relay(client, service_sessions, tmp_path)
    elsewhere = other.split_note(split_id=note["split_id"])
    assert code_of(await other.split(elsewhere)) == (409, "dispatch.split_id_reused")
    assert len(await rows(relay.sessions, "SELECT 1 FROM loads WHERE split_at IS NOT NULL")) == 1


async def test_of_two_splits_at_once_one_is_recorded(relay: BulkRelay) -> None:
    answers = await asyncio.gather(
        *(relay.split(relay.split_note((RICE, "missing", 5000)), role) for role in ("steward", "commander"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await said(relay.sessions, SHORTENED)) == 1


async def test_what_does_not_add_up_is_refused_offer_by_offer(relay: BulkRelay) -> None:
    portions = portions_of(relay, {CABBAGE: 4, RICE: 1}, {CABBAGE: 14}, {EGGS: 5})
    answer = await relay.split(relay.split_note((EGGS, "damaged", 1), portions=portions))
    assert code_of(answer) == (422, "dispatch.split_unbalanced")
    assert [(each["code"], each["params"]) for each in answer.json()["errors"]] == [
        (
            "dispatch.split_unbalanced",
            {"offer_id": str(offer_id), "in_g": in_g, "portions_g": portions_g, "loss_g": loss_g,
             "difference_g": in_g - portions_g - loss_g},
        )
        for offer_id, in_g, portions_g, loss_g in ((RICE, 10_000, 5000, 0), (EGGS, 4000, 4000, 1))
    ]  # fmt: skip
    assert await untouched(relay)


@pytest.mark.parametrize(
    ("portions", "losses", "codes"),
    [
        (({CABBAGE: 5, RICE: 2}, {CABBAGE: 13}, {EGGS: 5}), [], {"dispatch.more_than_promised"}),
        (FULL, [(new_id(), "missing", 1)], {"dispatch.offer_unknown"}),
        (({CABBAGE: 4, RICE: 2, new_id(): 1}, *FULL[1:]), [], {"dispatch.offer_unknown"}),
    ],
)
async def test_a_split_of_other_goods_than_came_is_refused(
    relay: BulkRelay, portions: Any, losses: Any, codes: set[str]
) -> None:
    note = relay.split_note(*losses, portions=portions_of(relay, *portions))
    answer = await relay.split(note)
    assert answer.status_code == 422
    assert {each["code"] for each in answer.json()["errors"]} == codes == {answer.json()["code"]}
    assert await untouched(relay)


async def test_every_portion_of_the_load_is_named_once(relay: BulkRelay) -> None:
    first, *_ = portions_of(relay, *FULL)
    stray = {**first, "portion_id": str(new_id())}
    answer = await relay.split(relay.split_note(portions=[first, first, stray]))
    assert code_of(answer) == (422, "dispatch.split_unbalanced")
    codes = [each["code"].removeprefix("dispatch.") for each in answer.json()["errors"]]
    assert codes[:4] == ["portion_repeated", "portion_unknown", "portion_missing", "portion_missing"]
    assert await untouched(relay)


async def test_an_unfair_split_is_recorded_as_a_breach_that_a_person_closes(relay: BulkRelay) -> None:
    portions = portions_of(relay, {CABBAGE: 4, RICE: 2}, {CABBAGE: 0}, {EGGS: 5})
    split = (await relay.split(relay.split_note((CABBAGE, "missing", 21_000), portions=portions))).json()
    assert (split["is_breach"], given_of(split)[1]) == (True, [("cabbage", 14, 0)])
    (breach,) = (await relay.get("/v1/breaches?is_open=true"))["items"]
    assert breach["breach_id"] == split["breach_id"]
    assert (breach["split_id"], breach["load_id"]) == (split["split_id"], str(relay.load_id))
    assert (breach["hand_over_id"], breach["load_unit_id"], breach["leg"], breach["taker_id"]) == (None,) * 4
    assert breach["reasons"] == [{"person_id": str(relay.steward), "code": "dispatch.split_not_by_rule"}]
    closed = await relay.client.post(
        f"/v1/breaches/{breach['breach_id']}/closure",
        json={"reason": "白菜给了病人"},
        headers=relay.headers(),
    )
    assert closed.status_code == 200
    assert (await relay.get("/v1/breaches?is_open=true"))["items"] == []


async def test_a_split_told_as_the_rule_shares_is_as_it_should_be(relay: BulkRelay) -> None:
    lost = (RICE, "missing", 5000)
    split = (
        await relay.split(
            relay.split_note(lost, portions=portions_of(relay, {CABBAGE: 4, RICE: 1}, *FULL[1:]))
        )
    ).json()
    assert (split["is_breach"], split["loss_g"], split["is_degraded"]) == (False, 5000, True)


async def test_who_splits_uncleared_or_without_duty_makes_a_breach(relay: BulkRelay, tmp_path: Path) -> None:
    await tell(relay.sessions, make_suspended(relay.steward, Role.STEWARD), sequence=2, at=NOW - HOUR / 2)
    first = (await relay.split(relay.split_note())).json()
    assert first["is_breach"]
    stranger = new_id()
    await tell(relay.sessions, make_cleared(stranger, Role.STEWARD))
    other = await make_bulk_relay(relay.client, relay.sessions, tmp_path)
    await other.split(other.split_note(steward_id=str(stranger)), "commander")
    breaches = (await relay.get("/v1/breaches"))["items"] + (await other.get("/v1/breaches"))["items"]
    assert [[reason["code"] for reason in each["reasons"]] for each in breaches] == [
        ["dispatch.person_not_cleared"], ["dispatch.steward_not_on_duty"],
    ]  # fmt: skip


@pytest.mark.parametrize("is_split_first", [False, True])
@pytest.mark.parametrize(
    ("on_duty", "codes"),
    [
        ("elsewhere", ["dispatch.steward_not_on_duty"]),
        ("at another building", []),
    ],
)
async def test_a_split_is_judged_the_same_before_and_after_the_hand_over_of_its_crates(
    relay: BulkRelay, on_duty: str, codes: list[str], *, is_split_first: bool
) -> None:
    helper = new_id()
    await tell(relay.sessions, make_cleared(helper, Role.STEWARD))
    turn: dict[str, dict[str, Any]] = {
        "elsewhere": {"community_id": new_id()},
        "at another building": {"building_ids": (new_id(),)},
    }
    await tell(relay.sessions, make_duty(helper, relay.zone, **turn[on_duty]))
    note = relay.split_note(steward_id=str(helper))
    log = [relay.note(2, crate, taker_id=helper) for crate in relay.crates]
    if not is_split_first:
        await relay.record(*log)
    split = (await relay.split(note, helper)).json()
    if is_split_first:
        await relay.record(*log)
    assert (split["outcome"], split["is_breach"]) == ("recorded", bool(codes))
    found = await rows(relay.sessions, "SELECT reasons FROM breaches WHERE split_id IS NOT NULL")
    assert [[reason["code"] for reason in row.reasons] for row in found] == ([codes] if codes else [])
    ((leg, split_by),) = await rows(relay.sessions, "SELECT leg, split_by FROM loads")
    assert (leg, split_by) == (2, helper)
    bags = [bag for each in relay.bags for bag in each]
    assert {(await relay.holders())[bag] for bag in bags} == {str(helper)}


async def test_nobody_takes_a_load_whose_crates_he_has_not_in_hand(relay: BulkRelay, tmp_path: Path) -> None:
    other = await make_bulk_relay(relay.client, relay.sessions, tmp_path)
    others = other.split_note()["proof"]
    bag = {"kind": "qr", "value": relay.marks.label_of(relay.bags[0][0])}
    for proof in (others, bag, {"kind": "qr", "value": "BATON"}, {"kind": "qr", "value": "号"}):
        for role in ("steward", "commander"):
            answer = await relay.split(relay.split_note(proof=proof), role)
            assert code_of(answer) == (422, "dispatch.proof_wrong")
            assert [each["pointer"] for each in answer.json()["errors"]] == ["/proof/value"]
    for proof in ({"kind": "photo", "photo_sha256": "ab" * 32}, {"kind": "pin", "value": "123456"}, None):
        assert (await relay.split(relay.split_note(proof=proof))).status_code == 422
    assert await untouched(relay)


async def test_who_scanned_a_crate_tells_of_no_split_but_his_own(relay: BulkRelay) -> None:
    stranger = new_id()
    assert code_of(await relay.split(relay.split_note(), stranger)) == (404, "kit.not_found")
    assert await untouched(relay)
    split = (await relay.split(relay.split_note(steward_id=str(stranger)), stranger)).json()
    assert (split["outcome"], split["is_breach"]) == ("recorded", True)


async def test_a_manifest_says_what_a_steward_needs_to_share_without_a_network(relay: BulkRelay) -> None:
    for role in ("steward", "commander"):
        manifest = await relay.get(f"/v1/loads/{relay.load_id}/manifest", role)
        assert (manifest["rule"], manifest["seed"], manifest["number"]) == (sharing.RULE, SEED, 1)
        assert [(each["name"], each["grams"], each["units"]) for each in manifest["items"]] == [
            ("cabbage", 1500, 18), ("rice", 5000, 2), ("eggs", 800, 5),
        ]  # fmt: skip
        assert [(each["portion_id"], contents_of(each)) for each in manifest["portions"]] == [
            (str(relay.portions[0]), [("cabbage", 4), ("rice", 2)]),
            (str(relay.portions[1]), [("cabbage", 14)]),
            (str(relay.portions[2]), [("eggs", 5)]),
        ]
        assert [
            [(bag["load_unit_id"], bag["grams"], contents_of(bag)) for bag in each["bags"]]
            for each in manifest["portions"]
        ] == [
            [(str(relay.bags[0][0]), 11_500, [("rice", 2), ("cabbage", 1)]),
             (str(relay.bags[0][1]), 4500, [("cabbage", 3)])],
            [(str(relay.bags[1][0]), 12_000, [("cabbage", 8)]),
             (str(relay.bags[1][1]), 9000, [("cabbage", 6)])],
            [(str(relay.bags[2][0]), 4000, [("eggs", 5)])],
        ]  # fmt: skip
    # It says what was promised, whatever was lost since, and what is in the bags now.
    await relay.split(relay.split_note(*HEAVY_LOSS))
    again = await relay.get(f"/v1/loads/{relay.load_id}/manifest", "steward")
    bags = [each.pop("bags") for each in again["portions"]]
    assert [each.pop("bags") for each in manifest["portions"]] != bags
    assert again == manifest
    split = await relay.get(f"/v1/loads/{relay.load_id}/split", "steward")
    assert [each["bags"] for each in split["portions"]] == bags
    assert sum(bag["grams"] for each in bags for bag in each) == split["portions_g"]
    assert bags[2] == [{"load_unit_id": str(relay.bags[2][0]), "grams": 0, "lines": []}]


async def test_goods_are_shared_by_the_rule_that_was_published_or_not_at_all(relay: BulkRelay) -> None:
    async with relay.sessions.begin() as session:
        await session.execute(text("UPDATE manifests SET rule = 'orders.oldest_first.v9'"))
    answer = await relay.split(relay.split_note())
    assert code_of(answer) == (409, "dispatch.rule_unknown")
    assert [each["params"] for each in answer.json()["errors"]] == [{"rule": "orders.oldest_first.v9"}]
    assert await untouched(relay)


async def test_who_has_nothing_to_do_at_the_gate_learns_nothing_of_its_households(relay: BulkRelay) -> None:
    path = f"/v1/loads/{relay.load_id}"
    await relay.record(*relay.crate_notes(1))
    strangers = [
        relay.headers("driver"),
        relay.headers("outlet"),
        serving.headers("steward", key="1"),
        serving.headers("commander", key="2", zone_ids=[new_id()]),
    ]
    for head in strangers:
        for answer in (
            await relay.client.get(f"{path}/manifest", headers=head),
            await relay.client.get(f"{path}/split", headers=head),
            await relay.client.post(f"{path}/split", json=relay.split_note(), headers=head),
        ):
            assert code_of(answer) == (404, "kit.not_found")
    resident = await relay.client.post(
        f"{path}/split", json=relay.split_note(), headers=relay.headers("resident")
    )
    assert code_of(resident) == (403, "kit.forbidden")
    not_split = await relay.client.get(f"{path}/split", headers=relay.headers())
    nothing = await relay.client.get(f"/v1/loads/{new_id()}/manifest", headers=relay.headers())
    assert (not_split.status_code, nothing.status_code) == (404, 404)
    assert await rows(relay.sessions, "SELECT 1 FROM splits") == []


async def test_a_split_is_told_by_who_made_it_and_of_what_has_happened(relay: BulkRelay) -> None:
    other = relay.split_note(steward_id=str(new_id()))
    assert code_of(await relay.split(other)) == (422, "dispatch.not_the_splitter")
    early = relay.split_note(minutes=60)
    assert code_of(await relay.split(early)) == (422, "dispatch.occurred_in_future")
    assert await untouched(relay)
    # Years behind: the moment of recording counts.
    late = (await relay.split(relay.split_note(minutes=-60 * 24 * 365 * 3), "commander")).json()
    assert (late["clock_doubtful"], late["reckoned_at"]) == (True, late["recorded_at"])


async def test_a_bagged_load_has_nothing_to_split(relay: BulkRelay) -> None:
    order = make_order(relay.zone)
    await tell(relay.sessions, order)
    ((load_id,),) = await rows(relay.sessions, "SELECT load_id FROM loads WHERE form = 'bagged'")
    path = f"/v1/loads/{load_id}/split"
    answer = await relay.client.post(path, json=relay.split_note(), headers=relay.headers("steward"))
    assert code_of(answer) == (409, "dispatch.load_not_bulk")
    manifest = await relay.client.get(f"/v1/loads/{load_id}/manifest", headers=relay.headers())
    assert code_of(manifest) == (404, "kit.not_found")


async def test_the_splitter_gives_at_any_door_of_the_load(relay: BulkRelay) -> None:
    helper = new_id()
    await tell(relay.sessions, make_cleared(helper, Role.STEWARD))
    await tell(relay.sessions, make_duty(helper, relay.zone, building_ids=(new_id(),)))
    await relay.split(relay.split_note(steward_id=str(helper)), "commander")
    notes = relay.door_notes(1, giver_id=helper)
    assert [item["is_breach"] for item in await relay.record(*notes)] == [False, False]
