"""An event on the wire: CloudEvents 1.0, Kafka binary mode; the same headers on every transport."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.kit.event import Arrived, Event

log = structlog.get_logger()
UNREADABLE = Counter("bus_records_unreadable_total", "Records that are no CloudEvent of ours", ["topic"])

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What is sent: attributes in the headers, the event's JSON as the value.

    The partition is that of the key, where it was reckoned already.
    """

    topic: str
    key: str
    value: bytes
    headers: Headers
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What has come; the sequence counts 1, 2, 3… within the record's topic and key."""

    topic: str
    key: str
    value: bytes
    event_id: UUID
    name: str
    sequence: int
    recorded_at: datetime
    correlation_id: str

    @property
    def event_day(self) -> date:
        """Return the producer's day, by which the inbox is partitioned."""
        return self.recorded_at.astimezone(UTC).date()

    def as_arrived(self, kind: type[Event]) -> Arrived[Event]:
        """Read the value as an event of `kind`; a value of another form is a `ValidationError`."""
        return Arrived(
            event=kind.model_validate_json(self.value),
            sequence=self.sequence,
            event_id=self.event_id,
            recorded_at=self.recorded_at,
            correlation_id=self.correlation_id,
        )


def make_headers(
    *, event_id: UUID, name: str, sequence: int, recorded_at: datetime, correlation_id: str
) -> Headers:
    """Write the CloudEvents attributes; `sequence` is the specification's own extension."""
    version, kind, source, form = _headers_of(name)
    return (
        version,
        ("ce_id", str(event_id).encode()),
        kind,
        source,
        ("ce_time", recorded_at.isoformat().encode()),
        ("ce_sequence", str(sequence).encode()),
        ("ce_correlationid", correlation_id.encode()),
        form,
    )


@cache
def _headers_of(name: str) -> Headers:
    # There are as many names as there are kinds of events: a few dozen.
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", name.encode()),
        ("ce_source", f"/baton/{name.partition('.')[0]}".encode()),
        ("content-type", b"application/json"),
    )


def read_record(record: Record) -> Received:
    """Read a record's attributes; raise `KeyError` or `ValueError` where it is no CloudEvent of ours."""
    found = {attribute: value.decode() for attribute, value in record.headers}
    return Received(
        topic=record.topic,
        key=record.key,
        value=record.value,
        event_id=UUID(found["ce_id"]),
        name=found["ce_type"],
        sequence=int(found["ce_sequence"]),
        recorded_at=datetime.fromisoformat(found["ce_time"]),
        correlation_id=found["ce_correlationid"],
    )


def read_or_skip(record: Record) -> Received | None:
    """Read a record, or say loudly that it is none of ours: without an id it cannot even be parked."""
    try:
        return read_record(record)
    except (KeyError, ValueError) as error:
        UNREADABLE.labels(record.topic).inc()
        log.error("record.skipped", topic=record.topic, error=type(error).__name__)  # noqa: TRY400
        return None
