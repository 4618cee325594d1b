"""Lines seen in picture after picture become lines that stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import track_text
from operators.track_text import reading_order, same_text, text_key, track
from schemas.perception import Line, View
from tests.made_perceptions import line, slide, view


def _texts(views: list[View]) -> list[str]:
    tracked = track(views)
    return [tracked.regions[region].line.text for region in reading_order(tracked, range(len(views)))]


def test_a_line_that_stands_is_one_region_with_its_best_reading() -> None:
    """Readings that differ by a character are one line; the surest reading is kept."""
    views = [
        view([line("Water frcm the roots", 0.3, confidence=0.8)], 0.0, 3.0),
        view([line("Water from the roots", 0.301, confidence=0.97)], 4.0, 6.0),
        view([line("Water from the root5", 0.299, confidence=0.7)], 7.0, 9.0),
    ]
    (region,) = track(views).regions
    assert region.line.text == "Water from the roots"
    assert (region.time_seconds, region.until_seconds) == (0.0, 9.0)


def test_a_line_that_returns_is_a_second_region() -> None:
    """Vanishing ends a region: between 3 s and 6 s the line was not there."""
    shown = [line("Light from the sun", 0.3)]
    regions = track([view(shown, 0, 2), view([], 3, 5), view(shown, 6, 8)]).regions
    assert [(region.time_seconds, region.until_seconds) for region in regions] == [(0, 2), (6, 8)]


def test_nothing_is_known_to_stand_through_a_lost_span() -> None:
    """A break before a view ends all regions although the text goes on."""
    shown = [line("Light from the sun", 0.3)]
    assert len(track([view(shown, 0, 59), view(shown, 120, 130)]).regions) == 1
    assert len(track([view(shown, 0, 59), view(shown, 120, 130)], breaks={1}).regions) == 2


def test_the_same_text_elsewhere_is_another_region() -> None:
    """A region is a place as well as a text."""
    views = [view([line("Next steps", 0.2)], 0, 1), view([line("Next steps", 0.7)], 2, 3)]
    assert len(track(views).regions) == 2


def test_twins_in_one_picture_keep_their_places() -> None:
    """Two equal lines in one picture stay two regions, each followed in its own place."""
    shown = [line("0.00", 0.2), line("0.00", 0.5)]
    tracked = track([view(shown, 0, 1), view(shown[::-1], 2, 3)])
    assert len(tracked.regions) == 2
    assert tracked.seen == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Carbon dioxide from the air", "Carbon dioxide from the alr", True),
        ("Light fromthe sun", "light from the sun", True),
        ("Recorded at 12:00:01", "Recorded at 12:00:02", False),
        ("Chapter 10: the long introduction", "Chapter 1: the long introduction", False),
        ("The answer is 0 and 1 of course", "The answer is O and l of course", True),
        ("cat", "car", False),
        ("What a leaf needs", "Numbers to remember", False),
        ("光合作用", "光合作周", False),
    ],
)
def test_slips_are_the_same_text_and_digits_are_not_slips(left: str, right: str, same: bool) -> None:
    """One letter in ten may differ; a changed digit is a changed meaning."""
    assert same_text(text_key(left), text_key(right)) is same
    assert same_text(text_key(right), text_key(left)) is same


_LINES = st.lists(
    st.builds(
        line,
        st.sampled_from(["Light", "Water from the roots", "Water frcm the roots", "1 / 5", "光合作用"]),
        st.sampled_from([0.1, 0.105, 0.3, 0.6]),
    ),
    max_size=4,
)


@given(st.lists(_LINES, max_size=8))
def test_every_line_belongs_to_exactly_one_region(pictures: list[list[Line]]) -> None:
    """No line is lost or doubled, and a region's times are those of the views that show it."""
    views = [view(lines, 2.0 * place, 2.0 * place + 1) for place, lines in enumerate(pictures)]
    tracked = track(views)
    assert [len(seen) for seen in tracked.seen] == [len(lines) for lines in pictures]
    for seen in tracked.seen:
        assert len(set(seen)) == len(seen)
    for index, region in enumerate(tracked.regions):
        showing = [place for place, seen in enumerate(tracked.seen) if index in seen]
        assert showing == list(range(showing[0], showing[-1] + 1))
        assert region.time_seconds == 2.0 * showing[0]
        assert region.until_seconds == 2.0 * showing[-1] + 1


def test_bullets_that_come_one_by_one_read_as_the_finished_slide() -> None:
    """A slide built up in steps gives each line once, in the order of the finished slide."""
    steps = [slide("Plan", *["Read the book", "Write it down", "Sleep well"][:count]) for count in range(4)]
    assert _texts([view(lines, 2 * i, 2 * i + 1) for i, lines in enumerate(steps)]) == [
        "Plan",
        "Read the book",
        "Write it down",
        "Sleep well",
    ]


def test_a_line_that_comes_in_between_goes_in_between() -> None:
    """A bullet that appears above another is read above it."""
    first = [line("Plan", 0.1), line("Sleep well", 0.5)]
    second = [line("Plan", 0.1), line("Read the book", 0.3), line("Sleep well", 0.5)]
    assert _texts([view(first, 0, 1), view(second, 2, 3)]) == ["Plan", "Read the book", "Sleep well"]


def test_the_next_slide_follows_the_one_before_although_both_share_header_and_footer() -> None:
    """Lines that stay do not pull a new slide's lines before those that are gone."""
    header, footer = line("ACME Institute", 0.02, size=0.03), line("Biology 101", 0.95, size=0.03)
    first = [header, line("Photosynthesis", 0.2), line("Light", 0.4), footer]
    second = [header, line("Respiration", 0.2), line("Oxygen", 0.4), footer]
    assert _texts([view(first, 0, 1), view(second, 2, 3)]) == [
        "ACME Institute",
        "Photosynthesis",
        "Light",
        "Respiration",
        "Oxygen",
        "Biology 101",
    ]


def test_typing_and_scrolling_do_not_repeat_text() -> None:
    """A line being typed stands once, finished; a line scrolled up stands once."""
    typed = ["git", "git commit", "git commit -m fix"]
    assert _texts([view([line(text, 0.3)], i, i) for i, text in enumerate(typed)]) == ["git commit -m fix"]
    names = ["Ann Lee", "Bo Chen", "Cy Diaz", "Di Evans", "Ed Fox"]
    pages = [view([line(names[i + row], 0.2 + 0.2 * row) for row in range(3)], i, i) for i in range(3)]
    assert _texts(pages) == names


def test_a_standing_slide_costs_no_comparison_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal readings are found by look-up: hours of standing slides compare nothing."""
    calls = 0

    def counted(left: str, right: str) -> bool:
        nonlocal calls
        calls += 1
        return same_text(left, right)

    monkeypatch.setattr(track_text, "same_text", counted)
    lines = [
        line(f"Line {word} of the slide", 0.02 + 0.03 * i)
        for i, word in enumerate("abcdefghijklmnopqrstuvwxyz")
    ]
    assert len(track([view(lines, i, i) for i in range(500)]).regions) == 26
    assert calls == 0
    changing = [
        view(
            [line(f"{chr(97 + (i * 7 + row) % 26) * 9} {row}", 0.02 + 0.03 * row) for row in range(26)], i, i
        )
        for i in range(100)
    ]
    track(changing)
    assert calls <= 100 * 26 * 4
