"""The arithmetic of quality: errors are counted exactly, and parts add up to the whole."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.score_asset import Found, FoundSegment, Summary, score_asset
from operators.score_summaries import Cited, ClipPlace, Source, Sources, shared_words, stands_in, uncited
from operators.score_text import (
    aligned,
    character_errors,
    compare_bags,
    holds_phrase,
    letters,
    similarity,
    tokens,
    word_errors,
)
from operators.score_times import (
    Standing,
    box_overlap,
    compare_speech,
    heard_words,
    pair_lines,
    pair_places,
)
from operators.scores import METRICS, Errors, Scores, Tally, merged, values
from schemas.box import Box
from schemas.truth import Truth

WORDS = st.lists(st.sampled_from(["tide", "moon", "sea", "412", "Ebbe", "月", "can't"]), max_size=12)
TEXT = st.text(max_size=40)


def value(scores: Scores, metric: str) -> float | None:
    """One number of a measurement; it must be there."""
    (found,) = [item.value for item in values(scores) if item.metric == metric]
    return found


def measured(found: Found, **truth: object) -> Scores:
    """Measure one asset against what is stated of it."""
    return score_asset(found, Truth.model_validate({"uri": "a", **truth}))


# --- text ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Don’t STOP", "dont stop"),
        ("ﬁeld—work, (1998)", "field work 1998"),
        ("ＧＰＵ加速", "gpu 加 速"),
        ("हिन्दी भाषा", "हिन्दी, भाषा!"),
        ("naïve", "nai\u0308ve"),
    ],
)
def test_spelling_that_is_no_error(left: str, right: str) -> None:
    """Case, punctuation, apostrophes, ligatures, full width and composed accents."""
    assert tokens(left) == tokens(right) != []


def test_scripts_without_spaces_count_by_character() -> None:
    """Words of other scripts stay whole; vowel signs do not tear them."""
    assert tokens("東京tower 2") == ["東", "京", "tower", "2"]
    assert tokens("हिन्दी") == ["हिन्दी"]
    assert len(tokens("สวัสดี")) == 6


@given(TEXT, TEXT)
def test_errors_of_text_are_within_bounds(truth: str, found: str) -> None:
    """A text is right about itself; no more is shared than there is, no more wrong than both are long."""
    assert character_errors(truth, truth) == (0, len(letters(truth)))
    wrong, count = character_errors(truth, found)
    assert abs(count - len(letters(found))) <= wrong <= max(count, len(letters(found)))
    bag = compare_bags(truth, found)
    assert 0 <= bag.shared <= min(bag.true, bag.found)
    assert compare_bags(truth, truth).shared == bag.true
    assert 0 <= similarity(truth, found) <= 1


@given(WORDS, WORDS)
def test_word_errors_turn_one_text_into_the_other(truth: list[str], found: list[str]) -> None:
    """Lengths fit the three kinds of errors, each has a right meaning, and bounds hold."""
    wrong = word_errors(truth, found)
    assert len(truth) - wrong.deletions + wrong.insertions == len(found)
    assert abs(len(truth) - len(found)) <= wrong.errors <= max(len(truth), len(found))
    assert word_errors(truth, truth).errors == 0
    back = word_errors(found, truth)
    assert back.errors == wrong.errors
    pairs = aligned(truth, found)
    assert all(truth[place] == found[other] for place, other in pairs.items())
    assert len(pairs) == len(truth) - wrong.deletions - wrong.substitutions


def test_kinds_of_word_errors() -> None:
    """One of each."""
    said, heard = "the tide is very high today", "the tides is high today again"
    wrong = word_errors(tokens(said), tokens(heard))
    assert (wrong.substitutions, wrong.deletions, wrong.insertions, wrong.true) == (1, 1, 1, 6)


@given(st.lists(st.sampled_from(["tide", "moon", "sea"]), min_size=1, max_size=20), st.data())
def test_dropped_words_lower_recall_by_their_share(words: list[str], data: st.DataObject) -> None:
    """And leave precision alone, in any order."""
    kept = data.draw(st.lists(st.sampled_from(range(len(words))), unique=True))
    found = Found("a", "video", None, None, lines=[Standing(words[place], 0, 1) for place in kept])
    scores = measured(found, text=" ".join(words))
    assert value(scores, "word_recall") == len(kept) / len(words)
    assert value(scores, "word_precision") == (1 if kept else None)


def test_phrases_are_whole_words() -> None:
    """A number within a number is another number."""
    assert holds_phrase("It sold 412 croissants.", "412 Croissants")
    assert not holds_phrase("It sold 412 croissants.", "12")
    assert not holds_phrase("It sold 412 croissants.", "…")
    assert holds_phrase("请先让眼睛适应黑暗", "眼睛")


# --- merging ------------------------------------------------------------------------------


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_a_micro_average_is_the_score_of_all_pages_as_one(pages: list[tuple[list[str], list[str]]]) -> None:
    """Pages of several assets give what the same pages of one asset give."""
    numbered = [(n, " ".join(true), " ".join(read)) for n, (true, read) in enumerate(pages, 1)]
    apart = [
        measured(
            Found("a", "document", None, None, pages={n: (read, None)}), pages=[{"page": n, "text": true}]
        )
        for n, true, read in numbered
    ]
    together = measured(
        Found("a", "document", None, None, pages={n: (read, None) for n, _, read in numbered}),
        pages=[{"page": n, "text": true} for n, true, _ in numbered],
    )
    for metric in ("word_recall", "word_precision", "page_cer"):
        assert value(merged(apart), metric) == value(together, metric)


@given(st.lists(st.lists(st.floats(0, 100), max_size=5), min_size=1, max_size=4))
def test_times_merge_as_one_sample(parts: list[list[float]]) -> None:
    """The median of all errors, not a median of medians."""
    whole = values({"said_start": Errors(tuple(error for part in parts for error in part))})
    assert values(merged([{"said_start": Errors(tuple(part))} for part in parts])) == whole
    median, high, near = whole
    assert (median.value is None) == (median.count == 0)
    if median.value is not None and high.value is not None and near.value is not None:
        assert 0 <= median.value <= high.value <= 100
        assert 0 <= near.value <= 1


def test_counts_add_up_and_shares_do_not() -> None:
    """Two failures and one are three; all of two and none of two are a half."""
    scores = merged(
        [{"failures": Tally(2, 1), "support": Tally(2, 2)}, {"failures": Tally(1, 1), "support": Tally(0, 2)}]
    )
    assert [(item.metric, item.value, item.count) for item in values(scores)] == [
        ("support", 0.5, 4),
        ("failures", 3, 2),
    ]


# --- times --------------------------------------------------------------------------------


def test_lines_are_paired_with_themselves() -> None:
    """A misread letter is no other line; a line that comes up twice is paired by its time."""
    truth = [Standing("The telescope", 10, 20), Standing("The telescope", 50, 60), Standing("Tides", 0, 10)]
    found = [Standing("The teIescope", 51, 60), Standing("The telescope", 10, 21), Standing("Tidy", 0, 10)]
    assert pair_lines(truth, found) == {0: 1, 1: 0}
    assert pair_lines([], found) == pair_lines(truth, []) == {}


@given(st.lists(st.floats(0, 50), max_size=8), st.lists(st.floats(0, 50), max_size=8), st.floats(0, 5))
@settings(max_examples=60)
def test_as_many_places_are_paired_as_can_be(true: list[float], found: list[float], within: float) -> None:
    """Compared with trying everything; no place serves twice."""
    true, found = sorted(true), sorted(found)
    pairs = pair_places(true, found, within)
    assert len(set(pairs.values())) == len(pairs)
    assert all(abs(true[place] - found[other]) <= within + 1e-9 for place, other in pairs.items())
    best = [[0] * (len(found) + 1) for _ in range(len(true) + 1)]
    for i, place in enumerate(true, 1):
        for j, other in enumerate(found, 1):
            fits = place - within <= other <= place + within
            best[i][j] = max(best[i - 1][j], best[i][j - 1], best[i - 1][j - 1] + fits)
    assert len(pairs) == best[-1][-1]


def test_overlap_of_boxes() -> None:
    """Half shared of two equal boxes is a third of what they cover."""
    box = Box(0.0, 0.0, 0.4, 0.2)
    assert box_overlap(box, box) == pytest.approx(1)
    assert box_overlap(box, Box(0.2, 0.0, 0.6, 0.2)) == pytest.approx(1 / 3)
    assert box_overlap(box, Box(0.5, 0.5, 0.6, 0.6)) == 0


def test_times_of_shown_lines() -> None:
    """Two of three found, a second late and half a second; lines of a slide are looked for one by one."""
    lines = [Standing("Mirror: 62 cm", 11, 20, Box(0, 0, 0.5, 0.1)), Standing("Built in 1987", 10, 20.5)]
    scores = measured(
        Found("a", "video", None, None, lines=lines),
        shown=[
            {"text": "Mirror: 62 cm", "start_seconds": 10, "end_seconds": 20, "box": [0, 0, 0.5, 0.2]},
            {"text": "Built in 1987\nFocal length", "start_seconds": 10, "end_seconds": 20},
        ],
    )
    found = {item.metric: (item.value, item.count) for item in values(scores)}
    assert found["shown_recall"] == (2 / 3, 3)
    assert found["shown_start_error_median"] == (0.5, 2)
    assert found["shown_end_error_median"] == (0.25, 2)
    assert found["shown_start_error_p95"] == pytest.approx((0.95, 2))
    assert found["shown_start_within_1s"] == (1.0, 2)
    assert found["box_iou"] == pytest.approx((0.5, 1))


def test_times_and_speakers_of_speech() -> None:
    """Words that were heard wrong have no time; names of speakers are only labels."""
    found = [
        *heard_words("Good evening", 1.0, 3.0, [("Good", 1.1, 1.4), (" evening.", 1.5, 2.8)], "S1"),
        *heard_words("hello and", 4.0, 5.0, [], "S2"),
        *heard_words("welcome", 5.0, 6.0, [], "S1"),
    ]
    truth: list[tuple[str, float, float, str | None]] = [
        ("Good evening.", 1.0, 3.0, "Ann"),
        ("Hello and welcome!", 4.5, 6.0, "Bob"),
    ]
    spoken = compare_speech(truth, found)
    assert spoken.starts == pytest.approx([0.1, 0.5])
    assert spoken.ends == pytest.approx([0.2, 0.0])
    assert (spoken.right_speakers, spoken.speaker_words) == (4, 5)
    assert compare_speech([("Good morning", 1.0, 3.0, None)], found).ends == []


def test_speech_without_spaces_is_scored_by_letters() -> None:
    """Chinese has a character error rate and no word error rate."""
    heard = heard_words("秋天观星", 0.0, 2.0, [], None)
    scores = measured(Found("a", "audio", None, None, heard=heard), transcript="秋夜观星。")
    assert value(scores, "speech_cer") == 0.25
    assert "wer" not in scores


def test_chapters() -> None:
    """Two of three boundaries within five seconds, and one too many; a lost chapter has no title."""
    have = [FoundSegment(*item) for item in ((0, "Intro"), (58, "Tides"), (90, "?"), (124, "End"))]
    scores = measured(
        Found("a", "video", None, None, segments=have),
        segments=[
            {"start_seconds": 0, "title": "Intro"},
            {"start_seconds": 60, "title": "Tides"},
            {"start_seconds": 75, "title": "Moon"},
            {"start_seconds": 120},
        ],
    )
    assert value(scores, "boundary_precision") == value(scores, "boundary_recall") == pytest.approx(2 / 3)
    assert value(scores, "boundary_f1") == pytest.approx(2 / 3)
    assert value(scores, "segment_title_similarity") == pytest.approx(2 / 3)


# --- summaries ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces", "stands"),
    [
        ("High water follows the Moon.", ["High water follows the", "Moon around the Earth."], True),
        ("An example is given.", ["Title. An exam-", "ple is given. Next"], True),
        ("Feed it.", ["1. Keep it warm", "• Feed it."], True),
        ("columns stay apart", ["stay apart", "noise", "columns"], True),
        ("It sold 12 croissants", ["It sold 412 croissants"], False),
        ("12 croissants", ["412 croissants"], False),
        ("sold 412", ["sold", "4", "1", "2"], False),
        ("The Moon moves the sea.", ["The Moon", "the sea"], False),
        ("It is cold.", [], False),
        ("…", ["…"], False),
    ],
)
def test_evidence_stands_in_its_lines(text: str, pieces: Sequence[str], stands: bool) -> None:
    """Over line breaks, hyphens and columns; never by pieces of words and numbers."""
    assert stands_in(text, pieces) is stands


@given(st.lists(st.sampled_from(["tide", "moon", "sea", "412", "月"]), min_size=1, max_size=12), st.data())
def test_what_was_joined_from_lines_stands_in_them(words: list[str], data: st.DataObject) -> None:
    """Wherever the lines break and the sentence begins and ends."""
    breaks = sorted(data.draw(st.sets(st.integers(1, len(words)), max_size=3)))
    lines = [
        " ".join(words[start:end]) for start, end in zip([0, *breaks], [*breaks, len(words)], strict=True)
    ]
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    assert stands_in(" ".join(words[first:last]), lines)
    assert not stands_in(" ".join([*words[first:last], "ebb"]), lines)


LINE = Source("Tides rise twice a day.", "ocr", 0, 12.0, 18.0, None, Box(0.1, 0.1, 0.6, 0.2))
CLIP = ClipPlace(0.0, 30.0, None)
PAGE = Source("Tides rise twice a day.", "text_layer", 1, None, None, 2, Box(0.1, 0.1, 0.6, 0.2))


ON_PAGE = {"source": "text_layer", "clip": 1, "page": 2, "time_seconds": None, "until_seconds": None}


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"time_seconds": 17.0, "until_seconds": 30.0}, True),
        ({"time_seconds": 30.0, "until_seconds": 40.0}, False),
        ({"time_seconds": 130.0, "until_seconds": 140.0}, False),
        ({"source": "asr"}, False),
        ({"evidence": "Tides rise once a day."}, False),
        ({"box": Box(0.1, 0.7, 0.6, 0.8)}, False),
        ({"clip": 7}, False),
        ({"clip": 1}, False),
        (ON_PAGE, True),
        (ON_PAGE | {"source": "ocr"}, False),
        (ON_PAGE | {"page": 1}, False),
        (ON_PAGE | {"clip": 0}, False),
    ],
)
def test_a_citation_holds_only_where_it_says(changed: dict[str, object], holds: bool) -> None:
    """Source, words, time, page, clip and part of the picture: each alone makes it wrong."""
    facts: dict[str, object] = {
        "level": "asset",
        "segment": 0,
        "clip": 0,
        "sentence": 0,
        "rank": 0,
        "text": "Tides rise.",
        "evidence": "Tides rise twice a day",
        "source": "ocr",
        "time_seconds": 12.0,
        "until_seconds": 17.0,
        "box": Box(0.1, 0.1, 0.6, 0.2),
    }
    citation = Cited(**(facts | changed))  # type: ignore[arg-type]  # names of its fields
    assert Sources([LINE, PAGE], {0: CLIP, 1: ClipPlace(None, None, 2)}).bear_out(citation) is holds


def test_sentences_that_nothing_is_cited_for_are_found() -> None:
    """However the others are joined."""
    summary = "Tides rise. The Moon is far. It is cold"
    assert uncited(summary, ["The Moon is far."]) == ["Tides rise.", "It is cold"]
    assert uncited(summary, ["It is cold", "Tides rise.", "The Moon is far."]) == []
    assert uncited("", []) == []


def test_support_counts_sentences_and_not_citations() -> None:
    """A sentence with a second, right citation is not borne out by it; one without any counts too."""
    rows = [
        Cited("asset", 0, 0, 0, 0, "Tides rise.", "Tides rise twice a day.", "ocr", 12.0, 18.0),
        Cited("asset", 0, 0, 1, 0, "Tides fall.", "Tides fall.", "ocr", 12.0, 18.0),
        Cited("asset", 0, 0, 1, 1, "Tides fall.", "Tides rise twice a day.", "ocr", 12.0, 18.0),
        Cited("key_point", 0, 0, 0, 0, "Twice a day.", "twice a day", "ocr", 12.0, 18.0),
    ]
    found = Found(
        "a", "video", "en", None,
        summaries=[
            Summary("asset", 0, "Tides rise. Tides fall. There are 9 moons."),
            Summary("key_point", 0, "Twice a day."),
            Summary("key_point", 1, "Never at night."),
        ],
        citations=rows,
        sources=[LINE],
        clips={0: CLIP},
    )  # fmt: skip
    scores = score_asset(found)
    assert scores["support_asset"] == Tally(1, 3)
    assert scores["support_key_point"] == Tally(1, 2)
    assert scores["support"] == Tally(2, 5)
    assert scores["citations_hold"] == Tally(3, 4)
    assert scores["facts_stated"] == Tally(4, 5)
    assert shared_words("Tides fall.", ["Tides rise twice a day."]) == 0.5


def test_a_right_asset_has_the_best_of_every_number() -> None:
    """And nothing at all has the worst, within the bounds of each."""
    truth = {
        "text": "Tides rise twice a day.",
        "shown": [{"text": "Tides rise twice a day.", "start_seconds": 12, "end_seconds": 18}],
        "utterances": [{"text": "High water.", "start_seconds": 1, "end_seconds": 2, "speaker": "Ann"}],
        "segments": [{"start_seconds": 0, "title": "Tides"}, {"start_seconds": 30, "title": "Moon"}],
        "title": "Tides",
        "language": "en",
        "kind": "video",
        "summary_facts": ["twice a day"],
        "summary_false": ["once a day"],
    }
    right = Found(
        "a", "video", "en", "Tides",
        lines=[Standing(LINE.text, 12.0, 18.0)],
        heard=heard_words("High water.", 1.0, 2.0, [], "S0"),
        segments=[FoundSegment(0, "Tides"), FoundSegment(30, "Moon")],
        summaries=[Summary("asset", 0, LINE.text)],
        citations=[Cited("asset", 0, 0, 0, 0, LINE.text, LINE.text, "ocr", 12.0, 18.0)],
        sources=[LINE],
        clips={0: CLIP},
    )  # fmt: skip
    for item in values(measured(right, **truth)):
        best = 1.0 if METRICS[item.metric].better == "higher" else 0.0
        assert item.value in (best, None), item
    unseen = {"failures", "open_reviews", "wer_substitutions", "wer_insertions", "facts_stated"}
    wrong = Found("a", "audio", None, None, summaries=[Summary("clip", 3, "Once a day.")])
    for item in values(measured(wrong, **truth)):
        worst = 0.0 if METRICS[item.metric].better == "higher" else 1.0
        if item.metric not in unseen:
            assert item.value in (worst, None), item


def test_a_line_that_is_torn_at_both_ends_is_found() -> None:
    """Of three lines the middle one begins and ends within words; a scrap in a word proves nothing."""
    lines = ["can be implemented us-", "ing dense representations alone, where em-", "beddings are learned."]
    whole = "can be implemented using dense representations alone, where embeddings are learned"
    assert stands_in(whole, lines)
    assert not stands_in("using dense", ["us", "ing den", "se"])
