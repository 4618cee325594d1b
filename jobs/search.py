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
from operators.lake import LakeError
from schemas.config import ConfigError

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
-- Each token stands between < and >, so that a phrase is a substring and a word is no part of another.
CREATE OR REPLACE TEMP MACRO fenced(words) AS '<' || array_to_string(tokens(words), '><') || '>';
CREATE OR REPLACE TEMP MACRO occurrences(text, part) AS
    (length(text) - length(replace(text, part, ''))) / length(part);
"""

_DOCUMENTS = """
WITH spoken AS (
    -- The transcript is one track; other tracks tell the same again, in other words or languages.
    SELECT asset_id, clip, min(start_seconds) AS start_seconds,
           CASE WHEN NOT in_transcript THEN source END AS track,
           CASE WHEN clip IS NULL THEN floor(start_seconds / 30) END AS stretch,
           string_agg(text, ' ' ORDER BY start_seconds) AS text
    FROM utterances GROUP BY asset_id, clip, track, stretch
), documents AS (
    SELECT asset_id, clip, start_seconds, page, 'ocr' AS "where", 1 AS rung, ocr_text AS text FROM clips
    UNION ALL BY NAME
    SELECT *, 'speech' AS "where", 1 AS rung FROM spoken
    UNION ALL BY NAME
    SELECT asset_id, clip, start_seconds, page, 'caption' AS "where", 1 AS rung, caption AS text FROM clips
    UNION ALL BY NAME
    SELECT asset_id, clip, start_seconds, page, 'summary' AS "where", 2 AS rung,
           concat_ws('. ', title, summary) AS text FROM clips
    UNION ALL BY NAME
    SELECT asset_id, segment, start_seconds, first_page AS page, 'summary' AS "where", 3 AS rung,
           concat_ws('. ', title, summary) AS text FROM segments
    UNION ALL BY NAME
    SELECT asset_id, 'summary' AS "where", 4 AS rung, concat_ws('. ', title, summary) AS text FROM assets
), numbered AS MATERIALIZED (
    SELECT *, row_number() OVER () AS document, fold(text) AS folded FROM documents WHERE trim(text) <> ''
)"""

_RANKED = f"""
, terms AS (
    SELECT unnest($terms) AS term, unnest($needles) AS needle, unnest($required) AS required
), statistics AS (
    SELECT count(*) AS documents, avg(length(folded)) AS mean_length FROM numbered
), candidates AS MATERIALIZED (
    -- Cutting text into tokens is the dear step; documents without any of the words are spared it.
    SELECT document, length(folded) AS length, fenced(text) AS fenced FROM numbered
    WHERE EXISTS (SELECT 1 FROM terms WHERE contains(folded, needle))
), hits AS MATERIALIZED (
    SELECT document, length, term, required, occurrences(fenced, term) AS occurrences
    FROM candidates CROSS JOIN terms WHERE contains(fenced, term)
), weights AS (
    SELECT term, ln(1 + (any_value(documents) - count(*) + 0.5) / (count(*) + 0.5)) AS weight
    FROM hits CROSS JOIN statistics GROUP BY term
), scores AS (
    SELECT document, count(*) FILTER (required) AS required, sum(
        weight * occurrences * {_K1 + 1}
        / (occurrences + {_K1} * ({1 - _B} + {_B} * length / mean_length))) AS score
    FROM hits JOIN weights USING (term) CROSS JOIN statistics GROUP BY document
), found AS (
    SELECT s.score, n.* FROM scores s JOIN numbered n USING (document)
    WHERE s.required = (SELECT count(*) FROM terms WHERE required)
    -- Summaries of a clip repeat its words; they count only where the words themselves are not found.
    -- What is said at one place is found once, in the transcript if it is there.
    QUALIFY (rung <> 2 OR min(rung) OVER (PARTITION BY asset_id, clip) = 2)
        AND ("where" <> 'speech' OR row_number() OVER (
            PARTITION BY asset_id, clip, stretch, "where"
            ORDER BY track IS NOT NULL, s.score DESC, track) = 1)
)
SELECT f.score, f.asset_id, a.uri, a.kind, a.title, f.clip, f.segment, f.start_seconds, f.page, f."where",
       f.text, f.track, f.stretch
FROM found f JOIN assets a USING (asset_id)
ORDER BY f.score DESC, f.rung, a.uri, f.start_seconds NULLS FIRST, f.page NULLS FIRST, f."where"
LIMIT $limit
"""

_LINES = {
    "ocr": (
        "SELECT time_seconds AS seconds, text, NULL AS words FROM text_regions "
        "WHERE asset_id = $asset AND clip = $clip AND time_seconds IS NOT NULL"
    ),
    "speech": (
        "SELECT start_seconds AS seconds, text, words FROM utterances "
        "WHERE asset_id = $asset AND clip IS NOT DISTINCT FROM $clip "
        "AND CASE WHEN NOT in_transcript THEN source END IS NOT DISTINCT FROM $track "
        "AND CASE WHEN clip IS NULL THEN floor(start_seconds / 30) END IS NOT DISTINCT FROM $stretch"
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
        with read_only(open_lake(lake_uri, storage_options)) as connection:
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
    found = connection.execute(
        _DOCUMENTS + _RANKED,
        {
            "terms": [term.fenced for term in terms],
            "needles": [term.tokens[0] for term in terms],
            "required": [term.required for term in terms],
            "limit": limit,
        },
    )
    names = [column[0] for column in found.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [_result(connection, rank, row, terms) for rank, row in enumerate(rows, 1)]


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
