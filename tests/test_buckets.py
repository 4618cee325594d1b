"""Pixel budgets and canonical sizes."""

from hypothesis import example, given
from hypothesis import strategies as st

from operators.buckets import bucket_of, fit_pixels

side = st.integers(min_value=1, max_value=20_000)

COMMON = [
    *((1920, 1080), (1280, 720), (854, 480), (640, 360), (426, 240), (1080, 1920), (720, 1280), (480, 854)),
    *((1024, 768), (800, 600), (640, 480), (320, 240), (1366, 768), (1440, 900), (1600, 900), (1680, 1050)),
    *(
        (1240, 1754),
        (1275, 1650),
        (1654, 2339),
        (1700, 2200),
        (1110, 734),
        (960, 540),
        (720, 1600),
        (1920, 880),
    ),
    *(
        (1242, 1755),
        (1276, 1651),
        (852, 480),
        (848, 480),
        (1918, 1078),
        (1280, 716),
        (1275, 1651),
        (427, 240),
    ),
]


@given(side, side, st.integers(min_value=1, max_value=10_000_000))
@example(20_000, 1, 10)
@example(8192, 4320, 2_100_000)
def test_a_fitted_size_keeps_the_budget(width: int, height: int, budget: int) -> None:
    """Never above the budget, never enlarged, never empty."""
    fitted_width, fitted_height = fit_pixels(width, height, budget)

    assert 1 <= fitted_width <= width
    assert 1 <= fitted_height <= height
    assert fitted_width * fitted_height <= budget


@given(st.integers(200, 10_000), st.integers(200, 10_000), st.integers(200_000, 5_000_000))
def test_a_fitted_size_keeps_the_aspect_and_uses_the_budget(width: int, height: int, budget: int) -> None:
    """Scaling distorts by less than a pixel and wastes next to nothing."""
    if not 1 / 8 < width / height < 8:
        return
    fitted_width, fitted_height = fit_pixels(width, height, budget)

    assert abs(fitted_width - fitted_height * width / height) <= 1 + width / height
    assert fitted_width * fitted_height >= 0.97 * min(budget, width * height)


@given(side, side)
def test_a_bucket_covers_its_picture_with_little_padding(width: int, height: int) -> None:
    """At most a tenth of a side is padding once a side has 320 pixels; never 32 pixels below."""
    bucket = bucket_of(width, height)

    for canonical, actual in zip(bucket, (width, height), strict=True):
        assert canonical >= actual
        assert canonical - actual < max(32, actual / 16 + 1)


@given(side, side, side)
def test_buckets_are_monotone_and_stable(small: int, large: int, other: int) -> None:
    """A larger side never gets a smaller bucket, and a bucket is its own bucket."""
    small, large = sorted((small, large))

    assert bucket_of(small, other)[0] <= bucket_of(large, other)[0]
    assert bucket_of(*bucket_of(small, large)) == bucket_of(small, large)


def test_a_mixed_corpus_falls_into_few_buckets_with_little_padding() -> None:
    """Near sizes share a bucket, and the average padding over common sizes is a few percent."""
    buckets = {size: bucket_of(*size) for size in COMMON}

    padding = [1 - width * height / (bucket[0] * bucket[1]) for (width, height), bucket in buckets.items()]

    assert len(set(buckets.values())) <= 26
    assert sum(padding) / len(padding) < 0.06
    assert len({bucket_of(side, side) for side in range(320, 2340)}) <= 42
