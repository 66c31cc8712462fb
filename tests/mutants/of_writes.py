"""Defects of what a request writes: lost, doubled, oversold, refused for want of a bus (P1, P2, P3, P9)."""

from tests.mutants.mutant import Mutant

IDEMPOTENCY = "tests/kit/test_idempotency.py"
DECIDE_ONCE = "tests/kit/test_decide_once.py"
P03 = "tests/promises/test_p03_no_oversell.py"
RACES = "tests/catalog/test_stock_races.py"

MUTANTS = (
    Mutant(
        name="commit-after-the-answer",
        promise="P1",
        file="services/kit/http/transactions.py",
        old='Session = Annotated[AsyncSession, Depends(transaction, scope="function")]',
        new="Session = Annotated[AsyncSession, Depends(transaction)]",
        tests=(f"{IDEMPOTENCY}::test_a_commit_that_fails_leaves_the_key_unused",),
    ),
    Mutant(
        name="batch-answered-before-its-commit",
        promise="P1",
        file="services/kit/group_commit.py",
        old='                    await crash_points.reach("request.committing")\n',
        new="                    for each, outcome in zip(batch, settled, strict=True):\n"
        "                        _settle(each.outcome, outcome)\n",
        tests=("tests/kit/test_group_commit.py::test_a_bad_request_fails_alone",),
    ),
    Mutant(
        name="asynchronous-commit",
        promise="P1",
        file="services/kit/database.py",
        old='"synchronous_commit": "on"',
        new='"synchronous_commit": "off"',
        tests=("tests/promises/test_p01_accepted_is_kept.py",),
    ),
    Mutant(
        name="select-then-insert-of-the-key",
        promise="P2",
        file="services/kit/http/idempotency.py",
        old='LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:identity, 0))")',
        new='LOCK = text("SELECT CAST(:identity AS text) IS NOT NULL")',
        tests=(f"{IDEMPOTENCY}::test_a_request_whose_twin_is_under_way_is_told_so_at_once",),
    ),
    Mutant(
        name="select-then-insert-of-a-batchs-keys",
        promise="P2",
        file="services/kit/database.py",
        old="SELECT pg_try_advisory_xact_lock(hashtextextended(name, 0))\n",
        new="SELECT true\n",
        tests=(f"{IDEMPOTENCY}::test_a_key_in_other_hands_holds_up_nobody_in_the_batch",),
    ),
    Mutant(
        name="key-without-principal",
        promise="P2",
        file="services/kit/http/idempotency.py",
        old="    WHERE principal = :principal AND route = :route AND key = :key",
        new="    WHERE (true OR principal = :principal) AND route = :route AND key = :key",
        tests=(f"{IDEMPOTENCY}::test_a_key_is_its_callers_own",),
    ),
    Mutant(
        name="twins-told-apart-without-principal",
        promise="P2",
        file="services/kit/http/idempotency.py",
        old="    principal: str\n",
        new="    principal: str = field(compare=False)\n",
        tests=(f"{DECIDE_ONCE}::test_the_same_key_of_another_principal_or_route_is_another_request",),
    ),
    Mutant(
        name="key-used-for-another-body",
        promise="P2",
        file="services/kit/http/idempotency.py",
        old="    if row.digest != identity.digest:",
        new="    if not row.digest:",
        tests=(f"{IDEMPOTENCY}::test_a_key_used_for_another_body_is_refused",),
    ),
    Mutant(
        name="refusal-kept",
        promise="P2",
        file="services/kit/http/idempotency.py",
        old="            return first if is_same else in_flight()",
        new="            return first if is_same else other_body()",
        tests=(f"{DECIDE_ONCE}::test_a_refusal_keeps_nothing_and_its_twin_shares_it",),
    ),
    Mutant(
        name="read-then-write-of-stock",
        promise="P3",
        file="services/catalog/stock/holds/shelves.py",
        old="ORDER BY offer_id FOR NO KEY UPDATE",
        new="ORDER BY offer_id",
        tests=(f"{P03}::test_baskets_of_many_zones_on_the_same_shelves_sell_exactly_what_there_is",),
    ),
    Mutant(
        name="promise-unguarded",
        promise="P3",
        file="services/catalog/stock/holds/shelves.py",
        old=" AND stock.on_hand - stock.reserved >= row.units",
        new="",
        tests=(f"{RACES}::test_no_promise_is_written_that_the_shelf_does_not_hold",),
    ),
    Mutant(
        name="taken-back-and-never-given-back",
        promise="P3",
        file="services/catalog/stock/holds/shelves.py",
        old="        await session.execute(GIVE_BACK, _units(units))\n",
        new="",
        tests=("tests/promises/test_p03_killed_in_a_sale.py",),
    ),
    Mutant(
        name="unsorted-locks",
        promise="P3",
        file="services/catalog/stock/holds/shelves.py",
        old="ORDER BY offer_id FOR NO KEY UPDATE",
        new="ORDER BY random() FOR NO KEY UPDATE",
        tests=(f"{P03}::test_shelves_are_locked_in_key_order_so_that_nobody_waits_in_a_ring",),
    ),
    Mutant(
        name="decision-not-put-off-while-the-bus-is-away",
        promise="P9",
        file="services/orders/intake/deciding.py",
        old="    is_away = await is_stalled(session, policy)\n    overdue",
        new="    is_away = False\n    overdue",
        tests=(
            "tests/orders/test_intake_decisions.py::test_while_our_own_words_cannot_leave_the_decision_is_put_off_and_the_order_shows_it",
        ),
    ),
)
