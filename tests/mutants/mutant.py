"""A defect, where it is seeded and which tests must see it."""

from dataclasses import dataclass
from pathlib import Path


class MutantMisplaced(Exception):
    """A mutant's old text is not in its file, or more than once: the list has rotted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One defect: in `file`, the text `old`, found there exactly once, becomes `new`; `tests` turn red."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def seed(self, tree: Path) -> str:
        """Write the defect into `tree` and return what the file said before."""
        path = tree / self.file
        before = path.read_text()
        path.write_text(self.applied_to(before))
        return before

    def applied_to(self, source: str) -> str:
        """Return `source` with the defect; raise `MutantMisplaced` where its place is not to be found."""
        if (found := source.count(self.old)) != 1:
            raise MutantMisplaced(f"{self.name}: its old text stands {found} times in {self.file}")
        return source.replace(self.old, self.new)
