"""A service's application in the test's own process: real database, real tokens, no socket."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from services.kit.ids import new_id
from services.kit.settings import ServiceSettings

KEY_ID = "tests"
Settings = TypeVar("Settings", bound=ServiceSettings)


@cache
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_keys() -> dict[str, Any]:
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
    return {"keys": [{**jwk, "kid": KEY_ID, "alg": "EdDSA", "use": "sig"}]}


def make_token(*roles: str, subject: Any = None, **claims: Any) -> str:
    """A token as `baton token` makes it; ids may be given as they are."""
    wanted = {
        "iss": "baton",
        "aud": "baton",
        "sub": str(subject or new_id()),
        "exp": int(time.time()) + 3600,
        "roles": list(roles),
        **claims,
    }
    plain = json.loads(json.dumps(wanted, default=str))
    return jwt.encode(plain, signing_key(), algorithm="EdDSA", headers={"kid": KEY_ID})


def headers(*roles: str, key: str | None = None, subject: Any = None, **claims: Any) -> dict[str, str]:
    """Headers of a caller; with `key`, a request that has its effect once."""
    head = {"authorization": f"Bearer {make_token(*roles, subject=subject, **claims)}"}
    return {**head, "idempotency-key": key} if key else head


def make_settings(kind: type[Settings], folder: Path, database_url: str, **given: Any) -> Settings:
    wanted = {
        "database_url": database_url,
        "bus_url": "postgresql://nowhere",
        "token_keys": _written(folder / "keys.json", json.dumps(public_keys())),
        "master_key": _written(folder / "master.key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
    }
    return kind(**{**wanted, **given})


def _written(path: Path, content: str) -> Path:
    """Write once: services of the same folder may be reading it already."""
    if not path.exists():
        path.write_text(content)
    return path


@asynccontextmanager
async def client_of(
    create_app: Callable[[Any], FastAPI], settings: ServiceSettings
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application, its lifespan running."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client
