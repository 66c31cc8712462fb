"""A copy of the tree, one defect in it at a time, and the verdict of the defect's own tests."""

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
# A test that a defect leaves waiting for ever has not turned red: it has said nothing.
ENDS_WITHIN = 240.0
# What is raised so tells of a defect that is none: it breaks the program's text, not its promise.
BROKEN_BY_ITS_WRITING = (
    "NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError",
    "sqlalchemy.exc.ProgrammingError",
)  # fmt: skip


class RunFailed(Exception):
    """No verdict can be had: the message says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run of tests has said: how many passed, and which failed by their own assertions."""

    passed: int
    failed: tuple[str, ...]


@contextmanager
def copied_tree(source: Path, folder: Path) -> Iterator[Path]:
    """Yield a fresh copy of what git does not ignore; what an interrupted run left there is thrown away."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFailed(f"another run goes on in {folder}") from None
        tree = folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        for name in _list_files(source):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, tree / name)
        yield tree


def prove_it_runs_itself(tree: Path) -> None:
    """Raise `RunFailed` unless Python, started in `tree`, imports the services and tests of `tree`."""
    asked = "import services.kit, tests; print(services.kit.__file__); print(tests.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tree, env=_environment(tree), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    expected = [str(tree / "services/kit/__init__.py"), str(tree / "tests/__init__.py")]
    if done.stdout.splitlines() != expected:
        raise RunFailed(f"the copy does not import itself:\n{done.stdout}{done.stderr}")


@contextmanager
def seeded(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Keep a defect in `tree` for as long as the context lasts."""
    before = mutant.seed(tree)
    try:
        _forget_compiled(tree / mutant.file)
        yield
    finally:
        (tree / mutant.file).write_text(before)
        _forget_compiled(tree / mutant.file)


def run_tests(tree: Path, tests: Sequence[str], *options: str) -> Verdict:
    """Run tests in `tree`; raise `RunFailed` where one could not run, or none did."""
    report = tree.parent / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}",
        *options, *tests,
    ]  # fmt: skip
    said = _call(command, tree)
    if not report.exists():
        raise RunFailed(f"the tests did not run:\n{said[-3000:]}")
    verdict = read_report(ET.parse(report).getroot())  # noqa: S314 - pytest wrote it just now
    if not verdict.passed and not verdict.failed:
        raise RunFailed(f"no test ran:\n{said[-3000:]}")
    return verdict


def read_report(report: ET.Element) -> Verdict:
    """Read a report of pytest; raise `RunFailed` where a test did not come to its own verdict."""
    passed, failed = 0, []
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        if (error := case.find("error")) is not None:
            raise RunFailed(f"{name} could not run: {error.text or error.get('message')}")
        if (failure := case.find("failure")) is not None:
            if failure.get("message", "").startswith(BROKEN_BY_ITS_WRITING):
                raise RunFailed(f"{name} fails by how the defect is written: {failure.get('message')}")
            failed.append(name)
        elif case.find("skipped") is None:
            passed += 1
    return Verdict(passed, tuple(failed))


def _call(command: Sequence[str], tree: Path) -> str:
    process = subprocess.Popen(
        command, cwd=tree, env=_environment(tree), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        return process.communicate(timeout=ENDS_WITHIN)[0]
    except subprocess.TimeoutExpired:
        raise RunFailed(f"no end within {ENDS_WITHIN:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _environment(tree: Path) -> dict[str, str]:
    # Before the path of the editable install, in whatever folder a test starts its processes.
    return {**os.environ, "PYTHONPATH": str(tree), "PROMISES": ""}


def _forget_compiled(path: Path) -> None:
    # A compiled file is told from its source by second and size: a defect of the same size would not be seen.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _list_files(source: Path) -> list[str]:
    listed = subprocess.run(
        [shutil.which("git") or "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (source / name).is_file()]
