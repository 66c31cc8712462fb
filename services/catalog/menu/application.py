"""What can be asked of menus: each is read once in a while for all who look, never once for each."""

import asyncio
import time
from collections import defaultdict
from uuid import UUID

from services.catalog.menu import domain, queries
from services.catalog.menu.domain import Menu
from services.catalog.zones import queries as zones
from services.kit.database import Sessions
from services.kit.errors import NotFound


class MenuBoard:
    """The menus of one process; a menu is as old as `seconds` at most, and a look at it costs no query."""

    def __init__(self, sessions: Sessions, *, seconds: float) -> None:
        self._sessions = sessions
        self._seconds = seconds
        self._hung: dict[UUID, tuple[float, Menu]] = {}
        self._printing: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, zone_id: UUID) -> Menu:
        """Return a zone's menu; raise `NotFound` for a zone that catalog has not heard of."""
        if menu := self._find_fresh(zone_id):
            return menu
        # Those who come while it is printed wait for that one print.
        async with self._printing[zone_id]:
            if menu := self._find_fresh(zone_id):
                return menu
            menu = await self._print(zone_id)
            self._hung[zone_id] = (time.monotonic() + self._seconds, menu)
            return menu

    def _find_fresh(self, zone_id: UUID) -> Menu | None:
        until, menu = self._hung.get(zone_id, (0.0, None))
        return menu if time.monotonic() < until else None

    async def _print(self, zone_id: UUID) -> Menu:
        async with self._sessions() as session:
            lines = await queries.list_lines(session, zone_id)
            if not lines and await zones.find_zone(session, zone_id) is None:
                self._printing.pop(zone_id, None)
                raise NotFound("catalog.zone_unknown", "There is no such zone")
        return domain.print_menu(zone_id, lines)
