"""What makes a product the same everywhere: its GTIN, or its variety with grade and unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

LENGTHS: Final = (8, 12, 13, 14)
# GS1 leaves these to each shop: they name an item of one outlet, never a product of all (domain.md §10).
LOCAL_PREFIXES: Final = (range(20, 30), range(40, 50), range(200, 300))


class IdentityRefused(Exception):
    """A product that cannot be told apart from others; `code` says why, `field` what is to be changed.

    `product_id` is the product that has the identity already.
    """

    def __init__(self, code: str, *, field: str, product_id: UUID | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.product_id = product_id


class Outcome(StrEnum):
    """What became of one item of an import."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedProduct:
    """A product as its keeper states it, not yet judged."""

    external_id: str
    name: str
    unit_name: str
    category: str
    gtin: str | None = None
    variety: str | None = None
    grade: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product of the zone's menu; the GTIN has 14 digits."""

    product_id: UUID
    external_id: str
    name: str
    unit_name: str
    category: str
    gtin: str | None = None
    variety: str | None = None
    grade: str | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """Return what no other product may have."""
        if self.gtin is not None:
            return ("gtin", self.gtin)
        return ("variety", self.variety or "", self.grade or "", self.unit_name)


@dataclass(frozen=True, slots=True)
class Imported:
    """One item of an import: the product it stands for now, or why it was refused."""

    external_id: str
    outcome: Outcome
    product: Product | None = None
    refusal: IdentityRefused | None = None


def check_digit(digits: str) -> int:
    """Return the check digit of what stands before it: weights 3, 1, 3, 1… from the right (GS1)."""
    weighted = sum(int(digit) * (3, 1)[place % 2] for place, digit in enumerate(reversed(digits)))
    return -weighted % 10


def read_gtin(written: str) -> str:
    """Return a GTIN of 8, 12, 13 or 14 digits as 14; raise `IdentityRefused` for what is none or is local."""
    if len(written) not in LENGTHS or not (written.isascii() and written.isdigit()):
        raise IdentityRefused("catalog.gtin_invalid", field="gtin")
    if check_digit(written[:-1]) != int(written[-1]):
        raise IdentityRefused("catalog.gtin_invalid", field="gtin")
    gtin = written.zfill(14)
    # A GTIN-8 has its prefix at its own beginning.
    prefix = int(gtin[6:9] if gtin.startswith("000000") else gtin[1:4])
    if any(prefix in local for local in LOCAL_PREFIXES):
        raise IdentityRefused("catalog.gtin_local", field="gtin")
    return gtin


def read_product(wanted: WantedProduct, *, product_id: UUID) -> Product:
    """Return the product that is meant; raise `IdentityRefused` where it has no identity, or two."""
    if (wanted.gtin is None) == (wanted.variety is None) or (wanted.gtin and wanted.grade):
        raise IdentityRefused("catalog.product_identity", field="gtin")
    return Product(
        product_id=product_id,
        external_id=wanted.external_id,
        name=wanted.name,
        unit_name=wanted.unit_name,
        category=wanted.category,
        gtin=read_gtin(wanted.gtin) if wanted.gtin is not None else None,
        variety=wanted.variety,
        grade=wanted.grade,
    )


def take_in(
    wanted: Sequence[WantedProduct],
    *,
    own: Sequence[Product],
    others: Sequence[Product],
    new_ids: Sequence[UUID],
) -> list[Imported]:
    """Decide an import in the order given.

    `own` are the client's products of the same external ids, `others` whatever else shares an identity.
    """
    by_external_id = {product.external_id: product for product in own}
    owner = {product.identity: product.product_id for product in (*own, *others)}
    outcomes = []
    for one, new_id in zip(wanted, new_ids, strict=True):
        before = by_external_id.get(one.external_id)
        try:
            product = read_product(one, product_id=before.product_id if before else new_id)
            _require_free(product, owner)
        except IdentityRefused as refusal:
            outcomes.append(Imported(one.external_id, Outcome.REFUSED, refusal=refusal))
            continue
        outcomes.append(Imported(one.external_id, _compare(before, product), product))
        if before:
            owner.pop(before.identity, None)
        by_external_id[one.external_id] = product
        owner[product.identity] = product.product_id
    return outcomes


def _require_free(product: Product, owner: Mapping[tuple[str, ...], UUID]) -> None:
    taken_by = owner.get(product.identity, product.product_id)
    if taken_by != product.product_id:
        field = "gtin" if product.gtin else "variety"
        raise IdentityRefused("catalog.product_taken", field=field, product_id=taken_by)


def _compare(before: Product | None, product: Product) -> Outcome:
    if before is None:
        return Outcome.CREATED
    return Outcome.UNCHANGED if before == product else Outcome.UPDATED
