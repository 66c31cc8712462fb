"""Defects of what moves events: lost, doubled, overtaken (P4, P5)."""

from tests.mutants.mutant import Mutant

CONSUMER = "tests/kit/test_consumer.py"

MUTANTS = (
    Mutant(
        name="inbox-mark-in-its-own-transaction",
        promise="P4",
        file="services/kit/consumer.py",
        old='        await crash_points.reach("inbox.marked")\n',
        new="    async with sessions.begin() as session:\n",
        tests=(f"{CONSUMER}::test_a_handler_that_fails_leaves_neither_marks_nor_effects",),
    ),
    Mutant(
        name="inbox-check-then-act",
        promise="P4",
        file="services/kit/inbox.py",
        old="""    INSERT INTO inbox (consumer, event_day, event_id)
    SELECT :consumer, day, id FROM unnest((:days)::text::date[], (:ids)::text::uuid[]) AS row (day, id)
    ORDER BY day, id
    ON CONFLICT DO NOTHING
    RETURNING event_id
""",
        new="""    WITH fresh AS (
        SELECT day, id FROM unnest((:days)::text::date[], (:ids)::text::uuid[]) AS row (day, id)
        WHERE NOT EXISTS (SELECT FROM inbox WHERE (consumer, event_id) = (:consumer, id))
    ), marked AS (
        INSERT INTO inbox (consumer, event_day, event_id) SELECT :consumer, day, id FROM fresh
        ON CONFLICT DO NOTHING
    )
    SELECT id FROM fresh
""",
        tests=(f"{CONSUMER}::test_two_consumers_of_one_group_at_once_apply_each_event_once",),
    ),
    Mutant(
        name="relay-deletes-before-the-acknowledgement",
        promise="P4",
        file="services/kit/relay.py",
        old='    await crash_points.reach("relay.selected")\n',
        new="""
    await connection.execute(DELETE, *[arrays.literal([row[one] for row in rows]) for one in ("shard", "id")])
""",
        tests=("tests/kit/test_relay.py::test_a_batch_that_was_half_sent_is_sent_again_whole",),
    ),
    Mutant(
        name="relay-keeps-its-sender-after-an-error",
        promise="P4",
        file="services/kit/relay_loop.py",
        old="""async with _connected(database_url, frozen_after) as connection, bus.sending() as sender:
                await _relay(connection, sender, pause)
""",
        new="""async with bus.sending() as sender:
                while True:
                    try:
                        async with _connected(database_url, frozen_after) as connection:
                            await _relay(connection, sender, pause)
                    except (BusUnavailable, *failures.LOST_CONNECTION):
                        await asyncio.sleep(pause.next())
""",
        tests=(
            "tests/kit/test_relay_loop.py::test_a_relay_outlives_the_failure_of_its_sender_with_a_fresh_one",
        ),
    ),
    Mutant(
        name="relay-without-the-shards-lock",
        promise="P4",
        file="services/kit/shares.py",
        old="    return bool(await connection.fetchval(TAKE, space, share))",
        new="    return bool(share + 1)",
        tests=("tests/kit/test_relay.py::test_a_shard_has_one_owner_until_its_connection_ends",),
    ),
    Mutant(
        name="relay-reads-in-no-order",
        promise="P4",
        file="services/kit/relay.py",
        old="    ORDER BY mine.shard, p.id\n",
        new="    ORDER BY e.event_id DESC\n",
        tests=("tests/kit/test_relay.py::test_a_shard_is_sent_in_order_in_bounded_batches",),
    ),
    Mutant(
        name="offsets-committed-before-the-database",
        promise="P4",
        file="services/kit/consumer_loop.py",
        old="""                        await _apply(sessions, batch, subscription, progress)
                        await to_its_end(receiver.commit())
""",
        new="""                        await to_its_end(receiver.commit())
                        await _apply(sessions, batch, subscription, progress)
""",
        tests=("tests/kit/test_consumer_loop.py::test_nothing_is_committed_before_it_is_applied",),
    ),
    Mutant(
        name="version-guard-removed",
        promise="P4",
        file="services/dispatch/crew/queries.py",
        old="    WHERE crew.sequence < excluded.sequence\n",
        new="",
        tests=("tests/dispatch/test_crew.py::test_the_newest_word_on_a_person_stands_whichever_came_last",),
    ),
    Mutant(
        name="parked-key-overtaken",
        promise="P4",
        file="services/kit/consumer.py",
        old="await parking.find_parked_keys(session, fresh, consumer=consumer) if fresh else set()",
        new="set()",
        tests=(
            "tests/kit/test_parking.py::test_a_bad_event_is_parked_with_its_followers_and_holds_up_nobody_else",
        ),
    ),
    Mutant(
        name="replay-skips-what-was-acknowledged",
        promise="P5",
        file="services/kit/replay.py",
        old="    WHERE day >= :since AND (day, id) > (:day, :id) ORDER BY",
        new="    JOIN outbox_pending USING (day, id)\n"
        "    WHERE day >= :since AND (day, id) > (:day, :id) ORDER BY",
        tests=("tests/kit/test_replay.py::test_everything_of_the_days_leaves_once_more_in_the_order_it_had",),
    ),
)
