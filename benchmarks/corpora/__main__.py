"""`python -m benchmarks.corpora KIND size=number...`: make a corpus and print its folder."""

import argparse
import sys
from pathlib import Path

from benchmarks.corpora import MAKERS, make
from benchmarks.corpora.cache import default_folder


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpora", description=__doc__)
    parser.add_argument("kind", choices=sorted(MAKERS))
    parser.add_argument("sizes", nargs="*", help="such as seconds=120 files=3 pages=40")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where corpora are kept")
    given = parser.parse_args()
    sizes = {name: int(value) for name, _, value in (size.partition("=") for size in given.sizes)}
    folder, made = make(given.kind, given.folder, **sizes)
    sys.stdout.write(f"{folder}\n")
    sys.stderr.write(f"{len(made)} files, {sum(item.path.stat().st_size for item in made):,} bytes\n")


if __name__ == "__main__":
    main()
