"""Personal data at rest: sealed for one scope, gone with its key."""

import asyncio
import base64
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.kit import vault
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.vault import Destroyed, Master, MasterKeyUnusable

CONTENT = {"name": "王奶奶", "phone": "13800000000", "floor": 7, "notes": None}


def make_master(folder: Path, key: bytes = b"m" * 32) -> Master:
    path = folder / "master.key"
    path.write_bytes(base64.b64encode(key) + b"\n")
    return Master.of_file(path)


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return make_master(tmp_path)


async def test_what_is_sealed_for_a_scope_is_opened_in_another_transaction(
    lamp_sessions: Sessions, master: Master
) -> None:
    scope, other = new_id(), new_id()
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [scope, other])
        sealed = keys.seal(scope, CONTENT)
    assert "王奶奶".encode() not in sealed
    async with lamp_sessions() as session:
        keys = await vault.keys_of(session, master, [scope, other, new_id()])
    assert keys.open(scope, sealed) == CONTENT


async def test_the_same_content_is_never_sealed_the_same_way(lamp_sessions: Sessions, master: Master) -> None:
    scope = new_id()
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [scope])
    assert len({keys.seal(scope, CONTENT) for _ in range(100)}) == 100


async def test_another_scope_cannot_open_it_nor_can_what_was_changed(
    lamp_sessions: Sessions, master: Master
) -> None:
    scope, other = new_id(), new_id()
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [scope, other])
    sealed = keys.seal(scope, CONTENT)
    with pytest.raises(Destroyed) as refused:
        keys.open(other, sealed)
    assert refused.value.scope_id == other
    for place in (0, 12, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Destroyed):
            keys.open(scope, bytes(changed))
    for cut in (b"", sealed[:11], sealed[:20]):
        with pytest.raises(Destroyed):
            keys.open(scope, cut)


async def test_a_content_moved_to_another_scopes_row_cannot_be_opened_even_with_its_key(
    lamp_sessions: Sessions, master: Master
) -> None:
    scope, other = new_id(), new_id()
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [scope])
        sealed = keys.seal(scope, CONTENT)
        await session.execute(
            text("INSERT INTO vault_keys (scope_id, wrapped) SELECT :other, wrapped FROM vault_keys"),
            {"other": other},
        )
        keys = await vault.keys_of(session, master, [scope, other])
    with pytest.raises(Destroyed):
        keys.open(other, sealed)


async def test_a_destroyed_key_takes_its_content_with_it_for_ever(
    lamp_sessions: Sessions, master: Master
) -> None:
    scope, other = new_id(), new_id()
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [scope, other])
        sealed, kept = keys.seal(scope, CONTENT), keys.seal(other, CONTENT)
    async with lamp_sessions.begin() as session:
        assert await vault.destroy_key(session, scope) is True
        assert await vault.destroy_key(session, scope) is False
    async with lamp_sessions.begin() as session:
        # Asked for again, it is not made again: a person erased stays erased.
        keys = await vault.make_keys(session, master, [scope, other])
        row = await session.execute(
            text("SELECT wrapped, destroyed_at IS NOT NULL FROM vault_keys WHERE scope_id = :scope"),
            {"scope": scope},
        )
        assert tuple(row.one()) == (None, True)
    with pytest.raises(Destroyed):
        keys.open(scope, sealed)
    with pytest.raises(Destroyed):
        keys.seal(scope, CONTENT)
    assert keys.open(other, kept) == CONTENT


async def test_a_key_can_not_be_half_destroyed(lamp_sessions: Sessions, master: Master) -> None:
    async with lamp_sessions.begin() as session:
        await vault.make_keys(session, master, [new_id()])
    for change in ("wrapped = NULL", "destroyed_at = now()"):
        with pytest.raises(IntegrityError):
            async with lamp_sessions.begin() as session:
                await session.execute(text(f"UPDATE vault_keys SET {change}"))


async def test_keys_made_by_several_at_once_are_one_key_each(lamp_sessions: Sessions, master: Master) -> None:
    scopes = [new_id() for _ in range(50)]

    async def seal(order: list) -> list[bytes]:
        async with lamp_sessions.begin() as session:
            keys = await vault.make_keys(session, master, order)
            return [keys.seal(scope, {"n": place}) for place, scope in enumerate(scopes)]

    every = await asyncio.gather(seal(scopes), seal(scopes[::-1]), seal(scopes[25:] + scopes[:25]))
    async with lamp_sessions() as session:
        keys = await vault.keys_of(session, master, scopes)
    for sealed in every:
        opened = [keys.open(scope, one) for scope, one in zip(scopes, sealed, strict=True)]
        assert opened == [{"n": place} for place in range(50)]


async def test_another_master_key_opens_nothing(lamp_sessions: Sessions, master: Master, tmp_path) -> None:
    scope = new_id()
    async with lamp_sessions.begin() as session:
        await vault.make_keys(session, master, [scope])
    async with lamp_sessions() as session:
        with pytest.raises(MasterKeyUnusable):
            await vault.keys_of(session, make_master(tmp_path, b"n" * 32), [scope])


@pytest.mark.parametrize(
    ("written", "told"),
    [(b"not base64!", "not base64"), (b"bXk=", "holds 2 bytes, not 32"), (b"", "holds 0 bytes, not 32")],
)
def test_a_master_key_that_is_none_is_named(tmp_path: Path, written: bytes, told: str) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(written)
    with pytest.raises(MasterKeyUnusable, match=told):
        Master.of_file(path)
    with pytest.raises(MasterKeyUnusable, match="names no file"):
        Master.of_file(tmp_path / "nothing")
    with pytest.raises(MasterKeyUnusable, match="names no file"):
        Master.of_file(None)


async def test_no_key_is_told_to_a_log(lamp_sessions: Sessions, master: Master) -> None:
    async with lamp_sessions.begin() as session:
        keys = await vault.make_keys(session, master, [new_id()])
    assert (repr(master), repr(keys)) == ("Master()", "Keys()")


def test_a_derived_key_is_the_same_each_time_and_another_for_each_use(master: Master) -> None:
    assert master.derive("labels") == master.derive("labels")
    assert len({master.derive("labels"), master.derive("pins"), b"m" * 32}) == 3
    assert len(master.derive("labels")) == 32
