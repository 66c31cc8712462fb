"""What the clock starts in catalog; every piece of work is a row with its moment, claimed once."""

from services.catalog.stock.holds import application as holds
from services.catalog.stock.offers import application as offers
from services.catalog.supply import application as supply
from services.kit.timers import Timer

TIMERS: tuple[Timer, ...] = (
    Timer("supplies_due", every=1.0, run=supply.look_after_due),
    Timer("offers_stale", every=1.0, run=offers.rejudge_stale),
    Timer("reservations_waiting", every=0.2, run=holds.decide_waiting),
    Timer("holds_overdue", every=5.0, run=holds.ask_about_overdue),
)
