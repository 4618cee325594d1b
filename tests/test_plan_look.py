"""Looks are planned within their budget, in order, and show what stands in their clip."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.choose_details import LEGIBLE_PX
from operators.choose_frames import Screen, choose
from operators.compose_pages import compose_pages
from operators.compose_timeline import compose_timeline
from operators.draft import Draft
from operators.plan_look import check_budget, expected_visual_tokens, plan_looks
from operators.prompts import load_prompt
from operators.quote import quoted
from operators.text_tokens import estimate_tokens
from operators.visual_tokens import families, rule_of_family
from schemas.config import Vision
from schemas.look import Glance, Look
from schemas.media import Asset, Unit
from schemas.perception import Line, Perception, Utterance, View

PROMPTS = {name: load_prompt(name) for name in ("caption", "read")}
QWEN = rule_of_family("qwen2_vl")
RULES = {str(family): rule_of_family(family) for family in (*families(), None)}
VISION = Vision(engine="transformers", model="m")


def asset_of(kind: str, width: int = 1280, height: int = 720, seconds: float | None = 60.0) -> Asset:
    """Probe a file without reading one."""
    return Asset(
        "a", "v", "file:///a", kind, 1, "f", "h", width_px=width, height_px=height, duration_seconds=seconds
    )


def line(text: str, y: float, letter: float = 0.05, x: float = 0.1, wide: float = 0.4) -> Line:
    """Draw a line of text: `letter` is its height, `wide` its width, in fractions."""
    return Line(text, 0.9, x, y, x + wide, y + letter, "ocr", letter)


def view_at(
    time: float, lines: Sequence[Line] = (), until: float | None = None, read: str = "whole", turned: int = 0
) -> View:
    """Show a frame of 1280 x 720, or of 720 x 1280 where it had to be turned."""
    size = (720, 1280) if turned in (90, 270) else (1280, 720)
    return View(*size, list(lines), time, time if until is None else until, read=read, turned_degrees=turned)


def film(
    views: Sequence[View],
    utterances: Sequence[Utterance] = (),
    seconds: float = 60.0,
    clip_seconds: float = 30.0,
) -> tuple[Asset, list[Perception], Draft]:
    """Perceive a video and compose it."""
    asset = asset_of("video", seconds=seconds)
    span = Perception(asset, Unit(0, "span", 0.0, seconds), views=list(views), sampled=int(seconds))
    speech = Perception(asset, Unit(1, "speech", 0.0, seconds), utterances=list(utterances))
    units = [span, speech]
    return asset, units, compose_timeline(units, clip_seconds)


def page_of(
    lines: Sequence[Line], width: int = 595, height: int = 842
) -> tuple[Asset, list[Perception], Draft]:
    """Perceive a document of one page and compose it."""
    asset = replace(asset_of("document", width, height, None), page_count=1)
    view = View(width, height, list(lines), page=1, text_source="text_layer")
    units = [Perception(asset, Unit(0, "page", page=1), views=[view])]
    return asset, units, compose_pages(units)


def planned(
    made: tuple[Asset, list[Perception], Draft], vision: Vision = VISION, family: str = "qwen2_vl"
) -> list[Look]:
    """Plan the looks of what was made."""
    return plan_looks(*made, vision, RULES[family], estimate_tokens, PROMPTS)


texts = st.text("abcdefgh ", min_size=1, max_size=40)
fractions = st.floats(0, 0.95, allow_nan=False)
lines = st.lists(
    st.builds(line, texts, fractions, st.sampled_from([0.008, 0.015, 0.03, 0.08]), fractions, st.just(0.05)),
    max_size=12,
)


def drawn_film(
    shown: Sequence[tuple[float, list[Line], str, int]], said: Sequence[tuple[float, str]]
) -> tuple[Asset, list[Perception], Draft]:
    """Make a film of what was drawn."""
    views = [view_at(time, found, read=read, turned=turned) for time, found, read, turned in shown]
    utterances = [Utterance(time, time + 2, text, source="s") for time, text in said]
    return film(sorted(views, key=lambda view: view.time_seconds or 0.0), utterances)


films = st.builds(
    drawn_film,
    st.lists(
        st.tuples(st.floats(0, 59.9), lines, st.sampled_from(["whole", "parts"]), st.sampled_from([0, 90])),
        max_size=12,
    ),
    st.lists(st.tuples(st.floats(0, 55), texts), max_size=5),
)
visions = st.builds(
    lambda tokens, frames, details, quoted_tokens: VISION.model_copy(
        update={
            "max_visual_tokens": tokens,
            "max_frames": frames,
            "max_details": details,
            "max_quoted_tokens": quoted_tokens,
        }
    ),
    st.integers(16, 6000), st.integers(1, 12), st.integers(0, 5), st.integers(0, 300),
)  # fmt: skip


def sizes_of(glances: Sequence[Glance]) -> list[tuple[int, int]]:
    """List the sizes of pictures."""
    return [(glance.width_px, glance.height_px) for glance in glances]


@pytest.mark.parametrize("family", sorted(RULES))
@settings(max_examples=12, deadline=None)
@given(films, visions)
def test_a_look_is_in_its_budget_in_order_and_in_its_clip(
    family: str, made: tuple[Asset, list[Perception], Draft], vision: Vision
) -> None:
    """Holds for any film, budget and family; a clip without a look has no picture that fits."""
    rule = RULES[family]
    looks = planned(made, vision, family)
    assert looks == planned(made, vision, family)
    _, units, draft = made
    screen = Screen(units)
    for look in looks:
        first, last = draft.clips[look.clip], draft.clips[look.clip + look.clips - 1]
        start, end = first.start_seconds or 0.0, last.end_seconds or 0.0
        counts = rule.count(sizes_of(look.glances))
        assert [glance.visual_tokens for glance in look.glances] == counts
        assert look.visual_tokens == sum(counts) <= vision.max_visual_tokens
        whole = [glance for glance in look.glances if glance.box is None]
        assert 1 <= len(whole) <= vision.max_frames
        assert len(look.glances) - len(whole) <= vision.max_details
        times = [glance.time_seconds or 0.0 for glance in look.glances]
        assert times == sorted(times)
        assert all(start <= time < end for time in times)
        before: Glance | None = None
        for glance in look.glances:
            if glance.box is None:
                assert before is None or (before.time_seconds or 0) < (glance.time_seconds or 0)
                before = glance
            else:
                assert before is not None
                assert before.time_seconds == glance.time_seconds
                assert before.turned_degrees == glance.turned_degrees
                assert 0 <= glance.box.x0 < glance.box.x1 <= 1
                assert 0 <= glance.box.y0 < glance.box.y1 <= 1
        assert (
            estimate_tokens(quoted(look.seen)) + estimate_tokens(quoted(look.said))
            <= vision.max_quoted_tokens
        )
    looked = [clip for look in looks for clip in range(look.clip, look.clip + look.clips)]
    assert looked == sorted(set(looked))
    for index, clip in enumerate(draft.clips):
        start, end = clip.start_seconds or 0.0, clip.end_seconds or 0.0
        shown = screen.candidates(start, end)
        if index in looked:
            assert shown
        elif shown:
            (alone,) = choose(shown, 1, start, end)
            size = alone.view.width_px, alone.view.height_px
            assert rule.fit(size, vision.max_visual_tokens) is None


def test_each_distinct_picture_is_shown_where_there_is_room() -> None:
    """Three pictures, three glances."""
    looks = planned(film([view_at(0), view_at(10), view_at(20)], seconds=30))
    assert [[glance.time_seconds for glance in look.glances] for look in looks] == [[0, 10, 20]]


def test_a_picture_that_stands_already_is_shown_as_it_is_when_the_clip_begins() -> None:
    """Its time lies in the clip it is shown for."""
    looks = planned(film([view_at(0, until=44.0), view_at(45, until=59.0)]))
    assert [[glance.time_seconds for glance in look.glances] for look in looks] == [[0], [30, 45]]


def test_a_picture_last_seen_before_the_clip_is_not_taken_for_one_of_it() -> None:
    """What is on screen from 29 to 30.5 s nobody knows."""
    looks = planned(film([view_at(0, until=29.0), view_at(30.5, until=59.0)]))
    assert [[glance.time_seconds for glance in look.glances] for look in looks] == [[0], [30.5]]


def test_a_slide_that_is_built_up_is_shown_once_complete() -> None:
    """Points that come one by one are one slide."""
    points = [line("First point of all", 0.1), line("Second point", 0.3), line("Third point", 0.5)]
    views = [view_at(0, points[:1]), view_at(5, points[:2], read="parts"), view_at(10, points, read="parts")]
    (look,) = planned(film(views, seconds=30))
    assert [glance.time_seconds for glance in look.glances if glance.box is None] == [10]


def test_pictures_are_chosen_evenly_in_time() -> None:
    """A hundred pictures in the first second do not take the places of those after it."""
    views = [view_at(index / 100) for index in range(100)] + [view_at(time) for time in range(1, 30)]
    candidates = Screen(film(views, seconds=30)[1]).candidates(0, 30)
    times = [item.time for item in choose(candidates, 6, 0, 30)]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) == 6
    assert min(gaps) >= 3
    assert max(gaps) <= 7


def test_no_picture_shrinks_below_use_while_it_is_not_the_only_one() -> None:
    """Fewer pictures, but not smaller ones."""
    views = [view_at(time) for time in range(0, 30, 2)]
    many = planned(film(views, seconds=30), VISION.model_copy(update={"max_visual_tokens": 1024}))[0]
    few = planned(film(views, seconds=30), VISION.model_copy(update={"max_visual_tokens": 150}))[0]
    one = planned(film(views, seconds=30), VISION.model_copy(update={"max_visual_tokens": 30}))[0]
    assert (len(many.glances), len(few.glances), len(one.glances)) == (8, 2, 1)


def test_small_pictures_are_all_shown() -> None:
    """A video of 200 x 150 pixels costs 35 tokens a frame, and is never of a useful size."""
    made = film([replace(view_at(time), width_px=200, height_px=150) for time in range(0, 30, 5)], seconds=30)
    (look,) = planned((replace(made[0], width_px=200, height_px=150), *made[1:]))
    assert sizes_of(look.glances) == [(196, 140)] * 6


def test_small_letters_are_shown_enlarged_and_large_ones_are_not() -> None:
    """Letters of 11 pixels in 720 are below the legible where the frame is shown at half its size."""
    small = [line(f"small print number {index}", 0.7 + 0.03 * index, 0.015, wide=0.25) for index in range(6)]
    vision = VISION.model_copy(update={"max_visual_tokens": 400})
    (look,) = planned(film([view_at(0, small)], seconds=20), vision)
    whole, detail = look.glances
    assert whole.box is None
    assert detail.box is not None
    assert detail.box.y0 <= 0.7
    assert detail.box.y1 >= 0.865
    assert detail.box.x0 <= 0.1
    assert detail.box.x1 >= 0.35
    in_whole = 0.015 * whole.height_px
    in_detail = 0.015 * detail.height_px / (detail.box.y1 - detail.box.y0)
    assert in_whole < 8
    assert in_detail > 10.5
    large = [line("A large heading", 0.1, 0.1), line("and more of it", 0.3, 0.1)]
    (look,) = planned(film([view_at(0, large)], seconds=20), vision)
    assert [glance.box for glance in look.glances] == [None]


def test_a_page_is_shown_with_its_small_print_legible() -> None:
    """Eight lines of 6 points at the foot of an A4 page, which is legible otherwise."""
    foot = [
        line(f"terms and conditions apply to all {index}", 0.9 + 0.009 * index, 6 / 842, 0.1, 0.3)
        for index in range(8)
    ]
    head = [line("Invoice", 0.1, 0.03)]
    (look,) = planned(page_of([*head, *foot]))
    whole, *parts = look.glances
    assert (whole.page, whole.box, whole.time_seconds) == (1, None, None)
    assert parts
    best = max(6 / 842 * part.height_px / (part.box.y1 - part.box.y0) for part in parts if part.box)
    assert 6 / 842 * whole.height_px < LEGIBLE_PX <= best


def test_a_page_to_be_read_gets_the_prompt_for_it_and_a_film_does_not() -> None:
    """`vision.pages` concerns pages."""
    vision = VISION.model_copy(update={"pages": "read"})
    assert [look.prompt for look in planned(page_of([line("x", 0.1)]), vision)] == ["read"]
    assert [look.prompt for look in planned(film([view_at(0)], seconds=20), vision)] == ["caption"]


@pytest.mark.parametrize("setting", [{"videos": False}, {"pages": "off"}])
def test_what_is_not_to_be_looked_at_is_not(setting: dict[str, object]) -> None:
    """Settings leave videos or pages out."""
    made = film([view_at(0)]) if "videos" in setting else page_of([line("x", 0.1)])
    assert planned(made)
    assert not planned(made, VISION.model_copy(update=setting))


def test_sound_and_blank_pages_have_nothing_to_show() -> None:
    """Sound has clips, but no pictures."""
    asset, units, draft = film([])
    assert draft.clips
    assert not planned((replace(asset, kind="audio"), units, draft))
    made = page_of([])
    blank = replace(made[1][0], views=[replace(made[1][0].views[0], text_source="none")])
    args = made[0], [blank], made[2], VISION, QWEN, estimate_tokens, PROMPTS
    assert len(plan_looks(*args)) == 1
    assert plan_looks(*args, recognised=True) == []


def test_quotes_hold_each_line_once_and_no_doubtful_speech() -> None:
    """A heading that stands in two pictures is quoted once."""
    said = [
        Utterance(1, 3, "Good morning.", source="s"),
        Utterance(4, 6, "Thanks.", source="s", doubts=["repetition"]),
    ]
    heading = line("Budget 2024", 0.1)
    views = [view_at(0, [heading, line("Rent", 0.3)]), view_at(9, [heading, line("Food", 0.5)])]
    (look,) = planned(film(views, said, seconds=20))
    assert look.seen.split("\n") == ["Budget 2024", "Rent", "Food"]
    assert look.said == "Good morning."


def test_what_one_quote_does_not_need_the_other_gets() -> None:
    """Each has half of the budget only where both need it."""
    many = [line(f"line {index} of the slide", 0.02 * index, 0.01) for index in range(40)]
    said = [Utterance(0, 9, "word " * 400, source="s")]
    vision = VISION.model_copy(update={"max_quoted_tokens": 200})
    (both,) = planned(film([view_at(0, many)], said, seconds=20), vision)
    (read,) = planned(film([view_at(0, many)], seconds=20), vision)
    tokens = [estimate_tokens(quoted(text)) for text in (both.seen, both.said, read.seen)]
    assert 80 <= tokens[0] <= 110
    assert 80 <= tokens[1] <= 110
    assert 180 <= tokens[2] <= 200
    assert both.said.startswith("word word")
    assert both.said.endswith("…")


def test_text_tokens_cover_the_prompt_as_laid_out() -> None:
    """What is quoted counts."""
    short, long = (
        planned(film([view_at(0)], [Utterance(0, 5, text, source="s")], seconds=20))[0].text_tokens
        for text in ("Yes.", "Yes, and " * 20)
    )
    assert short > estimate_tokens(PROMPTS["caption"].text) / 2
    assert long - short >= 40


def test_the_language_of_the_answer_is_as_set_or_else_as_detected() -> None:
    """The setting goes before what was detected."""
    made = film([view_at(0)], seconds=20)
    french = VISION.model_copy(update={"language": "fr"})
    for vision, detected, wanted in ((VISION, None, None), (VISION, "de", "de"), (french, "de", "fr")):
        (look,) = plan_looks(*made, vision, QWEN, estimate_tokens, PROMPTS, detected)
        assert look.language == wanted


def test_a_turned_picture_is_shown_upright() -> None:
    """Its height and width are those after the turn."""
    (look,) = planned(film([view_at(0, turned=90)], seconds=20))
    (glance,) = look.glances
    assert glance.turned_degrees == 90
    assert glance.height_px > glance.width_px


def test_a_budget_below_one_picture_is_refused_by_name() -> None:
    """A tile of InternVL costs 256 tokens."""
    rule = RULES["internvl"]
    vision = VISION.model_copy(update={"max_visual_tokens": 100})
    problem = check_budget(rule, vision, None) or ""
    assert "vision.max_visual_tokens=100" in problem
    assert "256" in problem
    assert check_budget(rule, vision.model_copy(update={"max_visual_tokens": 256}), None) is None


def test_a_request_beyond_the_context_is_refused_by_name() -> None:
    """The message names all settings that share the context."""
    assert check_budget(QWEN, VISION, 32_768) is None
    assert check_budget(QWEN, VISION, None) is None
    problem = check_budget(QWEN, VISION, 1500) or ""
    for part in (
        "1500",
        "vision.max_visual_tokens=1024",
        "vision.max_quoted_tokens=512",
        "vision.max_new_tokens=160",
    ):
        assert part in problem
    assert check_budget(QWEN, VISION, 2000) is None
    assert check_budget(QWEN, VISION.model_copy(update={"pages": "read"}), 2000)


def test_the_forecast_is_what_is_planned() -> None:
    """Before decoding the same arithmetic is used."""
    views = [view_at(time) for time in range(0, 30, 10)]
    (look,) = planned(film(views, seconds=30))
    assert expected_visual_tokens(1280, 720, 3, VISION, QWEN) == look.visual_tokens
    assert (
        expected_visual_tokens(
            1280, 720, 1, VISION.model_copy(update={"max_visual_tokens": 100}), RULES["internvl"]
        )
        == 0
    )


def test_a_still_picture_is_looked_at_once_however_long_it_stands() -> None:
    """Ten clips of a slide are one look, across the borders of spans too; another slide is another look."""
    asset = asset_of("video", seconds=300.0)
    first = [line("Tides of the northern harbours", 0.2), line("High water at noon", 0.4)]
    other = [line("Ebb and flow in the estuary", 0.2), line("Low water at six", 0.4)]
    spans = [
        Perception(
            asset,
            Unit(index, "span", 60.0 * index, 60.0 * index + 60),
            views=[view_at(60.0 * index, first if index < 3 else other, until=60.0 * index + 59)],
            sampled=60,
        )
        for index in range(5)
    ]
    spans[3] = replace(spans[3], cuts=[180.0])
    said = Utterance(100.0, 103.0, "In the fourth clip", source="s")
    units = [*spans, Perception(asset, Unit(5, "speech", 0.0, 300.0), utterances=[said])]
    draft = compose_timeline(units, 30.0)
    assert len(draft.clips) == 10
    looks = plan_looks(asset, units, draft, VISION, QWEN, estimate_tokens, PROMPTS)
    assert [
        (look.clip, look.clips, len([one for one in look.glances if one.box is None])) for look in looks
    ] == [
        (0, 6, 1),
        (6, 4, 1),
    ]
    assert looks[0].said == "In the fourth clip"
    assert looks[1].glances[0].time_seconds == 180.0


def test_pictures_without_text_are_looked_at_clip_by_clip_across_spans() -> None:
    """Nothing says that the picture after a border of spans is the one before it."""
    asset = asset_of("video", seconds=120.0)
    units = [
        Perception(asset, Unit(index, "span", 60.0 * index, 60.0 * index + 60), views=[view_at(60.0 * index)])
        for index in range(2)
    ]
    looks = plan_looks(asset, units, compose_timeline(units, 30.0), VISION, QWEN, estimate_tokens, PROMPTS)
    assert [(look.clip, look.clips) for look in looks] == [(0, 2), (2, 2)]
