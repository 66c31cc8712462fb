"""What is told of manifests and splits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from services.contracts.values import Point
from services.dispatch.loads.domain import UnitLine
from services.dispatch.loads.views import UnitLineView
from services.dispatch.splits import domain
from services.dispatch.splits.bags import Bags
from services.dispatch.splits.domain import LossReason, Promise


class ItemView(BaseModel):
    """All of one offer in a load; `grams` is the mass of one sale unit."""

    offer_id: UUID
    product_id: UUID
    name: str
    grams: int
    units: int


class BagView(BaseModel):
    """What goes into a household's bag, or is in it since the split; in an emptied one nothing is."""

    load_unit_id: UUID
    grams: int
    lines: list[UnitLineView]


class PortionOfManifestView(BaseModel):
    """What was promised to one household, and the bags it goes into."""

    portion_id: UUID
    order_id: UUID
    household_id: UUID
    building_id: UUID
    lines: list[UnitLineView]
    bags: list[BagView]


class ManifestView(BaseModel):
    """Everything by which a bulk load can be split without a network, as anyone can repeat it.

    What is left of an offer in whole units is shared by `rule` with `seed` and the product; see
    `GET /v1/group-orders/{group_id}`.
    """

    load_id: UUID
    group_id: UUID
    number: int
    rule: str
    seed: str
    items: list[ItemView]
    portions: list[PortionOfManifestView]

    @classmethod
    def of(cls, load: Any, portions: Sequence[tuple[Any, Sequence[Promise]]], bags: Bags) -> "ManifestView":
        """Return a load's manifest as it is told."""
        items = domain.items_of(promise for _, promises in portions for promise in promises)
        return cls(
            load_id=load.load_id,
            group_id=load.group_id,
            number=load.number,
            rule=load.rule,
            seed=load.seed,
            items=[ItemView(**asdict(item)) for item in items.values()],
            portions=[
                PortionOfManifestView(
                    **_door_of(row),
                    lines=[_line_view(promise) for promise in promises],
                    bags=_bag_views(bags[row.portion_id]),
                )
                for row, promises in portions
            ],
        )


class LossView(BaseModel):
    """So many grams of an offer that are in no portion."""

    offer_id: UUID
    product_id: UUID
    reason: LossReason
    grams: int


class GivenLineView(BaseModel):
    """What a household gets of a line, beside what it was promised; `grams` is the mass of one unit."""

    line: int
    product_id: UUID
    offer_id: UUID
    name: str
    grams: int
    promised: int
    given: int


class SplitPortionView(BaseModel):
    """What a household gets, and what is in which bag; of an empty portion there was nothing left."""

    portion_id: UUID
    order_id: UUID
    household_id: UUID
    building_id: UUID
    is_empty: bool
    lines: list[GivenLineView]
    bags: list[BagView]


class SplitView(BaseModel):
    """How a bulk load was shared out: what came in is in the portions or lost, to the gram."""

    split_id: UUID
    load_id: UUID
    steward_id: UUID
    place: Point | None
    occurred_at: datetime
    reckoned_at: datetime
    clock_doubtful: bool
    recorded_at: datetime
    in_g: int
    portions_g: int
    loss_g: int
    losses: list[LossView]
    portions: list[SplitPortionView]
    is_breach: bool
    breach_id: UUID | None
    is_degraded: bool

    @classmethod
    def of(
        cls,
        split: Any,
        *,
        losses: Iterable[Any],
        portions: Iterable[tuple[Any, Sequence[Promise]]],
        bags: Bags,
        breach_id: UUID | None,
        **more: Any,
    ) -> "SplitView":
        """Return a split as it is told: what is given is what the bags hold."""
        plain = ("place", "losses", "portions", "breach_id", *more)
        return cls(
            **{name: getattr(split, name) for name in cls.model_fields if name not in plain},
            place=Point(lat=split.lat, lon=split.lon) if split.lat is not None else None,
            losses=[LossView.model_validate(each, from_attributes=True) for each in losses],
            portions=[
                SplitPortionView(
                    **_door_of(row),
                    is_empty=row.is_empty,
                    lines=_given(promises, [line for _, bag in bags[row.portion_id] for line in bag]),
                    bags=_bag_views(bags[row.portion_id]),
                )
                for row, promises in portions
            ],
            breach_id=breach_id,
            **more,
        )


class RecordedSplitView(SplitView):
    """A split that is recorded now, or was before."""

    outcome: Literal["recorded", "repeated"]


def _door_of(row: Any) -> dict[str, UUID]:
    return {name: getattr(row, name) for name in ("portion_id", "order_id", "household_id", "building_id")}


def _line_view(line: Promise | UnitLine) -> UnitLineView:
    return UnitLineView.model_validate(line, from_attributes=True)


def _bag_views(bags: Iterable[tuple[UUID, Sequence[UnitLine]]]) -> list[BagView]:
    return [
        BagView(
            load_unit_id=load_unit_id,
            grams=sum(line.grams * line.quantity for line in lines),
            lines=[_line_view(line) for line in lines],
        )
        for load_unit_id, lines in bags
    ]


def _given(promises: Iterable[Promise], held: Iterable[UnitLine]) -> list[GivenLineView]:
    given: Counter[tuple[int, UUID]] = Counter()
    for line in held:
        given[line.line, line.offer_id] += line.quantity
    return [
        GivenLineView(
            line=promise.line,
            product_id=promise.product_id,
            offer_id=promise.offer_id,
            name=promise.name,
            grams=promise.grams,
            promised=promise.quantity,
            given=given[promise.line, promise.offer_id],
        )
        for promise in promises
    ]
