"""What was read and heard of an asset tells what a vision-language model is to be shown of it.

Looks are planned where the finished units of an asset lie side by side: only then is it known where
its clips begin, which pictures stand in them, what was read there and what is said meanwhile. From
here on a look is a unit like any other; the others come along, so that the asset is complete again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from operators.compose import draft_of, language_of
from operators.draft import ClipDraft
from operators.plan_look import plan_looks
from operators.probe import Probe
from operators.prompt_files import Prompt
from operators.prompts import NAMES, load_prompt
from operators.recall import Recall
from operators.text_tokens import TextCounter
from operators.unit_store import UnitStore
from operators.vision_engines import text_counter_of, token_rule_of
from operators.visual_tokens import TokenRule
from schemas.config import Config, Vision
from schemas.failure import Failure, SkipReason, Stage
from schemas.look import Look
from schemas.media import Kind, Listing, Planned, Unit, UnitKind
from schemas.perception import Perception

_VIDEO_LOOKS = 8
"""Looks of a video that are decoded by one task: opening it is paid once, and others spread."""


class Survey:
    """Listing of a file that was perceived in, decode tasks out: its units, and its looks."""

    def __init__(self, config: Config, store: UnitStore | None = None) -> None:
        """Keep the configuration, and where finished work is found."""
        self.config = config
        self.probe = Probe(config, store)
        self.recall = Recall(config, store)

    def __call__(self, listing: Listing) -> list[Planned]:
        """Plan the looks of one file.

        A file of which something is missing in the store comes back as skipped (`UNREAD`): it has
        to be perceived first.
        """
        plan = self.probe(listing)
        asset, units = plan[0].asset, [unit for task in plan for unit in task.units]
        units.sort(key=lambda unit: unit.index)
        perceptions = self.recall.known(replace(plan[0], units=units))
        if plan[0].skipped is not None or len(perceptions) < len(units):
            message = "Not all that was read of it could be found again."
            failure = Failure(Stage.VLM, SkipReason.UNREAD, message)
            nothing = [Unit(0, UnitKind.NOTHING)]
            return [Planned(replace(asset, unit_count=1), nothing, [failure], str(SkipReason.UNREAD))]
        looks = self.looks(perceptions)
        asset = replace(asset, unit_count=len(units) + len(looks), look_count=len(looks))
        size = self.config.documents.pages_per_task if asset.kind == Kind.DOCUMENT else _VIDEO_LOOKS
        groups = [looks[at : at + size] for at in range(0, len(looks), size)]
        return [Planned(asset, group) for group in [units, *groups]]

    def looks(self, perceptions: Sequence[Perception]) -> list[Unit]:
        """Plan the looks of an asset all of whose units are given, in order.

        Returns:
            Units of kind `LOOK`, numbered after the others.
        """
        draft = draft_of(perceptions, self.config)
        asset, tools = perceptions[0].asset, tools_of(self.config.vision)
        language = language_of(draft, asset)
        looks = plan_looks(
            asset,
            perceptions,
            draft,
            self.config.vision,
            tools.rule,
            tools.count,
            tools.prompts,
            language,
            recognised=self.config.ocr.engine != "off",
        )
        return list(_units(looks, draft.clips, len(perceptions)))


def _units(looks: Sequence[Look], clips: Sequence[ClipDraft], first: int) -> Iterator[Unit]:
    for index, look in enumerate(looks, first):
        clip, last = clips[look.clip], clips[look.clip + look.clips - 1]
        yield Unit(index, UnitKind.LOOK, clip.start_seconds, last.end_seconds, clip.page, look)


@dataclass(frozen=True, slots=True)
class Tools:
    """What planning needs to know of a model."""

    rule: TokenRule
    count: TextCounter
    prompts: dict[str, Prompt]


def tools_of(vision: Vision) -> Tools:
    """Load what planning needs: small files of the checkpoint, no weights; once for each process.

    Raises:
        CheckpointError: The model is not on this node.
        ConfigError: A prompt cannot be used.
    """
    return _tools(vision.model_dump_json())


@cache
def _tools(section: str) -> Tools:
    vision = Vision.model_validate_json(section)
    prompts = {name: load_prompt(name, vision.prompts) for name in NAMES}
    return Tools(token_rule_of(vision), text_counter_of(vision), prompts)
