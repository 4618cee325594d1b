"""Arrow does without pandas in a process that was told to, and knows it again when asked."""

import subprocess
import sys
from pathlib import Path

from tests.pages import drawn_pdf, prose

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


def test_a_whole_run_imports_none(tmp_path: Path) -> None:
    """From the command line to the last commit, and again when nothing has changed."""
    (tmp_path / "page.pdf").write_bytes(drawn_pdf(prose))
    arguments = ["gloss", "ingest", str(tmp_path / "page.pdf"), "--lake", str(tmp_path / "lake")]
    settings = ["--set", "run.executor=threads", "--set", "ocr.engine=off", "--set", "speech.engine=off"]
    program = f"""
import sys
from jobs.cli import main
sys.argv = {arguments + settings}
try:
    main()
except SystemExit as end:
    sys.exit(end.code or (5 if "pandas" in sys.modules else 0))
"""
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
