"""Clearance over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import ZoneClass
from services.kit.http.application import make_router
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.whitelist.clearance import application
from services.whitelist.clearance.domain import Verdict

router = make_router("/people")


class ReasonView(BaseModel):
    """One requirement that is not met."""

    code: str
    params: dict[str, Any]


class VerdictView(BaseModel):
    """Whether a person may touch the goods in zones of a class; the end is not included."""

    zone_class: ZoneClass
    cleared: bool
    valid_until: datetime | None
    reasons: list[ReasonView] | None

    @classmethod
    def of(cls, verdict: Verdict, *, with_reasons: bool) -> "VerdictView":
        """Show a verdict, its reasons only to those who may read health data."""
        reasons = [ReasonView(code=reason.code, params=dict(reason.facts)) for reason in verdict.reasons]
        return cls(
            zone_class=verdict.zone_class,
            cleared=verdict.is_cleared,
            valid_until=verdict.valid_until,
            reasons=reasons if with_reasons else None,
        )


class ClearanceView(BaseModel):
    """What a person is cleared for at this moment, the strictest class first."""

    person_id: UUID
    judged_at: datetime
    clearances: list[VerdictView]


@router.get("/{person_id}/clearance")
async def show_clearance(person_id: UUID, session: Session, caller: Caller, now: Now) -> ClearanceView:
    """Show who is cleared, and to health officers why not; their reading is written down."""
    access.require(caller, Action.READ_CLEARANCE)
    reader = caller.subject if access.may(caller, Action.RECORD_CHECKS) else None
    verdicts = await application.show_clearance(session, person_id, now=now, reader_of_reasons=reader)
    return ClearanceView(
        person_id=person_id,
        judged_at=now,
        clearances=[VerdictView.of(verdict, with_reasons=reader is not None) for verdict in verdicts],
    )
