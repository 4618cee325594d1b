"""What kills a decoder costs a page or a stretch of a video, never what stands beside it."""

import io
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

import operators.decode
from operators import decode_pdf, isolate
from operators.decode import Decode, decode_units
from operators.decode_video import decode_span
from operators.read_frames import FrameReader
from operators.sample import exact
from schemas.config import Config, Limits, Sampling
from schemas.failure import InputError, Reason
from schemas.media import Asset, Kind, Planned, Unit, UnitKind
from schemas.perception import Perception, Picture, View
from tests.media import Encoding, encode, save
from tests.pages import drawn_pdf, prose

BAD_SECONDS = 13.1
BAD_PAGE = 3
VIDEO = Asset("id", "v", "", Kind.VIDEO, 1, "", "", container="mov", duration_seconds=32.0, unit_count=1)
SPAN = Unit(0, UnitKind.SPAN, 0.0, 32.0)


def crashing_units(asset: Asset, units: list[Unit], config: Config) -> Iterator[Perception]:
    """Decode, in the child, where one picture and one page crash their decoder."""
    decode, read_page = FrameReader._decode, decode_pdf._read_page

    def decode_or_die(reader: FrameReader, packet: "Packet[VideoStream]") -> list[VideoFrame]:
        if packet.pts is not None and reader.time_of(packet.pts) == exact(BAD_SECONDS):
            os.kill(os.getpid(), signal.SIGSEGV)
        return decode(reader, packet)

    def read_or_die(document: pdfium.PdfDocument, number: int, config: Config) -> View | Picture:
        if number == BAD_PAGE:
            os.kill(os.getpid(), signal.SIGSEGV)
        return read_page(document, number, config)

    FrameReader._decode = decode_or_die  # type: ignore[method-assign, assignment] # stands for a bug in a library
    decode_pdf._read_page = read_or_die
    yield from decode_units(asset, units, config)


def hanging_units(asset: Asset, units: list[Unit], config: Config) -> Iterator[Perception]:
    """Give nothing, ever."""
    time.sleep(600)
    yield from decode_units(asset, units, config)


ATTEMPTS: dict[str, int] = {}


def stumbling_units(asset: Asset, units: list[Unit], config: Config) -> Iterator[Perception]:
    """Decode, in the child, what a store gives only after as many attempts as its name says."""
    ATTEMPTS[asset.uri] = ATTEMPTS.get(asset.uri, 0) + 1
    if ATTEMPTS[asset.uri] < int(asset.uri):
        raise InputError(Reason.UNREADABLE, "the store is away", transient=True)
    yield from (Perception(asset, unit) for unit in units)


@pytest.fixture(autouse=True)
def fresh_child() -> Iterator[None]:
    """Let no test meet the child in which another one has broken something."""
    yield
    isolate._SANDBOXES.__dict__.clear()


@pytest.fixture
def video(tmp_path: Path) -> Asset:
    """32 s, dark and light by turns, with a key frame in each second."""
    pictures = [np.full((48, 64, 3), 40 + second + 150 * (second % 2), np.uint8) for second in range(32)]
    frames = [(index / 10, pictures[index // 10]) for index in range(320)]
    path = save(tmp_path, "a.mp4", encode(frames, Encoding(key_every=10)))
    return replace(VIDEO, uri=f"file://{path}")


def use(monkeypatch: pytest.MonkeyPatch, units: object) -> None:
    """Let the child run something else."""
    monkeypatch.setattr(operators.decode, "decode_units", units)


def test_crash_in_a_video_costs_the_stretch_around_it(video: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other pictures and cuts are those of an undisturbed run, and the stretch is named."""
    config = Config(sampling=Sampling(decode="all"))
    (whole,) = Decode(config)(Planned(video, [SPAN]))
    use(monkeypatch, crashing_units)
    (found,) = Decode(config)(Planned(video, [SPAN]))

    (failure,) = found.failures
    # The part behind the bad one begins with a look before it, which needs the bad picture.
    assert (failure.reason, failure.start_seconds, failure.end_seconds) == (Reason.CRASHED, 12.0, 16.0)
    kept = [picture for picture in whole.pictures if not 12 <= (picture.time_seconds or 0) < 16]
    assert [picture.time_seconds for picture in found.pictures] == [picture.time_seconds for picture in kept]
    assert [picture.pixels for picture in found.pictures] == [picture.pixels for picture in kept]
    assert found.cuts == [cut for cut in whole.cuts if not 12 <= cut < 16]
    assert len(whole.pictures) == 32
    assert found.unit == SPAN
    assert found.sampled == whole.sampled - 4


def test_a_picture_that_no_look_needs_crashes_nothing(video: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks fall on key pictures: the bad one between two of them is never given to the decoder."""
    use(monkeypatch, crashing_units)
    (found,) = Decode(Config())(Planned(video, [SPAN]))

    assert not found.failures
    assert [picture.time_seconds for picture in found.pictures] == list(range(32))


def test_a_video_that_hangs_everywhere_is_given_up(video: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few times the deadline of a unit the span is lost, once, for that reason."""
    use(monkeypatch, hanging_units)
    started = time.monotonic()
    (found,) = Decode(Config(limits=Limits(unit_seconds=1.0)))(Planned(video, [SPAN]))

    (failure,) = found.failures
    assert (failure.reason, failure.start_seconds, failure.end_seconds) == (Reason.TIMEOUT, 0.0, 32.0)
    assert time.monotonic() - started < 30
    assert not found.pictures


def test_parts_together_may_not_be_larger_than_one_unit(
    video: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halving a span is no way around `limits.output_bytes`."""
    limits = Limits(output_bytes=1 << 20)
    config = Config(limits=limits, sampling=Sampling(strategy="interval", interval_seconds=0.1))
    use(monkeypatch, crashing_units)
    (found,) = Decode(config)(Planned(video, [SPAN]))

    assert sum(len(picture.pixels) for picture in found.pictures) <= limits.output_bytes
    assert Reason.TOO_LARGE in {failure.reason for failure in found.failures}


def test_page_that_kills_its_decoder_is_lost_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages before and behind it, of the same task, are all there."""
    path = save(tmp_path, "a.pdf", drawn_pdf(*[prose] * 6))
    asset = Asset("id", "v", f"file://{path}", Kind.DOCUMENT, 1, "", "", container="pdf", unit_count=6)
    units = [Unit(index, UnitKind.PAGE, page=index + 1) for index in range(6)]
    use(monkeypatch, crashing_units)
    found = list(Decode(Config())(Planned(asset, units)))

    assert [perception.unit for perception in found] == units
    assert [len(perception.views) for perception in found] == [1, 1, 0, 1, 1, 1]
    failures = [failure for perception in found for failure in perception.failures]
    assert [(failure.reason, failure.page, failure.unit) for failure in failures] == [(Reason.CRASHED, 3, 2)]


def test_store_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, after a pause; then the unit is lost with the reason."""
    monkeypatch.setattr(operators.decode, "_STORE_WAITS_SECONDS", (0.0, 0.0))
    use(monkeypatch, stumbling_units)
    (found,) = Decode(Config())(Planned(replace(VIDEO, uri="3"), [SPAN]))
    (lost,) = Decode(Config())(Planned(replace(VIDEO, uri="4"), [SPAN]))

    assert not found.failures
    assert [failure.reason for failure in lost.failures] == [Reason.UNREADABLE]


class Broken(io.BytesIO):
    """A file that can be opened and not read."""

    def __init__(self, error: OSError) -> None:
        """Say how reading fails."""
        super().__init__(bytes(100))
        self.error = error

    def read(self, *_: object) -> bytes:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(("error", "transient"), [(ConnectionResetError(), True), (PermissionError(), False)])
def test_only_what_passes_is_called_transient(
    error: OSError, transient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that broke may be back in a moment, a missing right will not."""
    monkeypatch.setattr(operators.decode, "open_source", lambda *_: Broken(error))
    with pytest.raises(InputError) as caught:
        list(decode_units(VIDEO, [SPAN], Config()))
    assert (caught.value.reason, caught.value.transient) == (Reason.UNREADABLE, transient)


def test_a_span_decodes_the_same_in_the_child(video: Asset) -> None:
    """The way through another process changes nothing."""
    (there,) = Decode(Config())(Planned(video, [SPAN]))
    here = decode_span(video.uri.removeprefix("file://"), video, SPAN, Config())

    assert replace(there, costs=[]) == replace(here, costs=[])
