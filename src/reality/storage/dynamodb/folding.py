"""What follows the log: nodes are written from its tail, and its beginning is trimmed.

None of it is needed for any answer to be right, so none of its failures is an append's.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from reality.core.changelog import LOG_SEQUENCES_KEPT
from reality.core.delta import Touched
from reality.errors import StorageError
from reality.storage.dynamodb.failures import Refused
from reality.storage.dynamodb.items import STORE_KEY, Group, Identity, newest_of, node_item
from reality.storage.dynamodb.log import Log
from reality.storage.dynamodb.state import State
from reality.storage.dynamodb.table import Table

# A tail of so many names is folded into the nodes; until then, all who read read it too.
FOLD_WEIGHT = 256
# Trimming is for so many batches at once, or more.
TRIM_SLACK = 500

_log = logging.getLogger("reality.storage")


async def follow(table: Table, log: Log, state: State, weight_before: int) -> None:
    """Fold the tail if the append that led to this state made it long enough, and trim."""
    # Whoever crosses the mark folds, so that one of several writers does; if it dies on the way,
    # somebody crosses the next mark.
    if state.newest is None or state.weight // FOLD_WEIGHT == weight_before // FOLD_WEIGHT:
        return
    try:
        await fold(table, state.identity, state)
        await trim(table, log, state.identity, state.newest)
    except StorageError as error:
        _log.warning("%s; the change log is folded later", error.message)


async def fold(table: Table, identity: Identity, state: State) -> None:
    """Write the nodes of the tail, then note that it is done."""

    async def write(touched: Touched) -> None:
        with suppress(Refused):  # a later fold was faster
            await table.put(
                node_item(touched),
                when="attribute_not_exists(pk) OR touches < :touches",
                values={"touches": touched.touches},
            )

    if state.newest is None:
        return
    await table.each(list(newest_of(state.tail).values()), write)
    await advance(table, identity, state.newest)


async def advance(table: Table, identity: Identity, applied: Group) -> None:
    """Note that the nodes have all up to this log item."""
    with suppress(Refused):
        await table.update(
            STORE_KEY,
            when="store_id = :store_id AND applied_to < :to",
            values={"store_id": identity.store_id, "to": applied.last},
            change={"applied_from": applied.first, "applied_to": applied.last},
        )


async def set_back(table: Table, log: Log, identity: Identity) -> None:
    """Note that the nodes are not as far as was noted: that place of the log does not exist."""
    newest = await log.newest(identity.applied_from)
    first, last = (newest.first, newest.last) if newest is not None else (0, 0)
    with suppress(Refused):
        await table.update(
            STORE_KEY,
            when="store_id = :store_id AND applied_from = :from",
            values={"store_id": identity.store_id, "from": identity.applied_from},
            change={"applied_from": first, "applied_to": last},
        )


async def trim(table: Table, log: Log, identity: Identity, newest: Group) -> None:
    """Delete what is older than the log has to keep, after noting that it may be gone."""
    bound = newest.last - LOG_SEQUENCES_KEPT
    if bound - identity.trimmed < TRIM_SLACK:
        return
    kept = await log.newest(bound)
    if kept is None:
        return
    upto = kept.first - 1
    with suppress(Refused):
        await table.update(
            STORE_KEY,
            when="store_id = :store_id AND trimmed < :upto AND applied_from > :upto",
            values={"store_id": identity.store_id, "upto": upto},
            change={"trimmed": upto},
        )
        await log.trim(upto)
