"""What can be asked of prices. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.prices import domain, queries, scopes
from services.catalog.prices.domain import CeilingRule, PriceDecision
from services.catalog.prices.queries import KeptDecision
from services.catalog.prices.scopes import Asked, Judged
from services.catalog.prices.tables import PriceRuleRow
from services.kit.errors import Conflict, Forbidden, NotFound
from services.kit.ids import new_id

log = structlog.get_logger()

BREACHES: Final = Counter("price_breaches_total", "Prices above their cap, by the kind of rule", ["rule"])


async def judge(
    session: AsyncSession, asked: Sequence[Asked], *, occasion: str, now: datetime
) -> list[Judged]:
    """Judge prices by the rules that bind today, and keep each decision with its inputs."""
    day = market_day(now)
    # The count first: a rule confirmed between the two reads makes what follows judged again, never less.
    epoch = await queries.get_epoch(session)
    book = await queries.get_book(session, day=day)

    judged = []
    for one in asked:
        rules = book.rules_for(one.target)
        decision = domain.decide_price(one.price_fen, one.item, rules, on=day)
        judged.append(Judged(decision=decision, epoch=epoch, until=scopes.next_change(rules, after=day)))

    kept = [_keep(one, made.decision) for one, made in zip(asked, judged, strict=True)]
    await queries.keep_decisions(session, kept, occasion=occasion, day=day, now=now)
    for breach in kept:
        if not breach.is_allowed:
            BREACHES.labels(breach.rule_kind).inc()
    return judged


async def propose_rule(
    session: AsyncSession,
    content: Mapping[str, Any],
    *,
    rule_id: UUID | None,
    proposed_by: str,
    now: datetime,
) -> PriceRuleRow:
    """Propose a rule, or a new version of `rule_id`; it binds once a second person has confirmed it."""
    version = 1
    if rule_id is not None:
        newest = await _lock_newest(session, rule_id)
        if newest.status == "proposed":
            raise Conflict(
                "catalog.rule_version_open", "A version of this rule still awaits its confirmation"
            )
        version = newest.version + 1
    row = PriceRuleRow(
        **content,
        rule_id=rule_id or new_id(),
        version=version,
        status="proposed",
        proposed_by=proposed_by,
        proposed_at=now,
        confirmed_by=None,
        confirmed_at=None,
    )
    session.add(row)
    await session.flush()
    return row


async def confirm_rule(
    session: AsyncSession, rule_id: UUID, *, confirmed_by: str, now: datetime
) -> PriceRuleRow:
    """Let a proposed rule bind; whoever proposed it cannot be the one who confirms it."""
    row = await _lock_newest(session, rule_id)
    if row.status != "proposed":
        raise Conflict("catalog.rule_not_proposed", "No version of this rule awaits its confirmation")
    if row.proposed_by == confirmed_by:
        raise Forbidden(
            "catalog.rule_own_confirmation", "A rule is confirmed by another person than proposed it"
        )
    row.status, row.confirmed_by, row.confirmed_at = "confirmed", confirmed_by, now
    await session.flush()
    await queries.begin_epoch(session)
    log.info("price_rule.confirmed", rule_id=str(rule_id), version=row.version)
    return row


async def _lock_newest(session: AsyncSession, rule_id: UUID) -> PriceRuleRow:
    versions = await queries.lock_versions(session, rule_id)
    if not versions:
        raise NotFound("catalog.rule_unknown", "There is no such price rule")
    return versions[0]


def _keep(asked: Asked, decision: PriceDecision) -> KeptDecision:
    cap = decision.cap
    return KeptDecision(
        decision_id=new_id(),
        offer_id=asked.offer_id,
        outlet_id=asked.outlet_id,
        plu=asked.plu,
        product_id=asked.target.product_id,
        price_fen=decision.price_fen,
        cap_fen=cap.cap_fen if cap else None,
        rule_id=cap.rule.rule_id if cap else None,
        rule_version=cap.rule.version if cap else None,
        rule_kind=_kind_of(cap.rule) if cap else None,
        legal_ref=cap.rule.legal_ref if cap else None,
        inputs=_inputs_of(asked, decision).decode(),
        is_allowed=decision.is_allowed,
    )


def _inputs_of(asked: Asked, decision: PriceDecision) -> bytes:
    cap = decision.cap
    return orjson.dumps(
        {
            "grams": asked.item.grams,
            "purchase_fen": asked.item.purchase_fen,
            "category": asked.target.category,
            "outlet_kind": asked.target.outlet_kind,
            "zone_ids": sorted(map(str, asked.target.zone_ids)),
            "margin_rate": str(cap.margin_rate) if cap and cap.margin_rate is not None else None,
            "reference": cap.reference if cap else None,
            "unused_deals": decision.unused_deals,
        }
    )


def _kind_of(rule: domain.Rule) -> str:
    return "ceiling" if isinstance(rule, CeilingRule) else "margin_rate"
