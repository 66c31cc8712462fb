"""Certificates of destruction: a statement of ids and counts, signed with Ed25519. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# What the master key is derived for; another word would be another signer.
PURPOSE = "orders.certificates"
# As the vault seals.
ALGORITHM = "AES-256-GCM"
# Why what remains of a household remains.
PSEUDONYM = "an id, a building and a head-count: orders and the counts of incidents refer to it"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The signed text, byte for byte, with the key that verifies it."""

    statement: str
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What was not destroyed: of what, how many rows, and why they are kept."""

    what: str
    rows: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """The one key that was destroyed, how many records were sealed under it, and what stays beside."""

    kind: str
    # Of the vault: the id that its key and everything sealed under it bear.
    scope_id: UUID
    sealed_records: Mapping[str, int]
    kept: Sequence[Kept]
    destroyed_at: datetime


def issue(seed: bytes, done: Destruction) -> Certificate:
    """Sign what was destroyed and, beside it, what was not; `seed` has 32 bytes."""
    said = {
        "kind": done.kind,
        "scope_id": str(done.scope_id),
        "destroyed_at": done.destroyed_at.isoformat(),
        "destroyed": {
            "key": {"scope_id": str(done.scope_id), "algorithm": ALGORITHM},
            "sealed_records": dict(done.sealed_records),
        },
        "kept": [asdict(kept) for kept in done.kept],
    }
    statement = json.dumps(said, sort_keys=True)
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    return Certificate(statement, signer.sign(statement.encode()), signer.public_key().public_bytes_raw())


def is_genuine(certificate: Certificate) -> bool:
    """Say whether the statement is what the holder of the key signed."""
    try:
        verifier = Ed25519PublicKey.from_public_bytes(certificate.public_key)
        verifier.verify(certificate.signature, certificate.statement.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
