"""Following trips: what each has come to, for those who watch it live."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.trips.domain import TripStatus
from services.kit.http.streams import Rhythm, Streams
from services.kit.http.watching import Watch

# A load that is further has been everywhere before. One question for all trips that are followed.
LIST_MOVED = text("""
    SELECT trips.*, carried.*, made.*, here.position
    FROM unnest(CAST(:trip_ids AS uuid[]), CAST(:positions AS text[])) AS known (trip_id, position)
    JOIN trips USING (trip_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS loads, count(coalesce(picked_up_at, at_gate_at, delivered_at)) AS picked_up,
               count(coalesce(at_gate_at, delivered_at)) AS at_gate, count(delivered_at) AS delivered
        FROM trip_loads JOIN loads USING (load_id)
        WHERE trip_loads.trip_id = trips.trip_id AND is_held AND withdrawn_at IS NULL
    ) AS carried
    CROSS JOIN LATERAL (
        SELECT count(*) AS stops, count(*) FILTER (WHERE is_done) AS stops_done FROM (
            SELECT bool_and(coalesce(at_gate_at, delivered_at,
                                     CASE kind WHEN 'pick_up' THEN picked_up_at END) IS NOT NULL) AS is_done
            FROM trip_stops CROSS JOIN LATERAL unnest(load_ids) AS stop (load_id)
            JOIN trip_loads USING (trip_id, load_id) JOIN loads USING (load_id)
            WHERE trip_stops.trip_id = trips.trip_id AND is_held AND withdrawn_at IS NULL
            GROUP BY trip_stops.position
        ) AS visited
    ) AS made
    CROSS JOIN LATERAL (SELECT md5(concat_ws(
        ' ', status, code, driver_id, is_degraded, departed_at, loads, picked_up, at_gate, delivered, stops,
        stops_done
    ))) AS here (position)
    WHERE here.position IS DISTINCT FROM known.position
""")
RHYTHM: Final = Rhythm(within=1.0)


class LoadsView(BaseModel):
    """How many loads a trip holds, and how many of them have come how far."""

    total: int
    picked_up: int
    at_gate: int
    delivered: int


class StopsView(BaseModel):
    """How many stops a trip makes for the loads it holds, and at how many all is done."""

    total: int
    done: int


class TripEventView(BaseModel):
    """A trip as it stands when something has changed."""

    trip_id: UUID
    status: TripStatus
    code: str | None
    driver_id: UUID | None
    is_degraded: bool
    departed_at: datetime | None
    loads: LoadsView
    stops: StopsView


AN_EVENT: Final[Mapping[str, Any]] = {
    "trip_id": "01930000-0000-7000-8000-000000000001",
    "status": "departed",
    "code": None,
    "driver_id": "01930000-0000-7000-8000-000000000002",
    "is_degraded": False,
    "departed_at": "2022-11-20T06:00:00Z",
    "loads": {"total": 12, "picked_up": 12, "at_gate": 5, "delivered": 0},
    "stops": {"total": 4, "done": 3},
}


@dataclass(frozen=True, slots=True)
class TripSeen:
    """A trip as it stands, with what it has done."""

    row: Row[Any]

    @property
    def position(self) -> str:
        """Name the state."""
        return str(self.row.position)

    @property
    def is_final(self) -> bool:
        """Say whether nothing more comes of the trip."""
        match TripStatus(self.row.status):
            case TripStatus.UNCOMMITTED | TripStatus.RELEASED:
                return True
            case TripStatus.DEPARTED | TripStatus.STRANDED:
                return bool(self.row.delivered == self.row.loads)
            case _:
                return False

    def body(self) -> str:
        """Return the state as JSON."""
        row = self.row
        same = {
            name: getattr(row, name) for name in TripEventView.model_fields if name not in {"loads", "stops"}
        }
        loads = LoadsView(
            total=row.loads, picked_up=row.picked_up, at_gate=row.at_gate, delivered=row.delivered
        )
        stops = StopsView(total=row.stops, done=row.stops_done)
        return TripEventView(**same, loads=loads, stops=stops).model_dump_json()


async def look(session: AsyncSession, known: Mapping[UUID, str | None]) -> Mapping[UUID, TripSeen]:
    """Return those trips that are not where they are known to be."""
    asked = {"trip_ids": list(known), "positions": list(known.values())}
    return {row.trip_id: TripSeen(row) for row in await session.execute(LIST_MOVED, asked)}


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Let trips be followed, for as long as the context lasts."""
    watch: Watch[TripSeen] = Watch(app.state.sessions, look)
    streams = Streams(app, watch, event="trip", most=app.state.settings.event_streams, rhythm=RHYTHM)
    app.state.trip_streams = streams
    async with watch.running(), streams.running():
        yield
