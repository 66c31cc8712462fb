"""Access tokens: OpenID Connect, asymmetric, checked again behind the gateway; a refusal has one body."""

import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jwt
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from services.kit import caller

log = structlog.get_logger()

ALGORITHMS = ("EdDSA", "ES256", "RS256")
LEEWAY_SECONDS = 60
REMEMBERED = 10_000
LONGEST_TOKEN = 8192


class TokenRefused(Exception):
    """A token that proves nothing; why is not told."""


class TokenReader:
    """Verifies tokens with the public keys of a JWKS file, remembering verified ones until they expire."""

    def __init__(self, keys: Path, *, issuer: str, audience: str) -> None:
        self._path = keys
        self._issuer = issuer
        self._audience = audience
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, jwt.PyJWK] = {}
        # A signature costs 140 µs, a digest 1 µs: what was verified is remembered by its digest.
        self._verified: dict[bytes, tuple[float, caller.Caller]] = {}

    def read(self, token: str) -> caller.Caller:
        """Return who calls; raise `TokenRefused` for anything but a valid token of our issuer."""
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused
        self._keep_keys_current()
        digest = sha256(token.encode(errors="replace")).digest()
        known = self._verified.get(digest)
        if known and known[0] > time.time():
            return known[1]
        claims = self._verify(token)
        found = _caller_of(claims)
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified[digest] = (float(claims["exp"]), found)
        return found

    def _verify(self, token: str) -> dict[str, Any]:
        try:
            key = self._find_key(str(jwt.get_unverified_header(token).get("kid")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                # Pinned to the key's own algorithm: no header can choose another.
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        # A header may be nested as deep, or count as high, as whoever forges it likes.
        except (jwt.PyJWTError, RecursionError, ValueError, OverflowError, TypeError) as error:
            raise TokenRefused from error
        return claims

    def _find_key(self, kid: str) -> jwt.PyJWK:
        key = self._keys.get(kid)
        if key is None or key.algorithm_name not in ALGORITHMS:
            raise TokenRefused
        return key

    def _keep_keys_current(self) -> None:
        """Read the keys again where the file is another; what a key that went has verified is forgotten."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return
            self._keys = _read_keys(json.loads(self._path.read_text())["keys"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if self._seen is None:
                raise
            # Half written, or away for a moment: the keys of before still hold.
            log.error("token_keys.unreadable", error=type(error).__name__)  # noqa: TRY400
            return
        self._verified.clear()
        self._seen = seen


def _read_keys(listed: list[dict[str, Any]]) -> dict[str, jwt.PyJWK]:
    keys = {}
    for key in listed:
        try:
            keys[str(key["kid"])] = jwt.PyJWK(key)
        except (KeyError, jwt.PyJWTError):
            # An issuer lists keys for other uses too.
            log.warning("token_key.passed_over", kid=str(key.get("kid")))
    return keys


def _caller_of(claims: dict[str, Any]) -> caller.Caller:
    try:
        return caller.Caller(
            subject=str(claims["sub"]),
            roles=frozenset(map(str, claims.get("roles", ()))),
            household_id=_id_of(claims.get("household_id")),
            outlet_id=_id_of(claims.get("outlet_id")),
            zone_ids=tuple(UUID(zone) for zone in claims.get("zone_ids", ())),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise TokenRefused from error


def _id_of(claim: str | None) -> UUID | None:
    return UUID(claim) if claim is not None else None


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="An access token of Baton's issuer")


async def _read_caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> caller.Caller:
    reader: TokenReader = request.app.state.tokens
    try:
        return reader.read(given.credentials if given else "")
    except TokenRefused as error:
        raise HTTPException(401, headers={"www-authenticate": "Bearer"}) from error


Caller = Annotated[caller.Caller, Depends(_read_caller)]
