"""A store in one DynamoDB table, without transactions: a log of conditional Puts, and nodes.

    pk        sk                       what
    store     store                    identity, and how far the nodes and the trimming have come
    log       first sequence           one append: tags, names with their touches as they then were
    part#0…7  first sequence.id.number  a piece of an append that is too large for one item
    node#0…7  name                     what is kept of a name; the index `by_sequence` sorts them

**The log is the truth.** An append reads the state as of head `h`, computes what its names become
(absolute numbers, not increments) and Puts one item at `h + 1` unless there is one. That Put is the
append: it assigns the sequences, has all batches of the append or none, and of several writers one
wins. The others are told the winner's item, add it to the state they hold and try behind it. A
writer whose answer was lost finds its own id in the item at `h + 1`. Parts are written before the
item that names them; without it nobody looks at them, and trimming removes them.

**Nodes are derived.** From time to time the writer that has brought the *tail*, the log behind
`applied`, to some length folds it: it writes the newest of each name `IF touches < mine`, and when
all are written raises `applied`, which never claims more than is written. Touches of a name grow
with every batch, so neither order nor repetition of these writes matters.

**Reading** takes three consistent reads in this order: `applied`, the nodes, the tail. Whatever a
node has of a batch behind `applied`, that batch was in the log before, so it is in the tail that is
read after it; laid over the nodes, the tail makes them the state as of its last batch, exactly.

So a writer may die anywhere. Before its Put nothing has happened; after it the batch counts, since
everybody reads the tail; halfway through a fold, some nodes have what the tail says anyway; before
`applied` is raised, the next fold writes them again, which changes nothing.

**Trimming** first notes in the store item up to where the log may be gone, then deletes. A writer
that was stopped for 10,000 batches could Put where an item was deleted; it reads that note after
its Put, and reports `StorageUnavailable` if its item may have been under it.

**Rotation** is one conditional update of the store item. Lineages never come back, so if the same
one is read before and after the log, head and log are of one state; otherwise they are read again.
An append takes the lineage that it reads after its Put: nodes and sequences outlive a rotation, so
each position of the old lineage is one of the new; the reverse would not hold.

**Backups** of DynamoDB may be torn by up to a second. Nodes ahead of the log do no harm. If
`applied` is ahead of it, the next to look sets it back. A hole in the log is answered as a log that
has been trimmed. What else a torn backup lost is a matter for the new lineage that it gets.
"""

from __future__ import annotations

from reality.storage.dynamodb.clients import ClientFactory
from reality.storage.dynamodb.creation import create_table
from reality.storage.dynamodb.store import DynamoDBStorage

__all__ = ("ClientFactory", "DynamoDBStorage", "create_table")
