from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.outlets.domain import Risk
from services.catalog.supply import domain
from services.catalog.supply.asks import choose_asks
from services.catalog.supply.domain import NEXT, Assignment, Candidate, OutOfTurn, Status, Supply, Turn
from services.catalog.zones.domain import Gate
from services.contracts.values import MissingSupply, OutletKind, Pin, Point
from services.kit.ids import new_id

SUPERMARKET, PHARMACY = OutletKind.SUPERMARKET, OutletKind.PHARMACY
GATE = Gate(position=Point(lat=39.66, lon=116.33), head_count=262, households=0)
NOON = datetime(2022, 11, 20, 4, tzinfo=UTC)


def make_candidate(**given_fields) -> Candidate:
    fields = {
        "outlet_id": new_id(), "kind": SUPERMARKET, "position": GATE.position, "risk": Risk.LOW,
        "reserve_person_days": 100, "remaining": 100,
    }  # fmt: skip
    return Candidate(**(fields | given_fields))


def make_supply(needed=100, **given_fields) -> Supply:
    fields = {
        "zone_id": new_id(), "needs": {SUPERMARKET: needed}, "gates": (GATE,), "pins": (), "assignments": (),
    }  # fmt: skip
    return Supply(**(fields | given_fields))


def make_assignment(status=Status.ASKED, asked=100, accepted=None, **given_fields) -> Assignment:
    fields = {
        "assignment_id": new_id(), "outlet_id": new_id(), "kind": SUPERMARKET, "rank": 1, "answer_by": NOON,
    }  # fmt: skip
    return Assignment(**(fields | given_fields), status=status, asked_orders=asked, accepted_orders=accepted)


def asked(supply, *candidates):
    return [(ask.outlet_id, ask.orders) for ask in choose_asks([supply], candidates)]


def test_households_are_counted_by_heads_or_as_registered_where_there_are_more() -> None:
    gates = [GATE, Gate(position=GATE.position, head_count=263, households=0),
             Gate(position=GATE.position, head_count=10, households=40)]  # fmt: skip
    assert [
        domain.count_households([gate], persons_per_100_households=262) for gate in gates
    ] == [100, 101, 40]  # fmt: skip
    assert domain.count_households(gates, persons_per_100_households=262) == 241


@pytest.mark.parametrize(
    ("households", "permille", "needed"), [(100, 1000, 110), (100, 50, 6), (0, 1000, 0), (1, 10, 1)]
)
def test_needed_orders_carry_the_surcharge_and_are_rounded_up(households, permille, needed) -> None:
    assert domain.needed_orders(households, orders_permille=permille, surcharge_permille=100) == needed


def test_a_degree_of_latitude_is_111_km() -> None:
    metres = domain.metres_between(Point(lat=39, lon=116), Point(lat=40, lon=116))
    assert metres == pytest.approx(111_195, abs=1)
    assert domain.metres_between(Point(lat=0, lon=180), Point(lat=0, lon=-180)) == pytest.approx(0, abs=1e-6)


def test_the_distance_to_the_gates_counts_each_by_its_heads() -> None:
    far = Gate(position=Point(lat=40.66, lon=116.33), head_count=786, households=0)
    assert domain.metres_to_gates(GATE.position, [GATE, far]) == pytest.approx(0.75 * 111_195, abs=1)
    assert domain.metres_to_gates(GATE.position, []) == 0


def test_candidates_go_by_pin_then_risk_then_distance_then_reserve_then_capacity() -> None:
    pinned = make_candidate(risk=Risk.MEDIUM, position=Point(lat=41, lon=116))
    roomy = make_candidate(remaining=101)
    stocked = make_candidate(reserve_person_days=101)
    plain = make_candidate()
    farther = make_candidate(position=Point(lat=39.70, lon=116.33), reserve_person_days=10**6)
    risky = make_candidate(risk=Risk.MEDIUM, reserve_person_days=10**6)
    ranked = domain.rank_candidates(
        [plain, risky, farther, stocked, roomy, pinned],
        gates=[GATE],
        pins=[Pin(subject_id=pinned.outlet_id, reason="its cold store")],
    )
    assert [one for one, _ in ranked] == [pinned, stocked, roomy, plain, farther, risky]


def test_outlets_are_asked_until_the_need_is_covered_and_for_no_more() -> None:
    first, second, third = (make_candidate(reserve_person_days=n, remaining=60) for n in (3, 2, 1))
    assert asked(make_supply(100), third, second, first) == [(first.outlet_id, 60), (second.outlet_id, 40)]


def test_an_outlet_is_asked_once_by_a_zone_and_only_for_its_kind() -> None:
    refused = make_candidate()
    pharmacy = make_candidate(kind=PHARMACY)
    full = make_candidate(remaining=0)
    supply = make_supply(assignments=(make_assignment(Status.REFUSED, outlet_id=refused.outlet_id),))
    assert asked(supply, refused, pharmacy, full) == []


def test_what_is_asked_or_accepted_is_not_lacking() -> None:
    supply = make_supply(
        100,
        assignments=(
            make_assignment(Status.ACCEPTED, 50, 30),
            make_assignment(Status.ASKED, 20, rank=2),
            make_assignment(Status.SILENT, 50, rank=7),
        ),
    )
    candidate = make_candidate()
    assert (supply.found(SUPERMARKET), supply.lacking(SUPERMARKET)) == (30, 50)
    (ask,) = choose_asks([supply], [candidate])
    assert (ask.orders, ask.rank) == (50, 8)


def test_a_pin_carries_its_reason_to_the_ask() -> None:
    near, pinned = make_candidate(remaining=10**6), make_candidate(risk=Risk.MEDIUM, remaining=30)
    supply = make_supply(50, pins=(Pin(subject_id=pinned.outlet_id, reason="speaks Uyghur"),))
    asks = choose_asks([supply], [near, pinned])
    assert [(ask.outlet_id, ask.orders, ask.pin_reason) for ask in asks] == [
        (pinned.outlet_id, 30, "speaks Uyghur"), (near.outlet_id, 20, None),
    ]  # fmt: skip


def test_a_zone_is_settled_when_covered_or_when_nobodys_answer_is_awaited() -> None:
    accepted = make_assignment(Status.ACCEPTED, 100, 100)
    assert make_supply(100, assignments=(accepted,)).is_settled
    assert not make_supply(100, assignments=(make_assignment(),)).is_settled
    assert make_supply(100, assignments=(make_assignment(Status.SILENT),)).is_settled
    assert make_supply(100).is_settled


def test_what_is_missing_says_whether_the_kind_or_only_some_capacity_is() -> None:
    supply = make_supply(
        needs={SUPERMARKET: 100, PHARMACY: 6, OutletKind.CATERER: 0},
        assignments=(make_assignment(Status.ACCEPTED, 50, 30),),
    )
    assert domain.find_missing(supply) == (
        MissingSupply(kind=SUPERMARKET, code="catalog.capacity_short", needed=100, found=30),
        MissingSupply(kind=PHARMACY, code="catalog.kind_missing", needed=6, found=0),
    )


@pytest.mark.parametrize(("status", "turn"), list(product(Status, Turn)))
def test_every_turn_that_is_not_listed_raises(status, turn) -> None:
    if (status, turn) in NEXT:
        assert domain.next_status(status, turn) is NEXT[status, turn]
        return
    with pytest.raises(OutOfTurn):
        domain.next_status(status, turn)


def test_what_ended_stays_ended() -> None:
    ended = {Status.REFUSED, Status.WITHDRAWN, Status.ENDED}
    assert not any(status in ended for status, _ in NEXT)


def test_a_zone_whose_clock_is_ahead_was_not_supplied_before_it_was_opened() -> None:
    assert domain.seconds_between(NOON, NOON.replace(hour=3)) == 0
    assert domain.seconds_between(NOON, NOON.replace(minute=1)) == 60


needs = st.integers(0, 300)


@given(zones=st.lists(needs, min_size=1, max_size=4), capacities=st.lists(st.integers(0, 100), max_size=6))
def test_nobody_is_asked_for_more_than_they_have_and_no_zone_asks_more_than_it_needs(
    zones, capacities
) -> None:
    supplies = [make_supply(needed) for needed in zones]
    candidates = [make_candidate(remaining=capacity) for capacity in capacities]
    asks = choose_asks(supplies, candidates)
    for candidate in candidates:
        mine = [ask.orders for ask in asks if ask.outlet_id == candidate.outlet_id]
        assert sum(mine) <= candidate.remaining
    for supply in supplies:
        mine = [ask for ask in asks if ask.zone_id == supply.zone_id]
        assert sum(ask.orders for ask in mine) <= supply.needs[SUPERMARKET]
        assert [ask.rank for ask in mine] == list(range(1, len(mine) + 1))
    given_out = sum(ask.orders for ask in asks)
    assert given_out == min(sum(zones), sum(capacities))
