"""By which rules assets are composed, as ids: a plan compares them and composes nothing."""

from schemas.config import Config
from schemas.ids import digest

COMPOSE_REVISION = 1
"""Raise when a change of the code alters clips, segments, titles or sentences of the same perceptions."""

COMPOSITION = digest("composition", str(COMPOSE_REVISION))
"""Identifies how clips and segments are cut, and titles and sentences found."""


def picked_version(config: Config) -> str:
    """Identify how sentences are picked for summaries."""
    return digest("picked", COMPOSITION, config.picking_digest())
