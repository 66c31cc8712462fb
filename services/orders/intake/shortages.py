"""What of an order was lost at the split: which units of which line, and the money for them. Pure."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from pydantic import NonNegativeInt

from services.contracts.values import GivenLine, ShortLine


class Shortage(ShortLine):
    """A line of one portion of which a household gets less than was promised, and what is paid back."""

    portion_id: UUID
    refund_fen: NonNegativeInt

    @property
    def missing(self) -> int:
        """Return how many units the household does not get."""
        return self.promised - self.given

    def line_of(self) -> ShortLine:
        """Return the line as it is told on."""
        return ShortLine(**self.model_dump(include=set(ShortLine.model_fields)))


class BrokenShortage(Exception):
    """Nothing is missing of a line, or more than the order was given of it; a person looks."""

    def __init__(self, *, portion_id: UUID, line: ShortLine) -> None:
        super().__init__(f"{portion_id}: {line.promised - line.given} of line {line.line}")


def find_shortages(
    portion_id: UUID,
    lines: Iterable[ShortLine],
    *,
    given: Iterable[GivenLine],
    before: Iterable[Shortage] = (),
) -> tuple[Shortage, ...]:
    """Return what a portion's short lines cost, each missing unit at the price that it was confirmed at.

    No unit is paid back twice: what was short before is no more there to be missing.
    """
    left: Counter[tuple[int, UUID]] = Counter()
    prices: dict[tuple[int, UUID], int] = {}
    for promised in given:
        left[promised.line, promised.offer_id] += promised.quantity
        prices[promised.line, promised.offer_id] = promised.price_fen
    for shortage in before:
        left[shortage.line, shortage.offer_id] -= shortage.missing

    found = []
    for line in lines:
        key, missing = (line.line, line.offer_id), line.promised - line.given
        if not 0 < missing <= left[key]:
            raise BrokenShortage(portion_id=portion_id, line=line)
        left[key] -= missing
        found.append(Shortage(**line.model_dump(), portion_id=portion_id, refund_fen=missing * prices[key]))
    return tuple(found)
