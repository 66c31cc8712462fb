"""What the shape of the house promises, checked by machine."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [path for path in (ROOT / "services").rglob("*.py") if "migrations" not in path.parts]
NAMES_THAT_NAME_NOTHING = {
    "utils", "util", "helpers", "helper", "common", "manager", "misc", "constants", "interfaces", "service",
}  # fmt: skip


def test_imports_keep_to_the_layers() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_file_has_at_most_300_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert len(lengths) > 10
    assert {path: length for path, length in lengths.items() if length > 300} == {}


def test_a_function_has_at_most_40_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 40
    ]
    assert long == []


def test_every_file_has_a_name_that_says_what_is_in_it() -> None:
    assert [path for path in SOURCES if path.stem in NAMES_THAT_NAME_NOTHING] == []
