"""One transaction on a table of the lake, which is kept open and knows of it afterwards."""

import time
from collections.abc import Sequence

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake.transaction import AddAction, RemoveAction

from operators.lake import CHECKPOINT_COMMITS, DataFile
from schemas.arrow import arrow_schema
from schemas.tables import TABLES


def transact(
    table: str,
    delta: DeltaTable,
    new: Sequence[DataFile],
    old: Sequence[str] = (),
    *,
    mode: str = "append",
    changed: bool = True,
    strict: bool = False,
) -> None:
    """Let data files enter a table, and others leave it, all at once.

    Args:
        table: The table's name.
        delta: The table, at the version that the files were made from; it is at the new one afterwards.
        new: Files that enter.
        old: Names of files that leave.
        mode: `append`, or `overwrite` for all files to leave.
        changed: Whether rows did, or only lie elsewhere.
        strict: Fail if somebody else has committed meanwhile; adding alone depends on nothing.

    Raises:
        deltalake.exceptions.CommitFailedError: Somebody else has committed meanwhile.
    """
    now = int(time.time() * 1000)
    added = [
        AddAction(file.path, file.size_bytes, {}, now, data_change=changed, stats=file.stats) for file in new
    ]
    removed = [RemoveAction(name, changed, now, partition_values={}) for name in old]
    delta.create_write_transaction(
        [*removed, *added],
        mode=mode,
        schema=arrow_schema(TABLES[table]),
        commit_properties=CommitProperties(max_commit_retries=0) if strict else None,
        # To look for entries that have had their time is a request; it need not be at each commit.
        post_commithook_properties=PostCommitHookProperties(
            cleanup_expired_logs=delta.version() % CHECKPOINT_COMMITS == 0
        ),
    )
    delta.update_incremental()


def file_names(delta: DeltaTable) -> list[str]:
    """List the data files of a table by their names in its folder."""
    return sorted(uri.rpartition("/")[2] for uri in delta.file_uris())
