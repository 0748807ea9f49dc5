"""A Hypothesis machine that drives servers and clients through every fault at random.

Three things are demanded at every step: versions never fall within a run (I4), a digest means all
of an origin up to there, and no rule raises. Whenever faults end, in the middle of a run as at its
end, all servers must be alike (I8), one full sync of each client must leave it with no key that it
wrongly believes to be fresh (I1), and further syncs must be told nothing (I2).

Left out on purpose: a dead server that neither comes back nor is removed, which is the documented
limit of I1; so whenever faults end, the dead have restarted under their ids.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.core.demands import (
    check_alike,
    check_digest,
    check_nothing_lost,
    check_quiet,
    check_versions,
)
from tests.core.model_client import Client
from tests.core.world import KEYS, ORIGINS_MAX, PATTERNS, Server, World

_SERVERS_MAX = 5
# New origins are drawn only while there is room for those that restarts at a settling need.
_ORIGINS_DRAWN_MAX = ORIGINS_MAX - _SERVERS_MAX

_which = st.integers(min_value=0, max_value=11)
_some = st.lists(_which, min_size=1, max_size=3)
# Few values, so that data goes from one to another and back again with the same hash.
_values = st.sampled_from(["x", "y"])
_maybe_values = st.sampled_from(["x", "y", None])
# What a client does about the keys that need a fetch once it has heard an answer.
_thens = st.sampled_from(["nothing", "begin", "end", "whole"])
_skews_ms = st.integers(-20, 20)


class Machine(RuleBasedStateMachine):
    """Servers and clients of the cursor protocol and of the older one, on a common clock."""

    world_class: type[World] = World
    client_class: type[Client] = Client
    # Older clients compare versions only, which takes clocks that do not go back.
    has_older_clients = True
    boot_ms = 10_000

    @initialize(
        volatile=st.integers(1, 3),
        durable=st.integers(0, 1),
        keys=st.integers(1, 5),
        clients=st.lists(st.integers(0, 2), min_size=1, max_size=3),
    )
    def start(self, volatile: int, durable: int, keys: int, clients: list[int]) -> None:
        self.world = self.world_class(volatile=volatile, durable=durable, boot_ms=self.boot_ms)
        # A run with few keys and clients in play has more happen to each.
        self.keys = KEYS[:keys]
        self.clients = [self.new_client(kind) for kind in clients]

    # ---- the application -----------------------------------------------------------------------

    @rule(which=_which, some=_some)
    def touch(self, which: int, some: list[int]) -> None:
        if server := self.live(which):
            names = self.keys * 3 + PATTERNS
            self.world.touch(server, *dict.fromkeys(names[each % len(names)] for each in some))

    @rule(which=_which, key=_which, value=_values)
    def update(self, which: int, key: int, value: str) -> None:
        if server := self.live(which):
            self.world.touch(server, self.key(key), value=value)

    @rule(which=_which, key=_which)
    def delete(self, which: int, key: int) -> None:
        if server := self.live(which):
            self.world.touch(server, self.key(key), deleted=True)

    # ---- servers -------------------------------------------------------------------------------

    @rule(which=_which)
    def crash(self, which: int) -> None:
        if server := self.live(which):
            self.world.crash(server)

    @precondition(lambda self: self.has_room)
    @rule(which=_which, skew_ms=_skews_ms)
    def restart(self, which: int, skew_ms: int) -> None:
        server = self.server(which)
        if not server.alive:
            self.world.restart(server, skew_ms=0 if self.has_older_clients else skew_ms)

    @precondition(lambda self: self.has_room)
    @rule(which=_which)
    def fill(self, which: int) -> None:
        server = self.live(which)
        if server and not server.is_durable:
            self.world.renew(server)

    @precondition(lambda self: self.has_room and len(self.world.servers) < _SERVERS_MAX)
    @rule(which=_which)
    def fork(self, which: int) -> None:
        server = self.live(which)
        if server and not server.is_durable:
            self.world.fork(server)

    @rule(one=_which, other=_which)
    def cut(self, one: int, other: int) -> None:
        self.world.cut.add(frozenset((self.server(one).id, self.server(other).id)))

    @rule()
    def heal(self) -> None:
        self.world.cut.clear()

    # ---- what travels --------------------------------------------------------------------------

    @rule(one=_which, other=_which, page_max=st.integers(1, 3))
    def pull(self, one: int, other: int, page_max: int) -> None:
        receiver, sender = self.server(one), self.server(other)
        if self.world.are_connected(receiver, sender):
            self.world.pull(receiver, sender, page_max=page_max)
            check_digest(self.world, receiver)

    @rule(one=_which, other=_which, page_max=st.integers(1, 3))
    def ask(self, one: int, other: int, page_max: int) -> None:
        receiver, sender = self.server(one), self.server(other)
        if self.world.are_connected(receiver, sender):
            self.world.ask(receiver, sender, page_max=page_max)

    @precondition(lambda self: self.world.streams)
    @rule(which=_which, times=st.integers(1, 4))
    def send(self, which: int, times: int) -> None:
        stream = self.world.streams[which % len(self.world.streams)]
        for _ in range(times):
            if stream in self.world.streams:
                self.world.send(stream)

    @precondition(lambda self: self.world.mail)
    @rule(which=_which, keep=st.booleans())
    def deliver(self, which: int, keep: bool) -> None:
        number = which % len(self.world.mail)
        receiver, _ = self.world.mail[number]
        self.world.deliver(number, keep=keep)
        check_digest(self.world, receiver)

    @precondition(lambda self: self.world.mail)
    @rule()
    def deliver_all(self) -> None:
        while self.world.mail:
            self.world.deliver(0)

    @precondition(lambda self: self.world.mail)
    @rule(which=_which)
    def lose(self, which: int) -> None:
        self.world.mail.pop(which % len(self.world.mail))

    # ---- clients -------------------------------------------------------------------------------

    @rule(who=_which, which=_which, then=_thens)
    def sync(self, who: int, which: int, then: str) -> None:
        if server := self.live(which):
            self.client(who).sync(server)
            self.fetch(who=who, then=then)

    @rule(who=_which, which=_which, some=_some, then=_thens)
    def sync_some(self, who: int, which: int, some: list[int], then: str) -> None:
        client = self.client(who)
        if server := self.live(which):
            client.sync(server, client.some_keys(some))
            self.fetch(who=who, then=then)

    @rule(who=_which, which=_which, some=_some, asks_all=st.booleans())
    def ask_server(self, who: int, which: int, some: list[int], asks_all: bool) -> None:
        client = self.client(who)
        if server := self.live(which):
            keys = None if asks_all else client.some_keys(some)
            client.coming.append(client.ask(server, keys))

    @rule(who=_which, which=_which, arrives=st.booleans(), then=_thens)
    def take_in(self, who: int, which: int, arrives: bool, then: str) -> None:
        """One of the answers under way arrives, not always the oldest, or is lost."""
        client = self.client(who)
        if client.coming:
            asked = client.coming.pop(which % len(client.coming))
            if arrives:
                client.take_in(asked)
                self.fetch(who=who, then=then)

    @rule(who=_which, which=_which, at=_which, key=_which, value=_maybe_values, then=_thens)
    def change_and_sync(
        self, who: int, which: int, at: int, key: int, value: str | None, then: str
    ) -> None:
        """The most common sequence, as one step, so that a run has many of it."""
        if server := self.live(at):
            self.world.touch(server, self.key(key), value=value)
            self.sync(who=who, which=which, then=then)

    @rule(who=_which, then=_thens)
    def fetch(self, who: int, then: str) -> None:
        client = self.client(who)
        if then == "end":
            client.end_fetches(arrive=True)
        elif then != "nothing":
            for key in client.held.dirty:
                if key not in client.fetching:
                    client.begin_fetch(key)
        if then == "whole":
            client.end_fetches(arrive=True)

    @rule(who=_which)
    def fail_fetches(self, who: int) -> None:
        self.client(who).end_fetches(arrive=False)

    @rule(who=_which)
    def persist(self, who: int) -> None:
        self.client(who).persist()

    @rule(who=_which)
    def restart_client(self, who: int) -> None:
        self.client(who).restart()

    # ---- what must hold ------------------------------------------------------------------------

    @invariant()
    def versions_never_fall(self) -> None:
        """I4: within a run, renewal, merging and forking included."""
        for server in self.world.servers:
            check_versions(server)

    @precondition(lambda self: self.has_room)
    @rule(which=_which, fetches=st.booleans())
    def settle(self, which: int, fetches: bool) -> None:
        """Faults end: I8, I1 and I2 must hold."""
        self.world.settle()
        check_alike(self.world)
        for client in self.clients:
            client.end_fetches(arrive=fetches)
            check_nothing_lost(client, self.server(which))
            check_quiet(client, [self.server(which), *self.world.servers])

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.settle(which=0, fetches=False)

    def new_client(self, kind: int) -> Client:
        if kind == 2 and self.has_older_clients:
            return self.client_class(self.world, uses_cursor=False)
        return self.client_class(self.world, KEYS if kind else KEYS[:2])

    # ---- who -----------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        return self.world.origins_drawn < _ORIGINS_DRAWN_MAX - _SERVERS_MAX

    def server(self, which: int) -> Server:
        return self.world.servers[which % len(self.world.servers)]

    def live(self, which: int) -> Server | None:
        live = [server for server in self.world.servers if server.alive]
        return live[which % len(live)] if live else None

    def key(self, which: int) -> str:
        return self.keys[which % len(self.keys)]

    def client(self, who: int) -> Client:
        return self.clients[who % len(self.clients)]


class SkewedMachine(Machine):
    """Clocks that differ and go back at restarts, so that versions meet again by accident.

    Clients of the cursor protocol only: the older one has nothing but versions.
    """

    has_older_clients = False
    boot_ms = 1
