"""What every process of a service is told by its environment; nothing is read before this is built."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Variables with the prefix `BATON_`; a service adds its own knobs in its `settings.py`."""

    model_config = SettingsConfigDict(env_prefix="BATON_", extra="ignore")

    # postgresql://user:password@host:port/database, this service's own
    database_url: str
    # kafka://host:port,… or postgresql://… (the embedded bus)
    bus_url: str
    # A JWKS file with the public keys of the tokens; read again when it changes.
    token_keys: Path
    token_issuer: str = "baton"  # noqa: S105 - a name
    token_audience: str = "baton"  # noqa: S105 - a name

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    pool_size: Annotated[int, Field(ge=1)] = 10
    # From "not ready" to "accepts no more": as long as the gateway needs to notice.
    drain_seconds: Annotated[float, Field(ge=0)] = 5.0
    body_bytes: Annotated[int, Field(ge=1)] = 1048576
    # Of each kind of thing that can be followed: each stream is a socket, and a place in one question.
    event_streams: Annotated[int, Field(ge=0)] = 500
    # Wraps the keys of the vault: 32 bytes in base64; only services that keep personal data need it.
    master_key: Path | None = None
