"""Rules of the house that no other tool checks."""

import ast
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.house import without_mirrored_test

ROOT = Path(__file__).parents[1]
PACKAGES = ("api_schemas", "service", "workers", "paretune", "migrations", "benchmarks")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
NOT_CALLED = ("contextmanager", "router")
"""Decorators of what answers requests or surrounds a block."""


def test_files_and_functions_stay_readable() -> None:
    """A file that grows past its limit is two files; so is a function."""
    assert [path for path in MODULES if path.read_text(encoding="utf-8").count("\n") > LONGEST_FILE] == []
    long_functions = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in MODULES
        if "versions" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long_functions == []


def test_no_file_is_named_after_nothing() -> None:
    """Files are named by their job."""
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "service", "common", "misc"}


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring with the behaviour it holds."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_docstrings_of_functions_that_return_something_say_return() -> None:
    """Not "Give" nor "Say"; those of routes and context managers tell what happens."""
    wrong = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (ast.get_docstring(node) or "").startswith(("Give ", "Gives ", "Say ", "Says "))
        if node.returns is not None and ast.unparse(node.returns) != "None"
        if not any(kind in ast.unparse(item) for item in node.decorator_list for kind in NOT_CALLED)
    ]
    assert wrong == []


def test_every_module_has_a_test_at_its_path_or_one_that_is_named() -> None:
    """`covered_elsewhere.txt` names the test of each other module; every line of it is needed and true."""
    lines = (ROOT / "tests" / "covered_elsewhere.txt").read_text(encoding="utf-8").splitlines()
    named = [line.split(" | ") for line in lines if not line.startswith("#")]
    unnamed = [
        path for path in without_mirrored_test() if not any(fnmatch(path, pattern) for pattern, _ in named)
    ]
    assert unnamed == []
    unneeded = [
        pattern for pattern, _ in named if not any(fnmatch(path, pattern) for path in without_mirrored_test())
    ]
    assert unneeded == []
    assert [test for _, test in named if not (ROOT / "tests" / test).exists()] == []
