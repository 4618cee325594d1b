"""What the sizes of coded pictures say of change, before anything is decoded.

Where nothing changes an encoder has nothing to write: a picture that repeats the one before takes
30 to 60 bytes, always the same to within a few (360p and 720p; H.264, HEVC, VP8 and VP9). A digit
that becomes another takes 40 to 150 more, a line 1,500, a slide 5,000. But a small pointer that moves
steadily takes only 7 more, and all the time; so what a still picture takes cannot be told from sizes
alone. It is learned: a picture is *quiet* if it is no larger than the smallest of its kind, and
*proved* to repeat the one before if it is no larger than those of a stretch that was decoded and in
which not one pixel changed. Where pictures are not tiny beside key pictures (a camera, noise, padding
to a constant rate) none is quiet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
"""Positions of pictures, in the order of decoding."""

_LEAST_SHARE = 0.02
"""Quantile of size that a picture in which nothing changed takes."""
_MARGIN_BYTES, _MARGIN_SHARE = 16, 1 / 8
"""How far above that a quiet picture may lie."""
_KEY_SHARE = 0.02
"""Of the bytes of the smallest key picture; a quiet picture has less. It has 0.003 to 0.01."""
_ALIKE = np.array([0, 1, 1, 2, 2])
"""Kinds in which a picture without change takes about the same, by kind: key pictures (0); pictures
shown in the order of decoding, without (1) and with (2) others to be shown before them; and those
others, again without (3) and with (4)."""
_LEAST_PICTURES = 48
"""Pictures from which it is told what is usual."""
_MOST_REFERENCES = 16
"""Pictures to which one may refer, in H.264 and HEVC: what is gone again after fewer pictures may be
gone without a byte, because the picture before it is still at hand."""
_BURST_PICTURES, _BURST_SHARE = 8, 0.03
"""Pictures after a key picture in which encoders make it better, and the most they take for it, as a
share of the key picture: nothing is gone with them."""


@dataclass(frozen=True, slots=True)
class Coded:
    """The pictures of a stretch of video as they are coded, in the order of decoding."""

    sizes: npt.NDArray[np.int64]
    """Bytes."""
    stamps: Sequence[int]
    """Presentation times in units of the time base."""
    keys: Sequence[int]
    """Positions of the key pictures; the first is 0."""
    hidden: int = 0
    """By how many pictures one may be coded before it is shown; 0 if none is hidden."""


class PacketSizes:
    """Tells which pictures may show something new; learns what a still picture takes."""

    def __init__(self, coded: Coded) -> None:
        """Judge all pictures by their sizes; nothing is proved yet."""
        self._sizes = coded.sizes
        count = len(coded.sizes)
        self._noisy = np.ones(count, np.bool_)
        self._kinds = np.zeros(count, np.int64)
        self._proved = np.zeros(len(_ALIKE), np.int64)
        if count < _LEAST_PICTURES:
            return
        keys = np.asarray(coded.keys, np.int64)
        self._kinds = _kinds(np.asarray(coded.stamps, np.int64), keys)
        allowed = _KEY_SHARE * float(coded.sizes[keys].min())
        for kind in np.unique(_ALIKE):
            chosen = _ALIKE[self._kinds] == kind
            if chosen.any():
                sizes = coded.sizes[chosen]
                least = float(np.quantile(sizes, _LEAST_SHARE, method="lower"))
                ceiling = min(allowed, least + _MARGIN_BYTES + _MARGIN_SHARE * least)
                self._noisy[chosen] = sizes > ceiling
        self._noisy[keys] = True
        self._noisy |= _undone_unseen(coded, self._noisy, keys)

    def are_quiet(self, places: Places) -> bool:
        """Tell whether pictures may repeat the one before; key pictures are never quiet."""
        return not self._noisy[places].any()

    def unproved(self, places: Places) -> Places:
        """Return those of the pictures that are not proved to repeat the one before."""
        small = self._sizes[places] <= self._proved[_ALIKE[self._kinds[places]]]
        return np.asarray(places[self._noisy[places] | ~small], np.int64)

    def prove(self, places: Places) -> None:
        """Learn from quiet pictures that were decoded, and of which none changed a pixel."""
        np.maximum.at(self._proved, _ALIKE[self._kinds[places]], self._sizes[places])


def _kinds(stamps: npt.NDArray[np.int64], keys: Places) -> npt.NDArray[np.int64]:
    """Tell key pictures (0) from others, and these by the order in which they are shown."""
    # A picture that is shown before one decoded earlier is bidirectional, and smaller than others.
    # One that another is decoded after and shown before is referred to, and larger again.
    is_referred = np.append(stamps[1:] < stamps[:-1], False)
    kinds = np.where(stamps < np.maximum.accumulate(stamps), 3, 1) + is_referred
    kinds[keys] = 0
    return np.asarray(kinds, np.int64)


def _undone_unseen(coded: Coded, noisy: Flags, keys: Places) -> Flags:
    """Mark the pictures that may undo, or show late, what came shortly before, at no cost in bytes."""
    places = np.arange(len(noisy))
    key = keys[np.searchsorted(keys, places, side="right") - 1]
    is_burst = (places - key <= _BURST_PICTURES) & (coded.sizes <= _BURST_SHARE * coded.sizes[key])
    is_new = noisy & (places > key) & (~is_burst if not coded.hidden else True)
    latest = np.maximum.accumulate(np.where(is_new, places, -len(noisy)))
    reach = max(_MOST_REFERENCES, coded.hidden)
    return np.asarray((places - latest <= reach) & (latest >= key), np.bool_)
