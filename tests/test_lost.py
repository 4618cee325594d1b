"""What a dying worker took along is tried again, then accounted for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

import jobs.chain
from jobs.ingest import run_ingest
from operators.lake import Lake
from operators.unit_store import UnitStore
from schemas import ids
from schemas.arrow import to_table
from schemas.config import Config, load_config
from schemas.media import Asset, Listing, Unit
from schemas.perception import Perception, View


class Losing:
    """Stands for the pipeline: two pages a file, some of which never come back."""

    def __init__(self, lose: dict[str, list[set[int]]]) -> None:
        """Say which units of a file are lost in each pass."""
        self.lose = lose
        self.handed_out: list[list[str]] = []

    def __call__(
        self, listings: Sequence[Listing], _config: Config, _store: UnitStore, *, careful: bool
    ) -> Iterator[pa.Table]:
        """Yield the units that are not lost."""
        assert careful == bool(self.handed_out)
        self.handed_out.append([Path(listing.uri).name for listing in listings])
        for listing in listings:
            name = Path(listing.uri).name
            passes = self.lose.get(name, [])
            lost = passes[len(self.handed_out) - 1] if len(self.handed_out) <= len(passes) else set()
            asset = Asset(
                ids.asset_id(listing.uri),
                "v",
                listing.uri,
                "document",
                1,
                "f",
                "c",
                page_count=2,
                unit_count=2,
            )
            for unit in {0, 1} - lost:
                view = View(600, 800, page=unit + 1)
                yield to_table(
                    Perception, [Perception(asset, Unit(unit, "page", page=unit + 1), views=[view])]
                )


def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losing: Losing) -> tuple[int, Lake]:
    """Ingest three files through a pipeline that loses units."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        Image.effect_noise((8, 8 + number), 9).save(corpus / name)
    monkeypatch.setattr(jobs.chain, "perceive", losing)
    code = run_ingest(
        [str(corpus)], str(tmp_path / "lake"), load_config("embedded", None, ["ocr.engine=off"])
    )
    return code, Lake(tmp_path / "lake")


def test_lost_unit_is_handed_out_again(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the file that lost something is tried again, and then it is whole."""
    losing = Losing({"b.png": [{1}]})
    code, lake = ingest(tmp_path, monkeypatch, losing)

    assert code == 0
    assert losing.handed_out == [["a.png", "b.png", "c.png"], ["b.png"]]
    assert lake.connect().execute("SELECT DISTINCT status, clip_count FROM assets").fetchall() == [("ok", 2)]


def test_unit_lost_twice_is_a_failure(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What never comes back is named: a page of one file, all of another; the rest is complete."""
    code, lake = ingest(tmp_path, monkeypatch, Losing({"b.png": [{1}, {1}], "c.png": [{0, 1}, {0, 1}]}))
    views = lake.connect()

    assert code == 3
    assert dict(views.execute("SELECT right(uri, 5), status FROM assets").fetchall()) == {
        "a.png": "ok",
        "b.png": "partial",
        "c.png": "failed",
    }
    assert views.execute("SELECT reason, count(*) FROM failures GROUP BY 1").fetchall() == [("lost", 2)]
    (run,) = views.execute(
        "SELECT discovered, ok, partial, failed, skipped, failures_by_reason FROM runs"
    ).fetchall()
    assert run == (3, 1, 1, 1, 0, [{"name": "lost", "count": 2}])
