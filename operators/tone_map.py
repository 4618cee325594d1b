"""High dynamic range pictures are brought to the range a reader of text expects.

PQ and HLG video shown as if it were ordinary looks grey and washed out; clipped at white,
it loses what is brighter than paper. So its code values are turned into light, compressed
by the knee of ITU-R BT.2390-10 (5.4.1, EETF), turned from BT.2020 to BT.709 primaries and
coded for an ordinary screen. libswscale has such a path, but clips at 203 nits and takes 2 s
to set up (FFmpeg 8.1); this takes about 30 ms for 720p, and only kept pictures pay it.
"""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

PQ = 16
HLG = 18
"""FFmpeg's numbers of the two transfer characteristics (ITU-T H.273)."""

_PEAK_NITS = 1000.0
"""Brightest light expected of the source; masters are graded to 1,000 nits or above."""
_WHITE_NITS = 203.0
"""Light of paper white in HDR (ITU-R BT.2408); becomes white in the result."""
_STEPS = 4096

_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear BT.2020 to BT.709 (ITU-R BT.2087)."""


def to_sdr(rgb: npt.NDArray[np.uint16], transfer: int) -> npt.NDArray[np.uint8]:
    """Map PQ or HLG coded pixels to BT.709 on an ordinary screen.

    Args:
        rgb: (height, width, 3), full range 0 to 65535, BT.2020 primaries.
        transfer: `PQ` or `HLG`.

    Returns:
        (height, width, 3), 8 bits.
    """
    light = _light_table(transfer)[rgb >> 4]
    light = np.clip(cv2.transform(light, _TO_709), 0, 1)
    result: npt.NDArray[np.uint8] = _code_table()[(light * (_STEPS - 1)).astype(np.uint16)]
    return result


@cache
def _light_table(transfer: int) -> Floats:
    """Return compressed linear light, 1 at white, for each of 4096 code values."""
    code = np.linspace(0, 1, _STEPS)
    nits = _hlg_nits(code) if transfer == HLG else _pq_nits(code)
    return (_pq_nits(_knee(_pq_code(nits))) / _WHITE_NITS).astype(np.float32)


def _pq_nits(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SMPTE ST 2084, from code value to light."""
    root = np.power(code, 32 / 2523)
    ratio = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(10_000 * np.power(ratio, 8192 / 1305))


def _pq_code(nits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SMPTE ST 2084, from light to code value."""
    root = np.power(nits / 10_000, 1305 / 8192)
    return np.asarray(np.power((107 / 128 + 2413 / 128 * root) / (1 + 2392 / 128 * root), 2523 / 32))


def _hlg_nits(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ITU-R BT.2100 HLG on a screen of 1,000 nits (system gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code * code / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(_PEAK_NITS * np.power(scene, 1.2))


def _knee(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Roll highlights off in PQ code values: BT.2390's Hermite spline from source to target peak."""
    peak, white = _pq_code(np.array([_PEAK_NITS, _WHITE_NITS]))
    ratio = white / peak
    start = 1.5 * ratio - 0.5
    scaled = np.clip(code / peak, 0, 1)
    t = np.clip((scaled - start) / (1 - start), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * (1 - start)
        + (3 * t**2 - 2 * t**3) * ratio
    )
    return np.asarray(np.where(scaled < start, scaled, spline) * peak)


@cache
def _code_table() -> npt.NDArray[np.uint8]:
    """Return the 8-bit value for each of 4096 steps of linear light (sRGB)."""
    light = np.linspace(0, 1, _STEPS)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * coded), np.uint8)
