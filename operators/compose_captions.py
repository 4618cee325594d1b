"""Put what a vision-language model said where it belongs: to its clip or page.

Its sentences take part in the summaries beside what was read and said, each with the time or page
it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from operators.draft import ClipDraft, Draft, scaled
from operators.extract import Candidate
from operators.sentences import split_sentences
from operators.summaries import Statement
from schemas.look import Caption
from schemas.media import UnitKind
from schemas.perception import Perception

BESIDE_TEXT = 0.8
"""Where there is text or speech, its own whole sentences come before those about the picture."""

SOURCE = "caption"


def is_base(unit: Perception) -> bool:
    """Tell what was decoded, read and heard from what was shown to a vision-language model."""
    return unit.unit.kind != UnitKind.LOOK


def captions_of(units: Sequence[Perception], clip_count: int) -> dict[int, Caption]:
    """Give each clip (0-based) its caption, which names the first clip it is for; others are left out.

    Where the words belong is told by the look: a caption that was recalled may have been made for
    an equal look at another place of the same content.
    """
    captions: dict[int, Caption] = {}
    for unit in units:
        look = unit.unit.look
        if look is not None and unit.captions:
            for clip in range(look.clip, min(look.clip + look.clips, clip_count)):
                captions[clip] = replace(unit.captions[0], clip=look.clip)
    return captions


def with_captions(draft: Draft, captions: Mapping[int, Caption]) -> Draft:
    """Let the sentences of captions take part in the summaries; doubtful ones do not."""
    clips = [
        replace(clip, statements=[*clip.statements, *_statements(index, clip, captions[index])])
        if index in captions and captions[index].prompt == "caption" and not captions[index].doubts
        else clip
        for index, clip in enumerate(draft.clips)
    ]
    return replace(draft, clips=clips)


def _statements(index: int, clip: ClipDraft, caption: Caption) -> list[Statement]:
    factor = BESIDE_TEXT if clip.statements else 1.0
    return [
        Statement(
            scaled(Candidate.of(caption.text[start:end], whole=True, running=True), factor),
            SOURCE,
            index,
            clip.start_seconds,
            clip.end_seconds,
            clip.page,
        )
        for start, end in split_sentences(caption.text)
    ]
