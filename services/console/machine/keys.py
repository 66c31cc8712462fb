"""The keys of a machine: made once, readable by its owner alone; and the development tokens they sign."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from services.contracts.access import Role
from services.kit.ids import new_id

ISSUER = "baton"
AUDIENCE = "baton"
TOKEN_SECONDS = 7 * 24 * 3600


class KeysUnusable(Exception):
    """A key of the folder is absent or not what it should be."""


def make(folder: Path) -> None:
    """Make the signing key, its public key set and the master key where they are not there yet."""
    signing = folder / "signing.pem"
    if not signing.exists():
        key = Ed25519PrivateKey.generate()
        _write_once(signing, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write_public(folder)
    if not (folder / "master.key").exists():
        _write_once(folder / "master.key", b64encode(token_bytes(32)))


def public_set(folder: Path) -> dict[str, Any]:
    """Return the JWKS by which the gateway and the services check tokens."""
    found: dict[str, Any] = json.loads((folder / "jwks.json").read_text())
    return found


def issue(  # noqa: PLR0913 - the claims a token may carry
    folder: Path,
    *,
    roles: Sequence[Role],
    subject: UUID | None = None,
    household_id: UUID | None = None,
    outlet_id: UUID | None = None,
    zone_ids: Sequence[UUID] = (),
    seconds: int = TOKEN_SECONDS,
) -> str:
    """Return a development token of the same form as production's; raise `KeysUnusable` without a key."""
    key = _signing_key(folder)
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(subject or new_id()),
        "iat": now,
        "exp": now + seconds,
        "roles": [role.value for role in roles],
        "zone_ids": [str(zone_id) for zone_id in zone_ids],
    }
    claims |= {"household_id": str(household_id)} if household_id else {}
    claims |= {"outlet_id": str(outlet_id)} if outlet_id else {}
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": _name_of(key)})


def _signing_key(folder: Path) -> Ed25519PrivateKey:
    path = folder / "signing.pem"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise KeysUnusable(f"{path} holds no signing key: start `make run` once, it makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysUnusable(f"{path} is no Ed25519 key")
    return key


def _write_public(folder: Path) -> None:
    key = _signing_key(folder)
    jwk: dict[str, Any] = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    listed = {"keys": [{**jwk, "kid": _name_of(key), "alg": "EdDSA", "use": "sig"}]}
    (folder / "jwks.json").write_text(json.dumps(listed))


def _name_of(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()[:16]


def _write_once(path: Path, content: bytes) -> None:
    # Whole or not at all: a key that a kill cut short would lock everything out.
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.rename(path)
