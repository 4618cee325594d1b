"""Files that ask to read another file or to call a server: all the ways that formats know.

Each is what its format's own tools would follow, at least some of them: playlists and scripts
under media names, references in containers, actions and external objects in documents, links and
entities in markup, programs in page description languages.
"""

import struct
from pathlib import Path

from tests.media import Encoding, encode, slide
from tests.mutants import good
from tests.pages import raw_pdf, stream


def lures(text: Path, movie: Path, url: str) -> dict[str, bytes]:
    """Make files by name.

    Args:
        text: A text file that none of them may read.
        movie: A video that none of them may open.
        url: What none of them may ask for.
    """
    return {
        **_playlists(text, movie, url),
        **_containers(text, movie, url),
        **_documents(text, url),
        **_markup(text, url),
        **_programs(text, url),
        **_words(text, url),
        **_names(text),
    }


def _playlists(text: Path, movie: Path, url: str) -> dict[str, bytes]:
    """Playlists and scripts of FFmpeg and players, under names of media and under their own."""
    hls = (
        f"#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile://{movie}\n#EXTINF:10,\n"
        f"concat:{text}|{movie}\n#EXTINF:10,\n{url}/hls.ts\n#EXT-X-ENDLIST\n"
    )
    keyed = f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="file://{text}"\n#EXT-X-MAP:URI="{url}/map"\n#EXTINF:9,\n{movie}\n'
    dash = (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{text}">]>'
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><BaseURL>{url}/&x;</BaseURL>'
        f"<AdaptationSet><Representation><BaseURL>file://{movie}</BaseURL></Representation></AdaptationSet>"
        "</Period></MPD>"
    )
    concat = f"ffconcat version 1.0\nfile '{movie}'\nfile 'subfile,,start,0,end,99,,:{text}'\nfile '{url}'\n"
    sdp = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\n"
        f"t=0 0\na=control:{url}\nm=video 5004 RTP/AVP 96\n"
    )
    plain = f"{movie}\n{text}\n{url}/list\n"
    pls = f"[playlist]\nFile1=file://{movie}\nFile2={url}/pls\nNumberOfEntries=2\n"
    asx = f'<ASX version="3.0"><Entry><Ref href="file://{text}"/><Ref href="{url}/asx"/></Entry></ASX>'
    smil = f'<smil><body><video src="file://{movie}"/><text src="{url}/smil"/></body></smil>'
    filters = f"movie={movie}[out0];amovie={text}[out1]"
    xbin = b"XBIN\x1a" + struct.pack("<HHBB", 80, 1, 16, 0) + hls.encode()
    made = {
        "own.m3u8": hls, "own.mpd": dash, "own.ffconcat": concat, "own.sdp": sdp, "own.m3u": plain,
        "own.pls": pls, "own.asx": asx, "own.smil": smil, "own.cue": f'FILE "{movie}" MP3\n',
    }  # fmt: skip
    for suffix in ("mp4", "mkv", "ts", "mp3", "avi", "mov", "webm", "wav", "ogg", "mpg", "jpg", "pdf"):
        made |= {f"hls.{suffix}": hls, f"keyed.{suffix}": keyed, f"concat.{suffix}": concat}
    for suffix in ("mp4", "mkv", "ts", "avi"):
        made |= {f"dash.{suffix}": dash, f"sdp.{suffix}": sdp, f"plain.{suffix}": plain, f"pls.{suffix}": pls}
        made |= {f"asx.{suffix}": asx, f"smil.{suffix}": smil, f"filter.{suffix}": filters}
        # White space, a byte order mark and blank lines before the mark do not hide it from players.
        made |= {f"bom_hls.{suffix}": "\ufeff" + hls, f"late_hls.{suffix}": "\n \n" + hls}
    behind = {
        "ts_hls.ts": good()["talk.ts"] + hls.encode(),
        "id3_hls.mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + hls.encode(),
        "webm_hls.webm": good()["talk.webm"][:64] + hls.encode(),
        "xbin.mp4": xbin,
        "xbin.xb": xbin,
    }
    return {name: content.encode() for name, content in made.items()} | behind


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _with_data_reference(whole: bytes, entry: bytes) -> bytes:
    """Put another data reference before the one of an MP4 of one track, and grow the boxes around it."""
    at = whole.index(b"dref") + 12
    content = bytearray(whole[:at] + entry + whole[at:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = whole.index(kind) - 4
        (size,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, size + len(entry))
    return bytes(content)


def _alias(path: str) -> bytes:
    """A Macintosh alias that names an absolute path, as FFmpeg reads it."""
    name = Path(path).name.encode()
    tail = struct.pack(">hh", 2, len(path)) + path.encode() + struct.pack(">hh", -1, 0)
    record = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    return _box(b"alis", bytes(4), record, tail)


def _ebml(identity: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes.fromhex(identity) + struct.pack(">Q", 1 << 56 | len(body)) + body


def _containers(text: Path, movie: Path, url: str) -> dict[str, bytes]:
    """References in media files that are real ones otherwise."""
    talk, made = good()["talk.mp4"], {}
    for label, target in (("file", f"file://{movie}"), ("http", f"{url}/dref"), ("path", str(movie))):
        made[f"url_{label}.mov"] = _with_data_reference(
            talk, _box(b"url ", bytes(4), target.encode() + b"\0")
        )
        location = _box(
            b"rdrf", bytes(4), b"url ", struct.pack(">I", len(target) + 1), target.encode() + b"\0"
        )
        made[f"reference_{label}.mov"] = _box(b"moov", _box(b"rmra", _box(b"rmda", location)))
    made["alias.mov"] = _with_data_reference(talk, _alias(str(movie)))
    made["alias_text.mp4"] = _with_data_reference(talk, _alias(str(text)))
    head = _ebml("1a45dfa3", _ebml("4282", b"matroska"))
    linked = _ebml(
        "1549a966", _ebml("73a4", bytes(range(16))), _ebml("3e83bb", str(movie).encode()),
        _ebml("3c83ab", str(text).encode()), _ebml("3eb923", bytes(16)),
    )  # fmt: skip
    attached = _ebml(
        "1941a469",
        _ebml(
            "61a7",
            _ebml("466e", f"file://{text}".encode()),
            _ebml("4660", b"text/uri-list"),
            _ebml("465c", f"{url}/a".encode()),
        ),
    )
    made["linked.mkv"] = head + _ebml("18538067", linked, attached)
    made["attached.mkv"] = good()["talk.mkv"] + attached
    made["gab2.avi"] = _avi(f"#EXTM3U\n#EXTINF:1,\n{text}\n#EXTINF:1,\n{url}/gab2\n#EXT-X-ENDLIST\n".encode())
    link = f"{url}/cover.png".encode()
    frames = b"".join(
        struct.pack(">4sIH", kind, len(body), 0) + body
        for kind, body in (
            (b"APIC", b"\x00-->\x00\x03\x00" + link),
            (b"APIC", b"\x00-->\x00\x03\x00file://" + str(text).encode()),
            (b"WXXX", b"\x00\x00" + link),
            (b"LINK", b"TIT2" + link + b"\x00"),
        )
    )
    made["linked_cover.mp3"] = b"ID3\x03\x00\x00" + _synchsafe(len(frames)) + frames + good()["song.mp3"]
    return made


def _synchsafe(value: int) -> bytes:
    return bytes((value >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _avi(subtitles: bytes) -> bytes:
    """An AVI of one picture whose subtitle stream is said to be a file, which may be a playlist."""

    def chunk(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    picture = encode([(0.0, slide(["Gauge"], (96, 64)))], Encoding("mjpeg", "yuvj420p", {}, "image2pipe"))
    main = struct.pack("<14I", 1_000_000, 0, 0, 0, 1, 0, 2, 0, 96, 64, 0, 0, 0, 0)
    video = struct.pack(
        "<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 96, 64
    )
    words = struct.pack(
        "<4s4sIHHIIIIIIIIHHHH", b"txts", b"\0" * 4, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0
    )
    format_ = struct.pack("<IiiHH4sIiiII", 40, 96, 64, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    gab2 = b"GAB2\0" + struct.pack("<HI", 2, 0) + struct.pack("<HI", 4, len(subtitles)) + subtitles
    header = chunk(
        b"LIST", b"hdrl", chunk(b"avih", main),
        chunk(b"LIST", b"strl", chunk(b"strh", video), chunk(b"strf", format_)),
        chunk(b"LIST", b"strl", chunk(b"strh", words), chunk(b"strf", b"")),
    )  # fmt: skip
    movie = chunk(b"LIST", b"movi", chunk(b"01tx", gab2), chunk(b"00dc", picture))
    return chunk(b"RIFF", b"AVI ", header, movie)


def _documents(text: Path, url: str) -> dict[str, bytes]:
    """PDFs whose actions, objects and forms lead elsewhere."""
    path, web = str(text).encode(), url.encode()
    external = b"/FFilter /FlateDecode /F << /Type /Filespec /F (%s) /UF (%s) >>" % (path, path)
    remote = b"/F << /FS /URL /F (%s/stream) >>" % web
    xfa = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://%s"><!ENTITY h SYSTEM "%s/xfa">]>'
        b'<xdp:xdp xmlns:xdp="http://ns.adobe.com/xdp/"><template><text>&e;&h;</text></template></xdp:xdp>'
    ) % (path, web)
    script = b"this.submitForm('%s/js'); app.launchURL('file://%s'); importDataObject('x', '%s');" % (
        web,
        path,
        path,
    )
    actions = {
        "goto": b"<< /S /GoToR /F (%s) /D [0 /Fit] >>" % path,
        "goto_embedded": b"<< /S /GoToE /F (%s) /T << /R /C /N (x) >> >>" % path,
        "launch": b"<< /S /Launch /F (%s) /Win << /F (cmd.exe) /P (%s) >> >>" % (path, path),
        "uri": b"<< /S /URI /URI (%s/uri) /Next << /S /URI /URI (file://%s) >> >>" % (web, path),
        "script": b"<< /S /JavaScript /JS (%s) >>" % script.replace(b"(", b"\\(").replace(b")", b"\\)"),
        "submit": b"<< /S /SubmitForm /F << /FS /URL /F (%s/submit) >> /Flags 4 >>" % web,
        "import": b"<< /S /ImportData /F (%s) >>" % path,
        "rendition": b"<< /S /Rendition /OP 0 /R << /S /MR /C << /S /MCD /D << /FS /URL /F (%s/r) >> >> >> >>"
        % web,
    }
    made = {f"{name}.pdf": _pdf({}, b"/OpenAction %s /AA << /WC %s >>" % (action, action), action)
            for name, action in actions.items()}  # fmt: skip
    image = b"/Type /XObject /Subtype /Image /Width 9 /Height 9 /BitsPerComponent 8 /ColorSpace /DeviceGray "
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 300 300] "
    made |= {
        "stream_file.pdf": _pdf({4: stream(b"", external)}),
        "stream_url.pdf": _pdf({4: stream(b"", remote)}),
        "image_file.pdf": _pdf({5: stream(b"", image + external)}),
        "image_url.pdf": _pdf({5: stream(b"", image + remote)}),
        "form_reference.pdf": _pdf({5: stream(b"", form + b"/Ref << /F (%s) /Page 0 >>" % path)}),
        "opi.pdf": _pdf({5: stream(b"", image + b"/OPI << /2.0 << /Version 2.0 /F (%s) >> >>" % path)}),
        "embedded.pdf": _pdf({6: b"<< /Type /Filespec /F (%s) /EF << /F (%s) >> >>" % (path, path)},
                             b"/Names << /EmbeddedFiles << /Names [(x) 6 0 R] >> >>"),
        "font_file.pdf": _pdf({6: stream(b"", external), 7: b"<< /Type /FontDescriptor /FontFile2 6 0 R >>"}),
        "xfa.pdf": _pdf({6: stream(xfa)}, b"/AcroForm << /Fields [] /XFA 6 0 R >>"),
        "metadata.pdf": _pdf({6: stream(xfa, b"/Type /Metadata /Subtype /XML")}, b"/Metadata 6 0 R"),
    }  # fmt: skip
    return made


def _pdf(objects: dict[int, bytes], catalog: bytes = b"", action: bytes = b"") -> bytes:
    """One page with text, a picture slot and a link all over it."""
    link = (
        b"/Annots [<< /Type /Annot /Subtype /Link /Rect [0 0 300 300] /A %s >>]" % action if action else b""
    )
    return raw_pdf({
        1: b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R %s /Resources "
           b"<< /XObject << /X 5 0 R >> /Font << /F "
           b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>" % link,
        4: stream(b"BT /F 12 Tf 40 200 Td (A page that wants something) Tj ET q 99 0 0 99 9 9 cm /X Do Q"),
        5: stream(b"0 0 9 9 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]"),
    } | objects)  # fmt: skip


def _markup(text: Path, url: str) -> dict[str, bytes]:
    """SVG, HTML and XML under their own names and under those of pictures and documents."""
    svg = (
        f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file://{text}">'
        f'<!ENTITY % y SYSTEM "{url}/dtd">%y;]>'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<text>&x;</text><image xlink:href="file://{text}"/><image href="{url}/svg"/>'
        f'<use xlink:href="file://{text}#a"/><style>@import url({url}/css);</style></svg>'
    )
    page = (
        f'<!doctype html><html><body><iframe src="file://{text}"></iframe><img src="{url}/img">'
        f'<script>fetch("file://{text}")</script><object data="{text}"></object></body></html>'
    )
    include = (
        f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{text}" parse="text"/></x>'
    )
    made = {"own.svg": svg, "own.html": page, "own.xml": include, "own.xhtml": page}
    for suffix in ("png", "jpg", "pdf", "tiff", "webp", "mp4", "srt"):
        made |= {f"svg.{suffix}": svg, f"html.{suffix}": page, f"xml.{suffix}": include}
    made["html_pdf.pdf"] = f"<!-- %PDF-1.7 -->{page}"
    return {name: content.encode() for name, content in made.items()}


def _programs(text: Path, url: str) -> dict[str, bytes]:
    """PostScript and the scripts of picture tools, named like pictures."""
    script = (
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
        f"({text}) (r) file 999 string readstring show\nshowpage\n"
    )
    tools = (
        f"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'text:{text}'\n"
        f"fill 'url({url}/mvg)'\npop graphic-context\n"
    )
    magick = f'<?xml version="1.0"?><image><read filename="text:{text}"/><write filename="x.png"/></image>'
    windows = b"\xd7\xcd\xc6\x9a" + bytes(18) + b"\x01\x00\x09\x00" + str(text).encode()
    binary = b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(script)) + bytes(18) + script.encode()
    made = {
        "own.eps": script.encode(),
        "own.ps": script.encode(),
        "own.mvg": tools.encode(),
        "own.wmf": windows,
    }
    for suffix in ("png", "tiff", "jpg", "pdf", "heic"):
        made |= {
            f"eps.{suffix}": script.encode(),
            f"eps_binary.{suffix}": binary,
            f"mvg.{suffix}": tools.encode(),
        }
        made |= {f"msl.{suffix}": magick.encode(), f"wmf.{suffix}": windows}
    return made


def _words(text: Path, url: str) -> dict[str, bytes]:
    """Subtitle files beside a video that name other files."""
    talk = good()["talk.mp4"]
    cue = f'1\n00:00:00,000 --> 00:00:01,000\n<img src="file://{text}"><a href="{url}/srt">look</a>\n'
    style = f"WEBVTT\n\nSTYLE\n@import url({url}/vtt);\n\n00:00.000 --> 00:01.000\n<c.x>look</c>\n"
    listed = f"#EXTM3U\n#EXTINF:1,\n{text}\n{url}/words\n"
    made = {"beside_cue.srt": cue, "beside_style.vtt": style, "beside_list.srt": listed, "alone.srt": listed}
    videos = dict.fromkeys(("beside_cue.mp4", "beside_style.mp4", "beside_list.mp4"), talk)
    return {name: content.encode() for name, content in made.items()} | videos


def _names(text: Path) -> dict[str, bytes]:
    """Names that are protocols of FFmpeg and chains of fsspec; the file inside is a sound one."""
    talk, page = good()["talk.mp4"], good()["page.png"]
    names = (
        f"concat:{text.name}|x.mp4", f"subfile,,start,0,end,99,,:{text.name}.mp4",
        "data:video;base64,AAAA.mp4",
        f"file:{text.name}.mp4", "pipe:0.mp4", "http:127.0.0.1.mp4", f"cache:{text.name}.mp4", "crypto:x.mkv",
    )  # fmt: skip
    chains = ("zip:x::file:y.png", "simplecache::file:x.png", f"label:@{text.name}.png", "%05d.png")
    return dict.fromkeys(names, talk) | dict.fromkeys(chains, page)
