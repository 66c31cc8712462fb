"""What order intake can be asked. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Relation, Resource
from services.contracts.values import WantedLine
from services.kit import correlation, database, outbox
from services.kit.caller import Caller
from services.kit.errors import NotFound, Problem
from services.orders.intake import acceptance, deciding, domain, ledger, life, naming, refusals
from services.orders.intake.domain import Accepted, NewOrder, Rejected
from services.orders.intake.life import Order, OrderStatus
from services.orders.intake.naming import Name
from services.orders.register import application as residence
from services.orders.register import queries as register

PLACED = Counter("orders_placed_total", "Orders accepted", ["channel"])
REJECTED = Counter("orders_rejected_total", "Orders that were not accepted, by each reason", ["code"])


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that is in the books, now or since the client sent it first."""

    order_id: UUID
    status: OrderStatus = OrderStatus.PLACED


async def place_orders(
    session: AsyncSession, wanted: Sequence[NewOrder], now: datetime
) -> list[Placed | Problem]:
    """Accept orders or say of each why not, in the order given; what is accepted has its quota and slot."""
    outcomes = await _find_named(session, wanted)
    windows = await _lock_windows(session, wanted)
    fresh: dict[int, NewOrder] = {}
    for place, order in enumerate(wanted):
        if place in outcomes:
            continue
        if order.group_id is None:
            fresh[place] = order
        elif order.group_id in windows:
            fresh[place] = replace(order, slot_id=windows[order.group_id].slot_id)
        else:
            outcomes[place] = NotFound("kit.not_found", "Nothing is found here")
    if fresh:
        decided = await _accept(session, list(fresh.values()), windows, now)
        outcomes |= dict(zip(fresh, decided, strict=True))
    return [outcomes[place] for place in range(len(wanted))]


async def cancel_order(
    session: AsyncSession, order_id: UUID, *, group_id: UUID | None, now: datetime
) -> Order:
    """Take an order back before its cut-off; its quota and its slot are free again."""
    # The group first, as everywhere: its clock locks it before its parts.
    windows = await acceptance.lock_windows(session, [group_id]) if group_id else {}
    before = await ledger.lock_orders(session, [order_id])
    locked = before[order_id]
    cut_off_at = await ledger.get_cut_off(session, locked)
    life.cancel(locked.status, cut_off_at=cut_off_at, now=now)
    after = locked.after(life.Turn.CANCELLATION)
    await deciding.settle(session, before, [after], now)
    # A transaction that began before the cut-off may end after the group was told, or the slot was counted.
    is_told = any(not window.is_open for window in windows.values())
    if is_told or await ledger.is_told(session, locked.slot_id):
        raise life.TooLateToCancel(cut_off_at=cut_off_at)
    return after


async def require_household(  # noqa: PLR0913 - who asks what of whom, when and where
    session: AsyncSession,
    caller: Caller,
    action: Action,
    household_id: UUID,
    now: datetime,
    *,
    zone_id: UUID | None = None,
) -> Relation | None:
    """Return what ties the caller to the household's building; raise `NotFound` where they may not act."""
    home = (await register.find_homes(session, [household_id])).get(household_id)
    if home is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    path = (*home.path, zone_id) if zone_id else home.path
    resource = Resource(path=path, household_id=household_id)
    relation = await residence.find_relation(session, caller, building_id=home.building_id, now=now)
    # Another household's order is answered like one that does not exist.
    access.require(caller, action, resource, relation, hidden=True)
    return relation


async def _accept(
    session: AsyncSession,
    orders: Sequence[NewOrder],
    windows: Mapping[UUID, domain.GroupWindow],
    now: datetime,
) -> list[Placed | Problem]:
    policy = await acceptance.get_policy(session, now)
    facts = await _lock_facts(session, orders, windows, policy=policy, now=now)
    admission = domain.admit(orders, facts)
    if admission.accepted:
        await _write(session, admission, decide_by=now + policy.decide_within, now=now)
    return [_outcome_of(each) for each in admission.outcomes]


async def _lock_facts(
    session: AsyncSession,
    orders: Sequence[NewOrder],
    windows: Mapping[UUID, domain.GroupWindow],
    *,
    policy: acceptance.Policy,
    now: datetime,
) -> domain.Facts:
    slot_ids = {order.slot_id for order in orders if order.slot_id}
    homes = await register.find_homes(session, {order.household_id for order in orders})
    rules = await acceptance.find_rules(session, slot_ids, policy=policy, now=now)
    untouched = {
        rules[order.slot_id].key_of(order.household_id): rules[order.slot_id].quota
        for order in orders
        if order.slot_id and order.slot_id in rules and order.household_id in homes
    }
    await acceptance.make_quotas(session, untouched)
    quotas = await acceptance.lock_quotas(session, untouched)
    if windows:
        # Read under the households' locks: of two parts at once the second sees the first.
        members = await acceptance.find_members(session, windows, {order.household_id for order in orders})
        windows = {
            group_id: replace(window, household_ids=frozenset(home for of, home in members if of == group_id))
            for group_id, window in windows.items()
        }
    slots = await acceptance.lock_slots(session, slot_ids, rules)
    if any(slot.taken + len(orders) > (slot.capacity or 0) for slot in slots.values()):
        slots |= await acceptance.list_siblings(session, slots)
    return domain.Facts(homes=homes, quotas=quotas, slots=slots, groups=windows, now=now)


async def _write(
    session: AsyncSession, admission: domain.Admission, *, decide_by: datetime, now: datetime
) -> None:
    accepted = admission.accepted
    await acceptance.insert_orders(session, accepted, now=now, decide_by=decide_by)
    touched = {each.quota_key for each in accepted}
    await acceptance.write_quotas(session, {key: admission.quotas[key] for key in touched})
    with correlation.bind({str(each.order.order_id): each.order.correlation_id for each in accepted}):
        # A group's part is said to nobody until the group is decided.
        single = [each for each in accepted if each.order.group_id is None]
        await outbox.add_all(session, [(life.announce(_order_of(each)), 1) for each in single])
    taken = {each.slot.slot_id for each in accepted}
    await acceptance.write_slots(session, [admission.slots[slot_id] for slot_id in taken])


def _order_of(accepted: Accepted) -> Order:
    order, home, slot = accepted.order, accepted.home, accepted.slot
    assert slot.incident_id is not None  # noqa: S101 - a slot opens with its zone's incident
    return Order(
        order_id=order.order_id,
        household_id=order.household_id,
        building_id=home.building_id,
        community_id=home.community_id,
        zone_id=slot.zone_id,
        incident_id=slot.incident_id,
        slot_id=slot.slot_id,
        group_id=order.group_id,
        rule_id=accepted.quota_key.rule_id,
        day=accepted.quota_key.day,
        units=order.units,
        lines=order.lines,
        status=OrderStatus.PLACED,
        sequence=1,
    )


def _outcome_of(outcome: Accepted | Rejected) -> Placed | Problem:
    match outcome:
        case Accepted():
            PLACED.labels(outcome.order.channel).inc()
            return Placed(outcome.order.order_id)
        case Rejected():
            for fault in outcome.faults:
                REJECTED.labels(fault.code).inc()
            return refusals.OrderRejected(outcome.faults)


async def _lock_windows(
    session: AsyncSession, wanted: Sequence[NewOrder]
) -> Mapping[UUID, domain.GroupWindow]:
    group_ids = {order.group_id for order in wanted if order.group_id}
    return await acceptance.lock_windows(session, group_ids) if group_ids else {}


async def _find_named(session: AsyncSession, wanted: Sequence[NewOrder]) -> dict[int, Placed | Problem]:
    """Return what is known of orders by their clients' own names for them."""
    places = {
        place: Name(order.client, order.external_id)
        for place, order in enumerate(wanted)
        if order.external_id is not None
    }
    if not places:
        return {}
    names = list(dict.fromkeys(places.values()))
    got = dict(
        zip(
            names,
            await database.try_names(session, [f"{name.client}\n{name.external_id}" for name in names]),
            strict=True,
        )
    )
    known = await naming.find_named(session, names)
    outcomes: dict[int, Placed | Problem] = {}
    first_of = {name: place for place, name in reversed(places.items())}
    for place, name in places.items():
        if name in known:
            outcomes[place] = _compare(wanted[place], known[name])
        elif not got[name] or first_of[name] != place:
            outcomes[place] = refusals.ExternalIdInFlight()
    return outcomes


def _compare(order: NewOrder, named: naming.Named) -> Placed | Problem:
    asked: tuple[UUID | None, UUID, tuple[WantedLine, ...]] = (
        order.group_id,
        order.household_id,
        order.lines,
    )
    is_same = asked == (named.group_id, named.household_id, named.lines)
    if not is_same or (order.slot_id is not None and order.slot_id != named.slot_id):
        return refusals.ExternalIdTaken()
    return Placed(named.order_id, OrderStatus(named.status))
