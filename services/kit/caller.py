"""Who calls, as a verified token says it."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The claims of an access token; what they allow is asked of `contracts.access.may`.

    The subject of a person on the whitelist is the person's id.
    """

    subject: str
    roles: frozenset[str]
    household_id: UUID | None = None
    outlet_id: UUID | None = None
    zone_ids: tuple[UUID, ...] = ()

    @property
    def person_id(self) -> UUID | None:
        """Return the id of the person on the whitelist who calls, None for anyone else."""
        try:
            return UUID(self.subject)
        except ValueError:
            return None
