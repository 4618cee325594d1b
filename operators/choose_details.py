"""Which parts of a picture are shown enlarged: those whose letters the whole picture makes too small.

What a model can read of a picture depends on how high its letters are once the picture has been
scaled to what it may cost. Recognition has left the place and the height of each line, so the
gain of showing a part enlarged is known before anything is decoded: letters that become legible.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from operators.visual_rule import Size
from operators.visual_tokens import TokenRule
from operators.words import letter_count
from schemas.box import Box
from schemas.perception import Line

LEGIBLE_PX = 14.0
"""Height of letters that models read well: the patches of their encoders are 14 to 16 pixels."""

ILLEGIBLE_PX = 6.0
"""Below it nothing can be read; between the two it is a matter of luck."""

_WANTED_PX = 18.0
"""Height to which small letters are brought where pixels and tokens allow."""

_ENLARGED = 1.5
"""Times its own pixels to which a part is enlarged at most: an encoder sees more of a letter that
covers more of its patches, and sizes are rounded down to its grid. Below four pixels nothing helps."""

_LEAST_LETTERS = 10.0
"""A part is shown only where it makes so many letters legible; a page number is not worth a picture."""

_MOST_LINES = 400
_MOST_BLOCKS = 12
_MOST_PARTS = 40
"""Bound the arithmetic for pages full of small print."""

_SLIMMEST = 1 / 6
"""Parts are not slimmer than this: encoders are made for pictures, not for strips."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that is shown whole, of which parts may be shown too."""

    size: Size
    """Of the upright picture in pixels, as large as it can be decoded."""
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Detail:
    """A part of a picture to be shown enlarged."""

    source: int
    """Which picture it is a part of."""
    box: Box
    size: Size
    """Width and height in pixels at which it is shown."""


@dataclass(frozen=True, slots=True)
class _Small:
    """A line that is not legible in the whole picture."""

    text: str
    letters: float
    height_px: float
    """Of its letters, in the picture as it can be decoded."""
    shown: float
    """How legible it is already (0-1)."""
    x0: float
    y0: float
    x1: float
    y1: float
    """Its box in pixels of the picture as it can be decoded."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines that stand together and could be shown as one part."""

    source: int
    lines: tuple[_Small, ...]

    def box(self) -> tuple[float, float, float, float]:
        """Return the box around its lines, with a margin of half a letter."""
        margin = max(line.height_px for line in self.lines) / 2
        return (
            min(line.x0 for line in self.lines) - margin,
            min(line.y0 for line in self.lines) - margin,
            max(line.x1 for line in self.lines) + margin,
            max(line.y1 for line in self.lines) + margin,
        )


def legibility(height_px: float) -> float:
    """Tell how well letters of a height are read: 0 not at all, 1 well."""
    return min(1.0, max(0.0, (height_px - ILLEGIBLE_PX) / (LEGIBLE_PX - ILLEGIBLE_PX)))


def legible_letters(sources: Sequence[Source], shown: Sequence[Size], details: Sequence[Detail]) -> float:
    """Count the letters that can be read in some pictures, each text once, where it reads best."""
    best: dict[str, float] = {}
    for source, size in zip(sources, shown, strict=True):
        for line in source.lines:
            read = legibility(_letter_height(line) * size[1])
            best[line.text] = max(read, best.get(line.text, 0.0))
    for detail in details:
        scale = detail.size[1] / (detail.box.y1 - detail.box.y0)
        for line in sources[detail.source].lines:
            if _holds(detail.box, line):
                best[line.text] = max(legibility(_letter_height(line) * scale), best[line.text])
    return sum(_weight(text) * read for text, read in best.items())


def most_legible(sources: Sequence[Source]) -> float:
    """Count the letters that could be read if all of the pictures were shown enlarged."""
    sizes = [(source.size[0], round(source.size[1] * _ENLARGED)) for source in sources]
    return legible_letters(sources, sizes, [])


def choose_details(
    sources: Sequence[Source],
    shown: Sequence[Size],
    most: int,
    tokens: int,
    pictures: int,
    rule: TokenRule,
) -> list[Detail]:
    """Choose parts that make most letters legible, within so many tokens.

    Args:
        sources: the pictures that are shown whole.
        shown: the size at which each is shown.
        most: parts at most.
        tokens: that all parts may cost together.
        pictures: how many the request has, parts included.
        rule: of the model's family.

    Returns:
        Parts in order of their pictures, then from the top left.
    """
    parts = _parts(sources, shown)
    plans = [_greedy(parts, sources, most, tokens, pictures, rule, dense) for dense in (False, True)]
    _, details = max(plans, key=lambda plan: plan[0])
    return sorted(details, key=lambda detail: (detail.source, detail.box.y0, detail.box.x0))


def _greedy(
    parts: Sequence[_Part],
    sources: Sequence[Source],
    most: int,
    tokens: int,
    pictures: int,
    rule: TokenRule,
    dense: bool,
) -> tuple[float, list[Detail]]:
    """Take the best part again and again: that of most gain, or of most gain for each token."""
    known: dict[str, float] = {}
    chosen: list[Detail] = []
    total, left = 0.0, tokens
    for _ in range(most):
        best: tuple[float, float, int, _Part, Detail] | None = None
        for part in parts:
            if sum(line.letters for line in part.lines) < _LEAST_LETTERS:
                continue
            detail = _detail(part, sources[part.source].size, left, pictures, rule)
            if detail is None:
                continue
            cost = rule.count([detail.size] * pictures)[0]
            gain = _gain(part, detail, sources[part.source].size, known)
            value = gain / max(1, cost) if dense else gain
            if gain >= _LEAST_LETTERS and cost <= left and (best is None or (value, -cost) > best[:2]):
                best = value, -cost, cost, part, detail
        if best is None:
            break
        _, _, cost, part, detail = best
        total += _gain(part, detail, sources[part.source].size, known)
        for line, read in _read(part, detail, sources[part.source].size):
            known[line.text] = max(read, known.get(line.text, 0.0))
        chosen.append(detail)
        left -= cost
    return total, chosen


def _read(part: _Part, detail: Detail, size: Size) -> Iterator[tuple[_Small, float]]:
    scale = detail.size[1] / ((detail.box.y1 - detail.box.y0) * size[1])
    return ((line, legibility(line.height_px * scale)) for line in part.lines)


def _gain(part: _Part, detail: Detail, size: Size, known: dict[str, float]) -> float:
    return sum(
        line.letters * max(0.0, read - max(line.shown, known.get(line.text, 0.0)))
        for line, read in _read(part, detail, size)
    )


def _detail(part: _Part, size: Size, tokens: int, pictures: int, rule: TokenRule) -> Detail | None:
    """Size a part so that its letters are legible, as far as pixels and tokens allow."""
    box = _inside(part.box(), size)
    smallest = min(line.height_px for line in part.lines)
    scale = min(_ENLARGED, _WANTED_PX / smallest)
    wide, high = box[2] - box[0], box[3] - box[1]
    wanted = max(1, round(wide * scale)), max(1, round(high * scale))
    found = rule.fit(wanted, tokens, pictures)
    if found is None:
        return None
    box = _of_shape(box, found[0] / found[1], size)
    fractions = Box(box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1])
    return Detail(part.source, fractions, found)


def _inside(box: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float]:
    """Bring a box into the picture, in whole pixels, and make it no slimmer than encoders like."""
    x0, x1 = _span(box[0], box[2], max(1.0, _SLIMMEST * (box[3] - box[1])), size[0])
    y0, y1 = _span(box[1], box[3], max(1.0, _SLIMMEST * (x1 - x0)), size[1])
    return x0, y0, x1, y1


def _of_shape(
    box: tuple[float, float, float, float], shape: float, size: Size
) -> tuple[float, float, float, float]:
    """Grow a box to a ratio of width to height, as far as the picture goes: letters stay undistorted."""
    x0, y0, x1, y1 = box
    x0, x1 = _span(x0, x1, (y1 - y0) * shape, size[0])
    y0, y1 = _span(y0, y1, (x1 - x0) / shape, size[1])
    return x0, y0, x1, y1


def _span(low: float, high: float, least: float, side: int) -> tuple[float, float]:
    """Widen a stretch evenly to a least length, within `[0, side]`, whole pixels."""
    spare = max(0.0, least - (high - low)) / 2
    low, high = low - spare, high + spare
    if low < 0:
        low, high = 0.0, high - low
    elif high > side:
        low, high = low - (high - side), float(side)
    first = max(0, min(side - 1, int(low)))
    return float(first), float(min(side, max(first + 1, -int(-high // 1))))


# --- what could be a part ------------------------------------------------------------------


def _parts(sources: Sequence[Source], shown: Sequence[Size]) -> list[_Part]:
    """List what could be shown enlarged; a text that several pictures show belongs to the first."""
    parts: list[_Part] = []
    taken: set[str] = set()
    for index, (source, size) in enumerate(zip(sources, shown, strict=True)):
        small = [line for line in _small(source, size) if line.text not in taken]
        taken.update(line.text for line in small)
        parts += (_Part(index, lines) for lines in _groups(small))
    return sorted(parts, key=_unread, reverse=True)[:_MOST_PARTS]


def _unread(part: _Part) -> float:
    return sum(line.letters * (1 - line.shown) for line in part.lines)


def _small(source: Source, shown: Size) -> Iterator[_Small]:
    """List the lines that are not legible at the size at which a picture is shown, and could be."""
    width, height = source.size
    for line in source.lines[:_MOST_LINES]:
        letter = _letter_height(line)
        read = legibility(letter * shown[1])
        if read < 1 and legibility(letter * height * _ENLARGED) > read:
            yield _Small(
                line.text, _weight(line.text), letter * height, read,
                line.x0 * width, line.y0 * height, line.x1 * width, line.y1 * height,
            )  # fmt: skip


def _letter_height(line: Line) -> float:
    """Height of a line's letters as a fraction of the picture's height; above 0."""
    return max(line.size or line.y1 - line.y0, 1e-4)


def _weight(text: str) -> float:
    """Letters and digits of a line."""
    return letter_count(text) + sum(map(str.isdigit, text))


def _holds(box: Box, line: Line) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1


def _groups(small: Sequence[_Small]) -> list[tuple[_Small, ...]]:
    """Group lines into blocks, blocks of a neighbourhood into larger ones, and cut long ones in halves."""
    blocks = sorted(_blocks(small), key=lambda block: sum(line.letters for line in block), reverse=True)
    blocks = blocks[:_MOST_BLOCKS]
    groups = [half for block in blocks for half in _halves(block, depth=2)]
    while len(blocks) > 1:
        one, other = min(
            ((a, b) for a in range(len(blocks)) for b in range(a)),
            key=lambda pair: _waste(blocks[pair[0]], blocks[pair[1]]),
        )
        joined = (*blocks[one], *blocks[other])
        blocks = [block for index, block in enumerate(blocks) if index not in (one, other)] + [joined]
        groups.append(joined)
    return groups


def _blocks(small: Sequence[_Small]) -> list[tuple[_Small, ...]]:
    """Join lines that stand close below or beside each other."""
    order = sorted(small, key=lambda line: (line.y0, line.x0))
    parent = list(range(len(order)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index, line in enumerate(order):
        for other in range(index + 1, len(order)):
            if order[other].y0 > line.y1 + 1.5 * line.height_px:
                break
            if _near(line, order[other]):
                parent[root(other)] = root(index)
    found: dict[int, list[_Small]] = {}
    for index, line in enumerate(order):
        found.setdefault(root(index), []).append(line)
    return [tuple(block) for block in found.values()]


def _near(line: _Small, other: _Small) -> bool:
    letter = max(line.height_px, other.height_px)
    below = max(line.y0, other.y0) - min(line.y1, other.y1)
    beside = max(line.x0, other.x0) - min(line.x1, other.x1)
    return below <= 1.5 * letter and beside <= 2 * letter


def _halves(block: tuple[_Small, ...], depth: int) -> Iterator[tuple[_Small, ...]]:
    """Give a block, its upper and lower half, and theirs: more than the whole may become legible."""
    yield block
    if depth and len(block) >= 4:
        middle = len(block) // 2
        yield from _halves(block[:middle], depth - 1)
        yield from _halves(block[middle:], depth - 1)


def _waste(one: Iterable[_Small], other: Iterable[_Small]) -> float:
    """Return the pixels that the box around two blocks has more than the two."""
    a, b = _Part(0, tuple(one)).box(), _Part(0, tuple(other)).box()
    both = min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
    return _area(both) - _area(a) - _area(b)


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
