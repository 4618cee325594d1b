"""Arrow does without pandas in a process that was told to, and knows it again when asked."""

import subprocess
import sys

_PROGRAM = """
import sys
import pyarrow as pa
from cluster.without_pandas import leave_out_pandas, let_pandas_in

leave_out_pandas()
made = pa.array([1, None, 3])
assert pa.compute.sum(made).as_py() == 4
assert "pandas" not in sys.modules, "imported after all"

import pandas
assert made.to_pandas().tolist()[0] == 1
let_pandas_in()
assert pa.array(pandas.Series(["a", None, float("nan")])).null_count == 2, "a series is not recognised"
"""


def test_arrays_are_made_without_it_and_series_are_known_later() -> None:
    """In a process of its own, because Arrow looks for pandas once."""
    subprocess.run([sys.executable, "-c", "import pyarrow.compute\n" + _PROGRAM], check=True, timeout=120)


def test_it_changes_nothing_where_pandas_is_in_use() -> None:
    """A notebook's pandas stays what it is."""
    program = """
import pandas, pyarrow as pa
from cluster.without_pandas import leave_out_pandas
leave_out_pandas()
assert pa.array(pandas.Series(["a", None, float("nan")])).null_count == 2
import sys
assert sys.modules["pandas"] is pandas
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
