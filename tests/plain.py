"""The operators in a plain loop: no Ray, one process, the same rows."""

from collections import defaultdict
from collections.abc import Iterable

from operators.compose import Composed, compose
from operators.decode import Decode
from operators.ocr import Ocr
from operators.probe import Probe
from schemas.config import Config
from schemas.media import Listing
from schemas.perception import Perception
from tests.rows import NOW


def perceive_plainly(listings: Iterable[Listing], config: Config) -> dict[str, list[Perception]]:
    """Probe, decode and read each file; perceptions by asset id."""
    probe, decode, ocr = Probe(config), Decode(config), Ocr(config)
    found: dict[str, list[Perception]] = defaultdict(list)
    for listing in listings:
        for planned in probe(listing):
            for perception in decode(planned):
                (read,) = ocr([perception])
                found[read.asset.asset_id].append(read)
    return found


def compose_plainly(listings: Iterable[Listing], config: Config) -> list[Composed]:
    """Compose what the plain loop perceived; files that are not ingested are left out."""
    return [
        compose(perceptions, config, run_id="plain", at=NOW, write_id=asset_id)
        for asset_id, perceptions in perceive_plainly(listings, config).items()
        if perceptions[0].skipped is None
    ]
