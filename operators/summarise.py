"""Texts become summaries: a language model writes them level by level, for many assets at once.

All questions of a level that can be asked now are asked together, whichever asset they are of, so
that batches are full and a server is kept busy.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pydantic import BaseModel

from operators import stopwatch
from operators.ask_text import Asked, Asker
from operators.asked import INPUT_TOKENS, OUTPUT_TOKENS
from operators.asset_text import asset_text
from operators.cost_of import cost_of
from operators.decisions import Place
from operators.extractive import extractive
from operators.outline import LEVELS, Model, Outline
from operators.summary_prompts import load_prompts
from operators.summary_rows import FALLBACK, Stamp, SummaryRows, summary_rows
from operators.summary_version import summary_version, text_version
from operators.text_engines import chat_tokens_of, context_of, text_counter_of
from operators.text_isolated import text_engine
from operators.together import together
from operators.write_summary import Ask, Asking, Written
from schemas import ids
from schemas.config import Config, Summary
from schemas.failure import InputError, Reason, Stage
from schemas.perception import Cost, Filled
from schemas.summary_work import CAUGHT, REWRITTEN, WITHDRAWN, Sources, Summarised
from schemas.tables import AssetRow


@dataclass(slots=True)
class Spent:
    """What the summaries of one asset took."""

    calls: int = 0
    time: stopwatch.Spent = field(default_factory=stopwatch.Spent)
    filled: list[Filled] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, asked: Asked) -> None:
        """Add what one question took."""
        self.calls += asked.tries
        self.time += asked.spent
        self.filled.append(asked.filled)
        self.input_tokens += asked.input_tokens or 0
        self.output_tokens += asked.output_tokens or 0

    def costs(self) -> list[Cost]:
        """Return it as a run counts it."""
        return [
            cost_of(Stage.SUMMARISE, self.time, items=self.calls, filled=self.filled),
            Cost(INPUT_TOKENS, 0.0, self.input_tokens),
            Cost(OUTPUT_TOKENS, 0.0, self.output_tokens),
        ]


class Summariser:
    """Sources of assets in, their summaries out: the same assets, in order."""

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
        self._version = summary_version(config)
        self.asker = asker
        self._model: Model | None = None
        self._text_version = text_version(config)
        if config.summary.writes:
            self.asker = asker or Asker(config, text_engine(config, workers))
            self._model = model_of(config.summary, self.asker)

    def __call__(self, sources: list[Sources]) -> list[Summarised]:
        """Write the summaries of some assets; an error of ours costs the asset it is met with."""
        return together(sources, self._write, self._give_up)

    def _give_up(self, source: Sources, message: str) -> Summarised:
        return unwritten(source, self._config, self._run_id, message)

    def close(self) -> None:
        """Release the model."""
        if self.asker is not None:
            self.asker.close()

    def _write(self, sources: Sequence[Sources]) -> list[Summarised]:
        outlines = [Outline(asset_text(source), self._config.summary, self._model) for source in sources]
        spent = [Spent() for _ in outlines]
        counted: list[Counter[str]] = [Counter() for _ in outlines]
        for level in LEVELS:
            under_way = [
                (asset, place, asking)
                for asset, outline in enumerate(outlines)
                for place, asking in outline.asking(level)
            ]
            if not under_way:
                continue
            assert self.asker is not None
            written = drive(
                self.asker,
                [asking for _, _, asking in under_way],
                [spent[asset] for asset, _, _ in under_way],
            )
            for (asset, place, _), each in zip(under_way, written, strict=True):
                outlines[asset].take(place, each)
                counted[asset] += Counter(
                    {CAUGHT: len(each.doubtful), REWRITTEN: each.rewritten, WITHDRAWN: each.withdrawn}
                )
        return [self._finished(*each) for each in zip(outlines, spent, counted, strict=True)]

    def _finished(self, outline: Outline, spent: Spent, counted: Counter[str]) -> Summarised:
        # Of doubtful sentences pictures may still tell something; until then the summaries are of text alone.
        doubtful = any(result.doubtful for result in outline.results.values())
        stamp = stamp_of(outline.text.asset, self._text_version if doubtful else self._version, self._run_id)
        counts = [Cost(name, 0.0, count) for name, count in counted.items()]
        return summarised(summary_rows(outline.text, outline.results, stamp), [*spent.costs(), *counts])


def unwritten(
    source: Sources, config: Config, run_id: str, message: str, reason: Reason = Reason.INTERNAL
) -> Summarised:
    """Give an asset its extractive summaries, with a failure that says why; no model is asked.

    Args:
        source: Of the asset.
        config: Of the run.
        run_id: Of the run.
        message: What was wanted, found and to do.
        reason: Of the failure.
    """
    text, place = asset_text(source), Place("asset")
    results = extractive(text, config.summary)
    error = InputError(reason, message)
    results[place] = replace(results[place], doubts=[FALLBACK], failure=error)
    return summarised(summary_rows(text, results, stamp_of(source.asset, summary_version(config), run_id)))


def stamp_of(asset: AssetRow, version: str, run_id: str) -> Stamp:
    """Mark the rows that are written for an asset now."""
    write_id = ids.digest("summaries", asset.summary_write_id, version, run_id)
    return Stamp(version, write_id, run_id, datetime.now(UTC))


def summarised(rows: SummaryRows, costs: Sequence[Cost] = ()) -> Summarised:
    """Send rows on their way."""
    return Summarised(
        rows.asset, rows.segments, rows.clips, rows.citations, rows.reviews, rows.failures, list(costs)
    )


def model_of(settings: Summary, asker: Asker) -> Model:
    """Say who writes.

    Args:
        settings: The section, its engine resolved.
        asker: Of the model.

    Raises:
        ConfigError: A prompt cannot be used.
    """
    return Model(
        asker.name,
        asker.revision,
        context_of(settings) - chat_tokens_of(settings),
        text_counter_of(settings),
        load_prompts(settings),
    )


def drive(asker: Asker, askings: Sequence[Asking], spent: Sequence[Spent]) -> list[Written]:
    """Answer the questions of summaries under way, all that are open at a time together.

    Args:
        asker: Of the model.
        askings: Summaries under way, not begun.
        spent: For each, where its cost is noted.

    Returns:
        What came of each, in order.
    """
    written: dict[int, Written] = {}
    waiting: dict[int, Ask] = {}

    def go_on(index: int, answer: BaseModel | InputError | None) -> None:
        try:
            waiting[index] = next(askings[index]) if answer is None else askings[index].send(answer)
        except StopIteration as end:
            written[index] = end.value

    for index in range(len(askings)):
        go_on(index, None)
    while waiting:
        open_now, waiting = waiting, {}
        for kind in dict.fromkeys(ask.answer for ask in open_now.values()):
            alike = [index for index, ask in open_now.items() if ask.answer is kind]
            outcomes = asker.ask([open_now[index].prompt for index in alike], kind)
            for index, outcome in zip(alike, outcomes, strict=True):
                spent[index].add(outcome)
                go_on(index, outcome.value if outcome.failure is None else outcome.failure)
    return [written[index] for index in range(len(askings))]
