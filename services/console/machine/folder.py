"""The data folder of a machine: where it is, who uses it, whether it can be used."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
LEAST_FREE_BYTES = 1 << 30


class FolderUnusable(Exception):
    """The data folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The places of what is kept between two runs."""

    path: Path

    @property
    def keys(self) -> Path:
        """Return where the signing key, its public half and the vault's master key lie."""
        return self.path / "keys"

    @property
    def logs(self) -> Path:
        """Return where each process writes its lines."""
        return self.path / "logs"

    @property
    def databases(self) -> Path:
        """Return the file with the databases' addresses of the run that goes on."""
        return self.keys / "databases.json"

    @property
    def variables(self) -> Path:
        """Return the file that a shell reads to try things by hand."""
        return self.path / "variables.sh"

    @property
    def address(self) -> Path:
        """Return the file with the gateway's address of the run that goes on."""
        return self.path / "gateway"


def link_default(path: Path) -> None:
    """Let `build/town` lead to a default folder that has to lie elsewhere: one name serves everybody."""
    inside = CHECKOUT / "build/town"
    if path != inside and not inside.exists():
        inside.parent.mkdir(exist_ok=True)
        inside.unlink(missing_ok=True)
        inside.symlink_to(path)


def default_path() -> Path:
    """Return `build/town` of the checkout; under root a folder that PostgreSQL's own user can reach."""
    inside = CHECKOUT / "build/town"
    # PostgreSQL refuses root, and the user it runs under must be able to walk to its files.
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (CHECKOUT, *CHECKOUT.parents)):
        return inside
    return Path("/var/tmp") / f"baton-{sha256(str(CHECKOUT).encode()).hexdigest()[:12]}"  # noqa: S108 - no secret name


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Yield the folder for this run alone; raise `FolderUnusable` naming what stands in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
        (path / "keys").mkdir(exist_ok=True, mode=0o700)
        (path / "logs").mkdir(exist_ok=True)
        lock = (path / "lock").open("a+")
    except OSError as error:
        raise FolderUnusable(f"the data folder {path} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise FolderUnusable(
                f"a run already goes on in {path} (process {lock.read().strip() or 'unknown'}):"
                " end it, or give this one another folder (DATA=… make run)"
            ) from None
        free = shutil.disk_usage(path).free
        if free < LEAST_FREE_BYTES:
            raise FolderUnusable(
                f"the disk of {path} has {free >> 20} MiB left, and a run needs {LEAST_FREE_BYTES >> 20}"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield Folder(path)


def database_url_of(service: str, path: Path | None = None) -> str | None:
    """Return where a service's database is in the run that goes on in a folder, None where none does."""
    written = Folder(path or default_path()).databases
    if not written.exists():
        return None
    urls: Mapping[str, str] = json.loads(written.read_text())
    return urls.get(service)
