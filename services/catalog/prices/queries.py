"""Every statement about price rules and decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from services.catalog.prices.domain import CeilingRule, MarginRateRule
from services.catalog.prices.scopes import RuleBook, Scope, ScopedRule
from services.catalog.prices.tables import PriceDecisionRow, PriceRuleRow

EPOCH = text("SELECT epoch FROM price_epoch")
NEXT_EPOCH = text("UPDATE price_epoch SET epoch = epoch + 1 RETURNING epoch")
BINDING = text("""
    SELECT * FROM (
        SELECT DISTINCT ON (rule_id) *, min(confirmed_at) OVER (PARTITION BY rule_id) AS bound_at
        FROM price_rules WHERE status = 'confirmed'
        ORDER BY rule_id, version DESC
    ) AS newest
    WHERE valid_to IS NULL OR valid_to >= :day
""")
NEWEST = text("""
    SELECT DISTINCT ON (rule_id) * FROM price_rules
    WHERE CAST(:after AS uuid) IS NULL OR rule_id > CAST(:after AS uuid)
    ORDER BY rule_id, version DESC LIMIT :limit
""")
# The first version's row stands for the rule: two proposals at once meet there.
LOCK_RULE = text("SELECT rule_id FROM price_rules WHERE rule_id = :rule_id AND version = 1 FOR UPDATE")
KEEP_DECISIONS = text("""
    INSERT INTO price_decisions (
        decision_id, offer_id, outlet_id, plu, product_id, occasion, price_fen, cap_fen, rule_id,
        rule_version, rule_kind, legal_ref, inputs, is_allowed, decided_for, decided_at
    )
    SELECT decision_id, offer_id, outlet_id, plu, product_id, :occasion, price_fen, cap_fen, rule_id,
           rule_version, rule_kind, legal_ref, inputs::jsonb, is_allowed, :day, :now
    FROM unnest(
        CAST(:decision_id AS uuid[]), CAST(:offer_id AS uuid[]), CAST(:outlet_id AS uuid[]),
        CAST(:plu AS text[]), CAST(:product_id AS uuid[]), CAST(:price_fen AS integer[]),
        CAST(:cap_fen AS bigint[]), CAST(:rule_id AS uuid[]), CAST(:rule_version AS integer[]),
        CAST(:rule_kind AS text[]), CAST(:legal_ref AS text[]), CAST(:inputs AS text[]),
        CAST(:is_allowed AS boolean[])
    ) AS row (decision_id, offer_id, outlet_id, plu, product_id, price_fen, cap_fen, rule_id,
              rule_version, rule_kind, legal_ref, inputs, is_allowed)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDecision:
    """A decision as its row will be; what all of a batch share is not here."""

    decision_id: UUID
    offer_id: UUID
    outlet_id: UUID
    plu: str
    product_id: UUID
    price_fen: int
    cap_fen: int | None
    rule_id: UUID | None
    rule_version: int | None
    rule_kind: str | None
    legal_ref: str | None
    inputs: str
    is_allowed: bool


async def get_epoch(session: AsyncSession) -> int:
    """Return how many times what binds has changed; to be read before the rules themselves."""
    epoch: int = (await session.execute(EPOCH)).scalar_one()
    return epoch


async def begin_epoch(session: AsyncSession) -> None:
    """Let everything that was judged before be judged again."""
    await session.execute(NEXT_EPOCH)


async def get_book(session: AsyncSession, *, day: date) -> RuleBook:
    """Return the rules that bind on `day` or will later: of each the newest confirmed version."""
    rows = await session.execute(BINDING, {"day": day})
    return RuleBook(_read_rule(row) for row in rows.mappings())


async def lock_versions(session: AsyncSession, rule_id: UUID) -> Sequence[PriceRuleRow]:
    """Return a rule's versions, newest first, which no other transaction then changes; none if unknown."""
    await session.execute(LOCK_RULE, {"rule_id": rule_id})
    asked = (
        select(PriceRuleRow)
        .where(col(PriceRuleRow.rule_id) == rule_id)
        .order_by(col(PriceRuleRow.version).desc())
    )
    return (await session.execute(asked)).scalars().all()


async def list_rules(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[PriceRuleRow]:
    """Return the newest version of up to `limit` rules, in the order of their making."""
    asked = select(PriceRuleRow).from_statement(NEWEST)
    rows = await session.execute(asked, {"after": after, "limit": limit})
    return rows.scalars().all()


async def keep_decisions(
    session: AsyncSession, decisions: Sequence[KeptDecision], *, occasion: str, day: date, now: datetime
) -> None:
    """Keep what was decided."""
    if not decisions:
        return
    columns: dict[str, Any] = {
        name: [getattr(decision, name) for decision in decisions] for name in KeptDecision.__slots__
    }
    await session.execute(KEEP_DECISIONS, {**columns, "occasion": occasion, "day": day, "now": now})


async def list_refusals(
    session: AsyncSession, *, after: UUID | None, limit: int, outlet_id: UUID | None
) -> Sequence[PriceDecisionRow]:
    """Return up to `limit` decisions that allowed nothing, oldest first."""
    asked = (
        select(PriceDecisionRow)
        .where(~col(PriceDecisionRow.is_allowed))
        .order_by(col(PriceDecisionRow.decision_id))
        .limit(limit)
    )
    if after:
        asked = asked.where(col(PriceDecisionRow.decision_id) > after)
    if outlet_id:
        asked = asked.where(col(PriceDecisionRow.outlet_id) == outlet_id)
    return (await session.execute(asked)).scalars().all()


async def count_refusals(session: AsyncSession) -> int:
    """Return how many prices were refused."""
    asked = select(func.count()).select_from(PriceDecisionRow).where(~col(PriceDecisionRow.is_allowed))
    return (await session.execute(asked)).scalar_one()


def _read_rule(row: RowMapping) -> ScopedRule:
    scope = Scope(
        zone_id=row["zone_id"],
        category=row["category"],
        product_id=row["product_id"],
        outlet_kind=row["outlet_kind"],
    )
    shared = {name: row[name] for name in ("rule_id", "version", "legal_ref", "valid_from", "valid_to")}
    if row["kind"] == "ceiling":
        return ScopedRule(scope, CeilingRule(**shared, ceiling_fen_per_kg=row["ceiling_fen_per_kg"]))
    rule = MarginRateRule(
        **shared,
        reference_date=row["reference_date"],
        default_rate=Fraction(row["default_rate"]),
        bound_at=row["bound_at"],
    )
    return ScopedRule(scope, rule)
