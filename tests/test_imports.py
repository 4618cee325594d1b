"""Imports point one way, and Ray stays at the edge."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("jobs", "cluster", "operators", "schemas")

ALLOWED = {
    "jobs": {"jobs", "cluster", "operators", "schemas"},
    "cluster": {"cluster", "schemas"},
    "operators": {"operators", "schemas"},
    "schemas": {"schemas"},
}

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names of all modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """As in jobs -> cluster, operators -> schemas; Ray is known to `cluster` and `jobs` alone."""
    package = path.relative_to(ROOT).parts[0]
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))

    wrong = (names & {*PACKAGES, "tests", "examples", "benchmarks"}) - ALLOWED[package]
    assert not wrong, f"{package} must not import {wrong}"
    if package in ("operators", "schemas"):
        assert "ray" not in names, f"{package} must not know Ray"


def test_all_packages_are_looked_at() -> None:
    """The test above sees files of every package."""
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """A file without a docstring leaves the reader guessing."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
