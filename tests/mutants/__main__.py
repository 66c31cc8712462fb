"""`python -m tests.mutants [names…]`: seed each defect, show the test that turns red."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.console.parts import postgres
from tests import databases
from tests.mutants import running
from tests.mutants.mutant import Mutant, MutantMisplaced
from tests.mutants.running import RunFailed
from tests.mutants.seeds import MUTANTS


def say(line: str) -> None:
    """Show a line at once: the next one may be a minute away."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(names: Sequence[str]) -> int:
    """Seed the named mutants, or all; return 0 if none survived."""
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in names if name not in known]:
        say(f"no such mutant: {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    mutants = [known[name] for name in names] if names else list(MUTANTS)
    with _one_cluster(), running.copied_tree(running.ROOT, running.ROOT / "build/mutants") as tree:
        running.prove_it_runs_itself(tree)
        say(f"the copy runs itself: {tree}")
        show_green(mutants, tree)
        killed = sum(judge(mutant, tree) for mutant in mutants)
    say(f"mutants: {len(mutants)} seeded, {killed} killed")
    return 0 if killed == len(mutants) else 1


def show_green(mutants: Sequence[Mutant], tree: Path) -> None:
    """Run all tests that mutants name, unmutated; raise `RunFailed` unless all pass."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    began = time.monotonic()
    verdict = running.run_tests(tree, tests, "-n", "2", "--dist", "loadfile")
    if verdict.failed:
        raise RunFailed(f"red without a defect: {', '.join(verdict.failed)}")
    say(f"green without a defect: {verdict.passed} tests ({time.monotonic() - began:.0f} s)")


def judge(mutant: Mutant, tree: Path) -> bool:
    """Seed one defect, print its line and say whether a test turned red."""
    began = time.monotonic()
    try:
        with running.seeded(mutant, tree):
            verdict = running.run_tests(tree, mutant.tests, "-x")
        said = f"killed by {verdict.failed[0]}" if verdict.failed else "SURVIVED"
        killed = bool(verdict.failed)
    except (RunFailed, MutantMisplaced) as error:
        said, killed = f"NO VERDICT: {error}", False
    say(f"{mutant.promise:4} {mutant.name}: {said} ({time.monotonic() - began:.0f} s)")
    return killed


@contextmanager
def _one_cluster() -> Iterator[None]:
    """Give all runs one PostgreSQL; each test has its own database there."""
    if "DATABASE_URL" in os.environ:
        yield
        return
    with databases.folder_of_the_run() as folder, postgres.running(folder / "postgres") as cluster:
        asyncio.run(databases.spare_the_disk(cluster.url))
        os.environ["DATABASE_URL"] = cluster.url
        yield


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RunFailed as error:
        say(f"mutants: {error}")
        sys.exit(2)
