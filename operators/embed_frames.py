"""Each distinct picture gets a vector before its pixels are dropped.

It stands before recognition. A picture of which only a part has changed is like the one before it and
gets none. Pictures that are here for their vectors alone end here: their views get the vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from operators.cost_of import cost_of
from operators.embedding_engine import FrameEmbedder
from operators.embedding_isolated import frame_embedder
from operators.halving import Halving, Tried
from operators.ocr import pixels_of
from operators.stopwatch import total
from schemas.config import Config
from schemas.failure import Failure, InputError, Stage
from schemas.perception import Cost, Perception, Picture, View

Vector = list[float]


class EmbedFrames:
    """Perceptions with pictures in, the same with vectors out, in order."""

    def __init__(self, config: Config, embedder: FrameEmbedder | None = None) -> None:
        """Prepare the configured model, in a child process of its own; its first picture loads it.

        Args:
            config: Of the run, resolved; it must embed pictures.
            embedder: To embed with instead of the configured one.

        Raises:
            ValueError: The configured model cannot run; the message says what to do.
        """
        self.embedder = embedder or frame_embedder(config)
        self._halving = Halving(config.embedding.batch, "the vectors of pictures")

    def __call__(self, perceptions: list[Perception]) -> list[Perception]:
        """Embed all distinct pictures; one that cannot be embedded is a failure, and read all the same."""
        pictures = [
            picture for perception in perceptions for picture in perception.pictures if not picture.changed
        ]
        size = self._halving.most
        batches = [range(at, min(at + size, len(pictures))) for at in range(0, len(pictures), size)]
        tried = self._halving.run(batches, lambda batch: self._embed([pictures[index] for index in batch]))
        outcomes = iter(tried[index] for index in range(len(pictures)))
        return [_give_back(perception, outcomes) for perception in perceptions]

    def _embed(self, pictures: Sequence[Picture]) -> list[Vector]:
        vectors = self.embedder.embed_pictures([pixels_of(picture) for picture in pictures])
        return [vector.tolist() for vector in vectors]


def _give_back(perception: Perception, outcomes: Iterator[Tried[Vector]]) -> Perception:
    """Give pictures and views their vectors, and drop pictures that nobody has to read."""
    if not perception.pictures:
        return perception
    embedded: list[Picture] = []
    failures: list[Failure] = []
    done: list[Tried[Vector]] = []
    for picture in perception.pictures:
        if picture.changed:
            embedded.append(picture)
            continue
        tried = next(outcomes)
        done.append(tried)
        if isinstance(tried.outcome, InputError):
            failures.append(_failure(picture, tried.outcome, perception.unit.index))
            embedded.append(picture)
        else:
            embedded.append(replace(picture, vector=tried.outcome))
    known = {_place(picture): picture.vector for picture in embedded if not picture.to_read}
    return replace(
        perception,
        pictures=[picture for picture in embedded if picture.to_read],
        views=[replace(view, vector=known.get(_place(view), view.vector)) for view in perception.views],
        failures=[*perception.failures, *failures],
        costs=[*perception.costs, _cost(done)],
    )


def _cost(done: Sequence[Tried[Vector]]) -> Cost:
    return cost_of(
        "embed",
        total([tried.spent for tried in done]),
        items=sum(not isinstance(tried.outcome, InputError) for tried in done),
    )


def _place(thing: Picture | View) -> tuple[int | None, float | None]:
    return thing.page, thing.time_seconds


def _failure(picture: Picture, error: InputError, unit: int) -> Failure:
    return Failure(
        stage=Stage.EMBED,
        reason=error.reason,
        message=error.message,
        unit=unit,
        page=picture.page,
        start_seconds=picture.time_seconds,
        end_seconds=picture.until_seconds,
    )
