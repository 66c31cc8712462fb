"""What a machine refuses, in words that say what to do; and what it keeps."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import jwt
import psutil
import pytest

from services.console.machine import databases, folder, keys, nursery, processes
from services.console.machine.folder import Folder, FolderUnusable
from services.console.machine.processes import Child, ProcessFailed
from services.console.parts import postgres
from services.console.parts.ports import free_port
from services.console.scenarios import village
from services.console.scenarios.voices import Voices
from services.contracts.access import Role
from services.kit.http.tokens import TokenReader, TokenRefused
from services.kit.ids import new_id
from tests.databases import address_of


def test_two_runs_of_one_folder_meet_an_error_that_names_the_first(tmp_path: Path) -> None:
    with folder.opened(tmp_path / "town"), pytest.raises(FolderUnusable, match=str(os.getpid())):
        folder.opened(tmp_path / "town").__enter__()
    with folder.opened(tmp_path / "town") as again:
        assert again.path == tmp_path / "town"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "town").write_text("")
    with pytest.raises(FolderUnusable, match="town cannot be written"):
        folder.opened(tmp_path / "town").__enter__()


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folder, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(FolderUnusable, match="MiB left"):
        folder.opened(tmp_path / "town").__enter__()


def test_keys_are_made_once_and_their_tokens_are_read_by_a_service(tmp_path: Path) -> None:
    keys.make(tmp_path)
    before = (tmp_path / "signing.pem").read_bytes()
    keys.make(tmp_path)
    assert (tmp_path / "signing.pem").read_bytes() == before
    assert (tmp_path / "signing.pem").stat().st_mode & 0o077 == 0

    household, zone = new_id(), new_id()
    token = keys.issue(tmp_path, roles=[Role.RESIDENT], household_id=household, zone_ids=[zone])
    caller = TokenReader(tmp_path / "jwks.json", issuer=keys.ISSUER, audience=keys.AUDIENCE).read(token)

    assert (caller.roles, caller.household_id, caller.zone_ids) == (
        frozenset({"resident"}), household, (zone,),
    )  # fmt: skip


def test_a_token_of_another_machine_is_refused(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        keys.make(tmp_path / name)
    token = keys.issue(tmp_path / "there", roles=[Role.COMMANDER])
    assert jwt.decode(token, options={"verify_signature": False})["roles"] == ["commander"]
    reader = TokenReader(tmp_path / "here/jwks.json", issuer=keys.ISSUER, audience=keys.AUDIENCE)
    with pytest.raises(TokenRefused):
        reader.read(token)


async def test_a_service_cannot_connect_to_the_database_of_another(postgres: str, tmp_path: Path) -> None:
    urls = await databases.prepare(postgres, tmp_path)
    assert set(urls) == {"catalog", "orders", "dispatch", "whitelist", "bus"}
    assert await databases.prepare(postgres, tmp_path) == urls

    foreign = address_of(urls["orders"], "baton_whitelist")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(foreign)
    own = await asyncpg.connect(urls["orders"])
    assert await own.fetchval("SELECT count(*) FROM outbox_pending") == 0
    await own.close()


def make_child(tmp_path: Path, *words: str) -> Child:
    return Child(
        name="lamp",
        command=[sys.executable, "-m", "services.console", *words],
        log=tmp_path / "lamp.log",
        ready_url="http://127.0.0.1:9/",
    )


def test_a_child_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    child = make_child(tmp_path, "serve", "nothing")
    child.start()
    assert child.process is not None
    child.process.wait(timeout=60)
    with pytest.raises(ProcessFailed, match=r"lamp ended while it started: see .*lamp\.log"):
        processes.wait_until_ready([child])
    assert "there is no service nothing" in (tmp_path / "lamp.log").read_text()


def test_a_child_that_keeps_dying_is_not_started_for_ever(tmp_path: Path) -> None:
    child = make_child(tmp_path, "no-such-verb")
    child.start()
    for _ in range(processes.RESTARTS_A_MINUTE):
        assert child.process is not None
        child.process.wait(timeout=60)
        assert processes.revive([child]) == ["lamp"]
    assert child.process is not None
    child.process.wait(timeout=60)
    with pytest.raises(ProcessFailed, match="keeps dying"):
        processes.revive([child])


def test_what_a_killed_run_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    left = subprocess.Popen(sleep, env={**os.environ, processes.MARK: str(tmp_path / "a")})
    other = subprocess.Popen(sleep, env={**os.environ, processes.MARK: str(tmp_path / "b")})
    try:
        assert processes.end_leftovers(tmp_path / "a") == 1
        assert not psutil.pid_exists(left.pid) or left.poll() is not None
        assert psutil.pid_exists(other.pid)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        left.wait()


def test_a_process_without_its_settings_names_each_that_is_missing() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    done = subprocess.run(
        [sys.executable, "-m", "services.console", "serve", "catalog"],
        env=bare, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    for name in ("BATON_DATABASE_URL", "BATON_BUS_URL", "BATON_TOKEN_KEYS"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_the_databases_of_a_run_can_be_found_by_an_operator(tmp_path: Path) -> None:
    assert folder.database_url_of("orders", tmp_path) is None
    with folder.opened(tmp_path) as home:
        home.databases.write_text(json.dumps({"orders": "postgresql://there"}))
        assert folder.database_url_of("orders", tmp_path) == "postgresql://there"


async def test_a_village_that_was_loaded_half_is_told(tmp_path: Path) -> None:
    (tmp_path / "village.loading").touch()
    with pytest.raises(FolderUnusable, match="delete that folder and start again"):
        await village.load(Voices(httpx.AsyncClient(), tmp_path), Folder(tmp_path), print)


def test_a_half_written_cluster_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data/base").mkdir(parents=True)
    with pytest.raises(postgres.PostgresFailed, match="only half written: delete the folder"):
        postgres.running(tmp_path).__enter__()
    assert (tmp_path / "data/base").exists()


def test_a_nursery_starts_the_verbs_and_tells_how_each_has_ended(tmp_path: Path) -> None:
    with nursery.opened(tmp_path / "nursery.log") as source:
        # Where it was killed, the next birth opens another.
        assert source.process is not None
        source.process.kill()
        source.process.wait()
        wrong, killed = (
            Child(name=verb, command=[verb, "lamp"], log=tmp_path / verb, ready_url=None, nursery=source)
            for verb in ("serve", "work")
        )
        wrong.start()
        assert wrong.process is not None
        assert wrong.process.wait(timeout=60) == 2
        assert "there is no service lamp" in (tmp_path / "serve").read_text()

        killed.start()
        assert killed.process is not None
        os.kill(killed.process.pid, signal.SIGSTOP)
        source.process.kill()
        assert not killed.has_died
        killed.process.kill()
        assert killed.process.wait(timeout=60) == -signal.SIGKILL


def test_a_port_is_given_once() -> None:
    given = [free_port() for _ in range(100)]
    assert len(set(given)) == 100
    assert max(given) < 32_768
