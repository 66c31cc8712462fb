import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.dispatch import Leg
from services.dispatch.relay import domain
from services.dispatch.relay.domain import Contents, HandOver
from services.kit.ids import new_id

NOON = datetime(2022, 11, 20, 4, 0, tzinfo=UTC)
UNITS = [UUID(int=number) for number in (1, 2, 3)]
CONTENTS = Contents(carried=frozenset(UNITS), bags={UUID(int=21): frozenset(UNITS)}, order_ids=())
PEOPLE = [UUID(int=number) for number in (11, 12, 13, 14)]

hand_overs = st.builds(
    HandOver,
    hand_over_id=st.uuids(),
    load_unit_id=st.sampled_from(UNITS),
    leg=st.sampled_from(Leg),
    giver_id=st.sampled_from(PEOPLE),
    taker_id=st.sampled_from(PEOPLE),
    occurred_at=st.integers(0, 60).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    is_breach=st.booleans(),
)
logs = st.lists(hand_overs, max_size=20, unique_by=lambda each: each.hand_over_id)


def note(leg: Leg, **given) -> HandOver:
    wanted = {
        "hand_over_id": new_id(),
        "load_unit_id": UNITS[0],
        "leg": leg,
        "giver_id": PEOPLE[0],
        "taker_id": PEOPLE[1],
        "occurred_at": NOON,
    }
    return HandOver(**{**wanted, **given})


@given(logs, st.randoms(use_true_random=False))
def test_a_shuffled_and_doubled_log_gives_the_same_custody(
    log: list[HandOver], chance: random.Random
) -> None:
    other = [*log, *log]
    chance.shuffle(other)
    assert domain.custody_of(other) == domain.custody_of(log)
    assert domain.holder_of(other) == domain.holder_of(log)
    assert domain.moments_of(CONTENTS, other) == domain.moments_of(CONTENTS, log)


@given(logs, hand_overs)
def test_one_hand_over_more_never_takes_a_leg_back(log: list[HandOver], more: HandOver) -> None:
    before = domain.moments_of(CONTENTS, log).passages.keys()
    assert before <= domain.moments_of(CONTENTS, [*log, more]).passages.keys()


@given(logs)
def test_a_load_passes_a_leg_exactly_when_each_of_its_units_has(log: list[HandOver]) -> None:
    passed = domain.moments_of(CONTENTS, log).passages
    for leg in Leg:
        assert (leg in passed) == ({each.load_unit_id for each in log if each.leg is leg} == set(UNITS))


def test_the_chain_goes_by_leg_before_the_devices_clock() -> None:
    late = note(Leg.PICK_UP, occurred_at=NOON + timedelta(hours=1))
    early = note(Leg.GATE, taker_id=PEOPLE[2])
    assert domain.custody_of([early, late]) == [late, early]
    assert domain.holder_of([early, late]) == PEOPLE[2]
    assert domain.holder_of([]) is None


def test_a_clock_that_is_behind_the_confirmation_does_not_say_when_it_was() -> None:
    now = NOON + timedelta(hours=3)

    def reckoned(minutes: float) -> tuple[datetime, bool]:
        told = note(Leg.PICK_UP, occurred_at=NOON + timedelta(minutes=minutes))
        found = domain.reckon(told, confirmed_at=NOON, now=now)
        assert found.is_same_as(told)
        return found.at, found.clock_doubtful

    assert reckoned(7) == (NOON + timedelta(minutes=7), False)
    assert reckoned(0) == (NOON, False)
    assert reckoned(-5) == (NOON, False)
    assert reckoned(-5.1) == (now, True)
    assert reckoned(-60 * 24 * 365 * 21) == (now, True)
