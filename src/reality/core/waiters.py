"""Which held syncs a touch concerns.

A waiter is filed under each key it asked for and under each pattern above those keys, so finding
the waiters of a touched name is one look-up, and an invalidation costs what it concerns.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, KeysView
from typing import Generic, TypeVar

from reality.core.keys import ancestors

Waiter = TypeVar("Waiter", bound=Hashable)


def concerns(keys: Iterable[str], *, hidden: Collection[str] = ()) -> frozenset[str]:
    """The names whose touch concerns an asker of these keys.

    A hidden key is one the asker may not see: only the patterns above it concern him, as they would
    if the key had never been touched.
    """
    names = {key for key in keys if key not in hidden}
    for key in keys:
        names.update(ancestors(key))
    return frozenset(names)


class WaiterIndex(Generic[Waiter]):
    """Waiters by the names that concern them.

    Kept in dictionaries, not sets: waiters are woken in the order in which they came.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        """How many names at least one waiter is filed under."""
        return len(self._by_name)

    def add(self, waiter: Waiter, names: Iterable[str]) -> None:
        """File a waiter under names."""
        for name in names:
            self._by_name.setdefault(name, {})[waiter] = None

    def discard(self, waiter: Waiter, names: Iterable[str]) -> None:
        """Forget a waiter; `names` are those it was filed under."""
        for name in names:
            waiters = self._by_name.get(name)
            if waiters is not None:
                waiters.pop(waiter, None)
                if not waiters:
                    del self._by_name[name]

    def concerned(self, touched: Iterable[str]) -> KeysView[Waiter]:
        """The waiters that a touch of these names concerns, each once."""
        found: dict[Waiter, None] = {}
        for name in touched:
            waiters = self._by_name.get(name)
            if waiters is not None:
                found |= waiters
        return found.keys()
