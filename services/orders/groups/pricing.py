"""What the households of a group saw, and who may be charged what: nobody pays above it. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from services.contracts.values import GivenLine, Grant, LineFailure, TallyLine
from services.orders.groups import domain
from services.orders.groups.domain import PartLine, Share

PRICE_CHANGED: Final = "catalog.price_changed"


def narrow_tally(tally: Sequence[TallyLine], *, most: int) -> tuple[TallyLine, ...]:
    """Return at most `most` lines, though every household may have seen a price of its own.

    Of each product the prices by which most units were asked stay, and the lowest; a rare one between them
    counts as the next lower that stays, so that it can hurt none but those who asked by it.
    """
    if len(tally) <= most:
        return tuple(tally)
    by_product: defaultdict[UUID, Counter[int]] = defaultdict(Counter)
    for line in tally:
        by_product[line.product_id][line.seen_price_fen] += line.quantity
    each = max(1, most // len(by_product))
    return tuple(
        TallyLine(product_id=product_id, quantity=quantity, seen_price_fen=price)
        for product_id, asked in by_product.items()
        for price, quantity in sorted(_narrow(asked, most=each).items())
    )


def share_out(
    lines: Sequence[PartLine], grants: Sequence[Grant], *, seed: str
) -> tuple[Mapping[UUID, Sequence[Share]], Mapping[UUID, tuple[GivenLine, ...]]]:
    """Return what each order gets, of everything together and line by line from which outlet.

    What is dearest is shared first, by the published rule, among those who saw such a price; what is left
    of their wishes takes part in the cheaper goods. Where all saw enough, that is one sharing of all.
    """
    steps = _steps_of(grants, lines)
    got: Counter[tuple[UUID, int]] = Counter()
    given: defaultdict[UUID, tuple[GivenLine, ...]] = defaultdict(tuple)
    for step in range(max(map(len, steps.values()), default=0)):
        offered = {product: found[step] for product, found in steps.items() if step < len(found)}
        asking = [
            line if not had else replace(line, quantity=line.quantity - had)
            for line in lines
            if line.product_id in offered
            and line.seen_price_fen >= offered[line.product_id][0]
            and line.quantity > (had := got[_key(line)])
        ]
        amounts = {product: grant.granted for product, (_, grant) in offered.items()}
        shares = domain.share_grants(asking, amounts, seed=seed)
        got.update({_key(one.line): one.granted for ones in shares.values() for one in ones})
        for order_id, taken in domain.give(shares, [grant for _, grant in offered.values()]).items():
            given[order_id] += taken
    of_order: defaultdict[UUID, list[Share]] = defaultdict(list)
    for line in sorted(lines, key=_key):
        of_order[line.order_id].append(Share(line, got[_key(line)]))
    return of_order, {order_id: given[order_id] for order_id in of_order}


def failures_of(
    shares: Mapping[UUID, Iterable[Share]], grants: Sequence[Grant]
) -> Mapping[UUID, tuple[LineFailure, ...]]:
    """Return each order's lines that get less than asked; one that saw too low a price has the lowest."""
    lowest = {
        grant.product_id: min(part.price_fen for part in grant.parts) for grant in grants if grant.parts
    }
    return {
        order_id: tuple(
            _name_price(failure, share.line.seen_price_fen, lowest=lowest)
            for share in of_order
            for failure in domain.failures_of([share])
        )
        for order_id, of_order in shares.items()
    }


def _name_price(failure: LineFailure, seen: int, *, lowest: Mapping[UUID, int]) -> LineFailure:
    price = lowest.get(failure.product_id, 0)
    if price <= seen:
        return failure
    return failure.model_copy(update={"code": PRICE_CHANGED, "asked": seen, "available": price})


def _narrow(asked: Counter[int], *, most: int) -> Counter[int]:
    kept = sorted(
        {*(price for price, _ in asked.most_common(most - 1)), min(asked)} if most > 1 else {min(asked)}
    )
    narrowed: Counter[int] = Counter()
    for price, quantity in asked.items():
        narrowed[max(one for one in kept if one <= price)] += quantity
    return narrowed


def _steps_of(grants: Iterable[Grant], lines: Iterable[PartLine]) -> Mapping[UUID, list[tuple[int, Grant]]]:
    """Return each product's goods by the price that must have been seen for them, the dearest first."""
    prices: defaultdict[UUID, set[int]] = defaultdict(set)
    for line in lines:
        prices[line.product_id].add(line.seen_price_fen)
    steps: dict[UUID, list[tuple[int, Grant]]] = {}
    for grant in grants:
        domain.check_grant(grant)
        parts: defaultdict[int, list[GivenLine]] = defaultdict(list)
        for part in grant.parts:
            # Goods that nobody's price covers any more are nobody's: they stay where they are held.
            covers = [price for price in prices[grant.product_id] if price >= part.price_fen]
            if covers:
                parts[min(covers)].append(part)
        steps[grant.product_id] = [
            (price, _part_of(grant, parts[price])) for price in sorted(parts, reverse=True)
        ]
    return steps


def _part_of(grant: Grant, parts: Sequence[GivenLine]) -> Grant:
    return grant.model_copy(update={"granted": sum(part.quantity for part in parts), "parts": tuple(parts)})


def _key(line: PartLine) -> tuple[UUID, int]:
    return line.order_id, line.line
