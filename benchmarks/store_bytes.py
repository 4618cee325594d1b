"""What a clip of a long recording costs in bytes of its object store, against the size of the file.

    python -m benchmarks.store_bytes --seconds 1500

A recording lies on a store that speaks S3 on the loopback, whose proxy counts the bytes of each answer. It
is planned, and then single spans of it are decoded, as by a run that goes on where another one was stopped:
one by a process that knows nothing of the file yet, the next ones by the same process, and a tenth
of the file in all. Bytes do not depend on the machine.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import operators.source
from operators.decode import decode_units
from operators.discover import discover
from operators.probe import Probe
from operators.ranges import RangeCache
from schemas.config import Config, load_config
from schemas.media import Planned, Unit, UnitKind
from tests.long_video import write_long_video
from tests.s3_server import S3Server, s3_server


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step took from the store."""

    file: str
    step: str
    sent_bytes: int
    requests: int
    share_of_file: float
    times_its_own: float | None
    """Bytes sent, by the bytes that its seconds have in the file."""


def measure(s3: S3Server, path: Path, config: Config) -> Iterator[Cost]:
    """Take the steps on one recording."""
    size, key = path.stat().st_size, f"bench/{path.name}"
    (listing,) = discover([s3.put(key, path)]).listings
    plans: list[Planned] = []

    def taken(step: str, work: Callable[[], object], seconds: float = 0.0) -> Cost:
        s3.reset_counts()
        work()
        asked = [item for item in s3.requests() if item.method == "GET"]
        sent = sum(item.sent_bytes for item in asked)
        whole = plans[0].asset.duration_seconds or 1.0
        own = size * seconds / whole
        return Cost(path.name, step, sent, len(asked), sent / size, sent / own if own else None)

    yield taken("plan", lambda: plans.extend(Probe(config)(listing)))
    spans = [unit for plan in plans for unit in plan.units if unit.kind == UnitKind.SPAN]
    asset, middle, tenth = plans[0].asset, len(spans) // 2, -(-len(spans) // 10)

    def decode(units: list[Unit]) -> Callable[[], object]:
        return lambda: [list(decode_units(asset, [unit], config)) for unit in units]

    def length(units: list[Unit]) -> float:
        return sum((unit.end_seconds or 0) - (unit.start_seconds or 0) for unit in units)

    for step, units in (
        ("a clip", [spans[middle]]),
        ("the next clip, same process", [spans[middle + 1]]),
        ("a tenth of the clips, apart", spans[2 :: max(1, len(spans) // tenth)][:tenth]),
    ):
        if step != "the next clip, same process":
            operators.source._CACHE = RangeCache()
        yield taken(f"{step} ({length(units):.0f} s)", decode(units), length(units))


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_bytes", description=__doc__)
    parser.add_argument("--seconds", type=int, default=1500, help="length of the recording")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    # Pictures are decoded to find out what is read for them, not to be looked at.
    config = load_config("embedded", None, ["speech.engine=off", "sampling.interval_seconds=10"])
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder, s3_server() as s3:
        os.environ.update(s3.environment)
        for name, first in (("index-last.mp4", False), ("index-first.mp4", True), ("matroska.mkv", False)):
            path = write_long_video(Path(folder, name), arguments.seconds, index_first=first)
            sys.stdout.write(f"\n{name}: {arguments.seconds} s of 720p, {path.stat().st_size / 1e6:.1f} MB\n")
            for cost in measure(s3, path, config):
                own = "" if cost.times_its_own is None else f"{cost.times_its_own:>6.2f} x its own bytes"
                sys.stdout.write(
                    f"  {cost.step:<38} {cost.sent_bytes / 1e6:>8.2f} MB in {cost.requests:>3} requests"
                    f" {100 * cost.share_of_file:>6.1f} % of the file {own}\n"
                )
                sys.stdout.flush()
                costs.append(cost)
            path.unlink()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2))


if __name__ == "__main__":
    main()
