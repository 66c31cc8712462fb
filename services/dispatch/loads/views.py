"""What is told of loads, their units and portions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.contracts.orders import Form
from services.dispatch.loads.domain import UnitKind
from services.dispatch.loads.tables import LoadRow, LoadUnitRow


class UnitLineView(BaseModel):
    """So many sale units of an offer; `grams` is the mass of one.

    `line` is the order's in a household's bag; what a crate holds is numbered by its load's offers.
    """

    line: int
    product_id: UUID
    offer_id: UUID
    name: str
    quantity: int
    grams: int


class LoadUnitView(BaseModel):
    """A bag, crate, sack or tote: what is in it, what it weighs, and of which portion a bag is."""

    load_unit_id: UUID
    load_id: UUID
    portion_id: UUID | None
    number: int
    kind: UnitKind
    grams: int
    lines: list[UnitLineView]

    @classmethod
    def of(cls, unit: LoadUnitRow) -> "LoadUnitView":
        """Return a unit as it is told."""
        return cls.model_validate(unit.model_dump())


class LoadView(BaseModel):
    """What one outlet sends to one door, or in bulk (then it is of a group, by number) to a community.

    `leg` is the one that all of it has passed (0: none, 3: delivered).
    """

    load_id: UUID
    order_id: UUID | None
    group_id: UUID | None
    number: int
    outlet_id: UUID
    incident_id: UUID
    zone_id: UUID
    slot_id: UUID
    community_id: UUID
    building_id: UUID | None
    form: str
    grams: int
    pieces: int
    leg: int
    confirmed_at: datetime
    touched_at: datetime | None
    picked_up_at: datetime | None
    at_gate_at: datetime | None
    split_at: datetime | None
    delivered_at: datetime | None
    withdrawn_at: datetime | None
    units: list[LoadUnitView]

    @classmethod
    def of(cls, load: LoadRow, units: Sequence[LoadUnitRow]) -> "LoadView":
        """Return a load as it leaves its outlet; neither its households are told nor their bags of bulk."""
        packed = [unit for unit in units if load.form == Form.BAGGED or unit.portion_id is None]
        known = load.model_dump(exclude={"sequence", "household_id", "split_by"})
        return cls(**known, units=[LoadUnitView.of(unit) for unit in packed])


class PortionView(BaseModel):
    """What a household gets of a load; the PIN is for its own eyes, and bears five wrong tries.

    Of an empty one nothing was left when the load was split at the gate.
    """

    portion_id: UUID
    order_id: UUID
    load_id: UUID
    leg: int
    is_empty: bool
    delivered_at: datetime | None
    pin: str | None
    pin_tries_left: int
