"""Who was reached. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class CheckInOutcome(StrEnum):
    """What a steward or the hotline found when they asked."""

    SERVED_ELSEWHERE = "served_elsewhere"
    NOTHING_NEEDED = "nothing_needed"
    NEEDS_HELP = "needs_help"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Reach:
    """Of the households of an incident: how many were served, how many were asked, who was neither.

    Asked means that somebody answered: behind a door that stays shut nobody was reached.
    """

    households: int
    served: int
    asked: int
    unreached: tuple[UUID, ...]


def find_reach(households: Iterable[UUID], *, served: Iterable[UUID], asked: Iterable[UUID]) -> Reach:
    """Judge every household that lives in the incident's zones; who moved away since is counted no more."""
    living = frozenset(households)
    reached_by_goods, reached_by_word = living.intersection(served), living.intersection(asked)
    unreached = tuple(sorted(living - reached_by_goods - reached_by_word))
    return Reach(len(living), len(reached_by_goods), len(reached_by_word), unreached)


def count_orders(by_status: Mapping[str, int]) -> Mapping[str, int]:
    """Return the report's counts: every accepted order is placed, a fulfilled or lost one was confirmed."""
    fulfilled, lost = by_status.get("fulfilled", 0), by_status.get("lost", 0)
    return {
        "placed": sum(by_status.values()),
        "undecided": by_status.get("placed", 0),
        "confirmed": by_status.get("confirmed", 0) + fulfilled + lost,
        "refused": by_status.get("refused", 0),
        "cancelled": by_status.get("cancelled", 0),
        "fulfilled": fulfilled,
        "lost": lost,
    }
