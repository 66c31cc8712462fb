"""The keys a token may be signed with: public, asymmetric, each for one algorithm."""

import json
from collections.abc import Mapping
from typing import Any

ALGORITHMS = {"Ed25519": "EdDSA", "P-256": "ES256", "RSA": "RS256"}
PARTS = {"EdDSA": ("crv", "x"), "ES256": ("crv", "x", "y"), "RS256": ("n", "e")}
TYPES = {"EdDSA": "OKP", "ES256": "EC", "RS256": "RSA"}
RSA_DIGITS = 342  # 2048 bits in base64url


class KeyUnusable(Exception):
    """A key of the set must not stand at the gateway; the message says which and why."""


def pinned(key_set: Mapping[str, Any]) -> str:
    """Return the JWKS with every key bound to its algorithm; raise `KeyUnusable` for any other key.

    Only what verifies is taken over, so that a private part never gets into a file.
    """
    listed = [_pin(place, key) for place, key in enumerate(key_set.get("keys", []))]
    if not listed:
        raise KeyUnusable("the key set is empty: nobody could come in")
    return json.dumps({"keys": listed}, sort_keys=True)


def _pin(place: int, key: Mapping[str, Any]) -> dict[str, Any]:
    name = f"key {key.get('kid', place)!r}"
    algorithm = ALGORITHMS.get(key.get("crv", key.get("kty", "")))
    # A secret in the set would let whoever reads it sign: HS256 with it, or with a public key taken for one.
    if algorithm is None or key.get("kty") != TYPES[algorithm]:
        raise KeyUnusable(f"{name} is none of Ed25519, P-256 and RSA")
    if key.get("alg", algorithm) != algorithm:
        raise KeyUnusable(f"{name} is for {key['alg']}, and here such a key signs {algorithm}")
    if key.get("use", "sig") != "sig":
        raise KeyUnusable(f"{name} is not for signatures")
    if missing := [part for part in PARTS[algorithm] if part not in key]:
        raise KeyUnusable(f"{name} lacks {', '.join(missing)}")
    if algorithm == "RS256" and len(key["n"]) < RSA_DIGITS:
        raise KeyUnusable(f"{name} is shorter than 2048 bits")

    named = {"kid": key["kid"]} if "kid" in key else {}
    kept = {part: key[part] for part in PARTS[algorithm]}
    return {**kept, **named, "kty": TYPES[algorithm], "alg": algorithm, "use": "sig"}
