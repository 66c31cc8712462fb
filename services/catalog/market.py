"""The market's own day: every date of a rule, a licence or a delivery is one of it."""

from datetime import date, datetime, timedelta, timezone
from typing import Final

# The mainland keeps one time (国家标准时间, UTC+8); a rule's days are its authority's.
MARKET_TIME: Final = timezone(timedelta(hours=8))


def market_day(moment: datetime) -> date:
    """Return the day of a moment in the market's time."""
    return moment.astimezone(MARKET_TIME).date()
