"""What a vision-language model gets of each clip or page: pictures, words and their cost.

Planned from what was perceived alone, before anything is decoded for it: which pictures are shown
and how large, which parts of them enlarged, and what is quoted of what was read and said. The visual
tokens of a look never exceed their budget by the rule of the model's family.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from operators.asked import most_new_tokens
from operators.choose_details import Source
from operators.choose_frames import Candidate, Screen, choose
from operators.draft import ClipDraft, Draft
from operators.prompt_files import Prompt
from operators.prompts import lay_out
from operators.quote import cut_to, quoted
from operators.share_budget import Sight, share_budget
from operators.text_tokens import TextCounter
from operators.visual_rule import Size
from operators.visual_tokens import TokenRule
from schemas.config import Vision
from schemas.look import Glance, Look
from schemas.media import Asset, Kind
from schemas.perception import Perception, View

PAGE_PIXELS = 4_200_000
"""A page of a document, which has no pixels of its own, is rendered at up to this size."""

_PAGE_ENLARGED = 25 / 6
_SCAN_ENLARGED = 2.0
"""At most: from 72 to 300 pixels an inch for pages with a text layer, and from what was rendered for
recognition for the others."""

_SAME_SHAPE = 0.03
"""Relative difference of two ratios of width to height that is rounding."""

_TEMPLATE_TOKENS = 64
"""Allowance for the chat template: turns and a short system prompt. That of Qwen2-VL has 20."""

_PICTURE_TOKENS = 6
"""Allowance for each picture beside its markers: as a frame of a video it has its time before it."""

_LONGEST_TOKEN = 64
"""Characters for each token of the budget that are looked at when text is cut."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A frame or page that can be shown."""

    view: View
    source: Source
    time: float | None
    page: int | None


def plan_looks(
    asset: Asset,
    units: Sequence[Perception],
    draft: Draft,
    vision: Vision,
    rule: TokenRule,
    count: TextCounter,
    prompts: Mapping[str, Prompt],
    language: str | None = None,
    recognised: bool = False,
) -> list[Look]:
    """Plan a look for each clip or page that is to be looked at; clips of one still picture share one.

    Args:
        asset: that was perceived.
        units: of the asset, all of them.
        draft: what composing made of them.
        vision: budgets and what is looked at.
        rule: how the model's family counts visual tokens.
        count: counts tokens of text.
        prompts: by name; `read` is needed for pages that are to be read, else `caption`.
        language: of the asset, as detected; `vision.language` goes before it.
        recognised: Pictures were recognised, so that a page with neither a reading nor a text layer is
            blank: nothing is shown of it.

    Returns:
        In order of clips; none for clips without pictures and for sound, and none where not even one
        picture fits the budget.
    """
    prompt = prompts["read" if _is_read(asset, vision) else "caption"]
    said = _said(draft)
    looks = []
    for clips, pictures, sights in _planned(asset, units, draft, vision, rule, recognised):
        seen = draft.clips[clips[0]].ocr_text or ""
        spoken = "\n".join(said[clip] for clip in clips if said[clip])
        seen, spoken = _quotes(seen, spoken, prompt, vision.max_quoted_tokens, count)
        look = Look(
            clip=clips[0],
            clips=len(clips),
            glances=[_glance(sight, pictures[sight.source]) for sight in sights],
            prompt=prompt.name,
            language=vision.language or language,
            seen=seen,
            said=spoken,
            visual_tokens=sum(sight.tokens for sight in sights),
        )
        looks.append(replace(look, text_tokens=text_tokens(look, prompt, rule, count)))
    return looks


def expected_visual_tokens(
    width_px: int, height_px: int, frames_per_clip: int, vision: Vision, rule: TokenRule
) -> int:
    """Say what a clip or page will cost, before anything of it was decoded.

    Args:
        width_px: of its pictures.
        height_px: of its pictures.
        frames_per_clip: distinct pictures expected; 1 for a page.
        vision: budgets.
        rule: how the model's family counts.

    Returns:
        The visual tokens of its whole pictures; enlarged parts share the same budget. 0 where not even
        one picture fits.
    """
    frames = [Source((width_px, height_px), [])] * max(1, min(frames_per_clip, vision.max_frames))
    sights = share_budget(lambda most: frames[:most], len(frames), 0, vision.max_visual_tokens, rule)
    return sum(sight.tokens for sight in sights)


# --- pictures ------------------------------------------------------------------------------


def _is_read(asset: Asset, vision: Vision) -> bool:
    return asset.kind in (Kind.DOCUMENT, Kind.IMAGE) and vision.pages == "read"


def _planned(
    asset: Asset, units: Sequence[Perception], draft: Draft, vision: Vision, rule: TokenRule, recognised: bool
) -> Iterator[tuple[range, Sequence[_Picture], list[Sight]]]:
    """Give clips that have something to show, their pictures, and how they are shown."""
    if asset.kind == Kind.VIDEO and vision.videos:
        shows: Iterator[tuple[range, _Shows]] = _clips(asset, units, draft)
    elif asset.kind in (Kind.DOCUMENT, Kind.IMAGE) and vision.pages != "off":
        shows = _pages(asset, units, draft, recognised)
    else:
        return
    for clips, pictures in shows:
        sights = share_budget(
            lambda most, of=pictures: [picture.source for picture in of(most)],  # type: ignore[misc]
            vision.max_frames,
            vision.max_details,
            vision.max_visual_tokens,
            rule,
        )
        if sights:
            whole = sum(sight.box is None for sight in sights)
            yield clips, pictures(whole), sights


_Shows = Callable[[int], Sequence[_Picture]]
"""Gives so many pictures of a clip, or fewer where there are no more."""


def _clips(asset: Asset, units: Sequence[Perception], draft: Draft) -> Iterator[tuple[range, _Shows]]:
    screen = Screen(units)
    for clips in _by_picture(screen, draft.clips):
        start, end = draft.clips[clips[0]].start_seconds or 0.0, draft.clips[clips[-1]].end_seconds or 0.0
        yield clips, cache(partial(_frames, asset, screen.candidates(start, end), start, end))


def _by_picture(screen: Screen, clips: Sequence[ClipDraft]) -> Iterator[range]:
    """Put clips together in which one still picture stands: it is looked at once, however long it stands."""
    stills = [screen.still(clip.start_seconds or 0.0, clip.end_seconds or 0.0) for clip in clips]
    first = 0
    for clip in range(1, len(clips) + 1):
        if clip == len(clips) or stills[clip] is None or stills[clip] != stills[first]:
            yield range(first, clip)
            first = clip


def _frames(
    asset: Asset, candidates: Sequence[Candidate], start: float, end: float, most: int
) -> list[_Picture]:
    frames = choose(candidates, most, start, end)
    return [_Picture(frame.view, _source(asset, frame.view), frame.time, None) for frame in frames]


def _pages(
    asset: Asset, units: Sequence[Perception], draft: Draft, recognised: bool
) -> Iterator[tuple[range, _Shows]]:
    # Composing makes a clip of each view, in the order of pages.
    views = sorted(
        (
            (view.page or unit.unit.page or unit.unit.index + 1, view)
            for unit in sorted(units, key=lambda unit: unit.unit.index)
            for view in unit.views
        ),
        key=lambda pair: pair[0],
    )
    failed = {unit.unit.page for unit in units if unit.failures}
    for clip, (page, view) in enumerate(views[: len(draft.clips)]):
        unread = view.read == "none" and view.text_source == "none" and not view.lines
        if recognised and unread and page not in failed:
            continue
        picture = _Picture(view, _source(asset, view), None, page)
        yield range(clip, clip + 1), partial(_first, [picture])


def _first(pictures: Sequence[_Picture], most: int) -> Sequence[_Picture]:
    return pictures[:most]


def _source(asset: Asset, view: View) -> Source:
    """Say how large the picture of a view can be decoded, and what stands in it."""
    width, height = max(1, view.width_px), max(1, view.height_px)
    if asset.kind == Kind.DOCUMENT:
        return Source(rendered_size(width, height, view.text_source), view.lines)
    stated = asset.width_px or 0, asset.height_px or 0
    if view.turned_degrees in (90, 270):
        stated = stated[1], stated[0]
    # Pictures are read at a reduced size; of their shape and larger is what the file holds.
    alike = abs(stated[0] * height - stated[1] * width) <= _SAME_SHAPE * stated[1] * width
    return Source(stated if alike and stated[0] > width else (width, height), view.lines)


def rendered_size(width: int, height: int, text_source: str) -> Size:
    """Say how large a page of a document is rendered at most.

    Args:
        width: As it was read.
        height: As it was read.
        text_source: Where its lines come from: a page with a text layer is measured in points.
    """
    return page_size(width, height, _PAGE_ENLARGED if text_source == "text_layer" else _SCAN_ENLARGED)


def page_size(width: int, height: int, most: float = _PAGE_ENLARGED) -> Size:
    """Say how large a page can be rendered.

    Args:
        width: of the page, in 72 units to the inch or the pixels of a scan.
        height: likewise.
        most: how many times as large at most.
    """
    scale = min(most, math.sqrt(PAGE_PIXELS / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _glance(sight: Sight, picture: _Picture) -> Glance:
    return Glance(
        width_px=sight.size[0],
        height_px=sight.size[1],
        visual_tokens=sight.tokens,
        time_seconds=picture.time,
        page=picture.page,
        box=sight.box,
        turned_degrees=picture.view.turned_degrees,
    )


# --- words ---------------------------------------------------------------------------------


def _said(draft: Draft) -> dict[int, str]:
    """Join what is said in each clip; what may have been heard wrong is not quoted."""
    said: dict[int, list[str]] = defaultdict(list)
    for item in draft.utterances:
        if item.in_transcript and item.clip is not None and not item.utterance.doubts:
            said[item.clip].append(item.utterance.text.strip())
    return defaultdict(str, {clip: " ".join(filter(None, texts)) for clip, texts in said.items()})


def _quotes(seen: str, said: str, prompt: Prompt, most: int, count: TextCounter) -> tuple[str, str]:
    """Cut what is quoted to so many tokens together; what one does not need the other gets.

    Text for which the prompt has no place is not quoted.
    """
    seen = _beginning(seen, most) if "{seen}" in prompt.text else ""
    said = _beginning(said, most) if "{said}" in prompt.text else ""
    needs = count(quoted(seen)), count(quoted(said))
    if sum(needs) <= most:
        return seen, said
    half = most // 2
    # Whole marks and bars are quoted too, so what fits is counted as it is quoted.
    if needs[0] <= needs[1]:
        seen = cut_to(seen, max(half, most - needs[1]), count)
        return seen, cut_to(said, most - count(quoted(seen)), count)
    said = cut_to(said, max(half, most - needs[0]), count)
    return cut_to(seen, most - count(quoted(said)), count), said


def _beginning(text: str, most: int) -> str:
    """Leave out what cannot fit, so that a book on one page is not counted again and again."""
    return text[: most * _LONGEST_TOKEN]


def text_tokens(look: Look, prompt: Prompt, rule: TokenRule, count: TextCounter) -> int:
    """Count the prompt as it is laid out, the markers of its pictures, and what the template adds."""
    parts = [part for part in lay_out(look, prompt) if isinstance(part, str)]
    markers = rule.markers([(glance.width_px, glance.height_px) for glance in look.glances])
    return sum(map(count, parts)) + sum(markers) + _TEMPLATE_TOKENS + _PICTURE_TOKENS * len(markers)


# --- before the run ------------------------------------------------------------------------


def check_budget(
    rule: TokenRule, vision: Vision, context_tokens: int | None, prompt_tokens: int = 0
) -> str | None:
    """Say why the budgets cannot work, before anything is looked at.

    Args:
        rule: how the model's family counts visual tokens.
        vision: budgets.
        context_tokens: that the model takes, answer included; null where that is not known.
        prompt_tokens: of the longest prompt without what is filled in.

    Returns:
        What was wanted, found and to do; None where all fits.
    """
    for name, size in _COMMON:
        if _is_off(name, vision) or rule.fit(size, vision.max_visual_tokens) is not None:
            continue
        least = rule.least(size)
        return (
            f"Wanted at least one picture within vision.max_visual_tokens={vision.max_visual_tokens}; one of "
            f"{size[0]}x{size[1]} pixels costs this model {least} tokens at least. "
            f"Set vision.max_visual_tokens={least} or more, or choose another model."
        )
    if context_tokens is None:
        return None
    answer = most_new_tokens(vision, "read" if vision.pages == "read" else "caption")
    template = _TEMPLATE_TOKENS + prompt_tokens
    needed = vision.max_visual_tokens + vision.max_quoted_tokens + template + answer
    if needed <= context_tokens:
        return None
    return (
        f"Wanted a request and its answer within the {context_tokens} tokens this model takes; found up to "
        f"{needed}: vision.max_visual_tokens={vision.max_visual_tokens}, "
        f"vision.max_quoted_tokens={vision.max_quoted_tokens}, an answer of {answer} "
        f"(vision.max_new_tokens={vision.max_new_tokens}) and {template} for the prompt. "
        "Lower one of them."
    )


_COMMON: tuple[tuple[str, Size], ...] = (("videos", (1280, 720)), ("pages", (1240, 1754)))


def _is_off(name: str, vision: Vision) -> bool:
    return not vision.videos if name == "videos" else vision.pages == "off"
