"""A small world to prove the core in: the truth, servers that fail, and what travels between them.

The servers' state is real (`Graph`, `Delta`); everything around it is as simple as can be. Nothing
here draws a random number: whoever drives the world (a Hypothesis machine, a written script)
decides what happens next, so that every run can be repeated. Clients are in `model_client`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reality.core.cursor import Position
from reality.core.delta import Delta
from reality.core.graph import Graph
from reality.core.keys import ancestors, is_pattern

KEYS = ("a", "a:b", "a:b:c", "a:d", "e")
PATTERNS = ("*", "a:*", "a:b:*", "e:*")
ORIGINS_MAX = 64

_MAIL_MAX = 30


def hash_of(value: str) -> str:
    """The hash of a value of the application's data, as `create_hash` would give."""
    return f"#{value}"


def is_covered(key: str, name: str) -> bool:
    """Whether a touch of `name` is a touch of `key`."""
    return name == key or (is_pattern(name) and name in ancestors(key))


@dataclass
class Server:
    """One server: its id, what it knows, and whether it is up."""

    id: str
    graph: Graph
    skew_ms: int = 0
    alive: bool = True
    # Of the current run; versions may never fall within it (I4).
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def is_durable(self) -> bool:
        """Whether a crash spares its state."""
        return "@" in self.graph.own_origin


@dataclass
class Stream:
    """Pages on their way to being read: each is made when it is asked for."""

    sender: Server
    receiver: Server
    pages: Iterator[Delta]


@dataclass
class Batch:
    """What really happened: the names of one batch of one origin."""

    origin: str
    sequence: int
    names: tuple[str, ...]


class World:
    """All servers, what the application's data is in truth, and the logical time.

    Args:
        volatile: how many memory-only servers there are at first.
        durable: how many servers keep their state over a crash.
        boot_ms: how far the clock goes on while a server boots. If it is more than touches were
            made, versions of a later run are greater than those of an earlier one.
    """

    graph_class: type[Graph] = Graph

    def __init__(self, *, volatile: int = 2, durable: int = 0, boot_ms: int = 10_000) -> None:
        self._boot_ms = boot_ms
        self.time = 0
        self.origins_drawn = 0
        self.clock_ms = 1_000_000
        self.servers: list[Server] = []
        self.cut: set[frozenset[str]] = set()
        self.streams: list[Stream] = []
        self.mail: list[tuple[Server, Delta]] = []
        self.batches: list[Batch] = []
        # The truth: each key's data, and when it was last touched.
        self.data = dict.fromkeys(KEYS, "v0")
        self.touched_at = dict.fromkeys(KEYS, 0)
        for number in range(volatile):
            self.add_server(f"s{number}")
        for number in range(durable):
            self.origins_drawn += 1
            graph = self.graph_class(f"d{number}@1", register=0, origins_max=ORIGINS_MAX)
            self.servers.append(Server(f"d{number}", graph))

    # ---- time and origins ----------------------------------------------------------------------

    def tick(self) -> int:
        """The next moment; the clock goes on by a millisecond."""
        self.time += 1
        self.clock_ms += 1
        return self.time

    def draw_origin(self, server_id: str) -> str:
        """A volatile origin that nobody has had before."""
        self.origins_drawn += 1
        self.clock_ms += self._boot_ms
        return f"{server_id}~n{self.origins_drawn}"

    def now_ms(self, server: Server) -> int:
        """What a server's own clock shows."""
        return self.clock_ms + server.skew_ms

    # ---- servers -------------------------------------------------------------------------------

    def add_server(self, server_id: str, *, skew_ms: int = 0) -> Server:
        """A memory-only server that starts for the first time."""
        graph = self._empty_graph(server_id, skew_ms)
        server = Server(server_id, graph, skew_ms)
        self.servers.append(server)
        return server

    def crash(self, server: Server) -> None:
        """A server dies; a memory-only one with all that it knew."""
        server.alive = False
        self.streams = [each for each in self.streams if each.sender is not server]

    def restart(self, server: Server, *, skew_ms: int = 0) -> None:
        """A dead server comes back, and pulls a snapshot from its reachable peers first."""
        server.alive = True
        if not server.is_durable:
            server.skew_ms = skew_ms
            server.graph = self._empty_graph(server.id, skew_ms)
            server.versions = {}
        for peer in self.servers:
            if self.are_connected(peer, server):
                self.pull(server, peer)

    def renew(self, server: Server) -> None:
        """A memory-only server that is full drops everything and becomes a new origin."""
        origin = self.draw_origin(server.id)
        server.graph = server.graph.renewed(origin, now_ms=self.now_ms(server))

    def fork(self, server: Server) -> Server:
        """A memory-only server's process forks; both processes go on serving."""
        child = Server(f"{server.id}f{self.origins_drawn}", server.graph, server.skew_ms)
        child.graph = server.graph.forked(self.draw_origin(server.id), now_ms=self.now_ms(server))
        child.versions = dict(server.versions)
        self.servers.append(child)
        return child

    def remove(self, server: Server) -> None:
        """A server that is gone for good is removed from the membership, at every other one."""
        self.crash(server)
        self.servers.remove(server)
        gone = Delta(
            origin=f"{server.id}!gone",
            sender="the~operator",
            position=0,
            register=0,
            since=0,
            after=0,
            upto=Position(0),
            last=True,
            touched=(),
        )
        for other in self.servers:
            other.graph.merge(gone)

    # ---- touches -------------------------------------------------------------------------------

    def touch(
        self, server: Server, *names: str, value: str | None = None, deleted: bool = False
    ) -> None:
        """The application changes the data below these names and tells one server.

        Without `value` the data becomes something new of which no hash is recorded.
        """
        time = self.tick()
        hash = "" if value is None or deleted else hash_of(value)
        now_ms = self.now_ms(server)
        sequence = server.graph.touch(names, now_ms=now_ms, hash=hash, deleted=deleted)
        self.batches.append(Batch(server.graph.own_origin, sequence, names))
        for key in KEYS:
            if any(is_covered(key, name) for name in names):
                self.data[key] = value or f"v{time}"
                self.touched_at[key] = time

    # ---- what travels --------------------------------------------------------------------------

    def are_connected(self, one: Server, other: Server) -> bool:
        """Whether two servers are up and can reach each other."""
        is_cut = frozenset((one.id, other.id)) in self.cut
        return one is not other and one.alive and other.alive and not is_cut

    def pull(self, receiver: Server, sender: Server, *, page_max: int = 1000) -> None:
        """One server takes in all that another knows and it does not."""
        for page in pages(sender.graph, receiver.graph.digest, page_max):
            receiver.graph.merge(page)

    def ask(self, receiver: Server, sender: Server, *, page_max: int = 1) -> None:
        """One server asks another for what it does not know; the pages are still to be made."""
        asked = pages(sender.graph, receiver.graph.digest, page_max)
        self.streams = [*self.streams[-_MAIL_MAX:], Stream(sender, receiver, asked)]

    def send(self, stream: Stream) -> None:
        """The next page of a stream goes into the mail, or is lost at a cut."""
        page = next(stream.pages, None)
        if page is None:
            self.streams.remove(stream)
        elif self.are_connected(stream.sender, stream.receiver):
            self.mail = [*self.mail[-_MAIL_MAX:], (stream.receiver, page)]

    def deliver(self, number: int, *, keep: bool = False) -> None:
        """A page arrives, in any order; with `keep` it will arrive once more."""
        receiver, page = self.mail[number] if keep else self.mail.pop(number)
        if receiver.alive:
            receiver.graph.merge(page)

    def settle(self) -> None:
        """Faults end: everybody is alive and reachable, and exchanges until nothing is new."""
        self.cut.clear()
        for server in self.servers:
            if not server.alive:
                self.restart(server)
        for _ in range(2):
            for receiver in self.servers:
                for sender in self.servers:
                    if receiver is not sender:
                        self.pull(receiver, sender)

    # ---- inside --------------------------------------------------------------------------------

    def _empty_graph(self, server_id: str, skew_ms: int) -> Graph:
        origin = self.draw_origin(server_id)
        register = self.clock_ms + skew_ms
        return self.graph_class(origin, register=register, origins_max=ORIGINS_MAX)


def pages(sender: Graph, held: Mapping[str, Position], page_max: int) -> Iterator[Delta]:
    """What one server sends to another that holds this digest, page by page.

    It sends of every origin, even with nothing new in it: the register travels with it. Where it is
    behind, the receiver has to see to that.
    """
    for origin in sender.digest:
        since = held.get(origin, Position(0)).sequence
        yield from sender.delta(origin, since=since, page_max=page_max)
