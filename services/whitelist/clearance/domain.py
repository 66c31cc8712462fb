"""Who may touch the goods: every reason against it, and until when. Pure; the moment of an end is outside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.whitelist.checks.domain import OUTCOMES, CheckKind, CheckOutcome
from services.whitelist.policies import domain as policies_domain
from services.whitelist.policies.domain import Policy

NO_POLICY: Final = "whitelist.no_policy"
# What the others are told instead of a finding: a code of theirs must be no health data.
HEALTH_REQUIREMENT: Final = "whitelist.health_requirement"
NEVER: Final = datetime.max.replace(tzinfo=UTC)

_PCR_NEGATIVE = (CheckKind.PCR, CheckOutcome.NEGATIVE)
_ANTIGEN_NEGATIVE = (CheckKind.ANTIGEN, CheckOutcome.NEGATIVE)
_POSITIVES = ((CheckKind.PCR, CheckOutcome.POSITIVE), (CheckKind.ANTIGEN, CheckOutcome.POSITIVE))


@dataclass(frozen=True, slots=True)
class Reason:
    """One requirement that is not met; `is_health` where the code itself is health data."""

    code: str
    facts: Mapping[str, object] = field(default_factory=dict)
    is_health: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is asked about a person: `latest` has when each kind of check last had each outcome."""

    person_id: UUID
    role: Role
    latest: Mapping[tuple[CheckKind, CheckOutcome], datetime]
    signed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a person is cleared for zones of a class: until when, or every reason why not."""

    zone_class: ZoneClass
    reasons: tuple[Reason, ...]
    valid_until: datetime | None

    @property
    def is_cleared(self) -> bool:
        """Say whether the person may touch the goods there."""
        return not self.reasons


def judge(facts: Facts, policies: Sequence[Policy], *, at: datetime) -> tuple[Verdict, ...]:
    """Judge a person for every class of zone, the strictest first."""
    return tuple(clearance(facts, policies, zone_class=zone_class, at=at) for zone_class in ZoneClass)


def clearance(facts: Facts, policies: Sequence[Policy], *, zone_class: ZoneClass, at: datetime) -> Verdict:
    """Judge a person for zones of a class by the policy that binds at a moment.

    The end is the first moment at which what is known today does not suffice any more, under the policies
    known today.
    """
    policy = policies_domain.find_binding(policies, zone_class=zone_class, role=facts.role, at=at)
    reasons = find_reasons(facts, policy, at=at)
    if reasons:
        return Verdict(zone_class, reasons, None)
    return Verdict(zone_class, (), _first_lapse(facts, policies, zone_class=zone_class, at=at))


def find_reasons(facts: Facts, policy: Policy | None, *, at: datetime) -> tuple[Reason, ...]:
    """Return every reason against a person under a policy; under none, nobody is cleared."""
    reasons = list(_health_reasons(facts.latest))
    if policy is None:
        return (*reasons, Reason(NO_POLICY))
    reasons += _age_reasons("pcr", facts.latest.get(_PCR_NEGATIVE), policy.pcr_max_age_hours, at)
    reasons += _age_reasons("antigen", facts.latest.get(_ANTIGEN_NEGATIVE), policy.antigen_max_age_hours, at)
    if policy.commitment_version is not None and policy.commitment_version not in facts.signed:
        reasons.append(Reason("whitelist.commitment_missing", {"text_version": policy.commitment_version}))
    return tuple(reasons)


def find_next_judgement(
    facts: Facts, policies: Sequence[Policy], verdicts: Iterable[Verdict], *, at: datetime
) -> datetime | None:
    """Return the next moment at which time alone can change a verdict."""
    moments = [verdict.valid_until for verdict in verdicts] + [
        policies_domain.find_next_change(policies, zone_class=zone_class, role=facts.role, after=at)
        for zone_class in ZoneClass
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def codes_to_tell(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return which requirements a person who is cleared nowhere does not meet, without health data.

    That a class has no policy is told only where none has: it would hide what the person can mend.
    """
    codes = {
        HEALTH_REQUIREMENT if reason.is_health else reason.code
        for verdict in verdicts
        for reason in verdict.reasons
    }
    return tuple(sorted(codes - {NO_POLICY} or codes))


def _health_reasons(latest: Mapping[tuple[CheckKind, CheckOutcome], datetime]) -> Iterable[Reason]:
    positive = max((latest[found] for found in _POSITIVES if found in latest), default=None)
    lifted = latest.get(_PCR_NEGATIVE)
    # A negative test of the same moment lifts nothing.
    if positive is not None and (lifted is None or lifted <= positive):
        yield Reason("whitelist.positive_test", {"sampled_at": positive}, is_health=True)
    for kind, code in (
        (CheckKind.HEALTH_CODE, "whitelist.health_code"),
        (CheckKind.TEMPERATURE, "whitelist.fever"),
    ):
        gravity = OUTCOMES[kind]
        shown = [
            (latest[kind, outcome], gravity.index(outcome))
            for outcome in gravity
            if (kind, outcome) in latest
        ]
        sampled_at, worst = max(shown, default=(None, 0))
        if worst:
            yield Reason(code, {"outcome": gravity[worst], "sampled_at": sampled_at}, is_health=True)


def _age_reasons(
    test: str, negative_at: datetime | None, max_age_hours: int | None, at: datetime
) -> Iterable[Reason]:
    if max_age_hours is None:
        return
    if negative_at is None:
        yield Reason(f"whitelist.{test}_missing", {"max_age_hours": max_age_hours})
    elif at >= negative_at + timedelta(hours=max_age_hours):
        facts = {"max_age_hours": max_age_hours, "sampled_at": negative_at}
        yield Reason(f"whitelist.{test}_expired", facts)


def _first_lapse(
    facts: Facts, policies: Sequence[Policy], *, zone_class: ZoneClass, at: datetime
) -> datetime:
    moment = at
    while True:
        policy = policies_domain.find_binding(policies, zone_class=zone_class, role=facts.role, at=moment)
        if policy is None or find_reasons(facts, policy, at=moment):
            return moment
        expires = _expiry(facts, policy)
        turns = policies_domain.find_next_change(
            policies, zone_class=zone_class, role=facts.role, after=moment
        )
        if turns is None or expires <= turns:
            return expires
        moment = turns


def _expiry(facts: Facts, policy: Policy) -> datetime:
    ends = [
        facts.latest[found] + timedelta(hours=hours)
        for found, hours in (
            (_PCR_NEGATIVE, policy.pcr_max_age_hours),
            (_ANTIGEN_NEGATIVE, policy.antigen_max_age_hours),
        )
        if hours is not None
    ]
    return min(ends, default=NEVER)
