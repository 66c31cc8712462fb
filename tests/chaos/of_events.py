"""I5, I6, I10: what was written has left, has come, in order, and says of nobody who he is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from services.kit.bus.records import Received
from tests.chaos.books import Books

SERVICES = ("catalog", "orders", "dispatch", "whitelist")
# As each service's worker says; a test holds the two together.
READS: Mapping[str, tuple[str, ...]] = {
    "catalog": ("orders", "dispatch"),
    "orders": ("catalog", "dispatch", "whitelist"),
    "dispatch": ("orders", "catalog", "whitelist"),
}
OUTBOX = "SELECT event_id, topic, key, version FROM outbox_event ORDER BY topic, key, version, event_id"
INBOX = "SELECT event_id FROM inbox WHERE consumer = $1"
# What was written this very moment is on its way.
PENDING = """
    SELECT id, event.key, event.type FROM outbox_pending JOIN outbox_event AS event USING (day, id)
    WHERE event.recorded_at < now() - interval '5 seconds'
"""
PARKED = "SELECT topic, key, type, error FROM parked"

Written = Mapping[str, Sequence[tuple[UUID, str, str, int]]]


async def read_outboxes(books: Books) -> Written:
    """Return, for each service, what it has written so far: id, topic, key and version of each event."""
    return {service: [tuple(row) for row in await books.rows(service, OUTBOX)] for service in SERVICES}  # type: ignore[return-value] # the columns of the question


async def find_unsent_or_unread(
    books: Books, written: Written, records: Sequence[Received], *, parked: int = 0
) -> list[str]:
    """I5: outbox ids = topic ids = inbox ids for each group; pending 0; parked = the poison injected.

    `written` was read before the bus, what is read here after it: what is new meanwhile is nobody's fault.
    """
    now = await read_outboxes(books)
    found: list[str] = []
    on_topic: defaultdict[str, set[UUID]] = defaultdict(set)
    for record in records:
        on_topic[record.topic].add(record.event_id)
    for service in SERVICES:
        before, after = ({event[0] for event in these[service]} for these in (written, now))
        found += _name("never on the bus", service, before - on_topic[service])
        found += _name("on the bus and in no outbox", service, on_topic[service] - after)
        found += [f"pending in {service}: {dict(row)}" for row in await books.rows(service, PENDING)]
    for service, topics in READS.items():
        marked = {row["event_id"] for row in await books.rows(service, INBOX, service)}
        wanted = {event[0] for topic in topics for event in written[topic]}
        known = {event[0] for topic in topics for event in now[topic]}
        found += _name("never applied by", service, wanted - marked)
        found += _name("applied and in no outbox, by", service, marked - known)
    rows = [(service, row) for service in SERVICES for row in await books.rows(service, PARKED)]
    if len(rows) != parked:
        found += [f"parked by {service}: {dict(row)}" for service, row in rows]
    return found


def find_out_of_order(written: Written, records: Iterable[Received]) -> list[str]:
    """I6: per key, versions 1, 2, 3… without gap or step back; on the bus a copy may come again, later."""
    found: list[str] = []
    of_key: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for events in written.values():
        for _, topic, key, version in events:
            of_key[topic, key].append(version)
    for key, versions in of_key.items():
        if versions != list(range(1, len(versions) + 1)):
            found.append(f"written: {key} has {versions[:20]}")
    reached: defaultdict[tuple[str, str], int] = defaultdict(int)
    for record in records:
        place = (record.topic, record.key)
        if record.sequence > reached[place] + 1:
            found.append(f"on the bus: {place} goes from {reached[place]} to {record.sequence}")
        reached[place] = max(reached[place], record.sequence)
    return found


def find_canaries(canaries: Iterable[str], records: Iterable[Received], logs: Path | None) -> list[str]:
    """I10: what is told of a person in confidence is in no event and in no log."""
    words = [canary.encode() for canary in canaries]
    texts = [(f"event {record.name} of {record.key}", record.value) for record in records]
    if logs:
        texts += [(f"log {path.name}", path.read_bytes()) for path in sorted(logs.glob("*.log"))]
    return [
        f"{word.decode()} in {place}"
        for place, text in texts
        if b"199" in text
        for word in words
        if word in text
    ]


def _name(words: str, service: str, ids: Iterable[UUID]) -> list[str]:
    return [f"{words} {service}: {event_id}" for event_id in sorted(ids)]
