"""A case: what is known of it, what is assumed, and what follows from both by one seed."""

from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.contracts.orders import Form
from services.contracts.values import OutletKind, Point, ZoneClass

FOLDER = Path(__file__).parent
Percent = Annotated[int, Field(ge=0, le=100)]
Item = dict[str, Any]
METRES_A_DEGREE = 111_320


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Area(_Read):
    """A node of the tree above the villages."""

    code: str
    title: str
    level: Literal["city", "district", "street"]


class Village(_Read):
    """A village: a community of the tree."""

    code: str
    title: str


class Scale(_Read):
    """How large the ledger and the whitelist are: known of one case, assumed of another."""

    shops: int
    qualified: int
    whitelisted: int
    largest_shop_orders: int


class Market(_Read):
    """A mobile market's run: so many work sites, vegetables and jin (斤, 500 g) in bulk."""

    work_sites: int
    vegetables: int
    jin: int


class Facts(_Read):
    """What is known; where no village is named as sealed, all of them are."""

    source: str
    areas: tuple[Area, ...]
    villages: tuple[Village, ...]
    sealed: tuple[str, ...] = ()
    scale: Scale | None = None
    market: Market | None = None


class Good(_Read):
    """A good of the menu, and how many of a hundred households order it."""

    name: str
    kind: OutletKind
    category: str
    grams: int
    purchase_fen: int
    price_fen: int
    households_percent: Percent


class PriceRule(_Read):
    """A price rule of the town; an empty category stands for all goods."""

    kind: Literal["ceiling", "margin_rate"]
    category: str
    legal_ref: str
    ceiling_fen_per_kg: int | None = None
    reference_date: str | None = None
    default_rate: str | None = None


class Quota(_Read):
    """What a household may order."""

    orders: int
    units: int


class Losses(_Read):
    """What stewards find lost when they split bulk loads: every so many loads, so many grams of an item."""

    every_loads: int
    spoiled_g: int


class Assumed(_Read):
    """What nobody wrote down, and a play needs."""

    scale: Scale | None = None
    zone_class: ZoneClass = ZoneClass.SEALED
    centre: Point
    buildings_a_village: int
    households_a_building: int
    persons: tuple[int, ...]
    group_share_percent: Percent
    idle_percent: Percent
    form: Form = Form.BAGGED
    kinds: dict[OutletKind, int]
    shop_orders: tuple[int, int]
    stewards_a_village: int
    drivers: int
    vehicles: int
    vehicle_kind: str
    plate_prefix: str
    vehicle_capacity_g: int
    vehicle_capacity_pieces: int
    quota: Quota
    groups_a_village: int
    group_minimum: int
    cut_off_seconds: int
    slot_minutes: int = 60
    largest_pinned_because: str
    scarce: str
    overpriced: int
    unit_name: str = "份"
    stock_units: int
    suspended_drivers: int
    losses: Losses | None = None
    goods: tuple[Good, ...]
    rules: tuple[PriceRule, ...]


class Case(_Read):
    """One case of a file."""

    name: str
    title: str
    seed: int
    facts: Facts
    assumed: Assumed

    @property
    def scale(self) -> Scale:
        """Return how large the ledger and the whitelist are, known or assumed."""
        scale = self.facts.scale or self.assumed.scale
        assert scale is not None  # noqa: S101 - looked at when it was read
        return scale

    @property
    def sealed(self) -> tuple[Village, ...]:
        """Return the villages that are sealed."""
        named = self.facts.sealed
        return tuple(village for village in self.facts.villages if not named or village.title in named)

    @property
    def district(self) -> str:
        """Return the code of the district that all of it lies in."""
        return next(area.code for area in self.facts.areas if area.level == "district")

    @model_validator(mode="after")
    def _has_one_scale(self) -> Self:
        if (self.facts.scale is None) == (self.assumed.scale is None):
            raise ValueError("scale stands under facts or under assumed, in one of them")
        return self

    def gates(self) -> dict[str, Point]:
        """Return each village's gate by its code: laid out around the centre, 300 m to 3 km away."""
        chance = Random(self.seed)  # noqa: S311 - lays out a map, hides nothing
        return {village.code: self._near(chance, 3000) for village in self.facts.villages}

    def areas(self) -> Iterator[Item]:
        """Yield the tree from the top: each village with its gate, the sealed ones with their buildings."""
        parent: str | None = None
        for area in self.facts.areas:
            yield {**area.model_dump(), "parent_code": parent, "head_count": 0}
            parent = area.code
        gates = self.gates()
        heads = round(self.assumed.buildings_a_village * self.assumed.households_a_building * 2.62)
        for village in self.facts.villages:
            gate = gates[village.code].model_dump()
            yield {"code": village.code, "title": village.title, "level": "community", "parent_code": parent,
                   "gate": gate, "head_count": heads}  # fmt: skip
        for village in self.sealed:
            for number in range(1, self.assumed.buildings_a_village + 1):
                yield {"code": f"{village.code}-{number:02d}", "title": f"{village.title}{number}排",
                       "level": "building", "parent_code": village.code,
                       "head_count": heads // self.assumed.buildings_a_village}  # fmt: skip

    def households(self) -> Iterator[Item]:
        """Yield the households of the sealed villages, every name and number invented."""
        chance = Random(self.seed + 1)  # noqa: S311 - invents people, hides nothing
        for area in self.areas():
            if area["level"] != "building":
                continue
            for number in range(1, self.assumed.households_a_building + 1):
                unit = f"{number:02d}号"
                yield {"external_id": f"{area['code']}-{number:02d}", "building_code": area["code"],
                       "unit": unit, "persons": chance.choice(self.assumed.persons),
                       "contact": {"name": f"住户{area['code'][-5:]}{number:02d}",
                                   "phone": f"199{chance.randrange(10**8):08d}"}}  # fmt: skip

    def shops(self) -> Iterator[Item]:
        """Yield the ledger: first those that qualify, largest first of each kind, then those that cannot."""
        chance = Random(self.seed + 2)  # noqa: S311 - invents shops, hides nothing
        kinds = [kind for kind, count in self.assumed.kinds.items() for _ in range(count)]
        rest = cycle(self.assumed.kinds)
        for number in range(self.scale.shops):
            qualifies = number < self.scale.qualified
            kind = kinds[number] if number < len(kinds) else next(rest)
            is_largest = number == 0
            capacity = (
                self.scale.largest_shop_orders
                if is_largest
                else chance.randrange(*self.assumed.shop_orders, 10)
            )
            licences = [{"kind": licence, "number": f"{licence.upper()}-{number:04d}",
                         "valid_to": "2030-12-31" if qualifies or number % 2 else "2021-12-31"}
                        for licence in ("business", "food", "drug")]  # fmt: skip
            yield {"external_id": f"{self.name}-shop-{number:03d}",
                   "name": f"{self.title}{kind.value}{number:03d}", "kind": kind.value,
                   "position": self._near(chance, 5000).model_dump(), "scale_m2": capacity * 4,
                   "capacity_orders": capacity, "reserve_person_days": capacity * 9, "licences": licences,
                   "risk": "low" if qualifies or number % 2 == 0 else "high"}  # fmt: skip

    def basket(self, chance: Random, kinds: frozenset[OutletKind] | None = None) -> list[tuple[Good, int]]:
        """Draw what a household orders: at least one good, one or two units of each."""
        goods = [good for good in self.assumed.goods if kinds is None or good.kind in kinds]
        drawn = [good for good in goods if chance.randrange(100) < good.households_percent] or [goods[0]]
        return [(good, chance.choice((1, 1, 2))) for good in drawn]

    def market_baskets(self, households: int) -> list[list[tuple[Good, int]]]:
        """Draw what households order of a market's run: its jin to the last, nobody two more than another."""
        assert self.facts.market is not None  # noqa: S101 - the caller plays a market's run
        chance = Random(self.seed + 4)  # noqa: S311 - draws baskets, hides nothing
        each, left = divmod(self.facts.market.jin, households)
        baskets = []
        for number in range(households):
            drawn = Counter(chance.choices(range(len(self.assumed.goods)), k=each + (number < left)))
            baskets.append([(self.assumed.goods[place], jin) for place, jin in sorted(drawn.items())])
        return baskets

    def _near(self, chance: Random, metres: int) -> Point:
        north, east = (chance.randint(300, metres) * chance.choice((-1, 1)) for _ in range(2))
        return Point(
            lat=round(self.assumed.centre.lat + north / METRES_A_DEGREE, 5),
            lon=round(self.assumed.centre.lon + east / METRES_A_DEGREE / 0.77, 5),
        )


def load(name: str) -> Case:
    """Return a case of this folder; raise `pydantic.ValidationError` naming every field that is wrong."""
    read: Any = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return Case.model_validate(read)
