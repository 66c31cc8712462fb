"""Numbered shares of some work, divided among the connections that ask for it by session advisory locks.

The lock of a share lives on the connection that does its work: who loses the connection has lost the share,
and can do nothing more with it.
"""

import asyncpg

# A number no share has: every member holds it together with the others, and so can be counted.
MEMBERS = 1_000_000

TAKE = "SELECT pg_try_advisory_lock($1, $2)"
RELEASE = "SELECT pg_advisory_unlock($1, $2)"
JOIN = "SELECT pg_advisory_lock_shared($1, $2)"
# Lists all members, oldest process number first; objsubid 2 marks locks with a key of two numbers.
LIST = """
    SELECT pid = pg_backend_pid() FROM pg_locks
    WHERE locktype = 'advisory' AND classid = $1::int::oid AND objid = $2::int::oid AND objsubid = 2
      AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY pid
"""


async def take(connection: asyncpg.Connection, space: int, share: int) -> bool:
    """Try to own a share until `connection` ends; `space` is the kind of work."""
    return bool(await connection.fetchval(TAKE, space, share))


class Shares:
    """One member's part of `count` shares; all members' parts differ by one at most once all have settled."""

    def __init__(self, connection: asyncpg.Connection, *, space: int, count: int) -> None:
        self._connection = connection
        self._space = space
        self._count = count
        self._joined = False
        self.owned: set[int] = set()

    async def settle(self) -> None:
        """Give up what is above this member's part, take what is free below it; to be called every second.

        Must be called between two pieces of work: a share that is given up has a new owner at once.
        """
        if not self._joined:
            await self._connection.execute(JOIN, self._space, MEMBERS)
            self._joined = True
        part = await self._part()
        for share in sorted(self.owned)[part:]:
            self.owned.remove(share)
            await self._connection.execute(RELEASE, self._space, share)
        for share in range(self._count):
            if len(self.owned) >= part:
                return
            if share not in self.owned and await take(self._connection, self._space, share):
                self.owned.add(share)

    async def _part(self) -> int:
        members = [mine for (mine,) in await self._connection.fetch(LIST, self._space, MEMBERS)]
        each, more = divmod(self._count, len(members))
        return each + (members.index(True) < more)
