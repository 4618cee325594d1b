"""What captions will take, said before anything is decoded.

Of new files only the headers are read, and of many files only a sample; what the lake holds already
tells how long clips are, how many pictures stand in one, how long answers get and how fast the model
was. An estimate is no limit: `--max-tokens` counts the real plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.caps import Tally
from operators.asked import most_new_tokens
from operators.lake import Lake
from operators.plan_look import expected_visual_tokens, page_size
from operators.probe import Probe
from operators.survey import tools_of
from operators.unit_id import caption_version
from schemas.config import Config
from schemas.ids import asset_id
from schemas.media import Asset, Kind, Listing

_SAMPLE = 200
"""Files whose headers are read: some ten seconds for local videos."""

_CLIP_PICTURES = 2
"""Distinct pictures of a clip, until the lake tells: slides have one, film more."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What earlier runs on the lake tell; null where there are none."""

    clip_seconds: float | None = None
    """Mean length of a clip of a video."""
    clip_pictures: float | None = None
    """Mean number of distinct pictures of one."""
    text_tokens: float | None = None
    """Mean tokens of a prompt without its pictures."""
    output_tokens: float | None = None
    """Mean tokens of an answer."""
    seconds_per_token: float | None = None
    """Inside the model, over all tokens that went in and came out, with this very model."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What captions of some files will take."""

    files: int
    files_looked_into: int
    """Files whose headers or rows in the lake the estimate rests on; the others are taken to be alike."""
    takes: Tally
    seconds: float | None
    """Inside the model, by one worker; null where no earlier run tells."""


def estimate(lake: Lake, todo: Sequence[Listing], captions: Sequence[Listing], config: Config) -> Estimate:
    """Estimate what the captions of a run take.

    Args:
        lake: The lake; need not exist.
        todo: Files that are to be read.
        captions: Files that the lake holds and that await captions.
        config: Of the run, settled, with a vision-language model.
    """
    past = experience(lake, config) if lake.exists() else Experience()
    known = _known(lake, captions) if captions else []
    probe = Probe(config)
    sample = _evenly(todo, _SAMPLE)
    probed = [asset for listing in sample if (asset := probe.headers(listing)) is not None]
    known_takes = [_takes(asset, clips, config, past) for asset, clips in known]
    new_takes = [_takes(asset, None, config, past) for asset in probed]
    scale = len(todo) / len(sample) if sample else 1.0
    takes = _total(known_takes, 1.0, _total(new_takes, scale, Tally()))
    seconds = None if past.seconds_per_token is None else takes.tokens * past.seconds_per_token
    return Estimate(len(todo) + len(captions), len(sample) + len(known), takes, seconds)


def as_json(found: Estimate, config: Config) -> dict[str, Any]:
    """Show an estimate as the forecast prints it."""
    takes, vision = found.takes, config.vision
    return {
        "model": f"{vision.engine}:{vision.model}",
        "files": found.files,
        "files_looked_into": found.files_looked_into,
        "clips_and_pages": takes.looks,
        "pictures": takes.pictures,
        "visual_tokens": takes.visual_tokens,
        "text_tokens": takes.text_tokens,
        "answer_tokens": takes.answer_tokens,
        "tokens": takes.tokens,
        "seconds": None if found.seconds is None else round(found.seconds, 1),
        "cost": round(takes.cost(vision), 4) if vision.input_price or vision.output_price else None,
    }


def experience(lake: Lake, config: Config) -> Experience:
    """Ask the lake what its past runs tell."""
    with lake.connect() as connection:
        clip = connection.execute(
            "SELECT sum(duration_seconds) / nullif(sum(clip_count), 0), "
            "sum(distinct_frames) / nullif(sum(clip_count), 0) "
            "FROM assets WHERE kind = 'video' AND status <> 'failed'"
        ).fetchone()
        words = connection.execute(
            "SELECT avg(planned_text_tokens), avg(output_tokens) FROM clips WHERE caption IS NOT NULL"
        ).fetchone()
        spent = connection.execute(
            "SELECT sum(list_sum([s.seconds FOR s IN stages IF s.stage = 'vlm'])), "
            "sum(input_tokens + output_tokens) FROM runs WHERE captions > 0 "
            "AND json_extract_string(config, '$.vision.engine') = ? "
            "AND json_extract_string(config, '$.vision.model') = ?",
            [config.vision.engine, config.vision.model],
        ).fetchone()
    assert clip is not None and words is not None and spent is not None  # noqa: PT018
    pace = spent[0] / spent[1] if spent[0] and spent[1] else None
    return Experience(clip[0], clip[1], words[0], words[1], pace)


def _known(lake: Lake, captions: Sequence[Listing]) -> list[tuple[Asset, int]]:
    """Read what the lake holds of files: their assets, and how many clips each has."""
    wanted = [asset_id(listing.uri) for listing in captions]
    names = ("asset_id", "version", "uri", "kind", "duration_seconds", "page_count", "width_px", "height_px")
    with lake.connect() as connection:
        rows = connection.execute(
            f"SELECT {', '.join(names)}, clip_count FROM assets WHERE list_contains(?, asset_id)", [wanted]
        ).fetchall()
    blank: dict[str, Any] = {"size_bytes": 0, "fingerprint": "", "content_hash": ""}
    return [(Asset(**dict(zip(names, row[:-1], strict=True)), **blank), row[-1]) for row in rows]


def _evenly(listings: Sequence[Listing], most: int) -> list[Listing]:
    if len(listings) <= most:
        return list(listings)
    return [listings[index * len(listings) // most] for index in range(most)]


def _takes(asset: Asset, clips: int | None, config: Config, past: Experience) -> Tally:
    """Estimate what the captions of one asset take.

    Args:
        asset: With what its headers tell.
        clips: How many clips or pages it has, where that is known.
        config: Of the run.
        past: What the lake tells.
    """
    vision, sampling = config.vision, config.sampling
    if not caption_version(config, asset.kind):
        return Tally()
    width, height = asset.width_px or 1280, asset.height_px or 720
    frames, prompt = 1, "caption"
    if asset.kind == Kind.VIDEO:
        clip_seconds = past.clip_seconds or sampling.clip_seconds
        looks = clips or max(1, round((asset.duration_seconds or 0.0) / clip_seconds))
        frames = min(vision.max_frames, max(1, round(past.clip_pictures or _CLIP_PICTURES)))
    else:
        looks = clips or asset.page_count or 1
        prompt = "read" if vision.pages == "read" else "caption"
        if asset.kind == Kind.DOCUMENT:
            width, height = page_size(width, height)
    tools = tools_of(vision)
    visual = expected_visual_tokens(width, height, frames, vision, tools.rule)
    text = past.text_tokens or tools.count(tools.prompts[prompt].text) + vision.max_quoted_tokens / 2
    answer = past.output_tokens or most_new_tokens(vision, prompt)
    return Tally(looks, looks * frames, looks * visual, round(looks * text), round(looks * answer))


def _total(takes: Sequence[Tally], scale: float, to: Tally) -> Tally:
    for one in takes:
        to = replace(to, **{name: getattr(to, name) + getattr(one, name) * scale for name in _COUNTS})
    return replace(to, **{name: round(getattr(to, name)) for name in _COUNTS})


_COUNTS = ("looks", "pictures", "visual_tokens", "text_tokens", "answer_tokens")
