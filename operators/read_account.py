"""What happened while a stream was read: how much there was, and what was lost."""

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(slots=True)
class Account:
    """What happened while reading."""

    packets: int = 0
    first_packet: Fraction | None = None
    """Time of the first packet: where reading began."""
    packet_bytes: int = 0
    bad: list[Fraction] = field(default_factory=list)
    """Times of pictures that were damaged or could not be decoded."""
    disordered: int = 0
    """Frames left out because their time lies before that of the frame shown before."""
    keys: list[Fraction] = field(default_factory=list)
    """Times of key frames read."""
    ended: bool = False
    """The end of the file was reached."""
    ends: dict[int, int] = field(default_factory=dict)
    """Latest end of a packet of each stream read, in its own time base."""
    last_frame: Fraction | None = None
    """When the last frame leaves the screen."""
    frames: int = 0
    """Frames decoded that lie in what was asked for."""
    stopped: Fraction | None = None
    """Time of the first frame that was not given because there were too many."""
