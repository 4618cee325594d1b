"""The rules of the LLaVA families: pure arithmetic, as their processors do it.

A picture is laid into the best of some resolutions ("anyres"), which is cut into tiles.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from operators.visual_rule import Rule, Size, within


@dataclass(frozen=True)
class LlavaNextRule(Rule):
    """LLaVA-NeXT and LLaVA-NeXT-Video: tiles of the best of some resolutions, less the padding.

    `_get_number_of_features` of LlavaNextVideoProcessor; Liu et al., LLaVA-NeXT, 2024. The whole
    picture comes first, each row of patches ends with a token of its own.
    """

    tile: int
    """Side of a tile in pixels."""
    patch: int
    """Side of a patch in pixels: one token."""
    pinpoints: tuple[Size, ...]
    """Resolutions to choose from."""
    besides: int = 0
    """Tokens of a picture besides its patches; negative where one is left out."""

    def _cost(self, size: Size, /) -> int:
        side = self.tile // self.patch
        across, down = self._thinned(self._unpadded(size, side))
        return side * side + across * down + down + self.besides

    def _thinned(self, patches: Size) -> Size:
        return patches

    def _unpadded(self, size: Size, side: int) -> Size:
        """Count the patches, across and down, that show the picture and no padding."""
        width, height = size
        box = _best_resolution(size, self.pinpoints)
        across, down = side * (box[0] // self.tile), side * (box[1] // self.tile)
        if width / height > across / down:
            kept = int(round(height * (across / width), 7))
            down -= (down - kept) // 2 * 2
        else:
            kept = int(round(width * (down / height), 7))
            across -= (across - kept) // 2 * 2
        return across, down

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        for box in (*self.pinpoints, (self.tile, self.tile)):
            yield within(size, box)


@dataclass(frozen=True)
class LlavaOnevisionRule(LlavaNextRule):
    """LLaVA-OneVision: as LLaVA-NeXT, thinned to so many tiles; several pictures have one tile each.

    `_get_number_of_features` and `replace_image_token` of LlavaOnevisionProcessor; Li et al.,
    LLaVA-OneVision, 2024. Of several pictures each is padded to a square.
    """

    most_tiles: int = 9
    """Tiles beyond which the patches of a picture are thinned."""

    def _of(self, pictures: int) -> Rule:
        side = self.tile // self.patch
        return self if pictures == 1 else SquareRule(side * side + 1 + self.besides, self.tile)

    def _thinned(self, patches: Size) -> Size:
        across, down = patches
        excess = math.sqrt(across * down / (self.most_tiles * (self.tile // self.patch) ** 2))
        return (int(across // excess), int(down // excess)) if excess > 1.1 else patches


@dataclass(frozen=True)
class SquareRule(Rule):
    """One tile, to which a picture is padded: what LLaVA-OneVision does with several."""

    tokens: int
    """Of one picture."""
    tile: int
    """Side of the tile in pixels."""

    def _cost(self, _size: Size, /) -> int:
        return self.tokens

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        yield within(size, (self.tile, self.tile))


def _best_resolution(size: Size, resolutions: Sequence[Size]) -> Size:
    """Choose the resolution that keeps most of a picture's pixels and wastes least."""
    width, height = size

    def worth(box: Size) -> tuple[int, int]:
        scale = min(box[0] / width, box[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - box[0] * box[1]

    return max(resolutions, key=worth)
