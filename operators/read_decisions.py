"""What people decided about summaries, as the lake keeps it."""

from collections import defaultdict

from operators.lake import Lake, relation
from operators.live_rows import rows_of_table
from schemas.tables import DecisionRow


def read_decisions(lake: Lake) -> dict[str, list[DecisionRow]]:
    """Read all decisions, by asset, the newest last; there are as many as people took."""
    files = {"decisions": lake.files("decisions")}
    decisions: dict[str, list[DecisionRow]] = defaultdict(list)
    if files["decisions"]:
        with lake.bare() as connection:
            sql = f"SELECT * FROM {relation('decisions', files)} ORDER BY decided_at, decision_id"
            for row in rows_of_table(DecisionRow, connection.sql(sql).to_arrow_table()):
                decisions[row.asset_id].append(row)
    return dict(decisions)
