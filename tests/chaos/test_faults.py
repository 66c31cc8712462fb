"""A trial is a function of its seed."""

from collections import Counter
from random import Random

from services.kit import crash_points
from tests.chaos import faults

KILLS = 300


def drawn(seed: int, *, bus: str = "kafka") -> list[faults.Fault]:
    return faults.draw(Random(seed), requests=21_000, kills=KILLS, bus=bus)


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_faults_are_as_many_as_were_asked_for_spread_over_the_load_and_in_order() -> None:
    found = drawn(1)
    assert Counter(fault.kind for fault in found) == {"kill": KILLS, "freeze": 60, "stop": 30, "wipe": 2}
    assert [fault.after for fault in found] == sorted(fault.after for fault in found)
    assert 0 < found[0].after < found[-1].after < 21_000


def test_every_process_is_killed_and_kafka_only_where_it_is_the_bus() -> None:
    assert {fault.target for fault in drawn(1) if fault.kind == "kill"} == set(faults.WEIGHTS)
    assert "Kafka" not in {fault.target for fault in drawn(1, bus="postgres")}


def test_what_is_armed_can_be_armed_and_between_many_seeds_every_point_is() -> None:
    points: set[str] = set()
    for seed in range(10):
        for fault in drawn(seed):
            crash_points.arm(fault.points)
            points |= {each.partition("=")[0] for each in fault.points.split(",") if each}
    crash_points.arm("")
    # A migration runs before there is a town: its own test kills it.
    assert points == set(crash_points.POINTS) - {"migration.applied"}
