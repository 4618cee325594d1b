"""A decoder for one stream, with the bounds and the threads that it is to have."""

import av.error
from av.codec.context import CodecContext, ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from operators.containers import as_input_error

_THREADS = 2
"""For decoders that skip nothing. The others run in one thread: what skipping saves is what
a second thread would (120 s of 720p H.264: 1.13 s of one core, or 1.17 s of two), spans are
decoded side by side anyway, and an error is then that of the packet just given."""
SKIPPING = frozenset({"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"})
"""Decoders that leave out pictures to which no other refers, when told to."""
_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_decoder(stream: VideoStream, max_pixels: int) -> VideoCodecContext:
    """Open a decoder that refuses frames above a size; VP8 and VP9 with alpha need libvpx.

    Args:
        stream: What it is to decode.
        max_pixels: Frames that declare more are refused.

    Raises:
        InputError: The decoder does not accept the stream.
    """
    decoder = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and decoder.name in _ALPHA:
        other = CodecContext.create(_ALPHA[decoder.name], "r")
        assert isinstance(other, VideoCodecContext)
        decoder = other
    decoder.options = {**decoder.options, "max_pixels": str(max_pixels)}
    decoder.thread_type = ThreadType.AUTO
    decoder.thread_count = 1 if decoder.name in SKIPPING else _THREADS
    try:
        decoder.open(strict=False)
    except av.error.FFmpegError as error:
        raise as_input_error(error) from error
    return decoder
