"""Clips and pages are joined to chapters."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from operators.segment import (
    MOST_SEGMENTS,
    Block,
    Segment,
    merge,
    segment_document,
    segment_video,
    topic_borders,
)

_LEAF = "leaf light water plant green chlorophyll sugar"
_SHIP = "ship harbour sail anchor captain storm deck"


def _block(seconds: float, title: str | None = None, text: str = "", strength: float = 1.0) -> Block:
    return Block(seconds, title, Counter(text.split()), strength)


def _borders(segments: list[Segment]) -> list[int]:
    return [segment.first for segment in segments]


_BLOCKS = st.lists(
    st.builds(
        _block,
        st.floats(0.5, 40),
        st.sampled_from([None, "Photosynthesis", "Photosynthesis (cont.)", "Results 1", "Results 2"]),
        st.sampled_from(["", _LEAF, _SHIP, f"{_LEAF} {_SHIP}"]),
    ),
    max_size=40,
)


@given(_BLOCKS)
def test_every_block_lies_in_exactly_one_segment(blocks: list[Block]) -> None:
    """Segments of videos and of documents tile their blocks."""
    for segments in (segment_video(blocks), segment_document(blocks)):
        covered = [index for segment in segments for index in range(segment.first, segment.end)]
        assert covered == list(range(len(blocks)))
        assert len(segments) <= MOST_SEGMENTS


@given(_BLOCKS, st.floats(0.5, 60), st.integers(1, 10))
def test_merging_keeps_its_limits(blocks: list[Block], least: float, most: int) -> None:
    """After merging no segment is too short, unless it is the only one, nor are there too many."""
    firsts = merge(blocks, dict.fromkeys(range(1, len(blocks)), 1.0), least, most)
    if not blocks:
        assert firsts == []
        return
    assert firsts[0] == 0
    assert len(firsts) <= most
    ends = [*firsts[1:], len(blocks)]
    lengths = [sum(block.length for block in blocks[a:b]) for a, b in zip(firsts, ends, strict=True)]
    assert len(lengths) == 1 or min(lengths) >= least - 1e-6


def test_a_new_slide_title_opens_a_segment() -> None:
    """Clips of one slide are joined, a clip without a title goes with the slide before it."""
    blocks = [
        _block(11, "Photosynthesis"),
        _block(9, "What a leaf needs"),
        _block(6),
        _block(9, "What a leaf needs (2/2)"),
        _block(4, "光合作用"),
    ]
    assert segment_video(blocks) == [
        Segment(0, 1, "Photosynthesis"),
        Segment(1, 4, "What a leaf needs"),
        Segment(4, 5, "光合作用"),
    ]


def test_numbers_tell_titles_apart() -> None:
    """`Lesson 11` is not a misread `Lesson 12`."""
    blocks = [_block(20, "Lesson number 11"), _block(20, "Lesson number 12")]
    assert _borders(segment_video(blocks)) == [0, 1]


def test_an_hour_of_slides_has_no_hundreds_of_chapters() -> None:
    """240 titles in an hour become at most 60 chapters, none shorter than half a minute."""
    blocks = [_block(15, f"Topic {chr(97 + i % 26) * 5} {chr(97 + i // 26) * 5}") for i in range(240)]
    segments = segment_video(blocks)
    assert 30 <= len(segments) <= MOST_SEGMENTS
    assert min((segment.end - segment.first) * 15 for segment in segments) >= 30


def test_scenes_without_words_are_merged_to_half_minutes() -> None:
    """A silent film of 3 s shots gets chapters of 30 s or more."""
    segments = segment_video([_block(3) for _ in range(40)])
    assert all((segment.end - segment.first) * 3 >= 30 for segment in segments)
    assert len(segments) >= 2
    assert all(segment.title is None for segment in segments)


def test_speech_is_segmented_where_its_words_change() -> None:
    """Ten half-minutes about leaves and ten about ships part between them."""
    blocks = [_block(30, text=_LEAF + f" {'abcdefghij'[i]}one") for i in range(10)]
    blocks += [_block(30, text=_SHIP + f" {'abcdefghij'[i]}two") for i in range(10)]
    assert _borders(segment_video(blocks)) == [0, 10]
    assert list(topic_borders(blocks)) == [10]


def test_one_topic_has_no_border() -> None:
    """Where the words stay the same nothing is cut."""
    assert topic_borders([_block(30, text=_LEAF) for _ in range(20)]) == {}


def test_headings_open_sections_of_whole_pages() -> None:
    """A section begins at the page with its heading; pages without one belong to it."""
    blocks = [
        _block(1, "Report", "words"),
        _block(1),
        _block(1, "2 Methods"),
        _block(1),
        _block(1, "3 Results"),
    ]
    assert segment_document(blocks) == [
        Segment(0, 2, "Report"),
        Segment(2, 4, "2 Methods"),
        Segment(4, 5, "3 Results"),
    ]


def test_of_too_many_headings_the_largest_stay() -> None:
    """A thousand pages, each with a small heading and every fifty a large one: the large ones."""
    blocks = [
        _block(1, f"Part {chr(97 + i // 50)} {'xyz'[i % 3]}{i}", strength=2.0 if i % 50 == 0 else 1.2)
        for i in range(1000)
    ]
    segments = segment_document(blocks)
    assert len(segments) == MOST_SEGMENTS
    assert set(range(0, 1000, 50)) <= set(_borders(segments))


def test_a_silent_black_lead_belongs_to_the_first_slide() -> None:
    """Two seconds of nothing before the first title are no chapter."""
    assert _borders(segment_video([_block(3), _block(20, "Photosynthesis"), _block(20, "Reading list")])) == [
        0,
        2,
    ]
