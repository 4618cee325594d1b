"""Doubtful sentences are checked once more, now that pictures were looked at for them.

What was seen becomes evidence beside all other. A sentence that it bears out, as it was or written once
more, enters its summary and leaves the reviews; any other stays in review, with what was seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from operators.ask_text import Asker
from operators.asset_text import AssetText, asset_text
from operators.closer_look import doubts_of, mended, seen
from operators.decisions import Place
from operators.outline import LEVELS, Model, writer_of
from operators.sentence_rows import sentence_rows
from operators.stored_results import stored_results
from operators.summaries import Statement
from operators.summarise import Spent, drive, model_of, stamp_of, summarised
from operators.summary_rows import Result, Stamp, summary_rows
from operators.summary_version import summary_version
from operators.text_isolated import text_engine
from operators.together import together
from operators.write_summary import Asking, Written
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.perception import Cost
from schemas.summary_work import REWRITTEN, Doubted, Summarised
from schemas.tables import AssetRow, FailureRow


@dataclass(slots=True)
class _UnderWay:
    """An asset while it is mended."""

    doubted: Doubted
    text: AssetText
    """What was seen included."""
    results: Mapping[Place, Result]
    askings: dict[tuple[Place, str], Asking]
    spent: Spent


class MendSummaries:
    """Assets with doubtful sentences in, their summaries out: the same assets, in order."""

    def __init__(self, config: Config, run_id: str, asker: Asker | None = None, workers: int = 1) -> None:
        """Prepare; a model is loaded with the first question, which may never come.

        Args:
            config: Of the run, its summary engine resolved.
            run_id: Of the run, for failures.
            asker: To ask instead of the configured one.
            workers: How many such share what a server allows.

        Raises:
            ConfigError: A prompt cannot be used.
        """
        self._config = config
        self._run_id = run_id
        self.asker = asker or Asker(config, text_engine(config, workers))
        self._model: Model = model_of(config.summary, self.asker)

    def __call__(self, doubted: list[Doubted]) -> list[Summarised]:
        """Mend the summaries of some assets; an error of ours costs the asset it is met with."""
        return together(doubted, self._mend, self._give_up)

    def _give_up(self, doubted: Doubted, message: str) -> Summarised:
        return unmended(doubted, self._config, self._run_id, message)

    def close(self) -> None:
        """Release the model."""
        self.asker.close()

    def _mend(self, doubted: Sequence[Doubted]) -> list[Summarised]:
        assets = [self._begin(item) for item in doubted]
        askings = [asking for asset in assets for asking in asset.askings.values()]
        spent = [asset.spent for asset in assets for _ in asset.askings]
        written = iter(drive(self.asker, askings, spent))
        return [self._finish(asset, {key: next(written) for key in asset.askings}) for asset in assets]

    def _begin(self, doubted: Doubted) -> _UnderWay:
        """Let what was seen be evidence, and check again what it was looked for."""
        asset = _under_way(doubted)
        text = asset.text
        doubts = doubts_of(text, asset.results, doubted.stored.reviews)
        found = seen(text, {item.look: item.text for item in doubted.looked.answers}, doubts)
        places: dict[int, range] = {}
        at, looked = len(text.evidence), list[Statement](text.looked)
        for look, statements in found.items():
            places[look] = range(at, at + len(statements))
            at += len(statements)
            looked += statements
        if not found:
            return asset
        asset.text = text = replace(text, looked=looked)
        writer = writer_of(text, self._config.summary, self._model)
        asset.askings = {
            (doubt.place, doubt.item.text): writer.again(
                doubt.item, places[doubt.look], text.clips_of(doubt.place.level, doubt.place.index)
            )
            for doubt in doubts
            if doubt.look in places
        }
        return asset

    def _finish(self, asset: _UnderWay, outcomes: Mapping[tuple[Place, str], Written]) -> Summarised:
        prompts = self._model.prompts
        by = {
            level: (self._model.name, self._model.revision, f"{level}@{prompts[level].version}")
            for level in LEVELS
        }
        count = sum(outcome.rewritten for outcome in outcomes.values())
        return _finished(asset, mended(asset.results, outcomes, by), self._config, self._run_id, count)


def unmended(
    doubted: Doubted, config: Config, run_id: str, message: str, reason: Reason = Reason.INTERNAL
) -> Summarised:
    """Leave an asset its summaries, with a failure that says why; no model is asked.

    Args:
        doubted: The asset.
        config: Of the run.
        run_id: Of the run.
        message: What was wanted, found and to do.
        reason: Of the failure.
    """
    failure = Failure(Stage.SUMMARISE, reason, f"Closer look: {message}")
    looked = replace(doubted.looked, answers=[], failures=[*doubted.looked.failures, failure])
    asset = _under_way(replace(doubted, looked=looked))
    return _finished(asset, asset.results, config, run_id, 0)


def _under_way(doubted: Doubted) -> _UnderWay:
    """Read an asset back, with what came of looking closer before."""
    stored = doubted.stored
    text = asset_text(stored.sources, looked=True)
    return _UnderWay(doubted, text, stored_results(text, stored.citations, stored.reviews), {}, Spent())


def _finished(
    asset: _UnderWay, results: Mapping[Place, Result], config: Config, run_id: str, count: int
) -> Summarised:
    stored, text = asset.doubted.stored, asset.text
    row = stored.sources.asset
    stamp = stamp_of(row, summary_version(config), run_id)
    failures = [_failure(row, item, stamp) for item in asset.doubted.looked.failures]
    rows = summary_rows(text, results, stamp, carried=[*stored.failures, *failures])
    looked = sentence_rows(
        text.looked,
        sum(map(len, text.statements)),
        asset_id=row.asset_id,
        version=row.version,
        write_id=stamp.write_id,
    )
    done = summarised(rows, [*asset.spent.costs(), Cost(REWRITTEN, 0.0, count)])
    return replace(done, sentences=looked, known_failures=len(stored.failures))


def _failure(row: AssetRow, failure: Failure, stamp: Stamp) -> FailureRow:
    return FailureRow(
        asset_id=row.asset_id,
        version=row.version,
        uri=row.uri,
        stage=failure.stage,
        reason=failure.reason,
        message=failure.message,
        page=failure.page,
        start_seconds=failure.start_seconds,
        end_seconds=failure.end_seconds,
        run_id=stamp.run_id,
        at=stamp.at,
        write_id=stamp.write_id,
    )
