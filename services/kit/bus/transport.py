"""What any bus can be asked, whatever carries it; one suite of tests holds every transport to this."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from services.kit.bus.records import Received, Record

# At most as long as the outbox, and much shorter than the inbox, keep the same events.
KEEPS_DAYS: Final = 7


class BusUnavailable(Exception):
    """The bus did not do in time what was asked, and what became of it is unknown.

    Leave the sender or receiver it happened to and open a fresh one: the old may have lost its place.
    """


class Sender(Protocol):
    """Sends until the first error, and is then of no more use."""

    async def send(self, records: Sequence[Record]) -> None:
        """Send in order, return when all are kept; or raise `BusUnavailable`, and some may have gone."""


class Receiver(Protocol):
    """One member of a group; each record reaches one member at least, those of a key in order."""

    async def fetch(self, *, within: float) -> list[Received]:
        """Return what follows the last fetch, some hundred at most; nothing if so long nothing came.

        Everything fetched before must be applied by now: here partitions may pass to another member.
        """

    async def commit(self) -> None:
        """Note that all fetched is applied; never raises: what was not noted comes again."""


class Bus(Protocol):
    """Topics of 12 partitions each; the key chooses the partition by the hash of Kafka's own client."""

    def sending(self) -> AbstractAsyncContextManager[Sender]:
        """Open a sender; on any error leave, and open a fresh one."""

    def receiving(self, *, group: str, topics: Sequence[str]) -> AbstractAsyncContextManager[Receiver]:
        """Join `group`, which gets each record of `topics`; a new group begins with the oldest there is."""

    async def make_topics(self, names: Sequence[str], *, within: float) -> None:
        """Make the topics that are missing, waiting so many seconds for a bus that is just starting."""
