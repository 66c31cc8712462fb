from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.kit.ids import new_id
from services.whitelist.checks.domain import CheckKind, CheckOutcome
from services.whitelist.clearance import domain
from services.whitelist.clearance.domain import Facts
from services.whitelist.policies.domain import Policy

NOON = datetime(2022, 11, 20, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PCR_NEGATIVE = (CheckKind.PCR, CheckOutcome.NEGATIVE)
PCR_POSITIVE = (CheckKind.PCR, CheckOutcome.POSITIVE)
ANTIGEN_NEGATIVE = (CheckKind.ANTIGEN, CheckOutcome.NEGATIVE)
ANTIGEN_POSITIVE = (CheckKind.ANTIGEN, CheckOutcome.POSITIVE)
GREEN = (CheckKind.HEALTH_CODE, CheckOutcome.GREEN)
YELLOW = (CheckKind.HEALTH_CODE, CheckOutcome.YELLOW)
RED = (CheckKind.HEALTH_CODE, CheckOutcome.RED)
NORMAL = (CheckKind.TEMPERATURE, CheckOutcome.NORMAL)
FEVER = (CheckKind.TEMPERATURE, CheckOutcome.FEVER)


def make_policy(**given) -> Policy:
    policy = {
        "policy_id": new_id(),
        "zone_class": ZoneClass.SEALED,
        "roles": frozenset(),
        "valid_from": NOON - 1000 * HOUR,
        "valid_to": None,
        "pcr_max_age_hours": 48,
        "antigen_max_age_hours": None,
        "commitment_version": None,
        "legal_ref": "京疫防 2022-11",
    }
    return Policy(**{**policy, **given})


def make_facts(latest=None, *, role=Role.DRIVER, signed=()) -> Facts:
    return Facts(person_id=new_id(), role=role, latest=latest or {}, signed=frozenset(signed))


def judge(facts, *policies, at=NOON, zone_class=ZoneClass.SEALED):
    return domain.clearance(facts, policies, zone_class=zone_class, at=at)


def codes(verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("age", "is_cleared"),
    [
        (timedelta(0), True),
        (-5 * timedelta(minutes=1), True),
        (48 * HOUR - SECOND, True),
        (48 * HOUR - timedelta(microseconds=1), True),
        (48 * HOUR, False),
        (48 * HOUR + SECOND, False),
    ],
)
def test_a_negative_pcr_counts_until_its_age_is_reached_and_not_a_moment_longer(age, is_cleared) -> None:
    sampled_at = NOON - age
    verdict = judge(make_facts({PCR_NEGATIVE: sampled_at}), make_policy())
    assert verdict.is_cleared is is_cleared
    assert verdict.valid_until == (sampled_at + 48 * HOUR if is_cleared else None)
    assert codes(verdict) == ([] if is_cleared else ["whitelist.pcr_expired"])


def test_an_age_counts_from_the_sampling_in_utc_whatever_the_zone_it_was_written_in() -> None:
    beijing = datetime.fromisoformat("2022-11-18T20:00:01+08:00")
    verdict = judge(make_facts({PCR_NEGATIVE: beijing}), make_policy())
    assert verdict.valid_until == NOON + SECOND


def test_without_a_policy_nobody_is_cleared() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON})
    assert codes(judge(facts)) == ["whitelist.no_policy"]
    assert codes(judge(facts, make_policy(), zone_class=ZoneClass.CONTROLLED)) == ["whitelist.no_policy"]
    assert codes(judge(facts, make_policy(roles=frozenset({Role.GUARD})))) == ["whitelist.no_policy"]
    assert codes(judge(facts, make_policy(valid_from=NOON + SECOND))) == ["whitelist.no_policy"]
    assert codes(judge(facts, make_policy(valid_to=NOON))) == ["whitelist.no_policy"]
    assert judge(facts, make_policy(valid_from=NOON, valid_to=NOON + SECOND)).valid_until == NOON + SECOND


def test_every_reason_is_named_with_its_facts() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - 30 * HOUR, RED: NOON - HOUR, FEVER: NOON - HOUR})
    policy = make_policy(pcr_max_age_hours=24, antigen_max_age_hours=12, commitment_version="2022-3")
    verdict = judge(facts, policy)
    assert [(reason.code, reason.facts) for reason in verdict.reasons] == [
        ("whitelist.health_code", {"outcome": "red", "sampled_at": NOON - HOUR}),
        ("whitelist.fever", {"outcome": "fever", "sampled_at": NOON - HOUR}),
        ("whitelist.pcr_expired", {"max_age_hours": 24, "sampled_at": NOON - 30 * HOUR}),
        ("whitelist.antigen_missing", {"max_age_hours": 12}),
        ("whitelist.commitment_missing", {"text_version": "2022-3"}),
    ]


@pytest.mark.parametrize("positive", [PCR_POSITIVE, ANTIGEN_POSITIVE])
@pytest.mark.parametrize(
    ("negative_after", "is_cleared"), [(-HOUR, False), (timedelta(0), False), (SECOND, True)]
)
def test_a_positive_test_suspends_until_a_later_negative_pcr(positive, negative_after, is_cleared) -> None:
    found_at = NOON - 10 * HOUR
    verdict = judge(make_facts({positive: found_at, PCR_NEGATIVE: found_at + negative_after}), make_policy())
    assert verdict.is_cleared is is_cleared
    assert codes(verdict) == ([] if is_cleared else ["whitelist.positive_test"])


def test_a_later_negative_antigen_lifts_no_positive_test() -> None:
    facts = make_facts({ANTIGEN_POSITIVE: NOON - 2 * HOUR, ANTIGEN_NEGATIVE: NOON - HOUR})
    assert codes(judge(facts, make_policy(pcr_max_age_hours=None, antigen_max_age_hours=24))) == [
        "whitelist.positive_test"
    ]


@pytest.mark.parametrize(
    ("latest", "code"),
    [
        ({GREEN: NOON - HOUR}, None),
        ({RED: NOON - 2 * HOUR, GREEN: NOON - HOUR}, None),
        ({GREEN: NOON - HOUR, RED: NOON - HOUR}, "whitelist.health_code"),
        ({GREEN: NOON - 2 * HOUR, YELLOW: NOON - HOUR}, "whitelist.health_code"),
        ({NORMAL: NOON - HOUR, FEVER: NOON - 2 * HOUR}, None),
        ({NORMAL: NOON - 2 * HOUR, FEVER: NOON - HOUR}, "whitelist.fever"),
    ],
)
def test_the_latest_health_code_and_temperature_count_and_of_one_moment_the_gravest(latest, code) -> None:
    verdict = judge(make_facts({PCR_NEGATIVE: NOON, **latest}), make_policy())
    assert codes(verdict) == ([code] if code else [])


def test_the_earliest_expiry_ends_a_clearance() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - HOUR, ANTIGEN_NEGATIVE: NOON - 2 * HOUR})
    assert judge(facts, make_policy(antigen_max_age_hours=24)).valid_until == NOON + 22 * HOUR
    assert judge(facts, make_policy(antigen_max_age_hours=72)).valid_until == NOON + 47 * HOUR
    assert judge(facts, make_policy(valid_to=NOON + HOUR)).valid_until == NOON + HOUR


def test_the_latest_valid_policy_binds_and_of_two_of_one_moment_the_one_stated_last() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - 30 * HOUR})
    lax, strict = make_policy(), make_policy(pcr_max_age_hours=24, valid_from=NOON)
    assert judge(facts, lax, strict, at=NOON - SECOND).is_cleared
    assert codes(judge(facts, lax, strict, at=NOON)) == ["whitelist.pcr_expired"]
    later = make_policy(pcr_max_age_hours=72, valid_from=NOON)
    assert judge(facts, later, strict, lax).is_cleared


def test_a_stricter_policy_announced_for_later_ends_a_clearance_and_a_laxer_one_prolongs_it() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - 30 * HOUR})
    strict = make_policy(pcr_max_age_hours=24, valid_from=NOON + HOUR)
    assert judge(facts, make_policy(), strict).valid_until == NOON + HOUR
    lax = make_policy(pcr_max_age_hours=72, valid_from=NOON + HOUR)
    assert judge(facts, make_policy(), lax).valid_until == NOON + 42 * HOUR


def test_time_alone_can_change_a_verdict_at_its_end_and_when_another_policy_begins() -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - HOUR})
    policies = [make_policy(), make_policy(zone_class=ZoneClass.CONTROLLED, valid_from=NOON + HOUR)]
    verdicts = domain.judge(facts, policies, at=NOON)
    assert domain.find_next_judgement(facts, policies, verdicts, at=NOON) == NOON + HOUR
    assert domain.find_next_judgement(facts, policies[:1], verdicts, at=NOON) == NOON + 47 * HOUR
    assert domain.find_next_judgement(facts, [], domain.judge(facts, [], at=NOON), at=NOON) is None


def test_what_is_told_to_others_is_no_health_data() -> None:
    verdicts = domain.judge(make_facts({PCR_POSITIVE: NOON, RED: NOON}), [make_policy()], at=NOON)
    assert domain.codes_to_tell(verdicts) == ("whitelist.health_requirement", "whitelist.pcr_missing")
    assert domain.codes_to_tell(domain.judge(make_facts(), [], at=NOON)) == ("whitelist.no_policy",)


ages = st.integers(min_value=0, max_value=100 * 3600)
hours = st.none() | st.integers(min_value=1, max_value=96)


@st.composite
def policies(draw) -> list[Policy]:
    made = []
    for _ in range(draw(st.integers(min_value=0, max_value=4))):
        begins = draw(st.integers(min_value=-100, max_value=100))
        lasts = draw(st.integers(min_value=1, max_value=100))
        made.append(
            make_policy(
                valid_from=NOON + begins * HOUR,
                valid_to=NOON + (begins + lasts) * HOUR,
                pcr_max_age_hours=draw(hours),
                antigen_max_age_hours=draw(hours),
            )
        )
    return made


@given(pcr=ages, antigen=ages, known=policies())
def test_a_clearance_holds_at_every_moment_before_its_end_and_at_none_from_it_on(pcr, antigen, known) -> None:
    facts = make_facts({PCR_NEGATIVE: NOON - pcr * SECOND, ANTIGEN_NEGATIVE: NOON - antigen * SECOND})
    end = judge(facts, *known).valid_until
    if end is None:
        return
    turns = [moment for policy in known for moment in (policy.valid_from, policy.valid_to)]
    inside = [moment for moment in [*turns, NOON, end - SECOND] if NOON <= moment < end]
    assert all(judge(facts, *known, at=moment).is_cleared for moment in inside)
    assert not judge(facts, *known, at=end).is_cleared
