"""Everything perceived in one asset becomes its rows."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import extract, track_text
from operators.compose import Composed, compose_failed
from operators.composition import picked_version
from operators.words import dot
from schemas.arrow import from_table, to_table
from schemas.config import Config, Summary
from schemas.failure import Failure
from schemas.media import Asset, Unit
from schemas.perception import Line, Perception, Utterance, View
from schemas.tables import CHILDREN, SUMMARIES, TABLES
from tests.made_perceptions import AT, composed, document, line, paragraph, slide, video, view

_SLIDES = [
    (0.0, 10.0, slide("Photosynthesis", "An introduction for beginners", "Dr. Maria Okafor", footer="1 / 5")),
    (11.0, 19.0, slide("What a leaf needs", "Light from the sun", "Water from the roots", footer="2 / 5")),
    (20.0, 23.0, slide("光合作用", "叶绿体吸收阳光", "水和二氧化碳变成糖", footer="3 / 5")),
    (
        24.0,
        31.0,
        slide("Numbers to remember", "Peak of photosystem two", "Efficiency is low", footer="4 / 5"),
    ),
    (32.0, 39.0, slide("Reading list", "The light reactions", "The Calvin cycle", footer="5 / 5")),
]
_SPEECH = [
    Utterance(
        0.5, 5.7, "Good morning everyone, and welcome to this lecture about", source="subtitle:talk.srt"
    ),
    Utterance(5.7, 9.8, "photosynthesis.", source="subtitle:talk.srt"),
    Utterance(11.2, 15.8, "A leaf needs three things: light, water and air.", source="subtitle:talk.srt"),
    Utterance(24.1, 29.4, "A green plant stores six percent of the light.", source="subtitle:talk.srt"),
    Utterance(31.0, 38.0, "Please read chapters five and six.", source="subtitle:talk.srt"),
]


def _lecture(speech: Sequence[Utterance] = (), **changes: object) -> list[Perception]:
    views = [view(lines, start, until) for start, until, lines in _SLIDES]
    return video(views, 39.76, [11.0, 20.0, 24.0, 32.0], speech, **changes)  # type: ignore[arg-type]


_BODY = [
    "Green leaves take light from the sun and water from the roots of the plant. "
    "They turn both into sugar, which the plant stores. Carbon dioxide comes from the air around us.",
    "Respiration is the other half of the story. Animals and plants burn sugar with oxygen. "
    "The energy that is set free drives every movement of every muscle.",
    "Farmers have bred plants for a thousand years. Wheat and rice feed most people on earth today. "
    "New varieties need less water than the old ones.",
]


def _report() -> list[Sequence[Line] | None]:
    heads = ["A study of leaves", "Respiration", "Farming"]
    header = line("Annals of Botany", 0.03, size=0.011, confidence=1, source="text_layer")
    return [
        [header, line(heads[i], 0.08, size=0.025, confidence=1, source="text_layer"), *paragraph(body, 0.15)]
        for i, body in enumerate(_BODY)
    ]


# --- what every asset must satisfy -----------------------------------------------------------


def _check(result: Composed) -> None:
    """Assert what holds for the rows of any asset."""
    asset = result.asset
    assert asset.clip_count == len(result.clips)
    assert asset.segment_count == len(result.segments)
    assert asset.failure_count == len(result.failures)
    assert [clip.clip for clip in result.clips] == list(range(len(result.clips)))
    assert [segment.segment for segment in result.segments] == list(range(len(result.segments)))
    assert sorted({clip.segment for clip in result.clips}) == list(range(len(result.segments)))
    assert [clip.segment for clip in result.clips] == sorted(clip.segment for clip in result.clips)
    for region in result.text_regions:
        assert 0 <= region.clip < len(result.clips)
    for table in CHILDREN:
        for row in getattr(result, table):
            write_id = asset.summary_write_id if table in SUMMARIES else "write"
            assert (row.asset_id, row.version, row.write_id) == (asset.asset_id, asset.version, write_id)
        assert from_table(TABLES[table], to_table(TABLES[table], getattr(result, table))) == getattr(
            result, table
        )
    assert to_table(TABLES["assets"], [asset]).num_rows == 1
    _check_times(result)
    _check_citations(result)


def _check_times(result: Composed) -> None:
    clips, segments = result.clips, result.segments
    if not clips or clips[0].page is not None:
        return
    assert clips[0].start_seconds == segments[0].start_seconds == 0.0
    assert clips[-1].end_seconds == segments[-1].end_seconds
    assert [row.end_seconds for row in clips[:-1]] == [row.start_seconds for row in clips[1:]]
    assert [row.end_seconds for row in segments[:-1]] == [row.start_seconds for row in segments[1:]]
    for region in result.text_regions:
        assert region.time_seconds is not None
        assert region.until_seconds is not None
        start = clips[region.clip].start_seconds
        assert start is not None
        assert start <= region.time_seconds <= region.until_seconds


def _check_citations(result: Composed) -> None:
    """Each sentence of each summary has exactly one citation, and it points at the truth."""
    wanted: dict[tuple[str, int, int], str] = {}
    if result.asset.summary:
        wanted["asset", -1, -1] = result.asset.summary
    wanted |= {("segment", row.segment, -1): row.summary for row in result.segments if row.summary}
    wanted |= {("clip", row.segment, row.clip): row.summary for row in result.clips if row.summary}
    found: dict[tuple[str, int, int], list[str]] = {}
    for row in result.citations:
        segment = -1 if row.level == "asset" else row.segment
        key = (row.level, segment, row.clip if row.level == "clip" else -1)
        found.setdefault(key, []).append(row.text)
        assert row.sentence == len(found[key]) - 1
        clip = result.clips[row.clip]
        assert clip.segment == row.segment
        assert row.page == clip.page
        evidence = f"{clip.ocr_text or ''} {clip.transcript or ''}"
        if row.x0 is None:
            assert ":" in row.source
            assert row.time_seconds is not None
        else:
            assert set(row.text.split()[0]) <= set(evidence) | {"-"}
            assert row.x1 is not None
            assert 0 <= row.x0 < row.x1 <= 1
    assert set(found) == set(wanted)
    for key, summary in wanted.items():
        position = 0
        for text in found[key]:
            position = summary.index(text, position) + len(text)
        rest = summary
        for text in found[key]:
            rest = rest.replace(text, "", 1)
        assert not rest.strip()


# --- video -----------------------------------------------------------------------------------


def test_a_slide_lecture_has_its_slides_as_clips_and_segments() -> None:
    """Five slides at known times are five clips and five segments with their titles."""
    result = composed(_lecture())
    _check(result)
    titles = ["Photosynthesis", "What a leaf needs", "光合作用", "Numbers to remember", "Reading list"]
    assert [row.title for row in result.segments] == titles
    assert [row.title for row in result.clips] == titles
    assert [row.start_seconds for row in result.clips] == [0.0, 11.0, 20.0, 24.0, 32.0]
    assert result.segments[-1].end_seconds == 39.76
    assert result.clips[1].ocr_text == "What a leaf needs\nLight from the sun\nWater from the roots\n2 / 5"
    assert (result.asset.title, result.asset.language, result.asset.status) == ("Photosynthesis", "en", "ok")
    assert (result.asset.sampled_frames, result.asset.distinct_frames, result.asset.read_whole) == (39, 5, 5)


def test_speech_goes_to_the_clip_that_holds_most_of_it() -> None:
    """An utterance over a border belongs to the longer side; the transcript is joined."""
    result = composed(_lecture(_SPEECH))
    _check(result)
    said = [row.transcript for row in result.clips]
    assert said[0] == "Good morning everyone, and welcome to this lecture about photosynthesis."
    assert said[2:] == [
        None,
        "A green plant stores six percent of the light.",
        "Please read chapters five and six.",
    ]
    assert len(result.utterances) == len(_SPEECH)


def test_a_spoken_sentence_is_cited_with_the_times_of_its_utterances() -> None:
    """A sentence over two utterances rests on both, has no box, and names its source."""
    result = composed(_lecture(_SPEECH))
    cited = next(
        row for row in result.citations if row.level == "clip" and row.text.startswith("Good morning")
    )
    assert cited.text == "Good morning everyone, and welcome to this lecture about photosynthesis."
    assert (cited.time_seconds, cited.until_seconds, cited.x0) == (0.5, 9.8, None)
    assert cited.source == "subtitle:talk.srt"
    assert result.asset.summary is not None
    assert "Good morning everyone" in result.asset.summary


def test_a_line_of_a_slide_is_cited_with_its_box_and_time() -> None:
    """The evidence is the line's box, within the clip."""
    result = composed(_lecture())
    cited = next(row for row in result.citations if row.level == "clip" and row.text == "Light from the sun")
    bullet = _SLIDES[1][2][1]
    assert (cited.x0, cited.y0, cited.x1, cited.y1) == (bullet.x0, bullet.y0, bullet.x1, bullet.y1)
    assert (cited.time_seconds, cited.until_seconds, cited.source) == (11.0, 19.0, "ocr")


def test_one_of_several_subtitle_tracks_makes_the_transcript() -> None:
    """German subtitles beside English ones are kept as utterances and not joined with them."""
    german = [Utterance(11.2, 15.8, "Ein Blatt braucht Licht.", "de", source="subtitle:embedded:2")]
    result = composed(_lecture([*_SPEECH, *german]))
    assert len(result.utterances) == len(_SPEECH) + 1
    assert result.clips[1].transcript == "A leaf needs three things: light, water and air."


def test_a_slide_that_stands_over_a_span_border_is_one_clip_and_one_region() -> None:
    """Decoding was split at 60 s; neither the clip nor the line may be."""
    shown = slide("What a leaf needs", "Light from the sun")
    views = [view(shown, 40, 59), view(shown, 60, 75)]
    result = composed(video(views, 80.0), Config.model_validate({"sampling": {"clip_seconds": 100}}))
    _check(result)
    assert len(result.clips) == 1
    assert [(row.time_seconds, row.until_seconds) for row in result.text_regions] == [(40, 75), (40, 75)]


def test_text_that_began_earlier_is_text_of_every_clip_it_stands_in() -> None:
    """A slide of 100 s is four clips with the same text, and one region a line."""
    result = composed(video([view(slide("What a leaf needs", "Light from the sun"), 0, 99)], 100.0))
    _check(result)
    assert [row.ocr_text for row in result.clips] == ["What a leaf needs\nLight from the sun"] * 4
    assert [row.clip for row in result.text_regions] == [0, 0]
    assert len(result.segments) == 1


def test_a_slide_built_bullet_by_bullet_repeats_no_line() -> None:
    """Four pictures of a growing slide give one clip with each line once."""
    bullets = ["Read the whole book", "Write everything down", "Sleep very well"]
    views = [view(slide("The plan", *bullets[:n]), 5.0 * n, 5.0 * n + 4) for n in range(4)]
    result = composed(video(views, 20.0))
    _check(result)
    assert [row.ocr_text for row in result.clips] == ["\n".join(["The plan", *bullets])]
    assert [row.time_seconds for row in result.text_regions] == [0, 5, 10, 15]


def test_a_watermark_is_kept_as_text_and_never_a_title_or_summary() -> None:
    """What stands on every slide is no title, however large, and no sentence."""
    mark = line("ACME Institute of Botany", 0.01, size=0.1)
    slides = [
        ("Photosynthesis", "Light and water"),
        ("Respiration", "Sugar and oxygen"),
        ("Farming", "Wheat and rice"),
    ]
    views = [view([mark, *slide(*texts)], 10.0 * i, 10.0 * i + 9) for i, texts in enumerate(slides)]
    result = composed(video(views, 30.0, [10.0, 20.0]))
    _check(result)
    assert [row.title for row in result.segments] == ["Photosynthesis", "Respiration", "Farming"]
    assert result.asset.title == "Photosynthesis"
    assert all("ACME Institute of Botany" in (row.ocr_text or "") for row in result.clips)
    assert not any("ACME" in row.text for row in result.citations)


def test_film_without_text_is_ok_and_has_few_segments() -> None:
    """Sixty cuts in a minute: clips of two seconds on average, segments of half a minute."""
    cuts = [float(second) for second in range(1, 60)]
    result = composed(video([view([], 0, 59)], 60.0, cuts))
    _check(result)
    assert len(result.clips) <= 31
    assert [row.title for row in result.segments] == [None] * len(result.segments)
    assert len(result.segments) <= 2
    assert (result.asset.status, result.asset.summary, result.asset.language) == ("ok", None, None)
    assert result.asset.title == "talk one"


def test_audio_is_cut_by_length() -> None:
    """Plain audio has clips without pictures, and its speech."""
    asset = Asset(
        "a", "v", "file:///data/talk.mp3", "audio", 1, "f", "c", duration_seconds=65.0, unit_count=1
    )
    units = [Perception(asset, Unit(0, "subtitles"), utterances=list(_SPEECH))]
    result = composed(units)
    _check(result)
    assert len(result.clips) == 3
    assert (result.asset.status, result.asset.language) == ("ok", "en")
    silent = composed([Perception(asset, Unit(0, "nothing"))])
    _check(silent)
    assert (silent.asset.status, silent.asset.clip_count, silent.asset.title) == ("ok", 3, "talk")


# --- speech ----------------------------------------------------------------------------------

_HEARD = [replace(item, source="faster-whisper:small", language="en", revision="w0") for item in _SPEECH]


def _audio(*units: Perception, seconds: float = 240.0) -> list[Perception]:
    """A recording of sound in windows of 120 s, as its units are given."""
    asset = Asset(
        "a",
        "v",
        "file:///data/talk.mp3",
        "audio",
        1,
        "f",
        "c",
        duration_seconds=seconds,
        unit_count=len(units),
    )
    return [
        replace(unit, asset=asset, unit=replace(unit.unit, index=index))
        for index, unit in enumerate(units)
    ]  # fmt: skip


def _sound(start: float, said: Sequence[Utterance] = (), **columns: object) -> Perception:
    """A window of sound in which every second was listened to."""
    unit = Unit(0, "speech", start, start + 120.0)
    heard: dict[str, object] = {"sound_seconds": 120.0, "utterances": list(said)} | columns
    return Perception(_lecture()[0].asset, unit, **heard)  # type: ignore[arg-type]


def _lost(start: float | None = None, end: float | None = None, reason: str = "no_words") -> Failure:
    return Failure("asr", reason, "Wanted words; found none.", start_seconds=start, end_seconds=end, unit=0)


def _with_sound(units: list[Perception], *sound: Perception) -> list[Perception]:
    asset = units[0].asset
    return units + [
        replace(item, asset=asset, unit=replace(item.unit, index=len(units) + index))
        for index, item in enumerate(sound)
    ]


def test_what_was_heard_is_summed_up_and_stored_as_it_was_judged() -> None:
    """Seconds of all windows in `assets`; each utterance with its clip and the model's judgement."""
    judged = replace(
        _HEARD[2],
        speaker="S1",
        language_probability=0.9,
        log_probability=-0.4,
        no_speech_probability=0.1,
        compression_ratio=1.3,
        temperature=0.2,
        doubts=["improbable"],
    )
    result = composed(
        _audio(
            _sound(0.0, [_HEARD[0], judged], speech_seconds=50.0, worded_seconds=48.5),
            _sound(120.0, sound_seconds=100.0, speech_seconds=1.0),
        )
    )
    _check(result)
    asset = result.asset
    assert (asset.sound_seconds, asset.speech_seconds, asset.worded_seconds) == (220.0, 51.0, 48.5)
    row = result.utterances[1]
    assert (row.clip, row.in_transcript, row.source, row.revision) == (0, True, "faster-whisper:small", "w0")
    assert (row.speaker, row.language_probability, row.log_probability) == ("S1", 0.9, -0.4)
    assert (row.no_speech_probability, row.compression_ratio, row.temperature) == (0.1, 1.3, 0.2)
    assert row.doubts == ["improbable"]


def test_speech_and_subtitles_are_both_kept_and_one_is_the_transcript() -> None:
    """The configuration says which; the other is in `utterances` alone."""
    heard = [replace(item, text=item.text.upper()) for item in _HEARD]
    units = _with_sound(_lecture(_SPEECH), _sound(0.0, heard))
    for prefer, source in (("subtitles", "subtitle:talk.srt"), ("speech", "faster-whisper:small")):
        result = composed(units, Config.model_validate({"speech": {"prefer": prefer}}))
        _check(result)
        assert len(result.utterances) == 2 * len(_SPEECH)
        assert {row.source for row in result.utterances if row.in_transcript} == {source}
        told = " ".join(row.transcript for row in result.clips if row.transcript)
        wanted = _SPEECH if prefer == "subtitles" else heard
        assert told == " ".join(item.text for item in wanted)
        assert {row.source for row in result.citations} <= {source, "ocr"}


def test_doubtful_words_are_in_the_transcript_and_in_no_summary() -> None:
    """Neither alone nor as a part of a sentence."""
    said = [
        Utterance(1.0, 6.0, "The tide rises twice a day.", source="w:s"),
        Utterance(8.0, 20.0, "Thank you. Thank you. Thank you.", source="w:s", doubts=["repetition"]),
        Utterance(22.0, 25.0, "High water follows", source="w:s"),
        Utterance(25.0, 28.0, "the bassoon.", source="w:s", doubts=["improbable"]),
    ]
    result = composed(_audio(_sound(0.0, said), seconds=29.0))
    _check(result)
    assert result.clips[0].transcript == " ".join(item.text for item in said)
    assert {row.text for row in result.citations} == {"The tide rises twice a day."}


def test_the_language_is_that_of_the_transcript() -> None:
    """Two tracks of translations do not make a German talk of an English one."""
    german = [
        Utterance(0.5, 39.0, "Guten Morgen, willkommen zu dieser Vorlesung über die Fotosynthese.", "de",
                  source=f"subtitle:embedded:{index}")
        for index in (2, 3)
    ]  # fmt: skip
    twice = [
        replace(german[0], text=f"{german[0].text} Ein Blatt braucht Licht, Wasser und Luft."),
        german[1],
    ]
    result = composed(_with_sound(video([], 40.0, (), twice), _sound(0.0, _HEARD)), _speech_first())
    assert result.asset.language == "en"


def _speech_first() -> Config:
    return Config.model_validate({"speech": {"prefer": "speech"}})


def test_a_silent_recording_is_ok() -> None:
    """Nothing was said, nothing failed: clips without words."""
    result = composed(_audio(_sound(0.0), _sound(120.0)))
    _check(result)
    assert (result.asset.status, result.asset.sound_seconds) == ("ok", 240.0)
    assert {row.transcript for row in result.clips} == {None}
    assert result.asset.clip_count == 8


def test_what_of_the_sound_was_lost_decides_the_status() -> None:
    """All of it: failed, and finding no subtitles saves nothing; a part of it: partial."""
    subtitles = Perception(_lecture()[0].asset, Unit(0, "subtitles"))
    whole = _sound(0.0, failures=[_lost(reason="crashed")])
    assert composed(_audio(subtitles, whole)).asset.status == "failed"
    assert composed(_audio(_sound(0.0, failures=[_lost(0.0, 115.0)]))).asset.status == "failed"
    assert composed(_audio(_sound(0.0, failures=[_lost(10.0, 14.0)]))).asset.status == "partial"
    assert composed(_audio(whole, _sound(120.0))).asset.status == "partial"
    assert composed(_audio(whole, _sound(120.0, _HEARD))).asset.status == "partial"
    assert composed(_audio(subtitles, _sound(0.0))).asset.status == "ok"
    pictures = video([], 50.0, lost=[0])
    assert composed(_with_sound(pictures, _sound(0.0))).asset.status == "failed"
    assert composed(_with_sound(pictures, _sound(0.0, _HEARD))).asset.status == "partial"
    assert composed(_with_sound(_lecture(), whole)).asset.status == "partial"


def test_speech_that_was_lost_has_its_times_in_failures() -> None:
    """A stretch its own; a window that was never listened to, the window's."""
    failures = [_lost(130.5, 133.0), _lost(reason="crashed")]
    result = composed(_audio(_sound(0.0, _HEARD), _sound(120.0, failures=failures)))
    assert [(row.start_seconds, row.end_seconds) for row in result.failures] == [
        (130.5, 133.0),
        (120.0, 240.0),
    ]


def test_clips_of_sound_end_in_pauses() -> None:
    """Twenty seconds a clip: the border at 20 s would cut a word, the pause at 22 s does not."""
    said = [
        Utterance(start, end, "Some words.", source="w:s")
        for start, end in [(0.0, 17.0), (17.5, 22.0), (23.0, 39.0)]
    ]
    result = composed(
        _audio(_sound(0.0, said), seconds=40.0), Config.model_validate({"sampling": {"clip_seconds": 24}})
    )
    _check(result)
    assert [row.start_seconds for row in result.clips] == [0.0, 22.0]


# --- documents -------------------------------------------------------------------------------


def test_a_document_has_a_clip_for_each_page_and_its_headings_as_segments() -> None:
    """Headings open segments at their page; the running header is in no title or summary."""
    result = composed(document(_report()))
    _check(result)
    assert [(row.page, row.title) for row in result.clips] == [
        (1, "A study of leaves"),
        (2, "Respiration"),
        (3, "Farming"),
    ]
    assert [(row.first_page, row.last_page) for row in result.segments] == [(1, 1), (2, 2), (3, 3)]
    assert result.asset.title == "A study of leaves"
    assert all((row.ocr_text or "").startswith("Annals of Botany\n") for row in result.clips)
    assert not any("Annals" in row.text for row in result.citations)


def test_sentences_of_a_page_are_whole_and_cited_with_the_box_of_their_lines() -> None:
    """Sentences run over lines; their boxes are those lines' together."""
    result = composed(document(_report()))
    whole = {sentence.strip() + "." for body in _BODY for sentence in body.rstrip(".").split(".")}
    assert result.citations
    assert {row.text for row in result.citations} <= whole
    first = next(row for row in result.citations if row.text.startswith("Green leaves"))
    lines = paragraph(_BODY[0], 0.15)
    assert (first.page, first.y0, first.x0, first.source) == (1, lines[0].y0, 0.1, "text_layer")


def test_a_page_that_failed_keeps_its_number_and_has_no_clip() -> None:
    """Clips are numbered without gaps, pages as in the file; segments have no gap."""
    pages = _report()
    result = composed(document([pages[0], None, pages[1], pages[2], None]))
    _check(result)
    assert [(row.clip, row.page) for row in result.clips] == [(0, 1), (1, 3), (2, 4)]
    assert [(row.first_page, row.last_page) for row in result.segments] == [(1, 2), (3, 3), (4, 5)]
    assert result.asset.status == "partial"
    assert [(row.page, row.reason) for row in result.failures] == [(2, "corrupt"), (5, "corrupt")]


def test_blank_pages_are_ok() -> None:
    """A page without text is a clip without text, not a failure."""
    result = composed(document([[], []]))
    _check(result)
    assert [(row.ocr_text, row.summary, row.title) for row in result.clips] == [(None, None, None)] * 2
    assert (result.asset.status, result.asset.title, result.asset.segment_count) == ("ok", "report", 1)


def test_a_stated_title_comes_first_if_it_is_one() -> None:
    """Metadata wins over the page, but not the name of a file."""
    assert composed(document(_report(), title="On leaves")).asset.title == "On leaves"
    assert composed(document(_report(), title="Microsoft Word - x.doc")).asset.title == "A study of leaves"


def test_a_picture_is_a_document_of_one_page() -> None:
    """Pictures have one clip, with page 1."""
    result = composed(document([slide("No parking", "Tow zone")], kind="image"))
    _check(result)
    assert [(row.page, row.title) for row in result.clips] == [(1, "No parking")]


# --- status ----------------------------------------------------------------------------------


def test_an_asset_that_failed_at_probe_still_has_its_row() -> None:
    """Nothing could be read: no clips, the failure, status failed."""
    asset = Asset("a", "v", "file:///data/x.mp4", "video", 0, "f", "c", unit_count=1)
    failure = Failure("probe", "empty", "Wanted a video; found no bytes.")
    result = composed([Perception(asset, Unit(0, "nothing"), failures=[failure])])
    _check(result)
    assert (result.asset.status, result.asset.clip_count, result.asset.summary) == ("failed", 0, None)
    assert [(row.stage, row.reason, row.uri) for row in result.failures] == [("probe", "empty", asset.uri)]


def test_status_is_failed_only_when_every_unit_failed() -> None:
    """One page of three is enough for partial; a video with no subtitles found is not."""
    pages = _report()
    assert composed(document([None, None, None])).asset.status == "failed"
    assert composed(document([pages[0], None, None])).asset.status == "partial"
    assert composed(document(pages)).asset.status == "ok"
    assert composed(video([], 50.0, lost=[0])).asset.status == "failed"


def test_a_lost_span_is_a_clip_without_text_and_a_failure_with_its_times() -> None:
    """What was lost is not covered up by the slide before it."""
    shown = slide("What a leaf needs", "Light from the sun")
    result = composed(video([view(shown, 0, 59), view(shown, 120, 170)], 180.0, lost=[1]))
    _check(result)
    assert result.asset.status == "partial"
    lost = [row for row in result.clips if 60 <= (row.start_seconds or 0) < 120]
    assert lost
    assert all(row.ocr_text is None for row in lost)
    assert [(row.start_seconds, row.end_seconds) for row in result.failures] == [(60.0, 120.0)]
    assert len(result.text_regions) == 4


def test_composing_that_breaks_writes_the_asset_off() -> None:
    """An error of ours is a failed asset with the units' failures and its own."""
    failure = Failure("compose", "internal", "ValueError: x. Please report this.")
    pages = document([_report()[0], None])
    result = compose_failed(pages, failure, Config(), run_id="run", at=AT, write_id="write")
    _check(result)
    assert result.asset.status == "failed"
    assert [row.stage for row in result.failures] == ["decode", "compose"]


# --- summaries -------------------------------------------------------------------------------


def test_summaries_can_be_off() -> None:
    """Engine off: no summary and no citation; titles and segments stay."""
    result = composed(_lecture(_SPEECH), Config(summary=Summary(engine="off")))
    _check(result)
    assert not result.citations
    assert {row.summary for row in result.clips} | {row.summary for row in result.segments} == {None}
    assert result.asset.summary is None
    assert result.segments[0].title == "Photosynthesis"


def test_summary_lengths_are_those_of_the_configuration() -> None:
    """One, two and three sentences at the three levels, and no level alone decides another."""
    settings = Summary(clip_sentences=1, segment_sentences=2, asset_sentences=3)
    result = composed(document(_report()), Config(summary=settings))
    _check(result)
    counts = Counter((row.level, row.segment if row.level != "asset" else -1) for row in result.citations)
    assert counts["asset", -1] == 3
    assert {counts["segment", index] for index in range(3)} == {2}
    assert {counts["clip", index] for index in range(3)} == {1}
    none_below = Summary(clip_sentences=0, segment_sentences=0, asset_sentences=2)
    result = composed(document(_report()), Config(summary=none_below))
    _check(result)
    assert {row.level for row in result.citations} == {"asset"}


def test_a_higher_level_says_what_stands_below() -> None:
    """With enough sentences below, an asset's summary is taken from those of its segments."""
    settings = Summary(clip_sentences=2, segment_sentences=2, asset_sentences=2)
    result = composed(document(_report()), Config(summary=settings))
    below = {row.text for row in result.citations if row.level == "segment"}
    assert {row.text for row in result.citations if row.level == "asset"} <= below


def test_the_picked_version_follows_the_summary_configuration_alone() -> None:
    """Summaries are written again when their configuration changes, and only then."""
    base = Config()
    assert picked_version(base) == picked_version(Config.model_validate({"ocr": {"detail": "off"}}))
    assert picked_version(base) != picked_version(Config(summary=Summary(asset_sentences=6)))


# --- determinism and growth ------------------------------------------------------------------


def _assets() -> list[list[Perception]]:
    pages = _report()
    film = [
        view(slide(f"Topic {chr(97 + i) * 6}", "Some words on it"), 30.0 * i, 30.0 * i + 29) for i in range(8)
    ]
    return [
        _lecture(_SPEECH),
        document([pages[0], None, *pages[1:]]),
        video(film, 240.0, [90.0, 150.0], lost=[2]),
    ]


@settings(max_examples=30)
@given(st.sampled_from(range(3)), st.integers(0, 10**6))
def test_the_order_of_units_does_not_show(which: int, seed: int) -> None:
    """Units come back in any order; the rows are the same."""
    units = _assets()[which]
    shuffled = list(units)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - test data, not secrets
    assert composed(shuffled) == composed(units)


_TEXTS = ["Photosynthesis", "Light from the sun", "1 / 5", "水和二氧化碳变成糖", "It is so. And so on", "x"]
_LINES = st.lists(
    st.builds(line, st.sampled_from(_TEXTS), st.sampled_from([0.05, 0.3, 0.6, 0.9])), max_size=5
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 149), _LINES), max_size=12),
    st.lists(st.integers(1, 149).map(float), max_size=8),
    st.lists(st.tuples(st.integers(0, 149), st.sampled_from(_TEXTS)), max_size=6),
    st.sets(st.integers(0, 2)),
)
def test_any_video_has_sound_rows(
    shown: list[tuple[int, list[Line]]], cuts: list[float], said: list[tuple[int, str]], lost: set[int]
) -> None:
    """Whatever was seen and said, rows tile, point at each other and are fully cited."""
    starts = sorted(dict(shown).items())
    ends = [*(start for start, _ in starts), 150][1:]
    views = [view(lines, start, end - 1) for (start, lines), end in zip(starts, ends, strict=True)]
    speech = [Utterance(start, start + 3.0, text, source="subtitle:x.srt") for start, text in said]
    _check(composed(video(views, 150.0, cuts, speech, lost=sorted(lost))))


@settings(max_examples=40)
@given(st.lists(st.none() | _LINES, min_size=1, max_size=8))
def test_any_document_has_sound_rows(pages: list[list[Line] | None]) -> None:
    """Whatever stands on its pages, and whichever of them failed."""
    _check(composed(document(list(pages))))


def _words(count: int, seed: int) -> str:
    source = random.Random(seed)  # noqa: S311 - test data, not secrets
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(count))


def _work(monkeypatch: pytest.MonkeyPatch, units: list[Perception]) -> int:
    """Count the comparisons of texts and of sentences that composing makes."""
    calls = 0
    same_text = track_text.same_text

    def counted_text(left: str, right: str) -> bool:
        nonlocal calls
        calls += 1
        return same_text(left, right)

    def counted_dot(*vectors: dict[str, float]) -> float:
        nonlocal calls
        calls += 1
        return dot(*vectors)

    with monkeypatch.context() as patch:
        patch.setattr(track_text, "same_text", counted_text)
        patch.setattr(extract, "dot", counted_dot)
        _check(composed(units))
    return calls


def _book(count: int) -> list[Perception]:
    pages = []
    for number in range(count):
        heading = (
            [line(f"{_words(3, number).capitalize()}", 0.05, size=0.02, source="text_layer")]
            if number % 7 == 0
            else []
        )
        text = ". ".join(_words(9, 1000 * number + i).capitalize() for i in range(5)) + "."
        pages.append([*heading, *paragraph(text, 0.1)])
    return document(pages)


def _talk(minutes: int) -> list[Perception]:
    views, cuts, said = [], [], []
    for index in range(2 * minutes):
        texts = [_words(4, 100 * index + i) for i in range(4)]
        views.append(view(slide(*texts), 30.0 * index, 30.0 * index + 29))
        cuts.append(30.0 * index + 7)
        said.append(
            Utterance(
                30.0 * index + 1, 30.0 * index + 9, _words(9, index).capitalize() + ".", source="subtitle:x"
            )
        )
    return video(views, 60.0 * minutes, cuts, said)


def test_work_grows_with_the_length_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the pages are about four times the comparisons, not sixteen."""
    small, large = _work(monkeypatch, _book(75)), _work(monkeypatch, _book(300))
    assert large < 6 * small
    assert large < 100 * 300


def test_work_grows_with_the_length_of_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the minutes are about four times the comparisons, and segments stay few."""
    small, large = _work(monkeypatch, _talk(30)), _work(monkeypatch, _talk(120))
    assert large < 6 * small
    assert len(composed(_talk(120)).segments) <= 60


def test_views_of_one_unit_may_be_empty() -> None:
    """A span with no picture at all and no failure leaves clips without text."""
    units = video([], 50.0)
    result = composed(
        [
            replace(unit, views=[View(10, 10, [], 0.0, 0.0)]) if i == 0 else unit
            for i, unit in enumerate(units)
        ]
    )
    _check(result)
    assert result.asset.status == "ok"
