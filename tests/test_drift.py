"""Numbers of a night against those before it: arithmetic, and what is read from a lake."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.commit import append_files, commit, put_run
from operators.drift import ASSETS, FAILURE_RATE, FILES, Change, Key, Measures, compare
from operators.lake import Lake
from operators.run_measures import earlier, measure
from operators.write import write_rows
from schemas.nightly import Nightly
from schemas.tables import Count, DriftRow, StageCost
from tests import small_lake
from tests.rows import NOW, asset_row, run_row, utterance_row

TEXT = Key("text_per_page")


def one(changes: list[Change], key: Key) -> Change:
    """The row of one number."""
    (found,) = [change for change in changes if (change.metric, change.part) == (key.metric, key.part)]
    return found


def night(assets: float = 100, **numbers: float | None) -> dict[Key, float | None]:
    """What a run amounts to."""
    return {ASSETS: assets, **{Key(name): value for name, value in numbers.items()}}


def test_a_number_is_compared_with_the_median_before() -> None:
    """One bad night does not move it; half the text is half, whatever the unit."""
    before = [night(text_per_page=value) for value in (10.0, 1020.0, 1000.0)]
    change = one(compare(night(text_per_page=500.0), before, Nightly()), TEXT)
    assert (change.value, change.baseline, change.change) == (500.0, 1000.0, -0.5)
    assert (change.limit, change.missed) == (None, False)


@pytest.mark.parametrize(
    ("value", "missed"), [(700.0, False), (699.0, True), (1300.0, False), (1301.0, True)]
)
def test_a_limit_of_change_holds_both_ways(value: float, missed: bool) -> None:
    """Too much text is as strange as too little; the limit itself is still allowed."""
    limits = Nightly(max_change={"text_per_page": 0.3})
    change = one(compare(night(text_per_page=value), [night(text_per_page=1000.0)], limits), TEXT)
    assert (change.limit, change.missed) == (0.3, missed)


def test_failures_have_a_most_and_a_rise() -> None:
    """A share of failures is compared by difference: from one to three in a hundred is two points."""
    before: list[Measures] = [night(failure_rate=0.01)]
    now = night(failure_rate=0.03)
    change = one(compare(now, before, Nightly(max_failure_rate_change=0.01)), FAILURE_RATE)
    assert change.change == pytest.approx(0.02)
    assert (change.limit, change.missed) == (0.01, True)
    assert not one(compare(now, before, Nightly(max_failure_rate_change=0.05)), FAILURE_RATE).missed
    assert one(compare(now, [], Nightly(max_failure_rate=0.02)), FAILURE_RATE).missed
    better = compare(night(failure_rate=0.0), before, Nightly(max_failure_rate_change=0.001))
    assert not one(better, FAILURE_RATE).missed, "fewer failures are no reason to fail"


@pytest.mark.parametrize(("now", "before", "missed"), [(9, 100, False), (10, 100, True), (100, 9, False)])
def test_few_files_are_held_to_no_limit(now: int, before: int, missed: bool) -> None:
    """Neither of the night nor of those before it."""
    limits = Nightly(max_change={"text_per_page": 0.3}, min_assets=10)
    changes = compare(night(now, text_per_page=1.0), [night(before, text_per_page=1000.0)], limits)
    assert one(changes, TEXT).missed == missed


def test_the_number_of_files_is_held_always() -> None:
    """A source that is nearly empty leaves nothing to read, and is what such a limit is for."""
    limits = Nightly(max_change={"files": 0.5})
    (change,) = [
        c for c in compare({FILES: 2, ASSETS: 0}, [{FILES: 1000, ASSETS: 0}], limits) if c.metric == "files"
    ]
    assert change.missed


def test_what_was_nothing_and_is_something_misses_any_limit() -> None:
    """It cannot be told by what share it grew."""
    limits = Nightly(max_change={"doubts_per_asset": 5.0})
    key = Key("doubts_per_asset")
    grown = one(compare(night(doubts_per_asset=0.1), [night(doubts_per_asset=0.0)], limits), key)
    assert (grown.change, grown.missed) == (None, True)
    same = one(compare(night(doubts_per_asset=0.0), [night(doubts_per_asset=0.0)], limits), key)
    assert (same.change, same.missed) == (0.0, False)


def test_what_cannot_be_measured_is_not_compared() -> None:
    """No pages tonight, or never before; a kind of failure that is new counts from 0."""
    limits = Nightly(max_change={"text_per_page": 0.1})
    assert one(compare(night(text_per_page=None), [night(text_per_page=1.0)], limits), TEXT).change is None
    assert one(compare(night(text_per_page=1.0), [night(text_per_page=None)], limits), TEXT).baseline is None
    crashed = Key("failures", "crashed")
    assert one(compare({**night(), crashed: 3}, [night(), night()], limits), crashed).baseline == 0
    assert one(compare(night(), [{**night(), crashed: 3}], limits), crashed).value == 0


@given(
    st.dictionaries(st.sampled_from(["text_per_page", "failure_rate", "files"]), st.floats(0, 1e6)),
    st.integers(1, 5),
)
def test_the_same_again_misses_nothing(numbers: dict[str, float], runs: int) -> None:
    """However tight the limits are."""
    same = night(**numbers)
    limits = Nightly(
        max_change={"text_per_page": 1e-9, "files": 1e-9}, max_failure_rate_change=0.0, min_assets=1
    )
    assert not any(change.missed for change in compare(same, [same] * runs, limits))


@pytest.mark.parametrize(
    "settings",
    [
        {"max_change": {"text_per_pages": 0.3}},
        {"max_change": {"text_per_page": 0}},
        {"max_failure_rate": 1.5},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    """Unknown numbers, no change at all, more than everything."""
    with pytest.raises(ValidationError):
        Nightly.model_validate(settings)


def test_a_run_is_measured_by_its_own_files(tmp_path: Path) -> None:
    """Every number of the small lake by hand; those of other runs do not count."""
    lake = small_lake.make(tmp_path)
    other = asset_row(
        asset_id="ff", kind="audio", duration_seconds=3600.0, clip_count=99, run_id="r9", write_id="w9"
    )
    commit(lake, [other], [])
    with lake.connect() as connection:
        found = measure(connection, "r0")
    assert found[FILES] == 6
    assert found[ASSETS] == 4
    assert found[FAILURE_RATE] == 0.5
    assert [found[Key("files", name)] for name in ("ok", "partial", "failed", "skipped")] == [2, 1, 1, 2]
    assert (found[Key("failures", "timeout")], found[Key("failures_per_asset", "truncated")]) == (1, 0.25)
    assert (found[Key("assets", "video")], found[Key("assets", "document")]) == (2, 1)
    pages = ["Café report\nSpring tide of visitors in May", "We sold 412 croissants and 96 éclairs."]
    assert found[TEXT] == pytest.approx(sum(map(len, pages)) / 2)
    # All four rows come from one template: 60 s of sound, 40 with a voice, 38 of those in words.
    assert found[Key("speech_seconds_per_hour")] == pytest.approx(2400)
    assert found[Key("worded_share")] == pytest.approx(38 / 40)
    # 7 + 4 + 4 + 8 words in 2 + 3 + 3 + 3 seconds.
    assert found[Key("words_per_minute")] == pytest.approx(60 * (7 + 4 + 4 + 8) / 11)
    assert found[Key("clips_per_hour")] == pytest.approx(2 * 60)
    assert found[Key("seconds_per_asset")] == pytest.approx(42.5 / 4)
    assert (found[Key("doubts_per_asset")], found[Key("tokens_per_asset")]) == (0, 0)
    assert found[Key("cost_per_asset")] is None


def test_words_with_times_count_as_words_in_any_script(tmp_path: Path) -> None:
    """Chinese has no spaces to count by; a recogniser's words are taken as they are."""
    from schemas.perception import Word

    lake = Lake(tmp_path / "lake")
    lake.create()
    words = [Word("秋", 0.0, 0.5, 1.0), Word("夜", 0.5, 1.0, 1.0), Word("观星", 1.0, 2.0, 1.0)]
    spoken = utterance_row(text="秋夜观星", words=words, start_seconds=0.0, end_seconds=2.0)
    files = [write_rows(lake, "utterances", [spoken])]
    commit(lake, [asset_row()], [file for file in files if file is not None])
    put_run(lake, run_row())
    with lake.connect() as connection:
        assert measure(connection, "r0")[Key("words_per_minute")] == pytest.approx(90)


def test_runs_before_are_the_finished_ones_on_the_same_sources(tmp_path: Path) -> None:
    """What was stored then counts, newest first; runs that broke, read nothing or read elsewhere do not."""
    lake = Lake(tmp_path / "lake")
    lake.create()

    def put(name: str, hours: float, **columns: object) -> None:
        put_run(lake, run_row(run_id=name, started_at=NOW + timedelta(hours=hours), **columns))

    put("old", -72, ok=4, stages=[StageCost("ocr", 8.0, 1, 0)])
    put("stored", -48, ok=5, failures_by_reason=[Count("timeout", 1)])
    put("broken", -24, status="failed")
    put("idle", -20, ok=0)
    put("elsewhere", -12, sources=["/other"])
    put("later", 5)
    put("now", 0)
    row = DriftRow("stored", NOW, "text_per_page", "", 123.0, None, None, None, False)
    written = write_rows(lake, "drift", [row, replace(row, metric="assets", value=5.0)])
    assert written is not None
    append_files(lake, [written])
    with lake.connect() as connection:
        found = earlier(connection, "now", 7)
        assert earlier(connection, "now", 1) == found[:1]
    assert found[0] == {TEXT: 123.0, ASSETS: 5.0}
    assert (len(found), found[1][ASSETS], found[1][Key("seconds_per_asset")]) == (2, 4, 2.0)
