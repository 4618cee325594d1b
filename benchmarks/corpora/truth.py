"""What a maker of files knows of them, and how it is kept beside them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shown:
    """Text that stands in a video for some time, is said in it, or stands on a page."""

    text: str
    """Lines joined by line breaks."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    """Exclusive."""
    page: int | None = None
    """1-based."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file and what is true of it."""

    path: Path
    shown: tuple[Shown, ...] = ()
    """Nothing where there is no text to be found."""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(part.text for part in self.shown)


def write_truth(path: Path, made: Iterable[Made]) -> None:
    """Keep what is known of files that lie beside it."""
    listed = [{"file": item.path.name, "shown": [asdict(part) for part in item.shown]} for item in made]
    path.write_text(json.dumps(listed, ensure_ascii=False), encoding="utf-8")


def read_truth(path: Path, folder: Path) -> Sequence[Made]:
    """Read it back, for files in a folder."""
    listed = json.loads(path.read_text(encoding="utf-8"))
    return [Made(folder / item["file"], tuple(Shown(**part) for part in item["shown"])) for item in listed]
