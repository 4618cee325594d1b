"""All that the summaries of one asset are made from: its cuts, and the sentences that stand in it.

It is the same whether the asset was just perceived or is read back from the lake, so that summaries
can be written again alone, with the same outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from operators.citations import evidence_of
from operators.evidence import CLOSER_LOOK, Evidence
from operators.extract import Candidate
from operators.summaries import Statement
from operators.words import words
from schemas import ids
from schemas.box import box_of
from schemas.summary_work import Sources
from schemas.tables import AssetRow, ClipRow, DecisionRow, SegmentRow, SentenceRow


@dataclass(frozen=True)
class AssetText:
    """An asset but for its summaries; those that its rows bear are passed over."""

    asset: AssetRow
    segments: Sequence[SegmentRow]
    clips: Sequence[ClipRow]
    statements: Sequence[Sequence[Statement]]
    """Of each clip."""
    decisions: Sequence[DecisionRow] = field(default_factory=list)
    """What people decided about its summaries, the newest last."""
    looked: Sequence[Statement] = field(default_factory=list)
    """What was seen when doubtful sentences were looked into. It bears sentences out, and that is all: it
    came of a summary, so that no summary is picked or identified by it."""

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """`[first, end)` clips of each segment."""
        firsts = [index for index, clip in enumerate(self.clips) if index == 0 or self._opens(index, clip)]
        return list(zip(firsts, [*firsts[1:], len(self.clips)], strict=True))

    def _opens(self, index: int, clip: ClipRow) -> bool:
        return clip.segment != self.clips[index - 1].segment

    @property
    def segment_of(self) -> list[int]:
        """The segment of each clip."""
        return [clip.segment for clip in self.clips]

    @cached_property
    def evidence(self) -> list[Evidence]:
        """Every sentence, clip by clip; then what was looked into."""
        read = [evidence_of(statement) for clip in self.statements for statement in clip]
        return read + [evidence_of(statement) for statement in self.looked]

    @cached_property
    def indices(self) -> list[range]:
        """Where the evidence of each clip lies in `evidence`."""
        found = []
        first = 0
        for clip in self.statements:
            found.append(range(first, first + len(clip)))
            first += len(clip)
        return found

    def clips_of(self, level: str, index: int) -> range:
        """List the clips that a summary is about.

        Args:
            level: clip, segment or asset (key_point is of the asset, too).
            index: Of the clip or segment.
        """
        match level:
            case "clip":
                return range(index, index + 1)
            case "segment":
                return range(*self.spans[index])
            case _:
                return range(len(self.clips))

    def source_id(self, level: str, index: int) -> str:
        """Identify what a summary may rest on; other words there give another id."""
        statements = (item for clip in self.clips_of(level, index) for item in self.statements[clip])
        return ids.digest("source", *(part for item in statements for part in (item.source, item.text)))


def asset_text(sources: Sources, *, looked: bool = False) -> AssetText:
    """Put together what the summaries of an asset rest on.

    Args:
        sources: What the lake holds of it.
        looked: Whether to take along what came of looking closer.
    """
    statements: list[list[Statement]] = [[] for _ in sources.clips]
    closer: list[Statement] = []
    for row in sorted(sources.sentences, key=lambda row: row.sentence):
        (closer if row.source == CLOSER_LOOK else statements[row.clip]).append(_statement(row))
    return AssetText(
        sources.asset,
        sources.segments,
        sources.clips,
        statements,
        sources.decisions,
        closer if looked else [],
    )


def _statement(row: SentenceRow) -> Statement:
    candidate = Candidate(row.text, row.form, tuple(words(row.text)))
    return Statement(
        candidate, row.source, row.clip, row.time_seconds, row.until_seconds, row.page, box_of(row)
    )
