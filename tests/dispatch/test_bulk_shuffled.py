"""A bulk group's words and its devices' logs in any order, doubled, in any pieces, leave the same rows."""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kit.database import Sessions
from tests.dispatch.builders import rows, said
from tests.dispatch.bulks import GOODS, BulkRelay, make_bulk_relay


@dataclass(frozen=True, kw_only=True)
class Play:
    """A manifest, what was lost of it in the hundred, which doors were reached, and chance."""

    wanted: list[dict[str, int]]
    lost: dict[str, tuple[str, int]]
    reached: set[int]
    seed: int


plays = st.builds(
    Play,
    wanted=st.lists(
        st.dictionaries(st.sampled_from(sorted(GOODS)), st.integers(1, 12), min_size=1, max_size=3),
        min_size=1,
        max_size=5,
    ),
    lost=st.dictionaries(
        st.sampled_from(sorted(GOODS)),
        st.tuples(st.sampled_from(["missing", "spoiled", "damaged"]), st.integers(1, 100)),
        max_size=3,
    ),
    reached=st.sets(st.integers(0, 4)),
    seed=st.integers(0, 2**32),
)


def losses_of(play: Play) -> list[tuple[UUID, str, int]]:
    in_g = Counter({name: sum(each.get(name, 0) for each in play.wanted) * GOODS[name][1] for name in GOODS})
    return [
        (GOODS[name][0], reason, in_g[name] * percent // 100)
        for name, (reason, percent) in sorted(play.lost.items())
        if in_g[name] * percent // 100
    ]


def pieces_of(sent: list[Any], chance: random.Random) -> list[list[Any]]:
    """Cut what is sent into pieces; a split stands alone, for it goes its own way."""
    pieces: list[list[Any]] = [[]]
    for note in sent:
        if "split_id" in note:
            pieces += [[note], []]
        else:
            pieces[-1].append(note)
            if chance.random() < 0.3:
                pieces.append([])
    return [piece for piece in pieces if piece]


async def tell_all(relay: BulkRelay, play: Play, chance: random.Random) -> dict[str, Any]:
    """Tell everything twice, in any order and in pieces; return what was answered to the split."""
    reached = [door for door in sorted(play.reached) if door < len(play.wanted)]
    log = [*relay.crate_notes(1, 2), *(note for door in reached for note in relay.door_notes(door))]
    sent = [*log, relay.split_note(*losses_of(play))] * 2
    sent = chance.sample(sent, len(sent))
    answers = []
    for piece in pieces_of(sent, chance):
        if "split_id" in piece[0]:
            answers.append((await relay.split(piece[0])).json())
        else:
            items = await relay.record(*piece)
            assert {item["outcome"] for item in items} <= {"recorded", "repeated"}
    first, second = answers
    assert (first.pop("outcome"), second.pop("outcome")) == ("recorded", "repeated")
    assert first == second
    return first


async def rows_of(relay: BulkRelay) -> dict[UUID, Any]:
    found = await rows(
        relay.sessions,
        """
        SELECT portion_id, is_empty, portions.delivered_at, sum(load_units.grams) AS grams
        FROM portions JOIN load_units USING (portion_id) WHERE portions.load_id = :id
        GROUP BY portion_id
        """,
        id=relay.load_id,
    )
    return {row.portion_id: row for row in found}


@settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(play=plays)
async def test_custody_and_mass_are_kept_in_whatever_order_all_is_told(
    client: httpx.AsyncClient, service_sessions: Sessions, tmp_path: Path, play: Play
) -> None:
    chance = random.Random(play.seed)
    relay = await make_bulk_relay(client, service_sessions, tmp_path, wanted=play.wanted, chance=chance)
    in_g = sum(GOODS[name][1] * units for each in play.wanted for name, units in each.items())
    split = await tell_all(relay, play, chance)
    portions = await rows_of(relay)

    # Mass: what came in is in the bags or lost, and what is lost is what was told to the households.
    assert split["in_g"] == in_g == split["portions_g"] + split["loss_g"]
    assert sum(loss["grams"] for loss in split["losses"]) == split["loss_g"]
    assert sum(row.grams for row in portions.values()) == split["portions_g"]
    mass = {str(offer_id): grams for offer_id, grams in GOODS.values()}
    short = [
        event
        for _, event in await said(service_sessions, "dispatch.portion_shortened.v1")
        if UUID(event["portion_id"]) in portions
    ]
    assert len({event["portion_id"] for event in short}) == len(short)
    told_g = sum(
        (line["promised"] - line["given"]) * mass[line["offer_id"]]
        for event in short
        for line in event["lines"]
    )
    assert told_g == split["loss_g"]
    assert {event["portion_id"] for event in short if event["is_empty"]} == {
        str(portion_id) for portion_id, row in portions.items() if row.is_empty
    }

    # Custody: each unit's chain is its own, each portion is delivered, emptied or waiting, and that once.
    links = (await relay.get(f"/v1/hand-overs?load_id={relay.load_id}"))["items"]
    chains: dict[str, list[int]] = {}
    for link in links:
        chains.setdefault(link["load_unit_id"], []).append(link["leg"])
    reached = {door for door in play.reached if door < len(play.wanted)}
    assert chains == {
        **{str(crate): [1, 2] for crate in relay.crates},
        **{str(bag): [3] for door in reached for bag in relay.bags[door]},
    }
    delivered = Counter(
        event["portion_id"]
        for _, event in await said(service_sessions, "dispatch.portion_delivered.v1")
        if UUID(event["portion_id"]) in portions
    )
    for door, portion_id in enumerate(relay.portions):
        row = portions[portion_id]
        assert row.is_empty == (row.grams == 0)
        assert (row.delivered_at is not None) == (door in reached and not row.is_empty)
        assert delivered[str(portion_id)] <= 1
        assert row.delivered_at is None or delivered[str(portion_id)] == 1
    filled = {portion_id for portion_id, row in portions.items() if not row.is_empty}
    is_over = filled <= {relay.portions[door] for door in reached}
    ((leg,),) = await rows(service_sessions, "SELECT leg FROM loads WHERE load_id = :id", id=relay.load_id)
    assert leg == (3 if is_over else 2)
    steward = str(relay.steward)
    holders = await relay.holders()
    for door, bags in enumerate(relay.bags):
        at_door = str(relay.orders[door].household_id) if door in reached else None
        assert {holders[bag] for bag in bags} <= ({at_door} if at_door else {steward, None})
    assert {holders[crate] for crate in relay.crates} == {None}
