"""`python -m benchmarks.summaries`: what language models are asked, and what of their inventions survives.

Two measurements, both against a server on the loopback that writes sentences out of the lines it is
sent, and lies at a given rate (it knows when):

- a made-up talk of ten hours, summed up whole: questions, tokens, calls, time, and whether one ever
  exceeded the window;
- a lake of real files: how many false sentences were written, how many reached a
  summary, how each of the others ended, and how many true ones were lost.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.compose import last_config, run_compose
from jobs.evaluate import evaluate
from operators.lake import Lake
from operators.summarise import Summariser
from operators.text_engines import text_counter_of
from schemas.config import load_config
from schemas.summary_work import Sources
from schemas.tables import SentenceRow
from tests.inventor import Inventor
from tests.openai_server import Asked, ChatServer, openai_server
from tests.rows import asset_row, segment_row
from tests.small_lake import clip_row

_CLIP_SECONDS = 30.0
_SENTENCES = 5
"""Of a clip: 65 words in half a minute, as people speak."""

_CHAPTER_CLIPS = 20


def talk(hours: float) -> Sources:
    """Make up a talk: chapters of ten minutes about things in places, with numbers and names."""
    draw = random.Random(7)  # noqa: S311 - a made-up talk, not a secret
    subjects = ["lighthouse", "harbour", "orchard", "aqueduct", "railway", "glacier", "library", "foundry"]
    people = ["Abernathy", "Bellamy", "Castellanos", "Dragunov", "Eriksson", "Fujimoto", "Grimaldi"]
    verbs = ["measured", "rebuilt", "described", "surveyed", "painted", "repaired", "closed"]
    why = ["because the winter was long", "before the bridge was finished", "after the council agreed"]
    clips, segments, sentences = [], [], []
    count = int(hours * 3600 / _CLIP_SECONDS)
    for clip in range(count):
        chapter = clip // _CHAPTER_CLIPS
        start = clip * _CLIP_SECONDS
        clips.append(
            clip_row(
                "a0", clip, "", "w0", segment=chapter, start_seconds=start, end_seconds=start + _CLIP_SECONDS
            )
        )
        for place in range(_SENTENCES):
            at = start + place * _CLIP_SECONDS / _SENTENCES
            subject = subjects[chapter % len(subjects)] if place % 2 else draw.choice(subjects)
            text = (
                f"In {draw.randint(1700, 1990)} {draw.choice(people)} {draw.choice(verbs)} "
                f"{draw.randint(3, 900)} parts of the {subject} {draw.choice(why)}."
            )
            sentences.append(
                SentenceRow(
                    "a0", "v0", clip, len(sentences), "said", text, 1.0, "faster-whisper:small",
                    at, at + 5, None, None, None, None, None, "w0",
                )
            )  # fmt: skip
    for chapter in range(-(-count // _CHAPTER_CLIPS)):
        first, end = chapter * _CHAPTER_CLIPS, min(count, (chapter + 1) * _CHAPTER_CLIPS)
        segments.append(
            segment_row(
                segment=chapter,
                start_seconds=first * _CLIP_SECONDS,
                end_seconds=end * _CLIP_SECONDS,
                found_title=None,
            )
        )
    asset = asset_row(
        clip_count=count, segment_count=len(segments), duration_seconds=count * _CLIP_SECONDS, failure_count=0
    )
    return Sources(asset, segments, clips, sentences, [])


def configured(server: ChatServer, *settings: str) -> list[str]:
    """Name the server in settings."""
    model = ["summary.engine=openai", "summary.model=looker-1", f"summary.base_url={server.url}"]
    return [*model, *settings]


def long_talk(hours: float, levels: str, window: int) -> dict[str, Any]:
    """Sum up a talk, and look at every question that was asked of the server."""
    source = talk(hours)
    inventor = Inventor(rate=0.0)
    with openai_server(answer=inventor) as server:
        config = load_config(
            settings=configured(server, f"summary.levels={levels}", f"summary.context_tokens={window}")
        )
        writer = Summariser(config, "bench")
        started = time.perf_counter()
        (done,) = writer([source])
        seconds = time.perf_counter() - started
        writer.close()
        count = text_counter_of(config.summary)
        sizes = [count(asked.text) for asked in server.asked]
        kinds = Counter(_kind(asked) for asked in server.asked)
    answer = config.summary.max_new_tokens
    return {
        "levels": levels,
        "words": sum(len(row.text.split()) for row in source.sentences),
        "clips": len(source.clips),
        "segments": len(source.segments),
        "window": window,
        "questions": len(sizes),
        "by_prompt": dict(sorted(kinds.items())),
        "tokens_mean": round(sum(sizes) / len(sizes)),
        "tokens_largest": max(sizes),
        "largest_with_answer": max(sizes) + answer,
        "exceeded": sum(size + answer > window for size in sizes),
        "seconds": round(seconds, 1),
        "asset_summary_sentences": sum(row.level == "asset" and row.rank == 0 for row in done.citations),
        "failures": len(done.failures),
    }


def _kind(asked: Asked) -> str:
    first = asked.text.split(".")[0]
    names = {
        "Sum up one part": "clip",
        "Shorten": "part",
        "Sum up one chapter": "segment",
        "Sum up a": "asset",
    }
    return next((name for begins, name in names.items() if first.startswith(begins)), "rewrite")


def inventions(lake: Path, rate: float, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Have a lake summed up by a model that lies, and count what became of its sentences.

    Args:
        lake: Ingested before; it is copied, and stays as it is.
        rate: Share of sentences that are false.
        settings: To compose with besides.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = str(shutil.copytree(lake, f"{folder}/lake"))
        before = cited(copy)
        inventor = Inventor(rate=rate)
        with openai_server(answer=inventor) as server:
            config = last_config(copy, None, configured(server, "summary.min_words=20", *settings))
            started = time.perf_counter()
            code = run_compose(copy, config)
            seconds = time.perf_counter() - started
            asked = Counter(_kind(question) for question in server.asked)
        with Lake(copy).connect() as connection:
            standing = {row[0] for row in connection.execute("SELECT text FROM citations").fetchall()}
            doubted = {row[0] for row in connection.execute("SELECT text FROM reviews").fetchall()}
            run = connection.execute(
                "SELECT units, sampled_frames, list_transform(stages, lambda s: s.stage) FROM runs "
                "ORDER BY started_at DESC LIMIT 1"
            ).fetchone()
        after = cited(copy)
    assert run is not None
    false, true = inventor.false - inventor.true, inventor.true - inventor.false
    reached = false & standing
    return {
        "rate": rate,
        "exit_code": code,
        "questions": dict(asked),
        "seconds": round(seconds, 1),
        "false_written": len(false),
        "false_by_kind": dict(Counter(inventor.kinds[text] for text in false)),
        "false_in_summaries": len(reached),
        "reached_by_kind": dict(Counter(inventor.kinds[text] for text in reached)),
        "examples_reached": sorted(reached)[:10],
        "false_put_up_for_review": len(false & doubted),
        "true_written": len(true),
        "true_in_summaries": len(true & standing),
        "true_put_up_for_review": len(true & doubted),
        "examples_doubted": sorted(true & doubted)[:10],
        "units_and_frames": list(run[:2]),
        "stages": run[2],
        "extractive": before,
        "written": after,
    }


def cited(lake: str) -> dict[str, Any]:
    """Look up what the summaries of a lake rest on, as `gloss evaluate` does."""
    wanted = {"support", "citations_hold", "facts_stated", "open_reviews"}
    found = evaluate(Lake(lake)).overall
    return {item.metric: {"value": item.value, "of": item.count} for item in found if item.metric in wanted}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summaries", description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0, help="length of the made-up talk")
    parser.add_argument("--window", type=int, default=8192, help="tokens of question and answer together")
    parser.add_argument("--lake", type=Path, help="also have this lake summed up by a liar")
    parser.add_argument("--rate", type=float, default=0.3, help="share of sentences that are false")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        "talk": [
            long_talk(arguments.hours, levels, arguments.window)
            for levels in ('["clip", "segment", "asset"]', '["asset"]')
        ]
    }
    if arguments.lake is not None:
        figures["inventions"] = inventions(arguments.lake, arguments.rate)
    json.dump(figures, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
