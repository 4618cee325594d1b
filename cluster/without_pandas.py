"""A process that has no pandas need not import it.

Arrow imports pandas when it makes its first array, only to recognise what comes from there: 0.3 to 0.4 CPU
seconds, before the first child of a run is started. Nothing here does; Ray Data may.
"""

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


def leave_out_pandas() -> None:
    """Let Arrow find no pandas, unless it is imported already; who imports it later gets it as ever."""
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array(["anything"])  # Arrow looks once
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Says that it is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        """Refuse pandas and leave all else to others."""
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


def let_pandas_in() -> None:
    """Let Arrow know pandas after all."""
    pa.array(["anything"]).to_pandas()
