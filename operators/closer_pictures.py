"""What a vision-language model is shown for a doubtful sentence: more of its clip than the caption had.

Frames evenly over the clip, or the page, and the place of the nearest evidence enlarged; all within the
budget of a caption, by the rule of the model's family.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from operators.asset_text import AssetText
from operators.choose_details import Source
from operators.closer_look import Doubt
from operators.evidence import Evidence
from operators.plan_look import rendered_size, text_tokens
from operators.prompt_files import Prompt
from operators.prompts import CHECK
from operators.quote import cut_to
from operators.share_budget import share_budget
from operators.text_tokens import TextCounter
from operators.visual_rule import Size
from operators.visual_tokens import TokenRule
from schemas.box import Box
from schemas.config import Vision
from schemas.look import Glance, Look
from schemas.media import Kind
from schemas.tables import ClipRow

MORE_FRAMES = 2
"""Times as many frames of a clip as a caption gets at most, where the budget has room for them."""

LEAST_SECONDS = 0.5
"""Between two frames: closer ones hardly differ."""

_WHOLE = 0.6
"""Share of the budget for whole pictures where a part is shown enlarged besides."""

_ENLARGED = 2.0
"""Times its own pixels to which a part of a frame is enlarged; a page is rendered larger instead."""

_SLIMMEST = 1 / 4
"""Parts are not slimmer than this: a line of text is shown with what stands above and below it."""

_SENTENCE_TOKENS = 96
"""Of the sentence, in any case: without it there is nothing to look for."""


def plan_look(
    text: AssetText, doubt: Doubt, vision: Vision, rule: TokenRule, count: TextCounter, prompt: Prompt
) -> Look | None:
    """Plan what the model is shown for a doubtful sentence.

    Args:
        text: Of the asset.
        doubt: The sentence, and where to look.
        vision: Budgets.
        rule: How the model's family counts visual tokens.
        count: Counts tokens of text.
        prompt: `check`.

    Returns:
        Frames evenly over the clip, or the page, and the place of the best evidence enlarged; null where
        the clip has no pictures, or not even one fits the budget.
    """
    clip = text.clips[doubt.clip]
    size = _size(text.asset.kind, clip)
    if size is None or not _is_shown(text.asset.kind, vision):
        return None
    best = next((item for item in doubt.item.evidence if item.clip == doubt.clip), None)
    glances = _glances(clip, size, best, text.asset.kind, vision, rule)
    if not glances:
        return None
    sentence = cut_to(doubt.item.text, max(vision.max_quoted_tokens, _SENTENCE_TOKENS), count)
    look = Look(
        clip=doubt.clip,
        glances=glances,
        prompt=CHECK,
        language=vision.language or text.asset.language,
        said=sentence,
        visual_tokens=sum(glance.visual_tokens for glance in glances),
    )
    return replace(look, text_tokens=text_tokens(look, prompt, rule, count))


def _is_shown(kind: str, vision: Vision) -> bool:
    """Tell whether the model may see assets of a kind at all."""
    return vision.videos if kind == Kind.VIDEO else vision.pages != "off"


def _size(kind: str, clip: ClipRow) -> Size | None:
    """Say how large the frames or the page of a clip can be decoded, upright."""
    if not clip.width_px or not clip.height_px:
        return None
    if kind == Kind.DOCUMENT:
        return rendered_size(clip.width_px, clip.height_px, clip.text_source)
    # Clips of a video state the size of its frames as they are stored, pages that of the upright page.
    if kind == Kind.VIDEO and clip.turned_degrees in (90, 270):
        return clip.height_px, clip.width_px
    return clip.width_px, clip.height_px


def _glances(
    clip: ClipRow, size: Size, best: Evidence | None, kind: str, vision: Vision, rule: TokenRule
) -> list[Glance]:
    """Share the budget between whole pictures and the place of the evidence, where that has one."""
    start, end = clip.start_seconds or 0.0, clip.end_seconds or 0.0
    most = 1
    if kind == Kind.VIDEO:
        most = max(1, min(MORE_FRAMES * vision.max_frames, int((end - start) / LEAST_SECONDS)))
    if best is not None and best.box is not None and (kind != Kind.VIDEO or best.time_seconds is not None):
        budget = round(_WHOLE * vision.max_visual_tokens)
        sizes = _whole(size, most, budget, rule)
        part = part_around(best.box, size)
        factor = 1.0 if kind == Kind.DOCUMENT else _ENLARGED
        wanted = tuple(
            max(1, round(factor * side * span))
            for side, span in zip(size, (part.x1 - part.x0, part.y1 - part.y0), strict=True)
        )
        enlarged = rule.fit((wanted[0], wanted[1]), vision.max_visual_tokens - budget, len(sizes) + 1)
        if sizes and enlarged is not None:
            glances = _laid_out(clip, sizes, best, (part, enlarged), kind, rule)
            if sum(glance.visual_tokens for glance in glances) <= vision.max_visual_tokens:
                return glances
    return _laid_out(clip, _whole(size, most, vision.max_visual_tokens, rule), best, None, kind, rule)


def _whole(size: Size, most: int, budget: int, rule: TokenRule) -> list[Size]:
    frames = [Source(size, [])] * most
    return [sight.size for sight in share_budget(lambda count: frames[:count], most, 0, budget, rule)]


def _laid_out(
    clip: ClipRow,
    sizes: Sequence[Size],
    best: Evidence | None,
    part: tuple[Box, Size] | None,
    kind: str,
    rule: TokenRule,
) -> list[Glance]:
    """Put whole pictures in order of time, the part after its own, and count what each costs."""
    if not sizes:
        return []
    times: list[float | None] = [None]
    at = None
    if kind == Kind.VIDEO:
        start, end = clip.start_seconds or 0.0, clip.end_seconds or 0.0
        at = best.time_seconds if best is not None else None
        times = list(spread(start, end, len(sizes), at))
    order: list[tuple[float | None, Box | None, Size]] = [
        (time, None, shown) for time, shown in zip(times, sizes, strict=True)
    ]
    if part is not None:
        # Text that stood already when the clip began is seen at its first moment, before the frames.
        after = next((place for place, (time, _, _) in enumerate(order, 1) if time == at), 0)
        order.insert(after, (at, *part))
    tokens = rule.count([shown for _, _, shown in order])
    return [
        Glance(*shown, cost, time, clip.page, box, clip.turned_degrees)
        for (time, box, shown), cost in zip(order, tokens, strict=True)
    ]


def spread(start: float, end: float, count: int, at: float | None = None) -> Iterator[float]:
    """Spread moments evenly over `[start, end)`, in seconds; the one nearest to `at` is moved there.

    Args:
        start: Of the clip.
        end: Of the clip.
        count: How many.
        at: A moment that must be among them, unless it lies outside.
    """
    step = (end - start) / count
    hit = int((at - start) / step) if at is not None and start <= at < end else None
    for slot in range(count):
        moment = start + (slot + 0.5) * step
        yield at if at is not None and slot == hit else moment


def part_around(box: Box, size: Size) -> Box:
    """Widen a box by its own height on each side, and on until it is no strip.

    Args:
        box: In fractions of the picture.
        size: Of the picture in pixels.
    """
    width, height = size
    left, right = box.x0 * width, box.x1 * width
    top, bottom = box.y0 * height, box.y1 * height
    margin = max(bottom - top, 1.0)
    left, right, top, bottom = left - margin, right + margin, top - margin, bottom + margin
    more_x = max(0.0, _SLIMMEST * (bottom - top) - (right - left)) / 2
    more_y = max(0.0, _SLIMMEST * (right - left) - (bottom - top)) / 2
    return Box(
        max(0.0, (left - more_x) / width),
        max(0.0, (top - more_y) / height),
        min(1.0, (right + more_x) / width),
        min(1.0, (bottom + more_y) / height),
    )
