"""How stock is promised: pure decisions over the shelves of a zone, in the order the requests came."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.catalog.stock.holds import tally
from services.catalog.stock.holds.domain import (
    NOT_OFFERED,
    NOT_SUPPLIED,
    OUT_OF_STOCK,
    PICKING_FULL,
    PRICE_CHANGED,
    Decision,
    Granted,
    GroupRequest,
    Market,
    OrderRequest,
    Place,
    Refused,
    Request,
    Reserved,
    Shelf,
)
from services.contracts.values import GivenLine, Grant, LineFailure, WantedLine

Pick = tuple[WantedLine, Shelf]


def decide(
    requests: Sequence[Request],
    *,
    markets: Mapping[UUID, Market],
    free: Mapping[UUID, int],
    picking: Mapping[Place, int],
) -> list[Decision]:
    """Decide requests in the order given: what one is promised is not there for those after it.

    `free` are the units of each offer, `picking` the orders that an outlet can still pick for a zone
    on a day.
    """
    desk = _Desk(markets, Counter(free), dict(picking))
    return [
        desk.reserve(request) if isinstance(request, OrderRequest) else desk.grant(request)
        for request in requests
    ]


def refuse_unsupplied(request: Request) -> Decision:
    """Refuse what waited in vain for its zone's supply."""
    if isinstance(request, GroupRequest):
        grants = (
            tally.grant(product_id, asked.total(), (), NOT_SUPPLIED)
            for product_id, asked in tally.by_product(request).items()
        )
        return Granted(request, tuple(grants))
    return Refused(request, tuple(_fail(line, NOT_SUPPLIED, line.quantity, 0) for line in request.lines))


@dataclass(slots=True)
class _Desk:
    markets: Mapping[UUID, Market]
    free: Counter[UUID]
    picking: dict[Place, int]

    def reserve(self, request: OrderRequest) -> Decision:
        """Hold every line or none.

        The first outlet by rank that has everything gives everything. Else each line falls back on the
        first of its substitutes that the zone has (at no more than the price seen for the line), only where
        no outlet has the product itself; then one outlet for all is looked for again, then as few as can be.
        """
        market = self.markets.get(request.zone_id, Market())
        outlets = list(self._rooms_of(request, market))
        wanted = [(line, line.product_id) for line in request.lines]
        picks = self._from_one(market, outlets, wanted)
        if picks is None:
            each, failures = self._line_by_line(market, outlets, request.lines)
            if failures:
                return Refused(request, tuple(failures))
            chosen = [(line, shelf.product_id) for line, shelf in each]
            picks = self._from_one(market, outlets, chosen) or self._from_few(market, outlets, chosen, each)
        self.free.subtract(_units_of(picks))
        self._pick(request, dict.fromkeys((shelf.outlet_id for _, shelf in picks), 1))
        return Reserved(request, tuple(_give(line.line, shelf, line.quantity) for line, shelf in picks))

    def grant(self, request: GroupRequest) -> Decision:
        """Give each product as far as it goes, outlets by rank, each for as many households as it can pick.

        Catalog does not know who wants what: an outlet with room for n of a group's h households gives at
        most n/h of what is asked of a product, or n units where that is more; the next outlet gives the rest.
        It is charged for n, or for its units where they are fewer, until the group is shared out, and then
        for exactly the households that have goods of it.
        """
        market = self.markets.get(request.zone_id, Market())
        households = max(1, request.households)
        rooms = {outlet: min(room, households) for outlet, room in self._rooms_of(request, market).items()}
        grants = tuple(
            self._grant_product(market, product, asked, rooms, households)
            for product, asked in tally.by_product(request).items()
        )
        units: Counter[UUID] = Counter()
        for part in (part for grant in grants for part in grant.parts):
            units[part.outlet_id] += part.quantity
        picking = {outlet: min(rooms[outlet], given) for outlet, given in units.items()}
        self._pick(request, picking)
        return Granted(request, grants, picking)

    def _grant_product(
        self,
        market: Market,
        product_id: UUID,
        asked: Counter[int],
        rooms: Mapping[UUID, int],
        households: int,
    ) -> Grant:
        parts: list[GivenLine] = []
        missing = asked.copy()
        for outlet, room in rooms.items():
            most = max(asked.total() * room // households, min(asked.total(), room))
            for shelf in market.shelves.get((outlet, product_id), ()):
                taken = tally.take_for(missing, shelf.price_fen, min(most, self.free[shelf.offer_id]))
                if taken:
                    parts.append(_give(0, shelf, taken))
                    self.free[shelf.offer_id] -= taken
                    most -= taken
        code = self._explain_missing(market, product_id, +missing, list(rooms)) if +missing else None
        return tally.grant(product_id, asked.total(), tuple(parts), code)

    def _explain_missing(
        self, market: Market, product_id: UUID, missing: Counter[int], outlets: Sequence[UUID]
    ) -> str:
        shelves = market.shelves_of(product_id)
        highest = max(missing)
        code = _reason(shelves, outlets, highest)
        is_there = any(self.free[one.offer_id] and one.price_fen <= highest for one in shelves)
        return PICKING_FULL if code == OUT_OF_STOCK and is_there else code

    def _rooms_of(self, request: Request, market: Market) -> dict[UUID, int]:
        """Return the outlets, by rank, that can still pick on the day, and for how many households."""
        assert request.day is not None  # noqa: S101 - what has no day waits
        rooms = {
            outlet: self.picking.get((request.zone_id, outlet, request.day), 0) for outlet in market.outlets
        }
        return {outlet: room for outlet, room in rooms.items() if room > 0}

    def _pick(self, request: Request, orders: Mapping[UUID, int]) -> None:
        assert request.day is not None  # noqa: S101 - what has no day waits
        for outlet, number in orders.items():
            self.picking[request.zone_id, outlet, request.day] -= number

    def _from_one(
        self, market: Market, outlets: Iterable[UUID], wanted: Sequence[tuple[WantedLine, UUID]]
    ) -> list[Pick] | None:
        for outlet in outlets:
            picks = self._from_outlet(market, outlet, wanted, Counter())
            if len(picks) == len(wanted):
                return picks
        return None

    def _from_few(
        self,
        market: Market,
        outlets: Sequence[UUID],
        wanted: Sequence[tuple[WantedLine, UUID]],
        each: list[Pick],
    ) -> list[Pick]:
        picks: list[Pick] = []
        taken: Counter[UUID] = Counter()
        rest = list(wanted)
        while rest:
            best = max((self._from_outlet(market, outlet, rest, taken) for outlet in outlets), key=len)
            if not best:
                return each
            picks += best
            taken.update(_units_of(best))
            done = {line.line for line, _ in best}
            rest = [one for one in rest if one[0].line not in done]
        # Greedy is not always the fewest; the line by line choice is feasible too.
        return min(picks, each, key=lambda one: len({shelf.outlet_id for _, shelf in one}))

    def _from_outlet(
        self,
        market: Market,
        outlet: UUID,
        wanted: Iterable[tuple[WantedLine, UUID]],
        taken: Counter[UUID],
    ) -> list[Pick]:
        taken = taken.copy()
        picks = []
        for line, product_id in wanted:
            for shelf in market.shelves.get((outlet, product_id), ()):
                if self._gives(shelf, line, taken):
                    picks.append((line, shelf))
                    taken[shelf.offer_id] += line.quantity
                    break
        return picks

    def _line_by_line(
        self, market: Market, outlets: Sequence[UUID], lines: Iterable[WantedLine]
    ) -> tuple[list[Pick], list[LineFailure]]:
        picks: list[Pick] = []
        failures: list[LineFailure] = []
        taken: Counter[UUID] = Counter()
        for line in lines:
            candidates = (
                shelf
                for product_id in (line.product_id, *line.substitutes)
                for outlet in outlets
                for shelf in market.shelves.get((outlet, product_id), ())
            )
            found = next((shelf for shelf in candidates if self._gives(shelf, line, taken)), None)
            if found is None:
                failures.append(self._explain(market, outlets, line, taken))
                continue
            picks.append((line, found))
            taken[found.offer_id] += line.quantity
        return picks, failures

    def _gives(self, shelf: Shelf, line: WantedLine, taken: Counter[UUID]) -> bool:
        return (
            shelf.price_fen <= line.seen_price_fen
            and self.free[shelf.offer_id] - taken[shelf.offer_id] >= line.quantity
        )

    def _explain(
        self, market: Market, outlets: Sequence[UUID], line: WantedLine, taken: Counter[UUID]
    ) -> LineFailure:
        shelves = market.shelves_of(line.product_id)
        code = _reason(shelves, outlets, line.seen_price_fen)
        reached = [shelf for shelf in shelves if shelf.outlet_id in outlets]
        if code == PRICE_CHANGED:
            return _fail(line, code, line.seen_price_fen, min(shelf.price_fen for shelf in reached))
        if code != OUT_OF_STOCK:
            return _fail(line, code, line.quantity, 0)
        most = max(
            self.free[shelf.offer_id] - taken[shelf.offer_id]
            for shelf in reached
            if shelf.price_fen <= line.seen_price_fen
        )
        return _fail(line, code, line.quantity, max(0, most))


def _reason(shelves: Sequence[Shelf], outlets: Sequence[UUID], seen_price_fen: int) -> str:
    if not shelves:
        return NOT_OFFERED
    reached = [shelf for shelf in shelves if shelf.outlet_id in outlets]
    if not reached:
        return PICKING_FULL
    if all(shelf.price_fen > seen_price_fen for shelf in reached):
        return PRICE_CHANGED
    return OUT_OF_STOCK


def _units_of(picks: Iterable[Pick]) -> Counter[UUID]:
    units: Counter[UUID] = Counter()
    for line, shelf in picks:
        units[shelf.offer_id] += line.quantity
    return units


def _give(line: int, shelf: Shelf, quantity: int) -> GivenLine:
    return GivenLine(
        line=line,
        product_id=shelf.product_id,
        name=shelf.name,
        offer_id=shelf.offer_id,
        outlet_id=shelf.outlet_id,
        quantity=quantity,
        grams=shelf.grams,
        price_fen=shelf.price_fen,
    )


def _fail(line: WantedLine, code: str, asked: int, available: int) -> LineFailure:
    return LineFailure(
        line=line.line, product_id=line.product_id, code=code, asked=asked, available=available
    )
