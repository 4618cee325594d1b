"""One calm view of a run: live on a terminal, a line now and then elsewhere."""

import time
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.json_log import JsonLog
from jobs.ledger import Ledger
from operators.fan_in import Header
from schemas.media import UnitKind

_LINE_SECONDS = 15.0
"""Distance of plain lines, when the stream is not a terminal."""


class Progress:
    """Shows how far a run is. Use as a context manager."""

    def __init__(self, stream: TextIO, ledger: Ledger, *, verbose: bool, log: JsonLog | None = None) -> None:
        """Show on `stream` what `ledger` counts; with `verbose`, plain lines even on a terminal.

        Args:
            stream: Where to.
            ledger: Of the run.
            verbose: Whether others write there too.
            log: To write to instead.
        """
        self.log = log
        # In a file or a job's log a line is a line, however long.
        self.console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
        self.ledger = ledger
        self.planned: dict[str, int] = {}
        self.done = 0
        self.pages = 0
        self.spans = 0
        self.sounds = 0
        self.looks = 0
        self.summaries = 0
        self._awaiting = 0
        """Files that a model is to look at or to write about, once it does."""
        self.failures = 0
        self.started = time.monotonic()
        self._note = "listing files"
        self._said = 0.0
        self._live: Live | None = None
        if self.console.is_terminal and not verbose and log is None:
            # Rich would print what others write to stderr into the view; it belongs in the log.
            self._live = Live(
                self,
                console=self.console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> "Progress":
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop showing."""
        self.stop()

    def stop(self) -> None:
        """Take the live view away, so that the report stands alone."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, note: str) -> None:
        """Say what the run is about to do."""
        self._note = note
        if self._live is None:
            self._write("step", note)

    def unit(self, header: Header) -> None:
        """A unit has come back."""
        self.planned[header.asset.asset_id] = header.asset.unit_count
        self.done += 1
        self.pages += header.unit.kind == UnitKind.PAGE
        self.spans += header.unit.kind == UnitKind.SPAN
        self.sounds += header.unit.kind == UnitKind.SPEECH
        self.failures += len(header.failures) if header.skipped is None else 0
        self._note = "working"
        self._line()

    def begin_looks(self, files: int) -> None:
        """So many files are now shown to a vision-language model: what is left is estimated anew."""
        self.planned, self.done, self.started, self._awaiting = {}, 0, time.monotonic(), files

    def look(self, header: Header) -> None:
        """A unit has come back with its file; only looks count."""
        self.planned[header.asset.asset_id] = header.asset.look_count
        if header.unit.kind == UnitKind.LOOK:
            self.done += 1
            self.looks += 1
            self.failures += len(header.failures)
        self._note = "working"
        self._line()

    def begin_summaries(self, assets: int) -> None:
        """So many assets are now summarised: what is left is estimated anew."""
        self.planned, self.done, self.started, self._awaiting = {}, 0, time.monotonic(), assets

    def summarised(self) -> None:
        """An asset has its summaries."""
        self.planned[str(self.summaries)] = 1
        self.done += 1
        self.summaries += 1
        self._note = "working"
        self._line()

    def committed(self) -> None:
        """Assets have become visible."""
        self._line()

    def _line(self) -> None:
        now = time.monotonic()
        if self._live is None and now - self._said >= _LINE_SECONDS:
            self._said = now
            self._write("progress", self.summary())

    def _write(self, event: str, text: str) -> None:
        if self.log is None:
            self.console.print(f"gloss: {text}", markup=False)
        else:
            done = {"finished": self.ledger.finished, "discovered": self.ledger.discovered}
            self.log.write("info", event, text, **(done if event == "progress" else {}))

    def summary(self) -> str:
        """Say in one line how far the run is."""
        parts = [
            f"{self.ledger.finished}/{self.ledger.discovered} files",
            f"{self.pages} pages",
            f"{self.spans} spans of video",
            *([f"{self.sounds} spans of sound"] if self.sounds else []),
            *([f"{self.looks} clips and pages looked at"] if self.looks else []),
            *([f"{self.summaries} assets summarised"] if self.summaries else []),
            f"{self.rate():.1f} units/s",
        ]
        if self.failures:
            parts.append(f"{self.failures} failure{'s' if self.failures > 1 else ''}")
        left = self.seconds_left()
        if left is not None:
            parts.append(f"about {_span(left)} left")
        return " · ".join(parts)

    def rate(self) -> float:
        """Units a second since the start."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def seconds_left(self) -> float | None:
        """Estimate the time left from the files seen so far; None while there is too little."""
        seen = len(self.planned)
        if self.done < 10 or not seen:
            return None
        settled = sum(self.ledger.skipped.values())
        files = max(self._awaiting or self.ledger.discovered - settled, seen)
        expected = sum(self.planned.values()) * files / seen
        return max(0.0, expected - self.done) / self.rate()

    def __rich__(self) -> Group:
        """Draw the live view."""
        finished, discovered = self.ledger.finished, max(1, self.ledger.discovered)
        table = Table.grid(padding=(0, 1))
        table.add_row(
            Text(f"{time.monotonic() - self.started:5.0f} s", style="dim"),
            ProgressBar(total=discovered, completed=finished, width=32),
            Text(f"{finished}/{discovered} files"),
            Text(self._note if self._note != "working" else "", style="dim"),
        )
        return Group(table, Text(f"        {self.summary()}", style="dim"))


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
