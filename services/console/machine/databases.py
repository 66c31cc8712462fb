"""A database and a role for each service, and one for the embedded bus: nobody can read another's."""

import secrets
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

SERVICES = ("catalog", "orders", "dispatch", "whitelist")
BUS = "bus"


async def prepare(administrator: str, passwords: Path) -> dict[str, str]:
    """Make what is missing, bring every service's tables up to date, and return the addresses."""
    from services.kit import migrations  # noqa: PLC0415 - who asks for the names alone needs no Alembic

    connection = await asyncpg.connect(administrator)
    try:
        urls = {name: await _make(connection, administrator, name, passwords) for name in (*SERVICES, BUS)}
    finally:
        await connection.close()
    for service in SERVICES:
        await migrations.upgrade(service, urls[service])
    return urls


async def _make(connection: asyncpg.Connection, administrator: str, name: str, passwords: Path) -> str:
    role = f"baton_{name}"
    password = _password_of(passwords / f"{name}.password")
    # A role cannot be made with parameters; both words are ours, and the password is of base64's letters.
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    await connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", role):
        await connection.execute(f"CREATE DATABASE {role} OWNER {role}")
    await connection.execute(f"REVOKE CONNECT ON DATABASE {role} FROM PUBLIC")
    url = make_url(administrator).set(username=role, password=password, database=role)
    return url.render_as_string(hide_password=False)


def _password_of(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()
