"""Certificates of destruction: a statement of ids and counts, signed with Ed25519. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# What the master key is derived for; another word would be another signer.
PURPOSE = "orders.certificates"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The signed text, byte for byte, with the key that verifies it."""

    statement: str
    signature: bytes
    public_key: bytes


def issue(
    seed: bytes, *, kind: str, scope_id: UUID, counts: Mapping[str, int], destroyed_at: datetime
) -> Certificate:
    """Sign that the key of a scope was destroyed, and how much can be read no more; `seed` has 32 bytes."""
    said = {
        "kind": kind,
        "scope_id": str(scope_id),
        "destroyed_at": destroyed_at.isoformat(),
        "counts": dict(counts),
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
