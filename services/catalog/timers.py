"""What the clock starts in catalog; every piece of work is a row with its moment, claimed once."""

from services.catalog.supply import application as supply
from services.kit.timers import Timer

TIMERS: tuple[Timer, ...] = (Timer("supplies_due", every=1.0, run=supply.look_after_due),)
