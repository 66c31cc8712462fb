"""Personal data at rest: AES-256-GCM under a key for each scope; destroying the key destroys the data.

A scope is a person (the standing register) or an incident. Data keys lie in the table `vault_keys`, wrapped
by a master key from a file; a scope whose key is destroyed keeps its row, without the key.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

KEY_BYTES = 32
NONCE_BYTES = 12

STATEMENTS = (
    """
    CREATE TABLE vault_keys (
        scope_id uuid PRIMARY KEY,
        wrapped bytea,
        made_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        destroyed_at timestamptz,
        CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
    )
    """,
)

MAKE = text("""
    INSERT INTO vault_keys (scope_id, wrapped)
    SELECT * FROM unnest(CAST(:scope_ids AS uuid[]), CAST(:wrapped AS bytea[]))
    ON CONFLICT DO NOTHING
""")
FIND = text("""
    SELECT scope_id, wrapped FROM vault_keys
    WHERE scope_id = ANY(CAST(:scope_ids AS uuid[])) AND wrapped IS NOT NULL
""")
DESTROY = text("""
    UPDATE vault_keys SET wrapped = NULL, destroyed_at = transaction_timestamp()
    WHERE scope_id = :scope_id AND wrapped IS NOT NULL
    RETURNING scope_id
""")


class MasterKeyUnusable(Exception):
    """The master key is absent, of another length, or not the one that wrapped the keys of this database."""


class Destroyed(Exception):
    """The key of this scope was destroyed, and with it what it sealed."""

    def __init__(self, *, scope_id: UUID) -> None:
        super().__init__(str(scope_id))
        self.scope_id = scope_id


@dataclass(frozen=True, slots=True)
class Master:
    """The key that wraps all others; a key service can stand behind the same two functions."""

    _key: bytes = field(repr=False)

    @classmethod
    def of_file(cls, path: Path | None) -> "Master":
        """Read a master key: 32 bytes in base64; raise `MasterKeyUnusable` naming what is wrong."""
        if path is None or not path.exists():
            raise MasterKeyUnusable("BATON_MASTER_KEY names no file: personal data needs one to be sealed")
        try:
            key = b64decode(path.read_bytes().strip(), validate=True)
        except ValueError as error:
            raise MasterKeyUnusable(f"{path.name} is not base64") from error
        if len(key) != KEY_BYTES:
            raise MasterKeyUnusable(f"{path.name} holds {len(key)} bytes, not {KEY_BYTES}")
        return cls(key)

    def wrap(self, key: bytes) -> bytes:
        """Return a data key as it may lie in a table (RFC 3394)."""
        return aes_key_wrap(self._key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the data key; raise `MasterKeyUnusable` where another master wrapped it."""
        try:
            return aes_key_unwrap(self._key, wrapped)
        except InvalidUnwrap as error:
            raise MasterKeyUnusable("the vault's keys were wrapped by another master key") from error

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for another use of this key (HKDF, RFC 5869); they tell nothing of it."""
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(self._key)


@dataclass(frozen=True, slots=True)
class Keys:
    """The data keys of some scopes, for the length of one transaction."""

    _of_scope: Mapping[UUID, bytes] = field(repr=False)

    def seal(self, scope_id: UUID, content: Mapping[str, object]) -> bytes:
        """Return `content` sealed for its scope; raise `Destroyed` where the scope's key is gone."""
        nonce = token_bytes(NONCE_BYTES)
        plain = json.dumps(content, ensure_ascii=False).encode()
        return nonce + AESGCM(self._key(scope_id)).encrypt(nonce, plain, scope_id.bytes)

    def open(self, scope_id: UUID, sealed: bytes) -> dict[str, object]:
        """Return what was sealed; raise `Destroyed` where this scope's key does not open it any more."""
        key = AESGCM(self._key(scope_id))
        try:
            plain = key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], scope_id.bytes)
        # A ValueError is what is too short to have been sealed at all.
        except (InvalidTag, ValueError) as error:
            raise Destroyed(scope_id=scope_id) from error
        opened: dict[str, object] = json.loads(plain)
        return opened

    def _key(self, scope_id: UUID) -> bytes:
        try:
            return self._of_scope[scope_id]
        except KeyError:
            raise Destroyed(scope_id=scope_id) from None


async def keys_of(session: AsyncSession, master: Master, scope_ids: Iterable[UUID]) -> Keys:
    """Return the keys of those scopes that have one; a destroyed scope has none, and stays so."""
    found = await session.execute(FIND, {"scope_ids": sorted(set(scope_ids))})
    return Keys({row.scope_id: master.unwrap(row.wrapped) for row in found})


async def make_keys(session: AsyncSession, master: Master, scope_ids: Iterable[UUID]) -> Keys:
    """Return the keys of the scopes, made where a scope never had one."""
    wanted = sorted(set(scope_ids))
    fresh = [master.wrap(token_bytes(KEY_BYTES)) for _ in wanted]
    await session.execute(MAKE, {"scope_ids": wanted, "wrapped": fresh})
    return await keys_of(session, master, wanted)


async def destroy_key(session: AsyncSession, scope_id: UUID) -> bool:
    """Destroy a scope's key and say whether there was one; what it sealed can be read no more."""
    destroyed = await session.execute(DESTROY, {"scope_id": scope_id})
    return destroyed.one_or_none() is not None
