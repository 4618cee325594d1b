"""What was said beside what was shown, as a view over the other views.

Every utterance, every silence and every clip begins somewhere; those moments, in order, cut an
asset into stretches. Window functions carry along what goes on at each moment, so that one
sort does it. Lines stand for minutes and words for seconds: both are looked up by tens of seconds,
because a join by ranges alone would compare every stretch of a recording with every line of it.
"""

PAUSE_SECONDS = 1.0
"""A shorter pause belongs to what was said before it: half of all rows would be breaths."""

TIMELINE_TABLES = {"clips", "utterances", "text_regions"}
"""The views it rests on."""

_BUCKET_SECONDS = 10

_END = "greatest(end_seconds, start_seconds + 0.01)"
"""Of an utterance: one without length would stand for the silence after it."""

TIMELINE = f"""
WITH moments AS (
    SELECT asset_id, version, clip, start_seconds, end_seconds AS clip_end FROM clips WHERE page IS NULL
    UNION ALL BY NAME
    SELECT asset_id, version, clip AS speech_clip, start_seconds, {_END} AS speech_end,
           text, speaker, language, source, doubts
    FROM utterances WHERE in_transcript
    UNION ALL BY NAME
    SELECT asset_id, version, {_END} AS start_seconds FROM utterances WHERE in_transcript
), joined AS (
    -- What begins at the same moment is one.
    SELECT asset_id, version, start_seconds,
           max(clip) AS clip, max(clip_end) AS clip_end,
           max(speech_clip) AS speech_clip, max(speech_end) AS speech_end,
           CASE WHEN count(text) < 2 THEN max(text)
                ELSE string_agg(text, ' ' ORDER BY speech_end, text) END AS said,
           CASE WHEN count(text) < 2 THEN max(speaker)
                ELSE array_to_string(list_sort(list_distinct(list(speaker))), ', ') END AS speaker,
           CASE WHEN count(text) < 2 THEN max(language)
                ELSE array_to_string(list_sort(list_distinct(list(language))), ', ') END AS language,
           max(source) AS source,
           CASE WHEN count(text) < 2 THEN max(doubts)
                ELSE list_sort(list_distinct(flatten(list(doubts)))) END AS doubts
    FROM moments GROUP BY asset_id, version, start_seconds
), running AS (
    SELECT *,
           max(clip) OVER so_far AS clip_now,
           max(speech_end) OVER so_far AS said_until,
           min(CASE WHEN said IS NOT NULL THEN start_seconds END) OVER (
               PARTITION BY asset_id, version ORDER BY start_seconds
               ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS said_next,
           max(clip_end) OVER whole AS clips_end,
           greatest(max(clip_end) OVER whole, max(speech_end) OVER whole) AS asset_end
    FROM joined
    WINDOW so_far AS (PARTITION BY asset_id, version ORDER BY start_seconds),
           whole AS (PARTITION BY asset_id, version)
), stretches AS (
    SELECT asset_id, version, coalesce(speech_clip, clip_now) AS clip, start_seconds,
           coalesce(lead(start_seconds) OVER (PARTITION BY asset_id, version ORDER BY start_seconds),
                    asset_end) AS end_seconds,
           clips_end, said, speaker, language, source, doubts
    FROM running
    WHERE said IS NOT NULL OR said_until IS NULL
       OR (said_until <= start_seconds AND coalesce(said_next, asset_end) - said_until >= {PAUSE_SECONDS})
), looked_up AS (
    -- Subtitles may claim to stand for months; nothing is shown after the last clip.
    SELECT *, unnest(range((start_seconds // {_BUCKET_SECONDS})::BIGINT,
        (greatest(start_seconds, least(end_seconds, clips_end)) // {_BUCKET_SECONDS})::BIGINT + 1)) AS bucket
    FROM stretches
), standing AS (
    SELECT *, unnest(range((time_seconds // {_BUCKET_SECONDS})::BIGINT,
        (end_seconds // {_BUCKET_SECONDS})::BIGINT + 1)) AS bucket
    FROM text_regions WHERE time_seconds IS NOT NULL
), shown AS (
    SELECT s.* EXCLUDE (bucket, clips_end), list(r.text ORDER BY r.region) AS lines
    FROM looked_up s LEFT JOIN standing r ON r.asset_id = s.asset_id AND r.version = s.version
        AND r.bucket = s.bucket AND r.time_seconds < s.end_seconds
        AND (r.end_seconds > s.start_seconds OR r.time_seconds >= s.start_seconds)
    GROUP BY ALL
)
SELECT s.asset_id, s.version, c.segment, s.clip, s.start_seconds, s.end_seconds, NULL::BIGINT AS page,
       s.said, s.speaker, s.language, s.source, coalesce(s.doubts, []) AS doubts,
       -- Text that scrolls is many lines of one text.
       nullif(array_to_string([line for line, place in s.lines if list_position(s.lines, line) = place],
                              chr(10)), '') AS shown
FROM shown s LEFT JOIN clips c ON c.asset_id = s.asset_id AND c.version = s.version AND c.clip = s.clip
UNION ALL
SELECT asset_id, version, segment, clip, NULL, NULL, page, NULL, NULL, NULL, NULL, [], ocr_text
FROM clips WHERE page IS NOT NULL"""
