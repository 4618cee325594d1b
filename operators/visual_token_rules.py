"""The rule of each family of vision-language models: pure arithmetic, as their processors do it.

Each class states where its numbers come from. Those of LLaVA are in `operators.visual_token_anyres`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from operators.visual_rule import Rule, best, is_near, within
from operators.visual_rule import Size as Size


@dataclass(frozen=True)
class QwenRule(Rule):
    """Qwen2-VL and its successors: patches of a picture of any size, merged two by two.

    `smart_resize` of Qwen2VLImageProcessor; Wang et al., Qwen2-VL, 2024. A token is a square of
    28 pixels, of 32 in Qwen3-VL.
    """

    factor: int
    """Side of a token in pixels."""
    min_pixels: int
    max_pixels: int

    _longest_ratio = 200
    """Of the sides; beyond it the processor refuses."""

    def shown(self, size: Size) -> Size:
        """Return the size to which the processor scales a picture.

        Raises:
            ValueError: One side is over two hundred times the other.
        """
        width, height = size
        if max(size) > self._longest_ratio * min(size):
            msg = (
                f"Wanted a picture whose longer side is at most {self._longest_ratio} times the shorter; "
                f"found {width} x {height}. Show a part of it."
            )
            raise ValueError(msg)
        factor = self.factor
        across, down = round(width / factor) * factor, round(height / factor) * factor
        if across * down > self.max_pixels:
            shrink = math.sqrt((height * width) / self.max_pixels)
            across = max(factor, math.floor(width / shrink / factor) * factor)
            down = max(factor, math.floor(height / shrink / factor) * factor)
        elif across * down < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            across = math.ceil(width * grow / factor) * factor
            down = math.ceil(height * grow / factor) * factor
        return across, down

    def _cost(self, size: Size, /) -> int:
        across, down = self.shown(size)
        return (across // self.factor) * (down // self.factor)

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        yield self._smallest(size)

    def _fit(self, size: Size, most: int) -> Size | None:
        factor = self.factor
        least, room = -(-self.min_pixels // factor**2), min(most, self.max_pixels // factor**2)
        grids = (grid for grid in self._grids(size, least, room) if grid[0] * grid[1] >= least)
        shown = best(size, ((across * factor, down * factor) for across, down in grids), self._cost, most)
        return shown or best(size, self._sizes(size), self._cost, most)

    def least(self, size: Size, pictures: int = 1) -> int:
        """Count the fewest tokens that a picture of these proportions can cost."""
        smallest = self._cost(self._smallest(size))
        fewer = range(max(1, -(-self.min_pixels // self.factor**2)), smallest)
        return next((most for most in fewer if self.fit(size, most, pictures) is not None), smallest)

    def _smallest(self, size: Size) -> Size:
        """Scale a picture to the fewest pixels the family takes."""
        width, height = size
        ratio = min(max(width / height, 1 / self._longest_ratio), self._longest_ratio)
        least = -(-self.min_pixels // self.factor**2)
        down = max(1, round(math.sqrt(least / ratio)))
        across = -(-least // down)
        while max(across, down) > self._longest_ratio * min(across, down):
            down, across = (down + 1, across) if across > down else (down, across + 1)
        return across * self.factor, down * self.factor

    def _grids(self, size: Size, least: int, room: int) -> Iterator[Size]:
        """List grids of tokens that lie within a picture and have room, the nearest in proportion."""
        width, height = size
        widest, tallest = max(1, width // self.factor), max(1, height // self.factor)
        for down in range(1, min(tallest, room) + 1):
            ideal = down * width / height
            most = min(widest, room // down, down * self._longest_ratio)
            for across in {math.floor(ideal), math.ceil(ideal), -(-least // down)}:
                fitted = min(max(1, across), most)
                if down <= fitted * self._longest_ratio:
                    yield fitted, down


@dataclass(frozen=True)
class InternVLRule(Rule):
    """InternVL as transformers has it: a grid of tiles nearest in proportion, and the whole beside it.

    `get_optimal_tiled_canvas` of GotOcr2ImageProcessor; Chen et al., InternVL 1.5, 2024. A picture
    is stretched to its grid.
    """

    tile: Size
    """Of one tile in pixels."""
    tokens: int
    """Of one tile."""
    fewest: int
    """Tiles of a picture."""
    most: int

    _markers = 3

    def _cost(self, size: Size, /) -> int:
        across, down = _canvas(size, self.tile, self.fewest, self.most)
        tiles = across * down
        return self.tokens * (tiles + 1 if tiles > 1 else 1)

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        width, height = size
        if self.most <= 1:
            yield self.tile
            return
        for across, down in _canvases(self.fewest, self.most):
            full = across * self.tile[0], down * self.tile[1]
            if across * down <= max(1, self.fewest):
                yield full
                continue
            # All of the grid where the picture has the pixels, else as much in the grid's proportions.
            share = min(1.0, width / full[0], height / full[1])
            part = max(1, int(full[0] * share)), max(1, int(full[1] * share))
            if part[0] * full[1] == part[1] * full[0] and is_near(part, size, self.tile):
                yield part
        if self._covers(size):
            yield size

    def _covers(self, size: Size) -> bool:
        """Tell whether a picture is smaller than the grid it is stretched to."""
        across, down = _canvas(size, self.tile, self.fewest, self.most)
        return size[0] <= across * self.tile[0] and size[1] <= down * self.tile[1]


@dataclass(frozen=True)
class QueryRule(Rule):
    """BLIP-2: so many queries, whatever the picture; it is stretched to one size.

    Li et al., BLIP-2, 2023. Several pictures are put one behind the other, as Dai et al.
    (InstructBLIP, 2023) do with the frames of a video.
    """

    tokens: int
    """Of one picture."""
    size: Size
    """To which pictures are stretched."""

    _markers = 0

    def _cost(self, _size: Size, /) -> int:
        return self.tokens

    def _sizes(self, _size: Size, /) -> Iterator[Size]:
        yield self.size


@dataclass(frozen=True)
class IdeficsRule(Rule):
    """Idefics3 and SmolVLM: tiles, and the whole picture behind them where there is more than one.

    `resize_for_vision_encoder` and `split_images` of SmolVLMImageProcessor; Laurençon et al.,
    Idefics3, 2024; Marafioti et al., SmolVLM, 2025. By itself the processor enlarges every
    picture to its longest edge first, so that a small one costs as much as a large one;
    `do_resize=False` leaves that out, and a picture costs what its own size needs.
    """

    tile: int
    """Side of a tile in pixels."""
    longest: int
    """Longest side of a picture in pixels."""
    tokens: int
    """Of one tile."""
    splits: bool = True
    """Whether a picture larger than a tile is split."""
    enlarges: bool = False
    """Whether the processor is left to enlarge pictures to the longest side."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the image processor has to be told besides."""
        return {} if self.enlarges else {"do_resize": False}

    def markers(self, sizes: Sequence[Size]) -> list[int]:
        """Count `<row_1_col_1>`, its like and line feeds around each picture; never too few."""
        tiles = map(self._tiles, sizes)
        return [4 if grid == (1, 1) else 2 * math.prod(grid) + grid[1] + 4 for grid in tiles]

    def _cost(self, size: Size, /) -> int:
        tiles = math.prod(self._tiles(size))
        return self.tokens * (tiles + 1 if tiles > 1 else 1)

    def _tiles(self, size: Size) -> Size:
        """Count the tiles, across and down.

        Raises:
            ValueError: One side vanishes beside the other.
        """
        if not self.splits:
            return 1, 1
        width, height = self._enlarged(size) if self.enlarges else size
        ratio, tile = width / height, self.tile
        if width >= height:
            across = -(-width // tile)
            down = -(-int(across * tile / ratio) // tile)
        else:
            down = -(-height // tile)
            across = -(-int(down * tile * ratio) // tile)
        if not across or not down:
            msg = f"Wanted a picture with two sides; found {width} x {height}. Show a part of it."
            raise ValueError(msg)
        return across, down

    def _enlarged(self, size: Size) -> Size:
        """Scale a picture to the longest side, the other to an even number."""
        ratio = size[0] / size[1]
        if ratio >= 1:
            short = int(self.longest / ratio)
            return self.longest, max(1, short + short % 2)
        short = int(self.longest * ratio)
        return max(1, short + short % 2), self.longest

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        yield self.tile, self.tile
        side = self.longest // self.tile if self.splits else 1
        for across, down in product(range(1, side + 1), repeat=2):
            box = across * self.tile, down * self.tile
            yield within(size, box, thinnest=1024)
            if box[0] <= size[0] and box[1] <= size[1] and is_near(box, size, (self.tile, self.tile)):
                yield box


@dataclass(frozen=True)
class OpenAIRule(Rule):
    """OpenAI's tiles of 512 pixels: 85 tokens, and 170 for each tile.

    From the guide "Images and vision" of the API (`detail: high`): a picture is scaled to lie within
    2,048 x 2,048, then to a shorter side of 768.
    """

    tile: int = 512
    tokens: int = 170
    base: int = 85

    _markers = 0

    def _cost(self, size: Size, /) -> int:
        width, height = within(size, (2048, 2048))
        if min(width, height) > 768:
            width, height = within((width, height), (768, 2048) if width <= height else (2048, 768))
        return self.base + self.tokens * -(-width // self.tile) * -(-height // self.tile)

    def _sizes(self, size: Size, /) -> Iterator[Size]:
        for across, down in product((512, 768, 1024, 1536, 2048), repeat=2):
            if min(across, down) <= 768:
                yield within(size, (across, down))


@lru_cache(maxsize=16)
def _canvases(fewest: int, most: int) -> list[Size]:
    """List grids of tiles, across and down, from the fewest tiles on."""
    grids = [
        (across, down)
        for across in range(1, most + 1)
        for down in range(1, most + 1)
        if fewest <= across * down <= most
    ]
    return sorted(grids, key=math.prod)


@lru_cache(maxsize=4096)
def _canvas(size: Size, tile: Size, fewest: int, most: int) -> Size:
    """Choose the grid of tiles nearest in proportion; of several the larger, if the picture is large."""
    if most <= 1:
        return 1, 1
    ratio, area = size[0] / size[1], size[0] * size[1]
    nearest, chosen = float("inf"), (1, 1)
    for across, down in _canvases(fewest, most):
        distance = abs(ratio - across / down)
        if distance < nearest:
            nearest, chosen = distance, (across, down)
        elif distance == nearest and area > 0.5 * tile[0] * tile[1] * across * down:
            chosen = (across, down)
    return chosen
