"""Doubtful sentences are checked once more, now that pictures were looked at for them.

What was seen becomes evidence beside all other. A sentence that it bears out, as it was or written once
more, enters its summary and leaves the reviews; any other stays in review, with what was seen.
"""

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from operators.ask_text import Asker
from operators.asset_text import AssetText
from operators.closer_look import doubts_of, mended, seen
from operators.decisions import Place
from operators.evidence import CLOSER_LOOK, Kind
from operators.outline import LEVELS, Model, writer_of
from operators.stored_results import stored_results, stored_text
from operators.summaries import Statement
from operators.summarise import REWRITTEN, Spent, drive, model_of
from operators.summary_rows import Result, Stamp, summary_rows
from operators.summary_version import summary_version
from operators.text_isolated import text_engine
from operators.write_summary import Asking, Written
from schemas import ids
from schemas.config import Config
from schemas.failure import Failure, Reason, Stage
from schemas.perception import Cost
from schemas.summary_work import Doubted, Summarised
from schemas.tables import AssetRow, FailureRow, SentenceRow


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
        self._settings = config.summary
        self._run_id = run_id
        self._version = summary_version(config)
        self.asker = asker or Asker(config, text_engine(config, workers))
        self._model: Model = model_of(config.summary, self.asker)

    def __call__(self, doubted: list[Doubted]) -> list[Summarised]:
        """Mend the summaries of some assets."""
        try:
            return self._mend(doubted)
        except Exception as error:  # the boundary that keeps one asset from taking others along
            if len(doubted) > 1:
                return [self([item])[0] for item in doubted]
            traceback.print_exc()
            return [self.unmended(doubted[0], f"{type(error).__name__}: {error}. Please report this.")]

    def unmended(self, doubted: Doubted, message: str, reason: Reason = Reason.INTERNAL) -> Summarised:
        """Leave an asset its summaries, with a failure that says why.

        Args:
            doubted: The asset.
            message: What was wanted, found and to do.
            reason: Of the failure.
        """
        stored, looked = doubted.stored, doubted.looked
        failure = Failure(Stage.SUMMARISE, reason, f"Closer look: {message}")
        doubted = replace(doubted, looked=replace(looked, answers=[], failures=[*looked.failures, failure]))
        text = stored_text(stored.sources)
        results = stored_results(text, stored.citations, stored.reviews)
        return self._finished(_UnderWay(doubted, text, results, {}, Spent()), results, 0)

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
        stored = doubted.stored
        text = stored_text(stored.sources)
        results = stored_results(text, stored.citations, stored.reviews)
        doubts = doubts_of(text, results, stored.reviews)
        found = seen(text, {item.look: item.text for item in doubted.looked.answers}, doubts)
        places: dict[int, range] = {}
        at, looked = len(text.evidence), list[Statement](text.looked)
        for look, statements in found.items():
            places[look] = range(at, at + len(statements))
            at += len(statements)
            looked += statements
        if not found:
            return _UnderWay(doubted, text, results, {}, Spent())
        text = replace(text, looked=looked)
        writer = writer_of(text, self._settings, self._model)
        askings = {
            (doubt.place, doubt.item.text): writer.again(
                doubt.item, places[doubt.look], text.clips_of(doubt.place.level, doubt.place.index)
            )
            for doubt in doubts
            if doubt.look in places
        }
        return _UnderWay(doubted, text, results, askings, Spent())

    def _finish(self, asset: _UnderWay, outcomes: Mapping[tuple[Place, str], Written]) -> Summarised:
        prompts = self._model.prompts
        by = {
            level: (self._model.name, self._model.revision, f"{level}@{prompts[level].version}")
            for level in LEVELS
        }
        count = sum(outcome.rewritten for outcome in outcomes.values())
        return self._finished(asset, mended(asset.results, outcomes, by), count)

    def _finished(self, asset: _UnderWay, results: Mapping[Place, Result], count: int) -> Summarised:
        stored, text = asset.doubted.stored, asset.text
        row = stored.sources.asset
        stamp = Stamp(
            self._version,
            ids.digest("summaries", row.summary_write_id, self._version, self._run_id),
            self._run_id,
            datetime.now(UTC),
        )
        failures = [_failure(row, item, stamp) for item in asset.doubted.looked.failures]
        rows = summary_rows(text, results, stamp, carried=[*stored.failures, *failures])
        counted = Counter({REWRITTEN: count})
        return Summarised(
            rows.asset,
            rows.segments,
            rows.clips,
            rows.citations,
            rows.reviews,
            rows.failures,
            [*asset.spent.costs(), *(Cost(name, 0.0, items) for name, items in counted.items())],
            sentences=_sentences(text, stamp),
            known_failures=len(stored.failures),
        )


def _sentences(text: AssetText, stamp: Stamp) -> list[SentenceRow]:
    """Write what was seen as sentences of the asset, after all others."""
    first = sum(len(statements) for statements in text.statements)
    return [
        SentenceRow(
            asset_id=text.asset.asset_id,
            version=text.asset.version,
            clip=item.clip,
            sentence=index,
            kind=Kind.DESCRIBED,
            text=item.text,
            form=item.candidate.form,
            source=CLOSER_LOOK,
            time_seconds=item.time_seconds,
            until_seconds=item.until_seconds,
            page=item.page,
            x0=None,
            y0=None,
            x1=None,
            y1=None,
            write_id=stamp.write_id,
        )
        for index, item in enumerate(text.looked, first)
    ]


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
