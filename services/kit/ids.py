"""Identifiers: opaque to everyone, ordered by the time they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh UUIDv7 (RFC 9562); ids made later sort later, so new rows land at an index's end."""
    return uuid7()
