"""A place in a picture."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions (0-1) of the upright picture; `x1`, `y1` exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float
