"""A menu as it is shown, and how a reader knows that it has not changed."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuLine:
    """A product that a zone can order: the most that it will cost, beside its cap, and how much there is."""

    product_id: UUID
    name: str
    unit_name: str
    category: str
    grams: int
    price_fen: int
    cap_fen: int | None
    available: int


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu's body as it is sent, and the strong tag of exactly these bytes."""

    body: bytes
    etag: str


def print_menu(zone_id: UUID, lines: tuple[MenuLine, ...]) -> Menu:
    """Return the menu of a zone."""
    # A driver's own kind of UUID is written like any other.
    body = orjson.dumps({"zone_id": zone_id, "lines": lines}, default=str)
    return Menu(body, f'"{sha256(body).hexdigest()[:32]}"')


def is_named_in(if_none_match: str, etag: str) -> bool:
    """Say whether a reader has this version already (RFC 9110 §13.1.2, compared weakly)."""
    named = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in named or etag in named
