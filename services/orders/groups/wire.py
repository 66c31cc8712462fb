"""What the routes of groups read and show."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from services.contracts.orders import Form
from services.contracts.values import TallyLine
from services.kit.http.moments import Moment
from services.orders.groups.domain import BelowMinimum, GroupStatus
from services.orders.groups.tables import GroupOrderRow
from services.orders.intake.wire import Body, Lines


class OpenGroup(Body):
    """A group for a community; `extend_to` is stated with `extend`, and only then.

    Its goods come in a bag for each household, or in bulk: loads for all, which a steward splits at the gate.
    """

    community_id: UUID
    slot_id: UUID
    minimum: Annotated[int, Field(ge=1, le=10_000)]
    cut_off_at: Moment
    below_minimum: BelowMinimum
    extend_to: Moment | None = None
    form: Form = Form.BAGGED

    @model_validator(mode="after")
    def _extends_to_a_stated_moment(self) -> Self:
        if (self.below_minimum is BelowMinimum.EXTEND) != (self.extend_to is not None):
            raise ValueError("extend_to goes with below_minimum extend")
        return self


class MoveCutOff(Body):
    """Another cut-off."""

    cut_off_at: Moment


class PlacePart(Body):
    """A household's part of a group; its lines take no substitutes."""

    household_id: UUID | None = None
    lines: Lines


class GroupOpenedView(BaseModel):
    """A group that was opened or moved."""

    group_id: UUID
    cut_off_at: datetime


class TallyView(BaseModel):
    """How many units of a product a group wants, and the lowest price that its households saw."""

    product_id: UUID
    quantity: int
    seen_price_fen: int


class GrantView(BaseModel):
    """How many units of a product a group got."""

    product_id: UUID
    asked: int
    granted: int
    code: str | None


class GroupView(BaseModel):
    """A group as it stands: how many take part and what all want together, never who wants what.

    With the lock come the seed, drawn at that moment, and the rule by which what is short is shared: each
    unit that the equal floor leaves goes to the next household by SHA-256 of `seed:product_id:household_id`.
    """

    group_id: UUID
    community_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_id: UUID
    status: GroupStatus
    delayed: bool
    minimum: int
    cut_off_at: datetime
    below_minimum: BelowMinimum
    extend_to: datetime | None
    was_extended: bool
    form: Form
    opened_at: datetime
    locked_at: datetime | None
    households: int
    tally: list[TallyView]
    grants: list[GrantView]
    seed: str | None
    rule: str | None

    @classmethod
    def of(cls, row: GroupOrderRow, *, households: int, tally: Sequence[TallyLine]) -> "GroupView":
        """Return a row's view; while it is open, `households` and `tally` are as they are now."""
        wanted: Sequence[Any] = [line.model_dump() for line in tally] if row.tally is None else row.tally
        same = {name: getattr(row, name) for name in cls.model_fields if name in GroupOrderRow.model_fields}
        return cls(**{
            **same,
            "delayed": row.is_delayed and row.status == GroupStatus.LOCKED,
            "households": households if row.households is None else row.households,
            "tally": wanted,
            "grants": row.grants or [],
        })  # fmt: skip
