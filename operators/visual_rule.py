"""What the rules of most families of vision-language models have in common.

A rule counts what a picture of any size costs, and finds the size at which a picture stays within a
number of tokens: of the sizes that the family's grid allows, the one at which the smaller of the
two scales is largest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Size = tuple[int, int]
"""Width and height in pixels."""


class Rule:
    """What most rules have in common."""

    _markers = 2
    """Tokens of text around a picture: a start and an end, or a line feed."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the image processor has to be told besides."""
        return {}

    def count(self, sizes: Sequence[Size]) -> list[int]:
        """Count the tokens of each picture of one request, in order."""
        rule = self._of(len(sizes))
        return [rule._cost(size) for size in sizes]

    def markers(self, sizes: Sequence[Size]) -> list[int]:
        """Count the tokens of text around each picture, in order; never too few."""
        return [self._markers] * len(sizes)

    def fit(self, size: Size, most: int, pictures: int = 1) -> Size | None:
        """Find the largest size of a picture that costs no more than so many tokens."""
        return self._of(pictures)._fit(size, most)

    def least(self, size: Size, pictures: int = 1) -> int:
        """Count the fewest tokens that a picture of these proportions can cost."""
        rule = self._of(pictures)
        return min(rule._cost(shown) for shown in rule._sizes(size))

    def _of(self, pictures: int) -> "Rule":  # noqa: ARG002 - most families treat pictures one by one
        """Return the rule for a picture of a request that has so many."""
        return self

    def _cost(self, size: Size, /) -> int:
        raise NotImplementedError

    def _sizes(self, size: Size, /) -> Iterable[Size]:
        """List the sizes that are worth considering for a picture."""
        raise NotImplementedError

    def _fit(self, size: Size, most: int) -> Size | None:
        return best(size, self._sizes(size), self._cost, most)


def best(size: Size, sizes: Iterable[Size], cost: Callable[[Size], int], most: int) -> Size | None:
    """Take the size that shows most, costs least, and shows most besides."""
    width, height = size
    affordable = [(shown, tokens) for shown in sizes if (tokens := cost(shown)) <= most]
    if not affordable:
        return None

    def worth(choice: tuple[Size, int]) -> tuple[float, int, int]:
        (across, down), tokens = choice
        return min(1.0, across / width, down / height), -tokens, across * down

    return max(affordable, key=worth)[0]


def within(size: Size, box: Size, thinnest: int = 0) -> Size:
    """Scale a picture down to lie within a box, in its proportions.

    Args:
        size: Of the picture.
        box: To lie within.
        thinnest: How many times the shorter side the longer may be; 0 for any.
    """
    width, height = size
    if width > box[0] or height > box[1]:
        if width * box[1] >= height * box[0]:
            width, height = box[0], max(1, (height * box[0] + width // 2) // width)
        else:
            width, height = max(1, (width * box[1] + height // 2) // height), box[1]
    if thinnest:
        width, height = min(width, height * thinnest), min(height, width * thinnest)
    return width, height


def is_near(shown: Size, size: Size, step: Size) -> bool:
    """Tell whether a size has a picture's proportions to within one step of a grid."""
    scale = min(shown[0] / size[0], shown[1] / size[1])
    return shown[0] - size[0] * scale < step[0] and shown[1] - size[1] * scale < step[1]
