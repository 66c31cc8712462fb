"""Defects of who may touch the goods, and of what is told of them (P11, P12)."""

from tests.mutants.mutant import Mutant

RELAY = "tests/dispatch/test_relay.py"

MUTANTS = (
    Mutant(
        name="clearance-read-outside-the-transaction",
        promise="P11",
        file="services/dispatch/crew/queries.py",
        old='ORDER BY person_id FOR SHARE\n""")\nLOCK_FREE',
        new='ORDER BY person_id\n""")\nLOCK_FREE',
        tests=(
            "tests/dispatch/test_suspended_while_assigned.py::test_nobody_is_assigned_once_suspended_whichever_came_first",
        ),
    ),
    Mutant(
        name="breach-dropped",
        promise="P11",
        file="services/dispatch/relay/application.py",
        old="    await queries.open_breaches(session, facts.breaches, now)\n",
        new="",
        tests=(f"{RELAY}::test_an_uncleared_taker_is_recorded_as_a_breach_that_a_person_closes",),
    ),
    Mutant(
        name="suspension-overlooked",
        promise="P11",
        file="services/dispatch/crew/domain.py",
        old="    if clearance is None or clearance.is_suspended:",
        new="    if clearance is None:",
        tests=("tests/dispatch/test_crew.py::test_an_unknown_and_a_suspended_person_are_not_cleared",),
    ),
    Mutant(
        name="stale-copy-not-noticed",
        promise="P11",
        file="services/dispatch/crew/domain.py",
        old="now - min(beats.values()) > FRESH_FOR",
        new="now - max(beats.values()) > FRESH_FOR",
        tests=("tests/dispatch/test_crew.py::test_the_copy_is_as_fresh_as_its_oldest_partition",),
    ),
    Mutant(
        name="assigned-on-old-knowledge-and-not-marked",
        promise="P11",
        file="services/dispatch/trips/application.py",
        old="{trip_id: person_id}, is_degraded=await is_copy_stale(session, now))",
        new="{trip_id: person_id}, is_degraded=False)",
        tests=("tests/promises/test_p11_whitelist_not_heard.py",),
    ),
    Mutant(
        name="repeated-custody-counts-twice",
        promise="P12",
        file="services/dispatch/relay/application.py",
        old="    if before := facts.known.get(note.hand_over_id):",
        new="    if (before := facts.known.get(note.hand_over_id)) and not before.is_same_as(note):",
        tests=(f"{RELAY}::test_a_note_sent_again_changes_nothing",),
    ),
    Mutant(
        name="late-proof-overwrites",
        promise="P12",
        file="services/dispatch/relay/application.py",
        old='        return _refused(Fault(f"{pointer}/hand_over_id", "dispatch.hand_over_id_reused"))\n',
        new="",
        tests=(f"{RELAY}::test_an_id_used_for_another_hand_over_is_refused",),
    ),
    Mutant(
        name="last-told-touch-counts",
        promise="P12",
        file="services/dispatch/relay/domain.py",
        old="        touched_at=min([*touches, split_at]",
        new="        touched_at=max([*touches, split_at]",
        tests=("tests/dispatch/test_bulk_domain.py",),
    ),
)
