"""What a run remembers of assets that a model has still to look at or to write about."""

from jobs.awaiting import Awaiting
from operators.composition import picked_version
from operators.summary_version import summary_version
from operators.unit_id import caption_version
from schemas import ids
from schemas.config import Config
from schemas.media import Listing
from schemas.tables import AssetRow
from tests.rows import asset_row

CONFIG = Config.model_validate(
    {
        "vision": {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
        "summary": {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
    }
)
FILES = [Listing(f"file:///data/{name}.mp4", 10) for name in ("one", "two")]


def row(file: Listing, *, captioned: bool, written: bool) -> AssetRow:
    """An asset as it was committed."""
    return asset_row(
        asset_id=ids.asset_id(file.uri),
        uri=file.uri,
        caption_version=caption_version(CONFIG, "video") if captioned else "",
        summary_version=summary_version(CONFIG) if written else picked_version(CONFIG),
    )


def test_an_asset_is_done_when_the_models_have_done_their_part() -> None:
    """It waits for captions first, then for summaries."""
    awaiting = Awaiting(CONFIG)
    awaiting.expect(FILES)
    assert awaiting.committed([row(FILES[0], captioned=False, written=False)]) == []
    assert [file.uri for file in awaiting.ready()] == [FILES[0].uri]
    assert awaiting.committed([row(FILES[0], captioned=True, written=False)]) == []
    assert (awaiting.ready(), list(awaiting.unsummarised)) == ([], [ids.asset_id(FILES[0].uri)])
    done = row(FILES[0], captioned=True, written=True)
    assert awaiting.committed([done]) == [done]
    assert not awaiting.unsummarised


def test_what_awaits_summaries_is_remembered_while_others_are_read_once_more() -> None:
    """A file whose finished work is damaged is read again between captions and summaries."""
    awaiting = Awaiting(CONFIG)
    awaiting.expect(FILES)
    awaiting.committed([row(file, captioned=False, written=False) for file in FILES])
    awaiting.committed([row(FILES[0], captioned=True, written=False)])
    awaiting.expect(FILES[1:])
    awaiting.committed([row(FILES[1], captioned=False, written=False)])
    assert [file.uri for file in awaiting.ready()] == [FILES[1].uri]
    awaiting.committed([row(FILES[1], captioned=True, written=False)])
    assert list(awaiting.unsummarised) == [ids.asset_id(file.uri) for file in FILES]
