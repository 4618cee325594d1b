"""A closer look in pictures for sentences that do not hold: which, at what, and what becomes of them.

A caption is a few sentences about a clip; what a summary says of its pictures may be true and not stand
there. So for each doubtful sentence the model is shown more of the clip that it is about than the caption
had, and asked for that one thing. What it answers is evidence like any other, and proves nothing by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from operators.asset_text import AssetText
from operators.citations import Cited
from operators.decisions import EDIT, OPEN, Place, review_id
from operators.evidence import CLOSER_LOOK
from operators.extract import Candidate
from operators.sentences import split_sentences
from operators.summaries import Statement
from operators.summary_rows import FALLBACK, Result
from operators.words import words
from operators.write_summary import Action, Doubtful, Reason, Written
from schemas.media import Kind
from schemas.tables import ReviewRow

MOST_LOOKS = 12
"""Of one asset: a summary of it has some 30 sentences, and a model that invents half of them needs another
model, not more looks."""

_NOTHING = "nothing"
"""The whole answer where nothing of the sentence can be seen, as the prompt asks for it."""

_WORDS_OF_ITS_OWN = 2
"""A model that is shown a sentence tends to agree. What adds fewer words than this to it has only repeated
it (`Yes, the field is red`), and bears nothing out."""

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


# --- what is seen ---------------------------------------------------------------------------


def seen(text: AssetText, answers: Mapping[int, str], doubts: Sequence[Doubt]) -> dict[int, list[Statement]]:
    """Make statements of what was answered, by look.

    Args:
        text: Of the asset.
        answers: Of each look that was answered.
        doubts: As they were looked into.

    Returns:
        The sentences of each answer, with the time or page that was shown; none where nothing was seen or
        the question only repeated.
    """
    found: dict[int, list[Statement]] = {}
    for doubt in doubts:
        if doubt.look in found or doubt.look not in answers:
            continue
        answer = answers[doubt.look].strip()
        if answer.casefold().strip(" .!\"'*") in ("", _NOTHING):
            continue
        clip = text.clips[doubt.clip]
        statements = [
            Statement(
                Candidate.of(answer[start:end], whole=True, running=True),
                CLOSER_LOOK,
                doubt.clip,
                clip.start_seconds,
                clip.end_seconds,
                clip.page,
            )
            for start, end in split_sentences(answer)
            if _tells(answer[start:end], doubt.item.text)
        ]
        if statements:
            found[doubt.look] = statements
    return found


def _tells(answer: str, sentence: str) -> bool:
    """Tell whether an answer says something itself, beside what it was asked about."""
    return len(set(words(answer)) - set(words(sentence))) >= _WORDS_OF_ITS_OWN


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
