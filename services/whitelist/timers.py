"""What the clock starts in whitelist; every piece of work is a row with its moment, claimed once."""

from typing import Final

from services.kit.retention import Retention, forgetting
from services.kit.timers import Timer
from services.whitelist.checks import queries as checks
from services.whitelist.clearance import application as clearance
from services.whitelist.clearance import heartbeat

FORGOTTEN: Final[tuple[Retention, ...]] = (checks.SUPERSEDED,)
TIMERS: Final = (
    # A suspension reaches dispatch within 5 s; this is the part of it that is ours to choose.
    Timer("judge_due", 0.2, clearance.judge_due),
    Timer("judge_lapsed", 1.0, clearance.judge_lapsed),
    # Looked at each second, beaten every 15: of several workers any may be the one who does it.
    Timer("heartbeat", 1.0, heartbeat.beat),
    *map(forgetting, FORGOTTEN),
)
