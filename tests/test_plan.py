"""What is to be done is told from listings and the lake alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.budget import BudgetSpent, check_budget
from jobs.held import Known, State
from jobs.ledger import Ledger
from jobs.plan import Selection, plan_work, select
from jobs.since import parse_since
from operators.composition import COMPOSITION
from operators.content import copies_last, of_equal_size
from operators.summary_version import summary_version
from operators.unit_id import caption_version, perception_id
from schemas.config import Config, ConfigError, load_config
from schemas.listings import fingerprint
from schemas.media import Listing
from tests.rows import asset_row

LISTING = Listing("file:///data/talk.mp4", 100, modified_ns=5)


def known(listing: Listing, config: Config, **columns: Any) -> dict[str, Known]:
    """The lake after a run with a configuration."""
    state = State(
        "video", perception_id(config, "video"), COMPOSITION, summary_version(config), "ok",
        caption_version(config, "video"), True, False,
    )  # fmt: skip
    shared = {name: columns.pop(name) for name in list(columns) if name in State.__dataclass_fields__}
    held = Known(listing.uri, fingerprint(listing), "v0", "c0", "p0", "r0", replace(state, **shared))
    return {listing.uri: replace(held, **columns)}


def test_unchanged_file_is_left_alone() -> None:
    """Same listing, same configuration: nothing to do."""
    work = plan_work([LISTING], known(LISTING, Config()), {}, Config())

    assert (work.todo, work.unchanged) == ([], [LISTING])


def test_changed_file_is_compared_by_its_content() -> None:
    """The listing carries the version that the lake holds, so that a mere touch costs no decoding."""
    touched = replace(LISTING, modified_ns=6)
    work = plan_work([touched], known(LISTING, Config()), {}, Config())

    assert [item.known_version for item in work.todo] == ["v0"]
    assert {reason: count for reason, count in work.reasons.items() if count} == {"changed": 1}


def test_what_failed_in_passing_is_tried_again() -> None:
    """A worker that died and a store that was away are no property of the file."""
    held = known(LISTING, Config(), status="partial", in_passing=True)
    work = plan_work([LISTING], held, {}, Config())

    assert (work.todo, work.reasons["again"]) == ([LISTING], 1)


@pytest.mark.parametrize("setting", ["summary.asset_sentences=2", "summary.engine=off"])
def test_other_summaries_are_all_that_is_written(setting: str) -> None:
    """Nothing of the file is read or recalled for them."""
    work = plan_work([LISTING], known(LISTING, Config()), {}, load_config("embedded", None, [setting]))

    assert (work.todo, work.captions, work.summaries) == ([], [], [LISTING])
    assert (work.reasons["summaries"], work.before) == (1, {"r0": 1})


@pytest.mark.parametrize("held", [{"status": "failed"}, {"has_clips": False}])
def test_what_has_no_text_has_no_summaries_to_write(held: dict[str, Any]) -> None:
    """Such a file is as it should be, whatever is said about summaries."""
    config = load_config("embedded", None, ["summary.asset_sentences=2"])
    assert plan_work([LISTING], known(LISTING, Config(), **held), {}, config).unchanged == [LISTING]


def test_text_that_another_version_cut_is_cut_again() -> None:
    """From what was read: the listing carries content and plan."""
    work = plan_work([LISTING], known(LISTING, Config(), composition="old"), {}, Config())
    assert [(item.content_hash, item.known_plan) for item in work.todo] == [("c0", "p0")]


def test_other_configuration_needs_no_reading_of_the_file() -> None:
    """The listing carries content and plan, because its bytes are known to be the same."""
    config = load_config("embedded", None, ["ocr.engine=off"])
    work = plan_work([LISTING], known(LISTING, Config()), {}, config)

    assert [(item.content_hash, item.known_plan) for item in work.todo] == [("c0", "p0")]
    assert work.before == {"r0": 1}


def test_other_configuration_of_a_changed_file_reads_it() -> None:
    """What the lake knows is of other bytes."""
    config = load_config("embedded", None, ["ocr.engine=off"])
    touched = replace(LISTING, modified_ns=6)
    work = plan_work([touched], known(LISTING, Config()), {}, config)

    assert [(item.content_hash, item.known_plan) for item in work.todo] == [(None, None)]


def listings(count: int) -> list[Listing]:
    """Files of growing age."""
    return [Listing(f"file:///data/{number:03}", 10, modified_ns=number) for number in range(count)]


@given(st.integers(0, 30), st.none() | st.integers(0, 40), st.none() | st.integers(), st.integers(-1, 31))
def test_selection_takes_a_part_and_loses_none(
    count: int, limit: int | None, seed: int | None, since: int
) -> None:
    """What is chosen is recent enough, of the wanted number, without doubles, the same each time."""
    todo = listings(count)
    chosen = select(todo, Selection(since, limit, seed))
    recent = [item for item in todo if (item.modified_ns or 0) >= since]

    assert len(chosen) == min(len(recent), len(recent) if limit is None else limit)
    assert len({item.uri for item in chosen}) == len(chosen)
    assert set(chosen_uris(chosen)) <= set(chosen_uris(recent))
    assert chosen == select(todo, Selection(since, limit, seed))


def chosen_uris(items: list[Listing]) -> list[str]:
    """URIs in order."""
    return [item.uri for item in items]


def test_file_without_a_date_is_recent() -> None:
    """Left out by `--since`, it would be left out for ever."""
    undated = Listing("s3://bucket/talk.mp4", 10)

    assert select([undated], Selection(since_ns=10**18)) == [undated]


def test_seed_shuffles() -> None:
    """With a seed the order is drawn; another seed draws another."""
    orders = {tuple(chosen_uris(select(listings(20), Selection(shuffle_seed=seed)))) for seed in range(4)}

    assert len(orders) == 4


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("36h", datetime(2026, 11, 22, 14, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 17, 2, 30, tzinfo=UTC)),
        ("2026-11-24T02:30:00+00:00", datetime(2026, 11, 24, 2, 30, tzinfo=UTC)),
    ],
)
def test_moment_is_a_date_or_a_length_of_time(text: str, moment: datetime) -> None:
    """Both are written as people write them."""
    now = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)

    assert parse_since(text, now) == int(moment.timestamp() * 1e9)


@pytest.mark.parametrize("text", ["yesterday", "3 fortnights", "", "2026-13-01"])
def test_other_moments_are_refused(text: str) -> None:
    """The message shows what can be written."""
    with pytest.raises(ConfigError, match="36h"):
        parse_since(text)


def ledger(ok: int, failed: int) -> Ledger:
    """A run so far."""
    so_far = Ledger(1000)
    so_far.committed([asset_row(status="ok")] * ok + [asset_row(status="failed")] * failed)
    return so_far


@pytest.mark.parametrize(
    ("setting", "ok", "failed", "spent"),
    [
        ("run.max_failures=3", 0, 3, False),
        ("run.max_failures=3", 500, 4, True),
        ("run.max_failure_rate=0.1", 0, 19, False),
        ("run.max_failure_rate=0.1", 90, 10, False),
        ("run.max_failure_rate=0.1", 89, 11, True),
        ("run.cpus=1", 0, 999, False),
    ],
)
def test_budget_counts_failed_files(setting: str, ok: int, failed: int, spent: bool) -> None:
    """A count, or a share once there are enough files to speak of one; by default neither."""
    config = load_config("embedded", None, [setting])
    try:
        check_budget(ledger(ok, failed), config.run)
    except BudgetSpent:
        assert spent
    else:
        assert not spent


def test_copies_come_after_the_first_of_their_content() -> None:
    """Only files of equal size are compared; empty ones have nothing to share."""
    files = [Listing(name, size) for name, size in zip("abcdef", (10, 10, 10, 20, 0, 0), strict=True)]

    assert [item.uri for item in of_equal_size(files)] == ["a", "b", "c"]
    first, copies = copies_last(files, {"a": "x", "b": "y", "c": "x"})
    assert [item.uri for item in first] == ["a", "b", "d", "e", "f"]
    assert [(item.uri, item.content_hash) for item in copies] == [("c", "x")]
