"""The rules of checks and commitments. Pure; ages count from the sampling, in UTC."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from services.kit.errors import Fault

# As far as two honest clocks may be apart (promises.md P15).
CLOCKS_APART: Final = timedelta(minutes=5)


class CheckKind(StrEnum):
    """What can be looked at."""

    PCR = "pcr"
    ANTIGEN = "antigen"
    HEALTH_CODE = "health_code"
    TEMPERATURE = "temperature"


class CheckOutcome(StrEnum):
    """What can be found."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    NORMAL = "normal"
    FEVER = "fever"


# The outcomes of each kind, the gravest last.
OUTCOMES: Final[Mapping[CheckKind, tuple[CheckOutcome, ...]]] = {
    CheckKind.PCR: (CheckOutcome.NEGATIVE, CheckOutcome.POSITIVE),
    CheckKind.ANTIGEN: (CheckOutcome.NEGATIVE, CheckOutcome.POSITIVE),
    CheckKind.HEALTH_CODE: (CheckOutcome.GREEN, CheckOutcome.YELLOW, CheckOutcome.RED),
    CheckKind.TEMPERATURE: (CheckOutcome.NORMAL, CheckOutcome.FEVER),
}


class Outcome(StrEnum):
    """What became of a check that was sent."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; the reference is the laboratory's, and may stand for a pooled sample of several people."""

    person_id: UUID
    kind: CheckKind
    outcome: CheckOutcome
    sampled_at: datetime
    reference: str

    @property
    def digest(self) -> bytes:
        """Return what is kept of the reference: enough to know it again, not to read it."""
        return sha256(self.reference.encode()).digest()

    @property
    def identity(self) -> tuple[UUID, CheckKind, bytes]:
        """Return what makes two sendings the same finding."""
        return self.person_id, self.kind, self.digest

    @property
    def finding(self) -> tuple[CheckOutcome, datetime]:
        """Return what a second sending must agree with."""
        return self.outcome, self.sampled_at


def find_faults(
    checks: Sequence[Check], *, known: Collection[UUID], now: datetime
) -> list[tuple[Fault, ...]]:
    """Return what is wrong with each check, all of it; `known` has the people who exist."""
    return [tuple(_faults_of(check, f"/checks/{place}", known, now)) for place, check in enumerate(checks)]


def is_in_future(moment: datetime, *, now: datetime) -> bool:
    """Say whether a moment is later than an honest clock can have shown."""
    return moment > now + CLOCKS_APART


def _faults_of(check: Check, pointer: str, known: Collection[UUID], now: datetime) -> list[Fault]:
    faults = []
    if check.person_id not in known:
        faults.append(Fault(f"{pointer}/person_id", "whitelist.person_unknown"))
    if check.outcome not in OUTCOMES[check.kind]:
        facts = {"outcomes": list(OUTCOMES[check.kind])}
        faults.append(Fault(f"{pointer}/outcome", "whitelist.outcome_unknown", facts))
    if is_in_future(check.sampled_at, now=now):
        facts_of_time = {"latest": now + CLOCKS_APART}
        faults.append(Fault(f"{pointer}/sampled_at", "whitelist.sampled_in_future", facts_of_time))
    return faults
