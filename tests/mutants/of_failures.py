"""Defects of what becomes of a failure: an event parked, a consumer ended, for what passes by itself (P4)."""

from tests.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        name="event-parked-for-a-lost-connection",
        promise="P4",
        file="services/kit/failures.py",
        old="isinstance(error, (*UNTRANSLATED, PoolTimeout))",
        new="isinstance(error, OSError | PoolTimeout)",
        tests=("tests/kit/test_failures.py::test_no_event_is_parked_for_it",),
    ),
    Mutant(
        name="consumer-ends-with-its-client",
        promise="P4",
        file="services/kit/loops.py",
        old="    return task is not None and task.cancelling() > 0",
        new="    return task is not None",
        tests=("tests/kit/test_bus_kafka_ended.py",),
    ),
    Mutant(
        name="frozen-taken-for-stuck",
        promise="P4",
        file="services/kit/consumer_loop.py",
        old="    while silent < LOOKS:\n        await asyncio.sleep(stuck_after / LOOKS)\n",
        new="    loop = asyncio.get_running_loop()\n"
        "    began = loop.time()\n"
        "    while silent < LOOKS and loop.time() < began + 10 * stuck_after:\n"
        "        await asyncio.sleep(stuck_after / LOOKS)\n",
        tests=("tests/kit/test_consumer_loop.py::test_who_was_frozen_is_not_stuck",),
    ),
)
