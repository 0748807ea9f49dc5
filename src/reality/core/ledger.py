"""Who touched what: per name and origin the last batch, and names in the order they were touched.

The data structure under `graph`; it knows nothing of versions, digests or clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

import msgspec

from reality.core.delta import Touched
from reality.core.keys import is_pattern
from reality.core.recency import RecencyLog


class Entry(msgspec.Struct, gc=False):
    """One name in one origin; fields as in `Touched`, and the local position it was applied at.

    The same name's entries of other origins hang on `sibling`, the one applied last first, so that
    the usual case, a single origin, costs no container (and the garbage collector nothing: the
    chain has no cycles). The name is kept so that all logs share one string, however often it is
    touched.
    """

    name: str
    origin: str
    sequence: int
    touches: int
    hash: str
    updated_at: int
    deleted: bool
    applied: int
    sibling: Entry | None = None


class Ledger:
    """All entries of one graph."""

    def __init__(self, *, first_position: int, unordered: str | None = None) -> None:
        """A ledger without entries.

        Args:
            first_position: the local position of the last application before this ledger.
            unordered: an origin whose entries are put in any order, and may be dropped.
        """
        self._unordered = unordered
        self.position = first_position  # of the last application; grows by one a name
        self.touches = 0  # of all names and origins
        self.foreign_touches = 0  # of the origins but the unordered one
        self.has_patterns = False  # whether any pattern was ever touched
        self.first_entries: dict[str, Entry] = {}  # by name; the siblings hang on them
        self._by_origin: dict[str, RecencyLog] = {}
        self._by_application = RecencyLog(self._is_last_application)

    def __len__(self) -> int:
        return len(self.first_entries)

    def put(self, origin: str, touched: Touched) -> None:
        """Keep what is newer; two entries of one origin with the same sequence are the same."""
        name = touched.name
        entry = first = self.first_entries.get(name)
        before = None
        while entry is not None and entry.origin != origin:
            entry, before = entry.sibling, entry
        if entry is None:
            entry = self.first_entries[name] = Entry(name, origin, 0, 0, "", 0, False, 0, first)
        elif entry.sequence >= touched.sequence:
            return
        elif before is not None:  # who was applied last comes first
            before.sibling, entry.sibling = entry.sibling, first
            self.first_entries[name] = entry
        is_new = entry.sequence == 0
        if is_new and is_pattern(name):
            self.has_patterns = True
        self.position += 1
        # More, or of another history of the origin: then the greater number, so no version falls.
        grown = touched.touches - entry.touches if touched.touches > entry.touches else 0
        self.touches += grown
        entry.sequence = touched.sequence
        entry.touches += grown
        entry.hash = touched.hash
        entry.updated_at = touched.updated_at
        entry.deleted = touched.deleted
        entry.applied = self.position
        if origin != self._unordered:
            self.foreign_touches += grown
            log = self._by_origin.get(origin)
            if log is None:
                log = self._by_origin[origin] = RecencyLog(partial(self._is_last_touch, origin))
            log.append(entry.name, touched.sequence, is_new=is_new)
        self._by_application.append(entry.name, self.position, is_new=first is None)

    def put_untouched(self, origin: str, name: str) -> None:
        """Keep that an origin has never touched a name, unless something is kept of it already."""
        if self.entry(name, origin) is None:
            first = self.first_entries.get(name)
            self.position += 1
            self.first_entries[name] = Entry(name, origin, 0, 0, "", 0, False, self.position, first)
            self._by_application.append(name, self.position, is_new=first is None)

    def drop_oldest(self, count: int) -> int:
        """Forget so many names, the longest ago applied first; the greatest sequence among them.

        Only names that nobody but the unordered origin has touched: of others this is all there is.
        """
        oldest = (name for _, name in self._by_application.after(-1) if self._may_drop(name))
        greatest = 0
        for name in list(islice(oldest, count)):
            entry = self.first_entries.pop(name)
            self._by_application.discard()
            self.touches -= entry.touches
            greatest = max(greatest, entry.sequence)
        return greatest

    def forget(self, origin: str) -> None:
        """Drop all that an origin did; not the unordered one."""
        for touched in list(self.touched_after(origin, -1)):
            self._unlink(touched.name, origin)
            self.touches -= touched.touches
            self.foreign_touches -= touched.touches
        self._by_origin.pop(origin, None)

    def entry(self, name: str, origin: str) -> Entry | None:
        """What one origin did to a name."""
        entry = self.first_entries.get(name)
        while entry is not None and entry.origin != origin:
            entry = entry.sibling
        return entry

    def entries(self, names: Iterable[str]) -> list[Entry]:
        """What all origins did to these names; nothing, where nobody has touched one."""
        found = []
        for name in names:
            entry = self.first_entries.get(name)
            while entry is not None:
                if entry.touches:
                    found.append(entry)
                entry = entry.sibling
        return found

    def touched_after(self, origin: str, sequence: int) -> Iterator[Touched]:
        """What an origin touched last after this sequence, in sequence order."""
        assert origin != self._unordered, "its store has them in order, the ledger has not"
        if (log := self._by_origin.get(origin)) is None:
            return
        for found, name in log.all_after(sequence):
            entry = self.entry(name, origin)
            if entry is not None and entry.sequence == found:
                yield Touched(
                    name, found, entry.touches, entry.hash, entry.updated_at, entry.deleted
                )

    def names_of(self, origin: str) -> int:
        """How many names an origin has touched; 0 of the unordered one."""
        log = self._by_origin.get(origin)
        return 0 if log is None else len(log)

    def applied_after(self, position: int) -> Iterator[tuple[int, str]]:
        """Positions and names last applied after this local position, oldest first."""
        return self._by_application.after(position)

    def _unlink(self, name: str, origin: str) -> None:
        """Take an origin's entry out of a name's chain, and the name out if that was all."""
        chain: list[Entry] = []
        entry = self.first_entries.pop(name, None)
        while entry is not None:
            if entry.origin != origin:
                chain.append(entry)
            entry = entry.sibling
        following = None
        for entry in reversed(chain):
            entry.sibling = following
            following = entry
        if following is None:
            self._by_application.discard()
        else:
            self.first_entries[name] = following

    def _may_drop(self, name: str) -> bool:
        entry = self.first_entries[name]
        return entry.sibling is None and entry.origin == self._unordered

    def _is_last_touch(self, origin: str, name: str, sequence: int) -> bool:
        entry = self.entry(name, origin)
        return entry is not None and entry.sequence == sequence

    def _is_last_application(self, name: str, position: int) -> bool:
        entry = self.first_entries.get(name)
        # The entry applied last comes first in its chain. What was applied last before it was
        # forgotten is nobody's any more.
        return entry is not None and entry.applied == position
