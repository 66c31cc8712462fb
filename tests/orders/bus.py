"""What others say, delivered as the worker delivers it."""

from datetime import UTC, datetime

from services.kit import consumer
from services.kit.bus.records import Received
from services.kit.database import Sessions
from services.kit.event import Event
from services.kit.ids import new_id
from services.orders.consumers import HANDLERS


def received(event: Event, sequence: int = 1) -> Received:
    return Received(
        topic=event.topic,
        key=event.key,
        value=event.model_dump_json().encode(),
        event_id=new_id(),
        name=event.name,
        sequence=sequence,
        recorded_at=datetime.now(UTC),
        correlation_id="test",
    )


async def deliver(sessions: Sessions, *said: tuple[Event, int]) -> None:
    """Deliver events, each with its sequence, in one batch."""
    batch = [received(event, sequence) for event, sequence in said]
    await consumer.deliver(sessions, batch, consumer="orders", handlers=HANDLERS)
