"""How the lake was made until now: what a new run goes by where it is not told otherwise."""

from collections.abc import Callable, Iterator

from operators.lake import Lake, LakeError, relation
from schemas.config import Config


class Past:
    """The configurations of a lake's runs, newest first; each is read once, when it is asked for."""

    def __init__(self, lake: Lake) -> None:
        """Look at a lake, which need not exist; nothing is read yet."""
        self.uri = lake.uri
        self._read: list[Config] = []
        self._unread = _configs(lake)

    def last(self, is_wanted: Callable[[Config], bool] = lambda _: True) -> Config | None:
        """Return the newest for which something holds."""
        for config in self._read:
            if is_wanted(config):
                return config
        for config in self._unread:
            self._read.append(config)
            if is_wanted(config):
                return config
        return None


def _configs(lake: Lake) -> Iterator[Config]:
    if not lake.exists():
        return
    try:
        runs = relation("runs", {"runs": lake.files("runs")})
    except LakeError:
        # Its making was broken off before there was a table of runs; the run completes it.
        return
    with lake.bare() as connection:
        stored = connection.execute(f"SELECT config FROM {runs} ORDER BY started_at DESC, run_id")
        for (config,) in iter(stored.fetchone, None):
            yield Config.model_validate_json(config)
