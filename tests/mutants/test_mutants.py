"""The list does not rot; the runner tells a survivor from a kill, and from a defect that is none."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.mutants import __main__ as command
from tests.mutants import running
from tests.mutants.mutant import Mutant, MutantMisplaced
from tests.mutants.running import RunFailed
from tests.mutants.seeds import MUTANTS

CHECK = "from lamp import is_lit\n\n\ndef test_a_lamp_that_is_on_is_lit():\n    assert is_lit('on')\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of one function and its test."""
    made = tmp_path / "tree"
    made.mkdir()
    (made / "lamp.py").write_text("def is_lit(word):\n    return word == 'on'\n")
    (made / "test_lamp.py").write_text(CHECK)
    return made


def make_mutant(old: str, new: str) -> Mutant:
    return Mutant(name="dark", promise="P0", file="lamp.py", old=old, new=new, tests=("test_lamp.py",))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_has_its_place_and_its_tests(mutant: Mutant) -> None:
    changed = mutant.applied_to((running.ROOT / mutant.file).read_text())
    compile(changed, mutant.file, "exec")
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (running.ROOT / file).read_text()


def test_each_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_defect_that_no_test_sees_is_told_as_a_survivor_and_leaves_the_tree_as_it_was(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not command.judge(make_mutant("'on'", "word or 'on'"), tree)
    assert "P0   dark: SURVIVED" in capsys.readouterr().out
    assert command.judge(make_mutant("== 'on'", "!= 'on'"), tree)
    assert "P0   dark: killed by test_lamp.py::test_a_lamp_that_is_on_is_lit" in capsys.readouterr().out
    assert (tree / "lamp.py").read_text() == "def is_lit(word):\n    return word == 'on'\n"


@pytest.mark.parametrize(
    ("old", "new"), [("def is_lit", "def is_dark"), ("word ==", "wrod =="), ("not there", "")]
)
def test_what_does_not_run_is_no_kill(
    tree: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not command.judge(make_mutant(old, new), tree)
    assert "P0   dark: NO VERDICT" in capsys.readouterr().out


def test_an_old_text_that_stands_twice_has_no_place() -> None:
    with pytest.raises(MutantMisplaced, match="stands 2 times"):
        make_mutant("a", "b").applied_to("a a")


def test_a_test_that_could_not_be_set_up_is_no_kill() -> None:
    case = '<testcase classname="tests.test_a" name="test_b"><error message="failed on setup"/></testcase>'
    with pytest.raises(RunFailed, match="could not run"):
        running.read_report(ET.fromstring(f"<testsuite>{case}</testsuite>"))  # noqa: S314 - written above
