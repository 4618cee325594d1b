"""Summaries made of sentences that stand in the source: the default, and what a model falls back to."""

from operators.asset_text import AssetText
from operators.citations import quoted_statement
from operators.decisions import Place
from operators.summaries import summarise
from operators.summary_rows import Result
from operators.words import inverse_frequencies
from schemas.config import Summary

EXTRACTIVE = "extractive"
"""What stands in the place of a model's name where sentences were picked."""


def extractive(text: AssetText, settings: Summary) -> dict[Place, Result]:
    """Pick the sentences of all summaries of an asset.

    Args:
        text: Of the asset.
        settings: How many sentences each level takes; none where the engine is off.
    """
    places = [Place("asset")]
    places += [Place("segment", segment=index) for index in range(len(text.segments))]
    places += [Place("clip", clip.segment, index) for index, clip in enumerate(text.clips)]
    if settings.engine == "off":
        return {place: Result([]) for place in places}
    rarity = inverse_frequencies([item.candidate.tokens for clip in text.statements for item in clip])
    picked = summarise(text.statements, text.spans, rarity, settings)
    levels = [picked.asset, *picked.segments, *picked.clips]
    return {
        place: Result([quoted_statement(item) for item in found], EXTRACTIVE if found else None)
        for place, found in zip(places, levels, strict=True)
    }
