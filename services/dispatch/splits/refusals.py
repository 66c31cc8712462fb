"""Why a split cannot be recorded as it is told, every reason named. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from services.dispatch.splits import domain
from services.dispatch.splits.domain import Item, Loss, Promise, ToldPortion
from services.kit.errors import Fault

UNBALANCED = "dispatch.split_unbalanced"


def find_faults(
    promises: Sequence[Promise], losses: Sequence[Loss], portions: Sequence[ToldPortion] | None
) -> list[Fault]:
    """Return everything for which a split cannot be recorded as it is told."""
    items = domain.items_of(promises)
    faults = [
        Fault(f"/losses/{index}/offer_id", "dispatch.offer_unknown")
        for index, loss in enumerate(losses)
        if loss.offer_id not in items
    ]
    if portions is not None:
        faults += _find_portion_faults(promises, portions)
    return faults + _find_imbalances(items, losses, portions)


def _find_portion_faults(promises: Sequence[Promise], portions: Sequence[ToldPortion]) -> list[Fault]:
    promised = _units_promised(promises)
    offers = {promise.offer_id for promise in promises}
    wanting = {promise.portion_id for promise in promises}
    faults: list[Fault] = []
    named: set[UUID] = set()
    for index, portion in enumerate(portions):
        pointer = f"/portions/{index}"
        if portion.portion_id not in wanting:
            faults.append(Fault(f"{pointer}/portion_id", "dispatch.portion_unknown"))
        elif portion.portion_id in named:
            faults.append(Fault(f"{pointer}/portion_id", "dispatch.portion_repeated"))
        named.add(portion.portion_id)
        faults += [
            Fault(f"{pointer}/lines/{place}/offer_id", "dispatch.offer_unknown")
            for place, (offer_id, _) in enumerate(portion.lines)
            if offer_id not in offers
        ]
        faults += [
            Fault(
                f"{pointer}/lines",
                "dispatch.more_than_promised",
                {"offer_id": offer_id, "promised": promised[portion.portion_id, offer_id], "given": units},
            )
            for offer_id, units in domain.units_of(portion).items()
            if portion.portion_id in wanting
            and offer_id in offers
            and units > promised[portion.portion_id, offer_id]
        ]
    return faults + [
        Fault("/portions", "dispatch.portion_missing", {"portion_id": portion_id})
        for portion_id in sorted(wanting - named)
    ]


def _find_imbalances(
    items: Mapping[UUID, Item], losses: Iterable[Loss], portions: Iterable[ToldPortion] | None
) -> list[Fault]:
    lost = domain.grams_lost(losses)
    units: Counter[UUID] = Counter()
    for portion in portions or ():
        units.update(domain.units_of(portion))
    faults = []
    for offer_id, item in items.items():
        portions_g = units[offer_id] * item.grams
        difference_g = item.in_g - portions_g - lost[offer_id]
        # What is not told to be in portions is still to be shared.
        if difference_g < 0 or (difference_g > 0 and portions is not None):
            facts = {
                "offer_id": offer_id,
                "in_g": item.in_g,
                "portions_g": portions_g,
                "loss_g": lost[offer_id],
                "difference_g": difference_g,
            }
            faults.append(Fault("/losses", UNBALANCED, facts))
    return faults


def _units_promised(promises: Iterable[Promise]) -> Counter[tuple[UUID, UUID]]:
    promised: Counter[tuple[UUID, UUID]] = Counter()
    for promise in promises:
        promised[promise.portion_id, promise.offer_id] += promise.quantity
    return promised
