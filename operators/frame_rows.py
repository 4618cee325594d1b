"""Vectors of pictures become rows, each at its clip."""

from bisect import bisect_right
from collections.abc import Sequence

from operators.embedding_engines import frames_name, frames_revision
from schemas.config import Embedding
from schemas.perception import Perception, View
from schemas.tables import ClipRow, EmbeddingRow


def frame_rows(
    units: Sequence[Perception], clips: Sequence[ClipRow], write_id: str, embedding: Embedding
) -> list[EmbeddingRow]:
    """List the vectors of an asset's distinct pictures, in order of time or page.

    Args:
        units: Of the asset; views without a vector are passed over.
        clips: Of the asset, in order.
        write_id: The commit that the rows belong to.
        embedding: As the run has it.
    """
    views = [view for unit in units for view in unit.views if view.vector]
    if not views or not embedding.embeds_frames:
        return []
    name, revision = frames_name(embedding), frames_revision(embedding)
    place = _Places(clips)
    rows = []
    for view in sorted(views, key=lambda view: (view.page or 0, view.time_seconds or 0.0)):
        if (clip := place.of(view)) is None:
            continue
        rows.append(
            EmbeddingRow(
                asset_id=clip.asset_id,
                version=clip.version,
                level="frame",
                segment=clip.segment,
                clip=clip.clip,
                time_seconds=view.time_seconds,
                page=view.page,
                model=name,
                revision=revision,
                vector=view.vector,
                write_id=write_id,
            )
        )
    return rows


class _Places:
    """Finds the clip that a picture belongs to."""

    def __init__(self, clips: Sequence[ClipRow]) -> None:
        self._clips = clips
        self._pages = {clip.page: clip for clip in clips if clip.page is not None}
        self._starts = [clip.start_seconds or 0.0 for clip in clips]

    def of(self, view: View) -> ClipRow | None:
        """Return the clip; none for a page that is no row of `clips`."""
        if view.page is not None:
            return self._pages.get(view.page)
        if not self._clips:
            return None
        # A picture may stand a hair before the first clip where times are rounded.
        return self._clips[max(0, bisect_right(self._starts, view.time_seconds or 0.0) - 1)]
