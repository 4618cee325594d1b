"""The kind of a file is decided by its bytes."""

import pytest

from operators.sniff import UnsupportedError, sniff
from schemas.failure import InputError, Reason


@pytest.mark.parametrize(
    ("head", "name", "kind", "container"),
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "a.mp4", "video", "mov"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x02\x00", "a.mp4", "audio", "mov"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a.jpg", "image", "heif"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", "a", "image", "avif"),
        (b"\x00\x00\x07\x08moov....", "old.mov", "video", "mov"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "a.mkv", "video", "matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "a.avi", "video", "avi"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "a.dat", "audio", "wav"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a.png", "image", "webp"),
        (b"OggS\x00\x02", "a.ogg", "video", "ogg"),
        (b"fLaC\x00\x00", "a.flac", "audio", "flac"),
        (b"ID3\x04\x00", "a.mp3", "audio", "mp3"),
        (b"\xff\xfb\x90\x64\x00\x0f", "a", "audio", "mp3"),
        (b"\xff\xf1\x50\x80\x00\x1f", "a", "audio", "aac"),
        ((b"\x47" + bytes(187)) * 5, "a.ts", "video", "mpegts"),
        (b"%PDF-1.7\n", "a.mp4", "document", "pdf"),
        (b"junk before\n%PDF-1.4\n", "a.pdf", "document", "pdf"),
        (b"\x89PNG\r\n\x1a\n....", "a.pdf", "image", "png"),
        (b"\xff\xd8\xff\xe0", "a", "image", "jpeg"),
        (b"II*\x00\x08\x00", "a", "image", "tiff"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "a", "image", "bmp"),
    ],
)
def test_content_decides(head: bytes, name: str, kind: str, container: str) -> None:
    """The bytes win over the name."""
    sniffed = sniff(head, name)

    assert (sniffed.kind, sniffed.container) == (kind, container)


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\nsecret.txt",
        b"\xef\xbb\xbf\n #EXTM3U\nsecret.txt",
        b"ffconcat version 1.0\n",
        b"<MPD xmlns=''>",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///secret.txt">]><MPD>',
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
    ],
)
def test_playlist_named_like_a_video_is_refused(playlist: bytes) -> None:
    """A file that points at others is never handed to FFmpeg."""
    with pytest.raises(InputError) as caught:
        sniff(playlist, "talk.mp4")

    assert caught.value.reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"PK\x03\x04....", "a.pdf"),
        (b"<html><body>404 Not Found", "talk.mp4"),
        (b"<!-- a picture --><svg>", "a.png"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a.tiff"),
    ],
)
def test_another_kind_of_file_under_a_media_name_is_refused(head: bytes, name: str) -> None:
    """The page that a server gave instead of a video is a loss that its owner wants to hear of."""
    with pytest.raises(InputError, match="holds") as caught:
        sniff(head, name)

    assert caught.value.reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"PK\x03\x04....", "a.docx"),
        (b"<!DOCTYPE html><html>", "a.html"),
        (b"hello", "notes.txt"),
        (b"", "empty.txt"),
        (b"#EXTM3U\n", "list.m3u8"),
        (b"BM are two letters that begin a text", "a.txt"),
    ],
)
def test_unknown_kinds_are_unsupported(head: bytes, name: str) -> None:
    """Nothing is wrong with these files; they are only not read."""
    with pytest.raises(UnsupportedError):
        sniff(head, name)


def test_empty_file_named_like_media_is_broken() -> None:
    """An empty video is a loss that its owner wants to hear of."""
    with pytest.raises(InputError) as caught:
        sniff(b"", "talk.mp4")

    assert caught.value.reason is Reason.EMPTY


def test_name_decides_only_where_bytes_say_nothing() -> None:
    """Zeros named .webm may still be a damaged video: the decoder decides."""
    assert sniff(bytes(64), "a.webm").container == "matroska"
