"""A job's log, as it comes in pieces, told apart into what the run wrote to stdout and to stderr."""

from collections.abc import Iterator

from cluster.start_job import STDOUT_MARK

_BEGINS = "Running entrypoint for job "
"""The last line that Ray writes into the log before the run's own (2.60)."""


class JobLog:
    """Takes pieces of text that end anywhere; gives whole lines with their stream."""

    def __init__(self) -> None:
        """Begin at the beginning of a log."""
        self.characters = 0
        """Taken so far; a log that is read anew is skipped up to here."""
        self._rest = ""
        self._begun = False

    def feed(self, text: str) -> Iterator[tuple[bool, str]]:
        """Take a piece; yield (is for stdout, line with its end) for each line that is whole now."""
        self.characters += len(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            yield from self._line(f"{line}\n")

    def end(self) -> Iterator[tuple[bool, str]]:
        """Yield what is left: a last line without an end."""
        rest, self._rest = self._rest, ""
        if rest:
            yield from self._line(rest)

    def _line(self, line: str) -> Iterator[tuple[bool, str]]:
        if not self._begun:
            self._begun = line.startswith(_BEGINS) or f" {_BEGINS}" in line
        elif line.startswith(STDOUT_MARK):
            yield True, line.removeprefix(STDOUT_MARK)
        else:
            yield False, line
