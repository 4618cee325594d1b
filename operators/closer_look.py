"""A closer look in pictures for sentences that do not hold: which, at what, and what becomes of them.

A caption is a few sentences about a clip; what a summary says of its pictures may be true and not stand
there. So for each doubtful sentence the model is shown more of the clip that it is about than the caption
had, and asked for that one thing. What it answers is evidence like any other, and proves nothing by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from operators.asset_text import AssetText
from operators.choose_details import Source
from operators.citations import Cited
from operators.decisions import EDIT, OPEN, Place, review_id
from operators.evidence import CLOSER_LOOK, Evidence
from operators.extract import Candidate
from operators.plan_look import rendered_size, text_tokens
from operators.prompt_files import Prompt
from operators.prompts import CHECK
from operators.quote import cut_to
from operators.sentences import split_sentences
from operators.share_budget import share_budget
from operators.summaries import Statement
from operators.summary_rows import FALLBACK, Result
from operators.text_tokens import TextCounter
from operators.visual_rule import Size
from operators.visual_tokens import TokenRule
from operators.write_summary import Action, Doubtful, Reason, Written
from schemas.box import Box
from schemas.config import Vision
from schemas.look import Glance, Look
from schemas.media import Kind
from schemas.tables import ClipRow, ReviewRow

MOST_LOOKS = 12
"""Of one asset: a summary of it has some 30 sentences, and a model that invents half of them needs another
model, not more looks."""

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

_NOTHING = "nothing"
"""The whole answer where nothing of the sentence can be seen, as the prompt asks for it."""

_WRITTEN = (Reason.UNSUPPORTED, Reason.FACTS)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A doubtful sentence of a summary that is open for review, and where to look."""

    place: Place
    item: Doubtful
    clip: int
    look: int
    """Which look of the asset is for it; the same sentence about the same clip is looked into once."""


def doubts_of(text: AssetText, results: Mapping[Place, Result], reviews: Sequence[ReviewRow]) -> list[Doubt]:
    """List the doubtful sentences of an asset that pictures may bear out.

    Left out are those of which it is not known where to look, those a person has decided about, and all of
    a summary that a person has edited, which stands as it is.

    Args:
        text: Of the asset.
        results: Its summaries, with their doubtful sentences.
        reviews: All of the asset.
    """
    if text.asset.kind == Kind.AUDIO:
        return []
    still_open = {row.review_id for row in reviews if row.state == OPEN and row.reason in _WRITTEN}
    looks: dict[tuple[int, str], int] = {}
    found = []
    for place, result in results.items():
        if not result.doubtful or _is_edited(text, place):
            continue
        for item in result.doubtful:
            clip = _clip_of(text, place, item)
            identity = review_id(text.asset.asset_id, place, item.text, Reason.UNSUPPORTED)
            if clip is None or identity not in still_open:
                continue
            key = (clip, " ".join(item.text.casefold().split()))
            if key not in looks and len(looks) == MOST_LOOKS:
                continue
            found.append(Doubt(place, item, clip, looks.setdefault(key, len(looks))))
    return found


def _is_edited(text: AssetText, place: Place) -> bool:
    mine = [
        item
        for item in text.decisions
        if item.decision == EDIT and Place(item.level, item.segment, item.clip) == place
    ]
    return bool(mine) and mine[-1].source_id == text.source_id(place.level, place.index)


def _clip_of(text: AssetText, place: Place, item: Doubtful) -> int | None:
    """Say where to look: at the best evidence, or where the summary is about one clip alone."""
    if item.evidence:
        return item.evidence[0].clip
    clips = text.clips_of(place.level, place.index)
    return clips[0] if len(clips) == 1 else None


# --- what is shown --------------------------------------------------------------------------


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


# --- what is seen ---------------------------------------------------------------------------


def seen(text: AssetText, answers: Mapping[int, str], doubts: Sequence[Doubt]) -> dict[int, list[Statement]]:
    """Make statements of what was answered, by look.

    Args:
        text: Of the asset.
        answers: Of each look that was answered.
        doubts: As they were looked into.

    Returns:
        The sentences of each answer, with the time or page that was shown; none where nothing was seen.
    """
    found: dict[int, list[Statement]] = {}
    for doubt in doubts:
        if doubt.look in found or doubt.look not in answers:
            continue
        answer = answers[doubt.look].strip()
        if answer.casefold().strip(" .!\"'*") == _NOTHING:
            continue
        clip = text.clips[doubt.clip]
        found[doubt.look] = [
            Statement(
                Candidate.of(answer[start:end], whole=True, running=True),
                CLOSER_LOOK,
                doubt.clip,
                clip.start_seconds,
                clip.end_seconds,
                clip.page,
            )
            for start, end in split_sentences(answer)
        ]
    return found


def mended(
    results: Mapping[Place, Result],
    outcomes: Mapping[tuple[Place, str], Written],
    written_by: Mapping[str, tuple[str, str, str]],
) -> dict[Place, Result]:
    """Put sentences that hold now into their summaries, at their places.

    Args:
        results: The summaries of an asset.
        outcomes: By summary and doubtful sentence, what came of looking closer.
        written_by: By level the engine, revision and prompt of the model that writes.

    Returns:
        All summaries. One that was extractive because nothing of the model's held is the model's again.
    """
    return {place: _mended(place, result, outcomes, written_by) for place, result in results.items()}


def _mended(
    place: Place,
    result: Result,
    outcomes: Mapping[tuple[Place, str], Written],
    written_by: Mapping[str, tuple[str, str, str]],
) -> Result:
    pairs = [(item, outcomes.get((place, item.text))) for item in result.doubtful]
    if not any(outcome for _, outcome in pairs):
        return result
    sentences, shift = list(result.sentences), 0
    doubtful: list[Doubtful] = []
    gained = [outcome.sentences[0] for _, outcome in pairs if outcome and outcome.sentences]
    if FALLBACK in result.doubts and gained:
        engine, revision, prompt = written_by[place.level]
        result = replace(result, engine=engine, revision=revision, prompt=prompt, doubts=[])
        sentences = []
    for item, outcome in pairs:
        at = item.place + shift
        if outcome is None or not outcome.sentences:
            left = outcome.doubtful[0] if outcome is not None else item
            doubtful.append(replace(left, place=at))
            continue
        cited = outcome.sentences[0]
        standing = [sentence.text for sentence in sentences]
        if item.action == Action.KEPT and item.text in standing:
            sentences[standing.index(item.text)] = cited
        elif not _stands(cited, sentences):
            sentences.insert(min(len(sentences), at), cited)
            shift += 1
    return replace(result, sentences=sentences, doubtful=doubtful)


def _stands(cited: Cited, sentences: Sequence[Cited]) -> bool:
    """Tell whether a sentence stands there already: two doubts may be mended into one."""
    return " ".join(cited.text.casefold().split()) in {
        " ".join(item.text.casefold().split()) for item in sentences
    }
