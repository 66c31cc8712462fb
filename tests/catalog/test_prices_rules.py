from datetime import date
from fractions import Fraction

import pytest

from services.catalog.market import market_day
from services.catalog.prices import queries
from services.catalog.prices.domain import CeilingRule
from services.catalog.prices.scopes import RuleBook, Scope, ScopedRule, Target, next_change
from services.kit import database
from services.kit.ids import new_id
from tests.serving import headers

CABBAGE = new_id()
ZONE = new_id()


def make_rule(**changes):
    fields = {"rule_id": new_id(), "version": 1, "legal_ref": "张家口 2022", "valid_from": date(2022, 3, 1)}
    return CeilingRule(**(fields | changes), ceiling_fen_per_kg=220)


def make_target(**changes):
    fields = {
        "product_id": CABBAGE, "category": "vegetables", "outlet_kind": "supermarket",
        "zone_ids": frozenset({ZONE}),
    }  # fmt: skip
    return Target(**(fields | changes))


def make_body(**changes):
    fields = {
        "kind": "ceiling", "scope": {"category": "vegetables"}, "legal_ref": "张家口 2022",
        "valid_from": "2022-03-01", "ceiling_fen_per_kg": 220,
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


async def propose(client, key="p1", subject="inspector", roles=("regulator",), **changes):
    head = headers(*roles, key=key, subject=subject)
    return await client.post("/v1/price-rules", json=make_body(**changes), headers=head)


async def confirm(client, rule_id, key="c1", subject="second", roles=("regulator",)):
    head = headers(*roles, key=key, subject=subject)
    return await client.post(f"/v1/price-rules/{rule_id}/confirmation", headers=head)


async def binding(service_sessions, target=None):
    async with service_sessions() as session:
        day = market_day(await database.now(session))
        return (await queries.get_book(session, day=day)).rules_for(target or make_target())


@pytest.mark.parametrize(
    ("scope", "is_bound"),
    [
        (Scope(), True),
        (Scope(category="vegetables"), True),
        (Scope(category="meat"), False),
        (Scope(product_id=CABBAGE), True),
        (Scope(product_id=new_id()), False),
        (Scope(product_id=CABBAGE, category="meat"), False),
        (Scope(zone_id=ZONE), True),
        (Scope(zone_id=new_id()), False),
        (Scope(outlet_kind="pharmacy"), False),
        (Scope(zone_id=ZONE, category="vegetables", outlet_kind="supermarket"), True),
    ],
)
def test_a_rule_is_about_what_matches_every_part_of_its_scope(scope, is_bound) -> None:
    rule = make_rule()
    found = RuleBook([ScopedRule(scope, rule)]).rules_for(make_target())
    assert found == ((rule,) if is_bound else ())


def test_the_next_change_is_the_day_a_rule_begins_or_the_day_after_its_last() -> None:
    rules = [
        make_rule(valid_to=date(2022, 3, 20)),
        make_rule(valid_from=date(2022, 3, 25)),
        make_rule(),
    ]
    assert next_change([make_rule(valid_to=date.max)], after=date(2022, 3, 19)) is None
    days = [next_change(rules, after=date(2022, 3, day)) for day in (19, 20, 21, 25)]
    assert days == [date(2022, 3, 21), date(2022, 3, 21), date(2022, 3, 25), None]


async def test_a_proposed_rule_binds_nobody_until_another_regulator_confirms_it(
    client, service_sessions
) -> None:
    proposed = await propose(client)
    assert (proposed.status_code, proposed.json()["status"], proposed.json()["version"]) == (
        201, "proposed", 1,
    )  # fmt: skip
    assert await binding(service_sessions) == ()

    confirmed = await confirm(client, proposed.json()["rule_id"])
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "confirmed")
    [rule] = await binding(service_sessions)
    assert (rule.ceiling_fen_per_kg, rule.legal_ref, rule.version) == (220, "张家口 2022", 1)


async def test_a_rule_is_not_confirmed_by_whoever_proposed_it(client, service_sessions) -> None:
    rule_id = (await propose(client)).json()["rule_id"]
    refused = await confirm(client, rule_id, subject="inspector")
    assert (refused.status_code, refused.json()["code"]) == (403, "catalog.rule_own_confirmation")
    assert await binding(service_sessions) == ()


async def test_what_awaits_no_confirmation_cannot_be_confirmed(client) -> None:
    rule_id = (await propose(client)).json()["rule_id"]
    await confirm(client, rule_id)
    again = await confirm(client, rule_id, key="c2", subject="third")
    assert (again.status_code, again.json()["code"]) == (409, "catalog.rule_not_proposed")
    unknown = await confirm(client, new_id())
    assert (unknown.status_code, unknown.json()["code"]) == (404, "catalog.rule_unknown")


async def test_a_changed_rule_is_a_new_version_and_the_old_one_binds_until_it_is_confirmed(
    client, service_sessions
) -> None:
    rule_id = (await propose(client)).json()["rule_id"]
    await confirm(client, rule_id)
    changed = await propose(client, key="p2", rule_id=rule_id, ceiling_fen_per_kg=160)
    assert (changed.json()["rule_id"], changed.json()["version"]) == (rule_id, 2)
    assert [rule.ceiling_fen_per_kg for rule in await binding(service_sessions)] == [220]

    third = await propose(client, key="p3", rule_id=rule_id, ceiling_fen_per_kg=150)
    assert (third.status_code, third.json()["code"]) == (409, "catalog.rule_version_open")
    unknown = await propose(client, key="p4", rule_id=str(new_id()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "catalog.rule_unknown")

    await confirm(client, rule_id, key="c2")
    assert [(rule.ceiling_fen_per_kg, rule.version) for rule in await binding(service_sessions)] == [(160, 2)]
    listed = (await client.get("/v1/price-rules", headers=headers("resident"))).json()["items"]
    assert [(one["rule_id"], one["version"], one["status"]) for one in listed] == [(rule_id, 2, "confirmed")]


async def test_a_margin_rule_keeps_its_rate_exactly(client, service_sessions) -> None:
    proposed = await propose(
        client, kind="margin_rate", reference_date="2022-03-10", default_rate="0.35", ceiling_fen_per_kg=None
    )
    await confirm(client, proposed.json()["rule_id"])
    [rule] = await binding(service_sessions)
    assert (rule.reference_date, rule.default_rate) == (date(2022, 3, 10), Fraction(35, 100))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "freeze"},
        {"ceiling_fen_per_kg": -1},
        {"ceiling_fen_per_kg": 2**40},
        {"default_rate": "0.35"},
        {"valid_to": "2022-02-28"},
        {"scope": {"city": "张家口"}},
    ],
)
async def test_a_rule_of_another_form_is_refused(client, wrong) -> None:
    refused = await propose(client, **wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "kit.invalid")
    assert (await client.get("/v1/price-rules", headers=headers("resident"))).json()["items"] == []


async def test_only_a_regulator_sets_rules(client) -> None:
    refused = await propose(client, roles=("commander", "outlet"))
    assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")
    rule_id = (await propose(client)).json()["rule_id"]
    unconfirmed = await confirm(client, rule_id, roles=("commander",))
    assert unconfirmed.status_code == 403


async def test_a_resident_sees_no_price_refusals(client) -> None:
    refused = await client.get("/v1/price-refusals", headers=headers("resident"))
    assert (refused.status_code, refused.json()["code"]) == (403, "kit.forbidden")
