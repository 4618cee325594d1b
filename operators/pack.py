"""Pack pictures of one shape into batches, and give results back where they belong.

Indices go in and indices come out: a batch never knows whose pictures it holds, and a
result that is missing or doubled is found where it happens and not in the tables.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Result = TypeVar("Result")


def pack(
    sizes: Sequence[tuple[int, int]],
    bucket_of: Callable[[int, int], tuple[int, int]],
    most_pictures: int,
    most_pixels: int,
) -> list[list[int]]:
    """Group pictures by bucket, then cut each group into batches.

    Args:
        sizes: (width, height) of each picture.
        bucket_of: gives the canonical size of a picture.
        most_pictures: in a batch; at least 1.
        most_pixels: of a batch, each picture counted as large as its bucket. A picture
            beyond it is a batch of its own.

    Returns:
        Indices into `sizes`, each exactly once; within a batch in order.
    """
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (width, height) in enumerate(sizes):
        groups[bucket_of(width, height)].append(index)
    batches = []
    for (width, height), members in sorted(groups.items()):
        size = max(1, min(most_pictures, most_pixels // (width * height)))
        batches += [members[start : start + size] for start in range(0, len(members), size)]
    return batches


def unpack(count: int, results: Iterable[tuple[int, Result]]) -> list[Result]:
    """Put results back in order.

    Raises:
        ValueError: An index is missing, doubled, or was never handed out.
    """
    found: dict[int, Result] = {}
    for index, result in results:
        if index in found or not 0 <= index < count:
            msg = f"Wanted one result for each of {count} pictures; got another one for picture {index}."
            raise ValueError(msg)
        found[index] = result
    if len(found) != count:
        missing = sorted(set(range(count)) - found.keys())
        msg = f"Wanted one result for each of {count} pictures; none came for {missing[:10]}."
        raise ValueError(msg)
    return [found[index] for index in range(count)]
