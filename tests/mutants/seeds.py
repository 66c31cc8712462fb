"""All mutants, in the order of their promises."""

from tests.mutants import of_events, of_failures, of_people, of_writes

MUTANTS = sorted(
    (*of_writes.MUTANTS, *of_events.MUTANTS, *of_failures.MUTANTS, *of_people.MUTANTS),
    key=lambda mutant: int(mutant.promise[1:]),
)
