"""An operator as a step of a pipeline: rows in, rows out, and the types of both.

An operator takes and gives typed rows and knows nothing of where it runs. On a cluster rows travel as Arrow
tables, and these steps turn tables into rows and back; in one process they are handed on as they are.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow import from_table, to_table

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class RowTask(Generic[In, Out]):
    """A stage of tasks: the operator is made where it runs and called for each row."""

    make: Callable[[], Callable[[In], Iterable[Out]]]
    row_in: type[In]
    row_out: type[Out]

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Stream one small table for each row that comes out; Ray cuts blocks of them."""
        operator = self.make()
        for row in from_table(self.row_in, table):
            for out in operator(row):
                yield to_table(self.row_out, [out])


class BatchActor(Generic[In, Out]):
    """A stage of actors: the operator is made once for each and called for each batch."""

    def __init__(
        self,
        make: Callable[[], Callable[[list[In]], list[Out]]],
        row_in: type[In],
        row_out: type[Out],
        work: str | None = None,
    ) -> None:
        """Make the operator: models are loaded here."""
        self.operator = make()
        self.row_in = row_in
        self.row_out = row_out
        self.work = work

    def __call__(self, table: pa.Table) -> pa.Table:
        """Give back exactly one row for each row of the batch, in its order.

        Raises:
            RuntimeError: The operator lost or doubled a row.
        """
        if self.work is None:
            return self._operate(table)
        has_work = pc.greater(pc.list_value_length(table[self.work]), 0)
        count = pc.sum(has_work).as_py() or 0
        if count in (0, table.num_rows):  # nothing to sort out: pixels are not copied once more
            return self._operate(table) if count else table
        done = self._operate(table.filter(has_work))
        rest = table.filter(pc.invert(has_work)).cast(done.schema)
        # Where each row lies once those that were worked on stand before the others.
        order = pc.sort_indices(pc.invert(has_work).combine_chunks().cast(pa.int8()))
        return pa.concat_tables([done, rest]).take(pc.sort_indices(order))

    def _operate(self, table: pa.Table) -> pa.Table:
        rows = self.operator(from_table(self.row_in, table))
        if len(rows) != table.num_rows:
            msg = f"{type(self.operator).__name__} was given {table.num_rows} rows and gave back {len(rows)}"
            raise RuntimeError(msg)
        return to_table(self.row_out, rows)
