"""Numbers that say how good a lake is, and how they are put together.

Every number is kept as what it was counted from (hits of tries, seconds of errors), so that those of many
assets merge into one as if all had been a single text: a micro average.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Better = Literal["higher", "lower"]
Unit = Literal["share", "seconds", "count"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number means."""

    better: Better
    unit: Unit
    counts: str
    """What `count` in its row counts."""


def _share(counts: str, better: Better = "higher") -> Metric:
    return Metric(better, "share", counts)


def _error(counts: str) -> Metric:
    return Metric("lower", "seconds", counts)


def _times(name: str, counts: str) -> dict[str, Metric]:
    return {
        f"{name}_error_median": _error(counts),
        f"{name}_error_p95": _error(counts),
        f"{name}_within_1s": _share(counts),
    }


METRICS: dict[str, Metric] = {
    "word_recall": _share("words that stand there"),
    "word_precision": _share("words that were read"),
    "page_cer": _share("letters that stand there", "lower"),
    "page_title_similarity": _share("titles of pages"),
    "shown_recall": _share("lines"),
    **_times("shown_start", "lines found"),
    **_times("shown_end", "lines found"),
    "box_iou": _share("lines found that have a box"),
    "wer": _share("words that were said", "lower"),
    "wer_substitutions": _share("words that were said", "lower"),
    "wer_deletions": _share("words that were said", "lower"),
    "wer_insertions": _share("words that were said", "lower"),
    "speech_cer": _share("letters that were said", "lower"),
    **_times("said_start", "utterances"),
    **_times("said_end", "utterances"),
    "speaker_accuracy": _share("words heard right that have a speaker"),
    "boundary_precision": _share("chapters found, but for the first"),
    "boundary_recall": _share("chapters, but for the first"),
    "boundary_f1": _share("both"),
    "segment_title_similarity": _share("chapters with a title"),
    "title_exact": _share("titles"),
    "title_similarity": _share("titles"),
    "language_right": _share("assets"),
    "kind_right": _share("assets"),
    "support": _share("sentences of all summaries"),
    "support_asset": _share("sentences of assets' summaries"),
    "support_key_point": _share("key points"),
    "support_segment": _share("sentences of segments' summaries"),
    "support_clip": _share("sentences of clips' summaries"),
    "citations_hold": _share("citations"),
    "evidence_overlap": _share("sentences that are cited"),
    "facts_stated": _share("sentences of all summaries"),
    "summary_facts_recall": _share("facts"),
    "summary_false_hits": Metric("lower", "count", "phrases"),
    "open_reviews": Metric("lower", "count", "assets"),
    "failures": Metric("lower", "count", "assets"),
    "truth_unmatched": Metric("lower", "count", "entries of the truth file"),
}
"""All numbers there are, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Tally:
    """A number of hits out of so many; a mean, where hits are parts of one."""

    total: float
    count: int


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of times, each in seconds and positive."""

    seconds: tuple[float, ...]


Scores = Mapping[str, Tally | Errors]
"""By the name of the metric; `Errors` by the name that their three metrics begin with."""


@dataclass(frozen=True, slots=True)
class Value:
    """One number."""

    metric: str
    value: float | None
    """Null where there was nothing to measure."""
    count: int
    """What it was measured on, as `METRICS` says."""
    asset: str | None = None
    """URI; null for all assets together."""


def merged(parts: Iterable[Scores]) -> dict[str, Tally | Errors]:
    """Put the scores of several assets together, as if they were one."""
    tallies: dict[str, Tally] = {}
    errors: dict[str, list[float]] = {}
    for part in parts:
        for name, score in part.items():
            if isinstance(score, Errors):
                errors.setdefault(name, []).extend(score.seconds)
            else:
                before = tallies.get(name, Tally(0, 0))
                tallies[name] = Tally(before.total + score.total, before.count + score.count)
    return {**tallies, **{name: Errors(tuple(seconds)) for name, seconds in errors.items()}}


def values(scores: Scores, asset: str | None = None) -> list[Value]:
    """Work the numbers out, in the order of `METRICS`; none for what was not measured."""
    found: dict[str, Value] = {}
    for name, score in scores.items():
        if isinstance(score, Errors):
            found |= {value.metric: value for value in _of_times(name, score.seconds, asset)}
        else:
            counted = METRICS[name].unit == "count"
            ratio = score.total / score.count if score.count else None
            found[name] = Value(name, score.total if counted else ratio, score.count, asset)
    return [found[name] for name in METRICS if name in found]


def _of_times(name: str, seconds: tuple[float, ...], asset: str | None) -> list[Value]:
    count = len(seconds)
    median, high = np.quantile(seconds, (0.5, 0.95)).tolist() if seconds else (None, None)
    near = sum(error <= 1.0 for error in seconds) / count if seconds else None
    return [
        Value(f"{name}_error_median", median, count, asset),
        Value(f"{name}_error_p95", high, count, asset),
        Value(f"{name}_within_1s", near, count, asset),
    ]
