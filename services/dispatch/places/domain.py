"""By which class of a zone something is judged that happened there. Pure."""

from datetime import datetime
from typing import Any

from services.contracts.values import ZoneClass


def class_at(zone: Any, at: datetime) -> ZoneClass:
    """Return the class of a zone at a moment, however late it is asked for; an unknown one is the strictest.

    `zone` has its class, the former one, and since when the one that its closing stated is in force.
    """
    is_former = zone.class_since is not None and at < zone.class_since
    return ZoneClass((zone.former_class if is_former else zone.zone_class) or ZoneClass.SEALED)
