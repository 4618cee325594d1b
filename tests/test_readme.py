"""What the README shows exists and runs."""

import re
import tomllib
from pathlib import Path

import duckdb
import pytest
from typer.main import get_command

from jobs.cli import app
from operators.lake import render_views
from schemas.config import Config, load_config
from schemas.tables import TABLES, VIEWS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_there_are_three_queries_and_each_is_valid() -> None:
    """On the views of an empty lake every table and column named in them exists."""
    queries = blocks("sql")
    assert len(queries) == 3
    connection = duckdb.connect()
    connection.execute(render_views({name: [] for name in TABLES}))
    for sql in queries:
        assert connection.execute(sql).fetchall() == []


def test_the_table_of_tables_is_complete() -> None:
    """Every view is described, and nothing else."""
    section = README.split("## The tables")[1].split("\n\n")[1]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*TABLES, *VIEWS]


def test_the_help_of_query_names_every_table() -> None:
    """In the order of the README."""
    command = getattr(get_command(app), "commands")["query"]  # noqa: B009 - not in the type
    _, _, named = command.help.partition("Tables: ")
    assert re.findall(r"\w+", named) == [*TABLES, *VIEWS]


def test_every_verb_is_described_and_every_described_verb_exists() -> None:
    """The table of verbs is the command line's own list."""
    verbs = set(getattr(get_command(app), "commands"))  # noqa: B009 - not in the type
    assert set(re.findall(r"^\| `gloss (\w+)", README, re.MULTILINE)) == verbs
    assert set(re.findall(r"^gloss (\w+)", README, re.MULTILINE)) <= verbs


def test_shown_settings_are_accepted(tmp_path: Path) -> None:
    """The TOML block and every --set load."""
    (text,) = blocks("toml")
    (tmp_path / "gloss.toml").write_text(text, encoding="utf-8")
    assert load_config("embedded", tmp_path / "gloss.toml").profile == "embedded"
    assert tomllib.loads(text).keys() <= Config.model_fields.keys()
    for setting in re.findall(r"--set (\S+)", README):
        load_config("embedded", None, [setting])


def test_the_picture_of_the_flow_names_real_files() -> None:
    """Each file in it is an operator; the steps come in the order of the chain."""
    (picture,) = blocks("text")
    names = re.findall(r"\b(\w+\.py)\b", picture)
    assert len(names) >= 8
    for name in names:
        assert (ROOT / "operators" / name).is_file(), name
    chain = (ROOT / "jobs" / "chain.py").read_text(encoding="utf-8")
    steps = [name for name in ("probe", "recall", "ocr") if f"operators.{name} import" in chain]
    assert steps == ["probe", "recall", "ocr"]


@pytest.mark.parametrize("document", ["README.md", "examples/README.md"])
def test_links_lead_somewhere(document: str) -> None:
    """Relative links name files that are there."""
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert "://" in target or (path.parent / target).exists(), target


def test_make_targets_exist() -> None:
    """The verbs of `make` that are named anywhere are in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    texts = [README, (ROOT / "examples/README.md").read_text(encoding="utf-8")]
    named = {name for text in texts for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}
    assert {"demo", "test", "check", "bench"} <= named <= targets
