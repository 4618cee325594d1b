"""A place in a picture."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions (0-1) of the upright picture; `x1`, `y1` exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float


class Cornered(Protocol):
    """A row with the corners of a box, all of them null where there is none."""

    @property
    def x0(self) -> float | None: ...  # noqa: D102 - as of `Box`
    @property
    def y0(self) -> float | None: ...  # noqa: D102
    @property
    def x1(self) -> float | None: ...  # noqa: D102
    @property
    def y1(self) -> float | None: ...  # noqa: D102


def box_of(row: Cornered) -> Box | None:
    """Read the box of a row."""
    if row.x0 is None or row.y0 is None or row.x1 is None or row.y1 is None:
        return None
    return Box(row.x0, row.y0, row.x1, row.y1)


def corners(box: Box | None) -> dict[str, float | None]:
    """Name the corners of a box as columns."""
    names = ("x0", "y0", "x1", "y1")
    return {name: None if box is None else getattr(box, name) for name in names}
