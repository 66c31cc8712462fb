"""Checks and commitments over HTTP."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts import access
from services.contracts.access import Action
from services.kit.http.application import make_router
from services.kit.http.moments import Moment
from services.kit.http.problems import FaultView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.whitelist.checks import application
from services.whitelist.checks.application import Recorded
from services.whitelist.checks.domain import Check, CheckKind, CheckOutcome, Outcome

router = make_router("/checks")
commitments = make_router("/people")


class CheckBody(BaseModel):
    """One finding about one person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person_id: UUID
    kind: CheckKind
    outcome: CheckOutcome
    sampled_at: Moment
    reference: Annotated[str, Field(min_length=1, max_length=100)]

    def as_check(self) -> Check:
        """Return what the rules are asked about."""
        return Check(
            person_id=self.person_id,
            kind=self.kind,
            outcome=self.outcome,
            sampled_at=self.sampled_at,
            reference=self.reference,
        )


class RecordChecks(BaseModel):
    """A batch of findings; each is answered by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checks: Annotated[list[CheckBody], Field(min_length=1, max_length=500)]


class RecordedView(BaseModel):
    """What became of one finding."""

    index: int
    outcome: Outcome
    errors: list[FaultView] = []

    @classmethod
    def of(cls, index: int, recorded: Recorded) -> "RecordedView":
        """Show one outcome at its place in the request."""
        return cls(
            index=index,
            outcome=recorded.outcome,
            errors=[FaultView.of(fault) for fault in recorded.faults],
        )


class RecordedChecksView(BaseModel):
    """What became of each finding, in the order sent."""

    items: list[RecordedView]


class SignCommitment(BaseModel):
    """Which text was signed, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_version: Annotated[str, Field(min_length=1, max_length=40)]
    signed_at: Moment


class CommitmentView(BaseModel):
    """The text that a person has signed."""

    person_id: UUID
    text_version: str


@router.post("")
async def record_checks(body: RecordChecks, session: Session, caller: Caller, now: Now) -> RecordedChecksView:
    """Record findings; a reference that was sent before for this person and kind is the same finding."""
    access.require(caller, Action.RECORD_CHECKS)
    recorded = await application.record_checks(
        session, [check.as_check() for check in body.checks], recorded_by=caller.subject, now=now
    )
    return RecordedChecksView(items=[RecordedView.of(index, one) for index, one in enumerate(recorded)])


@commitments.post("/{person_id}/commitment")
async def sign_commitment(
    person_id: UUID, body: SignCommitment, session: Session, caller: Caller, now: Now
) -> CommitmentView:
    """Record that a person signed a text: the person, or whoever keeps the staff list."""
    if caller.person_id != person_id:
        access.require(caller, Action.KEEP_PEOPLE)
    await application.sign_commitment(
        session, person_id, text_version=body.text_version, signed_at=body.signed_at, now=now
    )
    return CommitmentView(person_id=person_id, text_version=body.text_version)
