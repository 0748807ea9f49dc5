"""What the verbs of a store do in SQL: generators that yield statements and are sent rows.

So neither knows whether the driver blocks. A failed statement raises its `StorageError` at the
`yield`. Every append and rotation begins by locking the store's one row and holds the lock until it
commits: that is what makes sequences visible in order, without gaps, and lets an append compute in
Python what each name becomes. The other verbs are single statements, each of which sees one state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Generic, NamedTuple, TypeVar

from reality.core.changelog import (
    LOG_SEQUENCES_KEPT,
    Appended,
    Batch,
    Changes,
    Head,
    Listing,
    Logged,
    Opening,
)
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.errors import (
    StorageDenied,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.base import CHUNK_NAMES_MAX, draw_lineage, draw_store_id, draw_tag
from reality.storage.sql.executors import Rows
from reality.storage.sql.failures import driver_words, schema_missing_text
from reality.storage.sql.statements import SCHEMA_VERSION, Statement, Statements

Result = TypeVar("Result")
Item = TypeVar("Item")

Steps = Generator[Statement, Rows, Result]

# Rows of the log in one INSERT: each may be long.
_CHUNK_BATCHES_MAX = 50
# The log is trimmed once in so many batches.
_TRIM_EVERY = 100
# Of several processes that make the tables at once, PostgreSQL lets all but one fail.
_OPENINGS_MAX = 5
_HEAD_COLUMNS = 7


class Operation(NamedTuple, Generic[Result]):
    """One run of a verb.

    Attributes:
        start: begins it; again, if the connection was lost before it did anything.
        is_atomic: its statements are one transaction; otherwise each is committed by itself.
    """

    start: Callable[[], Steps[Result]]
    is_atomic: bool = False


class Operations:
    """The verbs of a store, for one dialect and one table name.

    Args:
        statements: what they are written with.
        name: what errors call the store.
        may_create: whether `open` makes tables that are missing.
    """

    def __init__(self, statements: Statements, *, name: str, may_create: bool = True) -> None:
        self.statements = statements
        self.name = name
        self._may_create = may_create

    def open(self) -> Operation[Opening]:
        """See `Storage.open`."""
        return Operation(self._open)

    def append(self, batches: Sequence[Batch]) -> Operation[Appended]:
        """See `Storage.append`."""
        return Operation(lambda: self._append(batches), is_atomic=True)

    def changes(self, after: int, *, limit: int) -> Operation[Changes]:
        """See `Storage.changes`."""
        return Operation(lambda: self._changes(after, limit))

    def read(self, names: Collection[str]) -> Operation[dict[str, Touched]]:
        """See `Storage.read`."""
        return Operation(lambda: self._read(names))

    def scan(self, after: int, *, limit: int) -> Operation[Listing]:
        """See `Storage.scan`."""
        return Operation(lambda: self._scan(after, limit))

    def rotate(self, expected: str, *, register: int) -> Operation[Head]:
        """See `Storage.rotate`."""
        return Operation(lambda: self._rotate(expected, register), is_atomic=True)

    def _missing(self, reason: str) -> StorageSchemaMissing:
        """The error for tables that are not there, with the command that prints them."""
        return StorageSchemaMissing(schema_missing_text(self.name, reason, self.statements))

    def _open(self) -> Steps[Opening]:
        for attempt in range(1, _OPENINGS_MAX + 1):
            is_last = attempt == _OPENINGS_MAX
            try:
                rows = yield from self._with_store(self.statements.opening)
                break
            except StorageSchemaMissing:
                if is_last or not self._may_create:
                    raise
            yield from self._create(is_last=attempt == _OPENINGS_MAX - 1)
        head = self._head(rows)
        recent = (Position(*row[_HEAD_COLUMNS:]) for row in rows)
        return Opening(head, tuple(each for each in recent if each.sequence is not None))

    def _create(self, *, is_last: bool) -> Steps[None]:
        try:
            for statement in self.statements.schema():
                yield statement, ()
        except StorageDenied as error:
            raise self._missing(f"and may not make them: {driver_words(error)}") from error
        except StorageUnavailable:
            # Another process may be making them at this moment: the next look tells.
            if is_last:
                raise

    def _append(self, batches: Sequence[Batch]) -> Steps[Appended]:
        before = yield from self._locked()
        held = yield from self._touches(chain.from_iterable(batch.names for batch in batches))
        head, logged = _recorded(batches, before, held)
        last = {node.name: node.sequence for each in logged for node in each.touched}
        for batch, each in zip(batches, logged, strict=True):
            # A name that a later one of these batches touches again is written with that.
            final = ((t.name, t.touches) for t in each.touched if last[t.name] == t.sequence)
            for chunk in _chunks(final, CHUNK_NAMES_MAX):
                yield self.statements.upsert(dict(chunk), each.position.sequence, batch)
        for rows in _chunks(map(_log_row, batches, logged), _CHUNK_BATCHES_MAX):
            yield self.statements.log(rows)
        if head.position.sequence // _TRIM_EVERY > before.position.sequence // _TRIM_EVERY:
            yield self.statements.trim, (head.position.sequence - LOG_SEQUENCES_KEPT,)
        if batches:
            yield self.statements.advance, (*head.position, head.touches)
        return Appended(head, before.position, logged)

    def _changes(self, after: int, limit: int) -> Steps[Changes]:
        first = max(after, 1)
        params = (after, first, after + max(limit, 1))
        rows = yield from self._with_store(self.statements.changes, params)
        head = self._head(rows)
        if rows[0][_HEAD_COLUMNS] != first:
            return Changes(head, ())
        return Changes(head, tuple(_logged(*row[_HEAD_COLUMNS:]) for row in rows))

    def _read(self, names: Collection[str]) -> Steps[dict[str, Touched]]:
        found: dict[str, Touched] = {}
        for chunk in _chunks(names, CHUNK_NAMES_MAX):
            for row in (yield self.statements.read(chunk)):
                touched = _touched(*row)
                found[touched.name] = touched
        return found

    def _scan(self, after: int, limit: int) -> Steps[Listing]:
        rows = yield self.statements.scan, (after, after, max(limit, 1) - 1)
        if not rows:
            return Listing((), more=False)
        touched = tuple(_touched(*row[:-1]) for row in rows)
        return Listing(touched, more=touched[-1].sequence < rows[-1][-1])

    def _rotate(self, expected: str, register: int) -> Steps[Head]:
        head = yield from self._locked()
        if head.origin == expected:
            register = max(register, head.register)
            head = head._replace(lineage=draw_lineage(), register=register)
            yield self.statements.rotate, (head.lineage, head.register)
        return head

    def _locked(self) -> Steps[Head]:
        """Lock the store's row until the transaction ends, and tell where it stands."""
        if self.statements.dialect.locks_by_update:
            yield self.statements.lock, ()
        rows = yield from self._with_store(self.statements.locked)
        return self._head(rows)

    def _with_store(self, sql: str, params: Sequence[Any] = ()) -> Steps[Rows]:
        """Rows that begin with the store's; it is made where the tables are empty."""
        rows = yield sql, params
        if not rows:
            yield self.statements.make_store, (draw_store_id(), draw_lineage())
            rows = yield sql, params
        if not rows:
            raise self._missing("they do not keep what is written")
        return rows

    def _touches(self, names: Iterable[str]) -> Steps[dict[str, int]]:
        found: dict[str, int] = {}
        for chunk in _chunks(dict.fromkeys(names), CHUNK_NAMES_MAX):
            rows = yield self.statements.touches(chunk)
            found.update((_loaded(name), touches) for name, touches in rows)
        return found

    def _head(self, rows: Rows) -> Head:
        version, store_id, lineage, sequence, tag, register, touches = rows[0][:_HEAD_COLUMNS]
        if version != SCHEMA_VERSION:
            raise StorageSchemaMismatch(
                f"{self.name} has tables of schema version {version}, and this release knows "
                f"version {SCHEMA_VERSION}: upgrade reality-sync here, as was done where the "
                "tables were changed"
            )
        return Head(store_id, lineage, Position(sequence, tag), register, touches)


def _recorded(
    batches: Sequence[Batch], head: Head, held: dict[str, int]
) -> tuple[Head, tuple[Logged, ...]]:
    """Where the store will stand, and what each batch makes of its names."""
    logged: list[Logged] = []
    sequence, touches_all = head.position.sequence, head.touches
    for batch in batches:
        sequence += 1
        touched: list[Touched] = []
        for name in batch.names:
            before = held.get(name, 0)
            held[name] = touches = max(before + 1, batch.touches_min)
            touches_all += touches - before
            touched.append(
                Touched(name, sequence, touches, batch.hash, batch.updated_at, batch.deleted)
            )
        logged.append(Logged(Position(sequence, draw_tag()), tuple(touched)))
    position = logged[-1].position if logged else head.position
    return head._replace(position=position, touches=touches_all), tuple(logged)


def _touched(
    name: str | bytes, sequence: int, touches: int, hash: str, updated_at: int, deleted: int
) -> Touched:
    return Touched(_loaded(name), sequence, touches, hash, updated_at, bool(deleted))


def _loaded(name: str | bytes) -> str:
    return name if isinstance(name, str) else bytes(name).decode()


def _log_row(batch: Batch, logged: Logged) -> tuple[Any, ...]:
    # ASCII, whatever character set a connection or a database has.
    touched = json.dumps({each.name: each.touches for each in logged.touched})
    return (*logged.position, touched, batch.hash, batch.updated_at, int(batch.deleted))


def _logged(
    sequence: int, tag: int, touched: str, hash: str, updated_at: int, deleted: int
) -> Logged:
    touches: dict[str, int] = json.loads(touched) if touched else {}
    nodes = (
        Touched(name, sequence, times, hash, updated_at, bool(deleted))
        for name, times in touches.items()
    )
    return Logged(Position(sequence, tag), tuple(nodes))


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
