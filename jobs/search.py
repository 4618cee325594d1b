"""`gloss search`: find words in what was seen, said, captioned and summarised.

Documents are the clips' texts, the speech within each clip (recognised, and of each subtitle
track), captions, and the summaries of all levels. They are ranked by BM25 (Robertson and
Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009), written in DuckDB's own
functions, because its full-text extension is a download. Words are compared without case and
accents. Scripts without spaces are cut into single characters, and a run of them is searched as
a phrase, so that 黑暗 is found inside a sentence.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import duckdb
import pyarrow as pa
from rich.table import Table
from rich.text import Text

from jobs.output import (
    EXIT_BROKEN,
    EXIT_OK,
    check_format,
    clean,
    clock,
    complain,
    console,
    emit_rows,
    file_name,
    note,
    one_line,
)
from jobs.read_only import LimitError, open_lake, read_only
from operators.lake import LakeError, quote
from schemas.config import ConfigError

SEARCHED = ("clips", "segments", "text_regions", "utterances")
"""Tables whose text is searched, beside that of `assets`."""

_K1, _B = 1.2, 0.75
"""BM25's usual saturation of repeated words, and penalty for long documents."""

_SNIPPET_CHARS = 160

_BEFORE_CHARS = 40
"""Text shown before the line that was found."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"

_MACROS = rf"""
CREATE OR REPLACE TEMP MACRO fold(words) AS lower(strip_accents(nfc_normalize(words)));
CREATE OR REPLACE TEMP MACRO tokens(words) AS regexp_extract_all(
    regexp_replace(fold(words), '([{_UNSPACED}]\p{{M}}*)', ' \1 ', 'g'), '[\p{{L}}\p{{M}}\p{{N}}]+');
-- To trim is dearer than to look whether there is something to trim.
CREATE OR REPLACE TEMP MACRO worded(words) AS
    CASE WHEN starts_with(words, ' ') THEN trim(words) <> '' ELSE words <> '' END;
-- Each token stands between < and >, so that a phrase is a substring and a word is no part of another.
CREATE OR REPLACE TEMP MACRO fenced(words) AS '<' || array_to_string(tokens(words), '><') || '>';
CREATE OR REPLACE TEMP MACRO plain(folded) AS strlen(folded) = length(folded) AND NOT contains(folded, '_');
CREATE OR REPLACE TEMP MACRO occurrences(text, part) AS
    (length(text) - length(replace(text, part, ''))) / length(part);
"""

_SAID = """
WITH said AS (
    -- The transcript is one track; other tracks tell the same again, in other words or languages.
    SELECT asset_id, start_seconds, text, coalesce(clip, -1) AS clip_key,
           CASE WHEN in_transcript THEN '' ELSE source END AS track_key,
           CASE WHEN clip IS NULL THEN floor(start_seconds / 30) ELSE -1 END AS stretch_key
    FROM utterances {where}
)"""

_HEARD = """
, heard AS MATERIALIZED (
    -- Most of what is said need only be measured: texts are put together where one of the words is.
    SELECT asset_id, clip_key, track_key, stretch_key,
           sum(length(folded)) + count(*) - 1 AS length, bool_or({hit}) AS hit
    FROM (SELECT *, fold(text) AS folded FROM said)
    GROUP BY asset_id, clip_key, track_key, stretch_key HAVING bool_or(worded(text))
), candidates AS (
    SELECT said.* FROM said JOIN heard USING (asset_id, clip_key, track_key, stretch_key) WHERE heard.hit
)"""

_DOCUMENTS = """
, written AS (
    SELECT asset_id, clip, start_seconds, page, 'ocr' AS "where", 1 AS rung, ocr_text AS text
    FROM clips {where}
    UNION ALL BY NAME
    SELECT asset_id, clip, start_seconds, page, 'caption' AS "where", 1 AS rung, caption AS text
    FROM clips {where}
    UNION ALL BY NAME
    SELECT asset_id, clip, start_seconds, page, 'summary' AS "where", 2 AS rung,
           concat_ws('. ', title, summary) AS text FROM clips {where}
    UNION ALL BY NAME
    SELECT asset_id, segment, start_seconds, first_page AS page, 'summary' AS "where", 3 AS rung,
           concat_ws('. ', title, summary) AS text FROM segments {where}
    UNION ALL BY NAME
    SELECT asset_id, 'summary' AS "where", 4 AS rung, concat_ws('. ', title, summary) AS text
    FROM assets {where}
), spoken AS (
    SELECT asset_id, clip_key, track_key, stretch_key, min(start_seconds) AS start_seconds,
           string_agg(text, ' ' ORDER BY start_seconds) AS text
    FROM {said} GROUP BY asset_id, clip_key, track_key, stretch_key
), documents AS (
    SELECT * FROM written WHERE worded(text)
    UNION ALL BY NAME
    SELECT asset_id, nullif(clip_key, -1) AS clip, start_seconds, 'speech' AS "where", 1 AS rung,
           nullif(track_key, '') AS track, nullif(stretch_key, -1) AS stretch, text
    FROM spoken WHERE worded(text)
)"""
"""All that is searched; `where` restricts the assets, `said` names what is heard."""

_RANKED = f"""
, folded AS (
    SELECT *, fold(text) AS folded FROM documents
), judged AS (
    SELECT *, length(folded) AS length, {{hit}} AS hit, plain(folded) AS plain FROM folded
), fenced AS (
    -- Cutting text into tokens is the dear step; what is without any of the words is spared it, and where
    -- there are but plain letters their borders tell words apart seven times as fast.
    SELECT *, CASE WHEN hit AND NOT plain THEN fenced(text) END AS fenced FROM judged
), counted AS MATERIALIZED (
    -- What holds none of the words is one row, whatever the lake holds.
    SELECT CASE WHEN hit THEN asset_id END AS asset_id, CASE WHEN hit THEN clip END AS clip,
           CASE WHEN hit THEN segment END AS segment, CASE WHEN hit THEN start_seconds END AS start_seconds,
           CASE WHEN hit THEN page END AS page, CASE WHEN hit THEN "where" END AS "where",
           CASE WHEN hit THEN rung END AS rung, CASE WHEN hit THEN track END AS track,
           CASE WHEN hit THEN stretch END AS stretch, any_value(CASE WHEN hit THEN {{counts}} END) AS counts,
           count(*) AS documents, sum(length) AS length
    FROM fenced GROUP BY ALL
), statistics AS (
    SELECT sum(documents) AS documents, sum(length) / sum(documents) AS mean_length FROM (
        SELECT documents, length FROM counted
        UNION ALL SELECT count(*), sum(length) FROM heard WHERE NOT hit)
), numbered AS MATERIALIZED (
    SELECT *, row_number() OVER () AS document FROM counted WHERE list_max(counts) > 0
), hits AS (
    SELECT document, length, unnest(range(len(counts))) AS term, unnest(counts) AS occurrences FROM numbered
), weights AS (
    SELECT term, ln(1 + (any_value(documents) - count(*) + 0.5) / (count(*) + 0.5)) AS weight,
           any_value($required[term + 1]) AS required
    FROM hits CROSS JOIN statistics WHERE occurrences > 0 GROUP BY term
), scores AS (
    SELECT document, count(*) FILTER (required) AS required, sum(
        weight * occurrences * {_K1 + 1}
        / (occurrences + {_K1} * ({1 - _B} + {_B} * length / mean_length))) AS score
    FROM hits JOIN weights USING (term) CROSS JOIN statistics WHERE occurrences > 0 GROUP BY document
), found AS (
    SELECT s.score, n.* FROM scores s JOIN numbered n USING (document)
    WHERE s.required = len(list_filter($required, lambda one: one))
    -- Summaries of a clip repeat its words; they count only where the words themselves are not found.
    -- What is said at one place is found once, in the transcript if it is there.
    QUALIFY (rung <> 2 OR min(rung) OVER (PARTITION BY asset_id, clip) = 2)
        AND ("where" <> 'speech' OR row_number() OVER (
            PARTITION BY asset_id, clip, stretch, "where"
            ORDER BY track IS NOT NULL, s.score DESC, track) = 1)
)
SELECT f.score, f.asset_id, a.uri, a.kind, a.title, f.clip, f.segment, f.start_seconds, f.page, f."where",
       f.rung, f.track, f.stretch
FROM found f JOIN assets a USING (asset_id)
ORDER BY f.score DESC, f.rung, a.uri, f.start_seconds NULLS FIRST, f.page NULLS FIRST, f."where"
LIMIT $limit
"""

_TEXTS = """
SELECT asset_id, clip, segment, "where", rung, track, stretch, text FROM documents
WHERE (asset_id, coalesce(clip, -1), coalesce(segment, -1), "where", rung) IN (
    SELECT unnest($assets), unnest($clips), unnest($segments), unnest($wheres), unnest($rungs))
"""

_LINES_OF = """
CREATE OR REPLACE TEMP TABLE lines_seen AS
    SELECT asset_id, clip, time_seconds AS seconds, text FROM text_regions
    WHERE {where} AND time_seconds IS NOT NULL;
CREATE OR REPLACE TEMP TABLE lines_said AS
    SELECT asset_id, clip, start_seconds AS seconds, text, words,
           CASE WHEN NOT in_transcript THEN source END AS track,
           CASE WHEN clip IS NULL THEN floor(start_seconds / 30) END AS stretch
    FROM utterances WHERE {where};
"""
"""All lines of the assets that are shown, found in one go: each look would be one at the whole lake."""

_LINES = {
    "ocr": "SELECT *, NULL AS words FROM lines_seen WHERE asset_id = $asset AND clip = $clip",
    "speech": (
        "SELECT * FROM lines_said WHERE asset_id = $asset AND clip IS NOT DISTINCT FROM $clip "
        "AND track IS NOT DISTINCT FROM $track AND stretch IS NOT DISTINCT FROM $stretch"
    ),
}
"""Where the exact time of a hit is to be found."""

_BEST_LINE = """
WITH lines AS (SELECT seconds, text, words, fenced(text) AS fenced FROM ({lines})),
wanted AS (SELECT unnest($wanted) AS term)
SELECT seconds, text, words FROM lines JOIN wanted ON contains(fenced, term)
GROUP BY ALL ORDER BY count(*) DESC, seconds, text LIMIT 1
"""

_SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        ("score", pa.float64()),
        ("asset_id", pa.string()),
        ("uri", pa.string()),
        ("kind", pa.string()),
        ("title", pa.string()),
        ("start_seconds", pa.float64()),
        ("page", pa.int64()),
        ("where", pa.string()),
        ("snippet", pa.string()),
    ]
)


class SearchError(Exception):
    """The words cannot be searched for; the message says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase, or a run of characters of a script without spaces."""

    tokens: tuple[str, ...]
    required: bool = False
    """Written in quotes: documents without it are not shown."""
    prefix: bool = False
    """Written with a star: also longer words that begin so."""

    @property
    def fenced(self) -> str:
        """The term as it stands in a fenced text."""
        return f"<{'><'.join(self.tokens)}{'' if self.prefix else '>'}"

    @property
    def pattern(self) -> str:
        """The term as it stands in a folded text of plain letters."""
        end = "" if self.prefix else r"\b"
        return rf"\b{'[^a-z0-9]+'.join(self.tokens)}{end}"


def run_search(
    lake_uri: str,
    words: str,
    *,
    format: str = "table",  # noqa: A002
    limit: int = 10,
    storage_options: dict[str, str] | None = None,
) -> int:
    """Search a lake and write the ranked places.

    Returns:
        0 (also when nothing is found), 2 for words or a lake that cannot be used, 1 when
        reading broke.
    """
    try:
        check_format(format)
        with read_only(open_lake(lake_uri, storage_options), tables=SEARCHED) as connection:
            rows = search(connection, words, limit)
            terms = parse(connection, words)
    except (LakeError, ConfigError, SearchError) as error:
        return complain(str(error))
    except (duckdb.Error, LimitError) as error:
        return complain(f"Reading the lake broke: {error}", EXIT_BROKEN)
    emit_places(rows, terms, format)
    if not rows:
        note(f"Nothing found for {words!r}.")
    return EXIT_OK


def emit_places(rows: list[dict[str, Any]], terms: list[Term], format: str) -> None:  # noqa: A002
    """Write places to stdout, for people with the words marked."""
    if format == "table":
        _print(rows, terms)
    else:
        emit_rows(_SCHEMA, rows, format)


def use_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Teach a connection how texts are folded and cut into tokens."""
    connection.execute(_MACROS)


def search(connection: duckdb.DuckDBPyConnection, words: str, limit: int = 10) -> list[dict[str, Any]]:
    """Find the places that match best.

    Args:
        connection: DuckDB with the views of a lake.
        words: Words; "quoted phrases" must occur; `star*` matches beginnings.
        limit: Most places.

    Returns:
        Rows of rank, score, asset_id, uri, kind, title, start_seconds or page, where (ocr,
        speech, caption, summary), snippet, and clip or segment, best first. The same lake gives the
        same order.

    Raises:
        SearchError: There is no word in `words`.
    """
    use_macros(connection)
    terms = parse(connection, words)
    if not terms:
        msg = f"Wanted words to search for; found none in {words!r}."
        raise SearchError(msg)
    values = {
        name: value
        for place, term in enumerate(terms)
        for name, value in (
            (f"needle_{place}", term.tokens[0]),
            (f"term_{place}", term.fenced),
            (f"pattern_{place}", term.pattern),
        )
    }
    hit = " OR ".join(f"contains(folded, $needle_{place})" for place in range(len(terms)))
    counts = ", ".join(
        f"CASE WHEN plain THEN len(regexp_extract_all(folded, $pattern_{place})) "
        f"ELSE occurrences(fenced, $term_{place}) END"
        for place in range(len(terms))
    )
    sql = _SAID + _HEARD + _DOCUMENTS + _RANKED
    found = connection.execute(
        sql.format(where="", said="candidates", hit=f"({hit})", counts=f"[{counts}]"),
        values | {"required": [term.required for term in terms], "limit": limit},
    )
    rows = _rows(found)
    _add_texts(connection, rows)
    return [_result(connection, rank, row, terms) for rank, row in enumerate(rows, 1)]


def _rows(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _add_texts(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    """Read the texts of the few places that are shown, and the lines of their assets."""
    # Ids are spelled out, so that DuckDB passes by parts of files that hold none of them.
    ids = ", ".join(map(quote, sorted({row["asset_id"] for row in rows}))) or "NULL"
    where = f"asset_id IN ({ids})"

    def numbers(name: str) -> list[int]:
        return [-1 if row[name] is None else row[name] for row in rows]

    values = {
        "assets": [row["asset_id"] for row in rows],
        "clips": numbers("clip"),
        "segments": numbers("segment"),
        "wheres": [row["where"] for row in rows],
        "rungs": [row["rung"] for row in rows],
    }
    keys = ("asset_id", "clip", "segment", "where", "rung", "track", "stretch")
    sql = (_SAID + _DOCUMENTS + _TEXTS).format(where=f"WHERE {where}", said="said")
    texts = {tuple(row[key] for key in keys): row["text"] for row in _rows(connection.execute(sql, values))}
    for row in rows:
        row["text"] = texts[tuple(row[key] for key in keys)]
    connection.execute(_LINES_OF.format(where=where))


def parse(connection: duckdb.DuckDBPyConnection, words: str) -> list[Term]:
    """Cut a search into terms, with the same folding as the texts; each term once."""
    terms: dict[str, Term] = {}
    for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', words):
        row = connection.execute("SELECT tokens($words)", {"words": quoted or bare}).fetchone()
        tokens = tuple(row[0]) if row else ()
        if tokens:
            term = Term(tokens, bool(quoted), bare.endswith("*"))
            terms.setdefault(term.fenced, term)
    return list(terms.values())


def _result(
    connection: duckdb.DuckDBPyConnection, rank: int, row: dict[str, Any], terms: list[Term]
) -> dict[str, Any]:
    result = {name: row.get(name) for name in (*_SCHEMA.names, "clip", "segment")}
    text = " ".join(row["text"].split())
    line = _line(connection, row, terms)
    if line is not None:
        result["start_seconds"], text = line[0], _around(text, " ".join(line[1].split()))
    return result | {"rank": rank, "score": round(row["score"], 4), "snippet": snippet(text, terms)}


def _line(
    connection: duckdb.DuckDBPyConnection, row: dict[str, Any], terms: list[Term]
) -> tuple[float, str] | None:
    """Find the line or utterance that holds most of the terms; the first of several.

    Returns:
        When it is seen, or when its first word that was searched for is said; and its text.
    """
    if row["where"] not in _LINES or row["page"] is not None:
        return None
    values: dict[str, Any] = {"asset": row["asset_id"], "clip": row["clip"]}
    if row["where"] == "speech":
        values |= {"track": row["track"], "stretch": row["stretch"]}
    # Words of a phrase count by themselves too: lines and utterances break in the middle of it.
    single = [Term((token,)) for term in terms for token in term.tokens]
    wanted = list(dict.fromkeys(term.fenced for term in [*terms, *single]))
    best = connection.execute(_BEST_LINE.format(lines=_LINES[row["where"]]), values | {"wanted": wanted})
    line = best.fetchone()
    if line is None:
        return None
    seconds, text, spoken = line
    said = said_at(spoken or [], terms)
    if said is None:
        said = said_at(spoken or [], single)
    return seconds if said is None else said, text


def said_at(spoken: Sequence[dict[str, Any]], terms: list[Term]) -> float | None:
    """Tell when the first match is said, from words with times; None where none of them matches."""
    starts = list(accumulate((len(word["word"]) + 1 for word in spoken), initial=0))
    found = matches(" ".join(word["word"] for word in spoken), terms)
    if not found:
        return None
    seconds: float = spoken[bisect_right(starts, found[0][0]) - 1]["start_seconds"]
    return seconds


def _around(text: str, line: str) -> str:
    """Begin a text at a line of it, so that the snippet shows the hit that the time is of."""
    place = text.find(line)
    if place < 0:
        return line
    if place <= _BEFORE_CHARS:
        return text
    start = text.find(" ", place - _BEFORE_CHARS, place) + 1 or place
    return f"…{text[start:]}"


# --- snippets -------------------------------------------------------------------------------


def snippet(text: str, terms: list[Term]) -> str:
    """Cut a stretch of text around the first match."""
    spans = matches(text, terms)
    if len(text) <= _SNIPPET_CHARS:
        return text
    first = spans[0][0] if spans else 0
    start = max(0, min(first - _SNIPPET_CHARS // 3, len(text) - _SNIPPET_CHARS))
    end = start + _SNIPPET_CHARS
    if start:
        start = text.find(" ", start, first) + 1 or start
    if end < len(text):
        end = max(text.rfind(" ", start, end), spans[0][1] if spans else 0, start + _SNIPPET_CHARS // 2)
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")


def matches(text: str, terms: list[Term]) -> list[tuple[int, int]]:
    """Find the stretches of a text that match terms: (start, end) in characters, in order."""
    patterns = [_pattern(term) for term in terms]
    folded, places = _fold(text)
    spans = {
        (places[hit.start()], places[hit.end() - 1] + 1)
        for pattern in patterns
        for hit in pattern.finditer(folded)
    }
    return sorted(spans)


def _pattern(term: Term) -> re.Pattern[str]:
    body = r"[\W_]*".join(re.escape(token) for token in term.tokens)
    # A single character of a script without spaces has neighbours that are letters.
    if all(_UNSPACED_PATTERN.fullmatch(token) for token in term.tokens):
        return re.compile(body)
    return re.compile(rf"(?<![^\W_]){body}" + ("" if term.prefix else r"(?![^\W_])"))


_UNSPACED_PATTERN = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3100-\u312f\u3400-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff].*"
)


def _fold(text: str) -> tuple[str, list[int]]:
    """Fold a text as `fold` does in SQL, and say from which character each came."""
    folded: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        parts = unicodedata.normalize("NFD", char).lower()
        # Composed again, because Korean syllables come apart without having lost anything.
        plain = unicodedata.normalize("NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn"))
        folded.append(plain)
        places += [place] * len(plain)
    return "".join(folded), places


def _print(rows: list[dict[str, Any]], terms: list[Term]) -> None:
    """Show places as a list: where, and what stands there with the match marked."""
    screen = console()
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for row in rows:
        place = f"page {row['page']}" if row["page"] is not None else clock(row["start_seconds"])
        table.add_row(
            Text(str(row["rank"]), style="dim"),
            Text(one_line(file_name(row["uri"]))),
            Text(place, style="cyan"),
            Text(row["where"], style="dim"),
            _marked(row["snippet"], terms),
        )
    screen.print(table)


def _marked(text: str, terms: list[Term]) -> Text:
    shown = Text(clean(text))
    if len(shown.plain) == len(text):
        for start, end in matches(text, terms):
            shown.stylize("bold reverse", start, end)
    return shown
