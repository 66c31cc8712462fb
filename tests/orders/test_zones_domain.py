from datetime import UTC, datetime, timedelta

import pytest

from services.kit.ids import new_id
from services.orders.zones import domain
from services.orders.zones.domain import Duty

NOW = datetime(2022, 4, 5, 8, tzinfo=UTC)
HOUSE, SLOT = new_id(), new_id()


def judge(**given):
    met = {
        "is_supplied": True, "slot_ids": [SLOT], "stated_slot_ids": [SLOT], "unattended": [], "bare": [],
    }  # fmt: skip
    return domain.judge_readiness(**(met | given))


def test_the_channels_open_when_nothing_is_awaited() -> None:
    assert judge().is_ready


@pytest.mark.parametrize("lack", [{"is_supplied": False}, {"stated_slot_ids": []}, {"unattended": [HOUSE]}])
def test_each_condition_alone_keeps_the_channels_closed(lack) -> None:
    assert not judge(**lack).is_ready


def test_a_building_listed_as_bare_is_not_waited_for_and_another_is() -> None:
    other = new_id()
    readiness = judge(unattended=[HOUSE, other], bare=[HOUSE])
    assert readiness.awaits_steward == {other}


@pytest.mark.parametrize(("starts", "ends", "unattended"), [(0, 1, 0), (-1, 0, 1), (1, 2, 1), (-1, 1, 0)])
def test_a_duty_counts_from_its_start_until_its_end(starts, ends, unattended) -> None:
    duty = Duty(
        building_ids=frozenset([HOUSE]),
        starts_at=NOW + timedelta(hours=starts),
        ends_at=NOW + timedelta(hours=ends),
    )
    assert len(domain.find_unattended([HOUSE], [duty], now=NOW)) == unattended


def test_seconds_to_open_count_from_the_call() -> None:
    assert domain.seconds_to_open(activated_at=NOW, opened_at=NOW + timedelta(minutes=15)) == 900.0
