"""No lost change, no busy loop, no falling version, through everything that can happen to a server.

Askers of all kinds sync while keys are touched in every way, the store fills up, and the server is
restarted under its id. What an asker must be told is kept beside it, key by key.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import UNSET

from reality import Limits, MemoryStorage, RealityServer
from reality.core.keys import ancestors
from tests.server.asking import Asker, at_once

KEYS = ("a", "a:1", "a:2", "a:1:x", "b:1", "b:2", "c")
NAMES = (*KEYS, "*", "a:*", "a:1:*", "b:*", "a:3", "d", "d:*", "e", "f")


def concerned(names: Iterable[str]) -> set[str]:
    """The keys that a batch of names touches."""
    touched = set(names)
    return {key for key in KEYS if touched & {key, *ancestors(key)}}


class NoLostChange(RuleBasedStateMachine):
    """One server id through many runs, and askers with and without cursors."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = itertools.count(1_700_000_000_000)
        self.server = self.run_anew()
        self.askers = [
            Asker(self.server, *KEYS, client_id="cursor"),
            Asker(self.server, *KEYS, client_id="no cursor", has_cursor=False),
            Asker(self.server, *KEYS, client_id="seldom"),
        ]
        # What each asker has not been told since it was touched; at first it knows of nothing.
        self.unheard = {asker.client_id: set(KEYS) for asker in self.askers}
        self.versions: dict[str, int] = {}

    def run_anew(self) -> RealityServer:
        """A run of the server, with a small memory."""
        # Ten touches a millisecond at most, as the seconds between two runs allow for.
        storage = MemoryStorage(clock_ms=lambda: next(self.clock) * 10)
        return RealityServer("alpha", storage=storage, limits=Limits(nodes_max=9, keys_max=50))

    @initialize()
    def meet(self) -> None:
        """Everybody syncs once."""
        for asker in self.askers:
            self.ask(asker)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    def invalidate(self, names: list[str]) -> None:
        """A batch of keys and patterns."""
        versions = at_once(self.server.invalidate(names))
        assert {name for name in names if not name.endswith("*")} == versions.keys()
        self.touched(concerned(names))

    @rule(key=st.sampled_from(KEYS), hash=st.sampled_from(["h1", "h2"]))
    def update(self, key: str, hash: str) -> None:
        """A hash, perhaps an equal one."""
        at_once(self.server.update_node(key, hash))
        self.touched({key})

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        """A deletion."""
        at_once(self.server.delete_node(key))
        self.touched({key})

    @rule()
    def restart(self) -> None:
        """The server dies with its memory, and starts again under its id."""
        self.server = self.run_anew()
        self.versions = {}
        for asker in self.askers:
            asker.server = self.server

    @rule(number=st.integers(0, 1))
    def sync(self, number: int) -> None:
        """An asker asks for all its keys; asked again it is told nothing."""
        asker = self.askers[number]
        self.ask(asker)
        again = at_once(asker.ask())
        assert {} == again.changed, "I2: told again"
        assert not again.reset, "I2: reset again"

    @rule(number=st.integers(0, 2), keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def sync_in_part(self, number: int, keys: set[str]) -> None:
        """An asker asks for some of its keys; its cursor stays."""
        self.ask(self.askers[number], keys)

    @rule(cursor=st.sampled_from([UNSET, "", "garbage", "1;0;beta~00=5"]))
    def lose_the_cursor(self, cursor: str) -> None:
        """An asker's cursor is lost or spoilt."""
        self.askers[0].cursor = cursor

    @rule(key=st.sampled_from(KEYS))
    def forget(self, key: str) -> None:
        """An asker drops a key's version, as one that subscribes again does."""
        self.askers[0].known[key] = 0

    @invariant()
    def versions_do_not_fall(self) -> None:
        """I4, within a run."""
        graph = self.server._state.graph
        assert graph is not None
        now = {key: graph.version(key) for key in KEYS}
        assert all(now[key] >= version for key, version in self.versions.items())
        self.versions = now

    def teardown(self) -> None:
        """In the end everybody is told all that they have missed."""
        for asker in self.askers:
            self.ask(asker)

    def touched(self, keys: set[str]) -> None:
        """Everybody is to be told of these."""
        for unheard in self.unheard.values():
            unheard.update(keys)

    def ask(self, asker: Asker, keys: set[str] | None = None) -> None:
        """Sync, and check that nothing is missing."""
        unheard = self.unheard[asker.client_id]
        due = unheard & (set(KEYS) if keys is None else keys)
        told = set(at_once(asker.ask(keys=keys)).changed)
        assert due <= told, f"I1: {asker.client_id} was not told of {due - told}"
        unheard.difference_update(told)


TestNoLostChange = NoLostChange.TestCase
TestNoLostChange.settings = settings(stateful_step_count=30)
