"""Compose a video or audio file: cut it into clips and gather what each shows and says."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from operators.boilerplate import in_corner, video_boilerplate
from operators.cut_clips import SUBTITLES_BELOW, Cut, Span, cut_clips, cut_in_pauses, find_cuts
from operators.draft import (
    ClipDraft,
    Draft,
    RegionDraft,
    UtteranceDraft,
    joined,
    line_candidate,
    most_common_source,
    title_candidate,
    union_box,
)
from operators.extract import Candidate
from operators.language import iso_639_1
from operators.main_track import main_sources
from operators.segment import segment_video
from operators.sentences import hyphen_vocabulary, line_sentences, page_of, speech_sentences
from operators.speakers import tell_apart
from operators.summaries import Statement
from operators.titles import Heading, Layout, picture_title
from operators.track_text import Tracked, reading_order, track
from schemas.media import Asset, Kind, UnitKind
from schemas.perception import Perception, Utterance, View

SLIDE_BESIDE_SPEECH = 0.6
"""Where there is speech, its whole sentences come before lines of slides."""

TITLE_VIEWS = 5
"""Pictures of a clip, longest first, that are looked at for its title."""

TITLE_CLIPS = 3
"""The title of a video is looked for in so many first clips."""

TITLE_CONFIDENCE = 0.8
TITLE_SECONDS = 2.0
"""The title of a video must be well read and stand so long: signs in passing are no titles."""


def compose_timeline(
    perceptions: Sequence[Perception],
    clip_seconds: float,
    prefer: Literal["subtitles", "speech"] = "subtitles",
    speaker_distance: float | None = None,
) -> Draft:
    """Compose a video or audio file.

    Args:
        perceptions: in order of their units.
        clip_seconds: longest clip.
        prefer: what transcripts are made of where there are subtitles and recognised speech.
        speaker_distance: from which two voices are two speakers; null tells none apart.
    """
    asset = perceptions[0].asset
    views = sorted(
        (view for item in perceptions for view in item.views), key=lambda view: view.time_seconds or 0.0
    )
    utterances = sorted(
        (utterance for item in perceptions for utterance in item.utterances),
        key=lambda item: (item.start_seconds, item.end_seconds, item.source, item.text),
    )
    if speaker_distance is not None:
        utterances = tell_apart(utterances, speaker_distance)
    duration = _duration(asset, perceptions, views, utterances)
    screen = _watch(views, perceptions, duration)
    sources = main_sources(utterances, iso_639_1(asset.language), prefer)
    spoken = [utterance for utterance in utterances if utterance.source in sources]
    if asset.kind == Kind.AUDIO:
        said = [Span(utterance.start_seconds, utterance.end_seconds) for utterance in spoken]
        spans = cut_in_pauses(duration, said, clip_seconds)
    else:
        cuts = [*screen.cuts, *(Cut(seconds) for lost in _lost(perceptions) for seconds in lost)]
        spans = cut_clips(duration, cuts, clip_seconds)
    clips = _clips(asset, screen, spans, spoken)
    segments = segment_video([clip.block() for clip in clips])
    regions = _regions(screen, spans) if spans else []
    return Draft(clips, segments, regions, _placed(utterances, spans, sources), _title(clips))


def _duration(
    asset: Asset, perceptions: Sequence[Perception], views: Sequence[View], utterances: Sequence[Utterance]
) -> float:
    """Length as probed, or else the last time at which anything was perceived."""
    if asset.duration_seconds is not None and asset.duration_seconds > 0:
        return asset.duration_seconds
    ends = [item.unit.end_seconds or 0.0 for item in perceptions]
    ends += [max(view.until_seconds or 0.0, view.time_seconds or 0.0) for view in views]
    return max([*ends, *(utterance.end_seconds for utterance in utterances)], default=0.0)


def _lost(perceptions: Sequence[Perception]) -> list[tuple[float, float]]:
    """Spans of which no picture could be read."""
    return [
        (item.unit.start_seconds or 0.0, item.unit.end_seconds or 0.0)
        for item in perceptions
        if item.unit.kind == UnitKind.SPAN and item.failures and not item.views
    ]


# --- what is seen --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Screen:
    """All that a video shows."""

    views: Sequence[View]
    tracked: Tracked
    boilerplate: set[int]
    """Regions that tell nothing."""
    cuts: list[Cut]
    stands: list[Span]
    """How long each view's picture stands."""
    vocabulary: set[str]


def _watch(views: Sequence[View], perceptions: Sequence[Perception], duration: float) -> _Screen:
    starts = [view.time_seconds or 0.0 for view in views]
    breaks = {bisect_left(starts, end - 1e-6) for _, end in _lost(perceptions)}
    tracked = track(views, breaks)
    picture_cuts = sorted(cut for item in perceptions for cut in item.cuts)
    boilerplate = video_boilerplate(tracked, [bisect_left(starts, cut - 1e-6) for cut in picture_cuts])
    cuts = find_cuts(views, tracked, picture_cuts, boilerplate)
    ends = [*starts[1:], max(duration, *starts[-1:])] if starts else []
    stands = [
        Span(start, max(start, view.until_seconds or start) if index + 1 in breaks else end)
        for index, (view, start, end) in enumerate(zip(views, starts, ends, strict=True))
    ]
    vocabulary = hyphen_vocabulary(region.line.text for region in tracked.regions)
    return _Screen(views, tracked, boilerplate, cuts, stands, vocabulary)


def _regions(screen: _Screen, spans: Sequence[Span]) -> list[RegionDraft]:
    """Place each line in time: it is gone when the last view that shows it is."""
    starts = [span.start_seconds for span in spans]
    gone = {
        region: stand.end_seconds
        for seen, stand in zip(screen.tracked.seen, screen.stands, strict=True)
        for region in seen
    }
    return [
        RegionDraft(
            item.line,
            _at(starts, item.time_seconds),
            item.time_seconds,
            item.until_seconds,
            max(item.until_seconds, gone[index]),
        )
        for index, item in enumerate(screen.tracked.regions)
    ]


def _shown(stands: Sequence[Span], spans: Sequence[Span]) -> list[list[tuple[int, float]]]:
    """For each clip, the views that stand in it and for how many seconds."""
    shown: list[list[tuple[int, float]]] = [[] for _ in spans]
    starts = [span.start_seconds for span in spans]
    for index, stand in enumerate(stands):
        clip = _at(starts, stand.start_seconds)
        while clip < len(spans):
            start = max(stand.start_seconds, spans[clip].start_seconds)
            seconds = min(stand.end_seconds, spans[clip].end_seconds) - start
            if seconds > 1e-6 or clip == _at(starts, stand.start_seconds):
                shown[clip].append((index, max(0.0, seconds)))
            if stand.end_seconds <= spans[clip].end_seconds:
                break
            clip += 1
    return shown


def _at(starts: Sequence[float], seconds: float) -> int:
    """Index of the span that holds a time; the first or last for times outside."""
    return max(0, bisect_right(starts, seconds + 1e-9) - 1)


# --- what is said --------------------------------------------------------------------------


def _placed(
    utterances: Sequence[Utterance], spans: Sequence[Span], sources: Collection[str]
) -> list[UtteranceDraft]:
    starts = [span.start_seconds for span in spans]
    return [
        UtteranceDraft(
            item,
            _place(item.start_seconds, item.end_seconds, spans, starts) if spans else None,
            item.source in sources,
        )
        for item in utterances
    ]


def _place(start: float, end: float, spans: Sequence[Span], starts: Sequence[float]) -> int:
    """Index of the clip that holds most of a stretch of speech; the earlier of equals."""
    first, last = _at(starts, start), _at(starts, max(start, end - 1e-9))
    return max(
        range(first, last + 1),
        key=lambda clip: (min(end, spans[clip].end_seconds) - max(start, spans[clip].start_seconds), -clip),
    )


def _speech_statements(
    spoken: Sequence[Utterance], spans: Sequence[Span], starts: Sequence[float]
) -> dict[int, list[Statement]]:
    """Find the sentences of each clip; what may have been heard wrong is in no summary."""
    found: dict[int, list[Statement]] = defaultdict(list)
    for sentence in speech_sentences(spoken):
        parts = [spoken[part] for part in sentence.parts]
        if any(part.doubts for part in parts):
            continue
        start, end = parts[0].start_seconds, max(part.end_seconds for part in parts)
        clip = _place(start, end, spans, starts)
        candidate = Candidate.of(sentence.text, whole=sentence.whole, running=True)
        found[clip].append(Statement(candidate, parts[0].source, clip, start, end))
    return found


# --- clips ---------------------------------------------------------------------------------


def _clips(
    asset: Asset, screen: _Screen, spans: Sequence[Span], spoken: Sequence[Utterance]
) -> list[ClipDraft]:
    if not spans:
        return []
    starts = [span.start_seconds for span in spans]
    said: dict[int, list[str]] = defaultdict(list)
    for utterance in spoken:
        said[_place(utterance.start_seconds, utterance.end_seconds, spans, starts)].append(utterance.text)
    speech = _speech_statements(spoken, spans, starts)
    return [
        _clip(asset, screen, index, span, shown, said[index], speech.get(index, []), bool(spoken))
        for index, (span, shown) in enumerate(zip(spans, _shown(screen.stands, spans), strict=True))
    ]


def _clip(
    asset: Asset,
    screen: _Screen,
    index: int,
    span: Span,
    shown: Sequence[tuple[int, float]],
    said: Sequence[str],
    speech: Sequence[Statement],
    spoken: bool,
) -> ClipDraft:
    order = reading_order(screen.tracked, [view for view, _ in shown])
    lines = [screen.tracked.regions[region].line for region in order]
    title = _clip_title(screen, shown)
    text = _text_statements(screen, order, index, span, title, SLIDE_BESIDE_SPEECH if spoken else 1.0)
    return ClipDraft(
        start_seconds=span.start_seconds,
        end_seconds=span.end_seconds,
        title=title.text if title else None,
        title_confidence=_confidence(screen, title),
        ocr_text=joined((line.text for line in lines), "\n"),
        transcript=joined(said, " "),
        text_source=most_common_source(lines),
        turned_degrees=_turn(screen.views, shown),
        width_px=asset.width_px,
        height_px=asset.height_px,
        statements=[*text, *speech],
    )


def _turn(views: Sequence[View], shown: Sequence[tuple[int, float]]) -> int:
    turns: Counter[int] = Counter()
    for view, seconds in shown:
        if views[view].lines:
            turns[views[view].turned_degrees] += round(seconds * 1000) + 1
    return max(sorted(turns), key=lambda turn: turns[turn], default=0)


def _clip_title(screen: _Screen, shown: Sequence[tuple[int, float]]) -> Heading | None:
    """Take the title of the picture that stands longest; its lines are regions."""
    longest = sorted(shown, key=lambda item: (-item[1], item[0]))
    for view, _ in longest[:TITLE_VIEWS]:
        seen = screen.tracked.seen[view]
        lines = [screen.tracked.regions[region].line for region in seen]
        skip = {
            place
            for place, region in enumerate(seen)
            if region in screen.boilerplate or lines[place].y0 > SUBTITLES_BELOW or in_corner(lines[place])
        }
        layout = Layout.of(lines, screen.views[view].width_px, screen.views[view].height_px)
        found = picture_title(layout, skip)
        if found is not None:
            return Heading(found.text, tuple(seen[place] for place in found.lines), found.strength)
    return None


def _confidence(screen: _Screen, title: Heading | None) -> float:
    lines = title.lines if title else ()
    return min((screen.tracked.regions[region].line.confidence for region in lines), default=1.0)


def _text_statements(
    screen: _Screen, order: Sequence[int], clip: int, span: Span, title: Heading | None, factor: float
) -> list[Statement]:
    regions = screen.tracked.regions
    lines = [regions[region].line for region in order]
    titled = set(title.lines) if title else set()
    skip = {place for place, region in enumerate(order) if region in screen.boilerplate or region in titled}
    first = screen.views[0] if screen.views else View(16, 9)
    layout = page_of(lines, first.width_px, first.height_px)

    def statement(candidate: Candidate, parts: Collection[int]) -> Statement:
        start, until = _seen(screen.tracked, parts, span)
        found = [regions[part].line for part in parts]
        return Statement(candidate, found[0].source, clip, start, until, box=union_box(found))

    titles = [statement(title_candidate(title.text), title.lines)] if title else []
    sentences = line_sentences(lines, layout, screen.vocabulary, skip)
    return titles + [
        statement(
            line_candidate(sentence, lines, running=not layout.slide, factor=factor),
            [order[part] for part in sentence.parts],
        )
        for sentence in sentences
    ]


def _seen(tracked: Tracked, parts: Collection[int], span: Span) -> tuple[float, float]:
    """Time within the clip in which all lines of a sentence stand, or else any of them."""
    times = [tracked.regions[part].time_seconds for part in parts]
    untils = [tracked.regions[part].until_seconds for part in parts]
    start, until = max(times), min(untils)
    if start > until:
        start, until = min(times), max(untils)
    start = max(start, span.start_seconds)
    return start, max(start, min(until, span.end_seconds))


def _title(clips: Sequence[ClipDraft]) -> str | None:
    """Take the first title that stands a while and is well read."""
    for clip in clips[:TITLE_CLIPS]:
        seconds = (clip.end_seconds or 0.0) - (clip.start_seconds or 0.0)
        if clip.title and clip.title_confidence >= TITLE_CONFIDENCE and seconds >= TITLE_SECONDS:
            return clip.title
    return None
