"""Servers, clients and worlds with one rule switched off each, to show that the rule is needed.

Each class says in its first line what it does wrong. Nothing but tests may use them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from reality.core.cursor import Cursor, Position, advance, decode_cursor, encode_cursor
from reality.core.delta import Delta
from reality.core.graph import Answer, Graph, Node
from reality.core.keys import is_pattern
from reality.core.limits import VERSION_MAX
from reality.core.replica import Generation, Merged
from tests.core.model_client import Client
from tests.core.world import Server, World, is_covered

# ---- graphs ------------------------------------------------------------------------------------


class VersionBlind(Graph):
    """Rule 2 off: with a cursor, `known[k] < version(k)` is no news."""

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        if cursor is not None:
            known = dict.fromkeys(known, VERSION_MAX)
        return super().answer(known, cursor, hidden=hidden)


class AbsentIsZero(Graph):
    """An origin that the cursor lacks counts as accounted for up to 0: no reset."""

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        seen = decode_cursor(cursor) if cursor is not None else None
        if seen is not None:
            absent = {each: Position(0) for each in self.digest if each not in seen.positions}
            cursor = encode_cursor(Cursor({**seen.positions, **absent}))
        return super().answer(known, cursor, hidden=hidden)


class ForeignForgotten(Graph):
    """The cursor of an answer is the digest alone, without the origins known elsewhere."""

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        return super().answer(known, cursor, hidden=hidden)._replace(cursor=self.cursor)


class RecordDeleted(Graph):
    """A deletion takes the record away instead of marking it."""

    def __init__(self, own_origin: str, *, register: int, origins_max: int = 64) -> None:
        super().__init__(own_origin, register=register, origins_max=origins_max)
        self.vanished: set[str] = set()

    def touch(
        self,
        names: Iterable[str],
        *,
        now_ms: int,
        hash: str = "",
        deleted: bool = False,
        touches_min: int = 1,
    ) -> int:
        names = tuple(names)
        self.vanished = self.vanished | set(names) if deleted else self.vanished - set(names)
        return super().touch(names, now_ms=now_ms, hash=hash, deleted=deleted)

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        return super().answer(known, cursor, hidden={*hidden, *self.vanished})


class Evicting(Graph):
    """A full server forgets its nodes and goes on under its old origin."""

    is_emptied = False

    def renewed(
        self, own_origin: str, *, now_ms: int, generation: Generation | None = None
    ) -> Graph:
        self.is_emptied = True
        return self

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        return super().answer(known, cursor, hidden=known if self.is_emptied else hidden)


class HashKept(Graph):
    """An invalidation leaves the hash as it was."""

    def touch(
        self,
        names: Iterable[str],
        *,
        now_ms: int,
        hash: str = "",
        deleted: bool = False,
        touches_min: int = 1,
    ) -> int:
        names = tuple(names)
        node = None if is_pattern(names[0]) else self.node(names[0])
        if node is not None and len(names) == 1 and not deleted:
            hash = hash or node.hash
        return super().touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


class EqualHashSuppressed(Graph):
    """A hash that the node already has is not recorded: the touch is suppressed."""

    def touch(
        self,
        names: Iterable[str],
        *,
        now_ms: int,
        hash: str = "",
        deleted: bool = False,
        touches_min: int = 1,
    ) -> int:
        names = tuple(names)
        node = self.node(names[0]) if hash else None
        if node is not None and node.hash == hash:
            return self.digest[self.own_origin].sequence
        return super().touch(names, now_ms=now_ms, hash=hash, deleted=deleted)


class NewestHash(Graph):
    """The newest entry's hash counts, whatever other origins say."""

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        answer = super().answer(known, cursor, hidden=hidden)
        changed = {
            key: msgspec.structs.replace(node, hash=self._newest_hash(key))
            for key, node in answer.changed.items()
        }
        return answer._replace(changed=changed)

    def _newest_hash(self, key: str) -> str:
        entries = [
            (touched.updated_at, origin, touched.hash)
            for origin in self.digest
            for page in self.delta(origin, since=0)
            for touched in page.touched
            if is_covered(key, touched.name)
        ]
        return max(entries)[2] if entries else ""


class HastyMerge(Graph):
    """Each page counts as soon as it comes, with or without those before it."""

    def merge(self, page: Delta) -> Merged:
        held = self.digest.get(page.origin, Position(0))
        whole = msgspec.structs.replace(
            page, since=held.sequence, after=held.sequence, upto=max(held, page.upto), last=True
        )
        return super().merge(whole)


class GapTolerated(Graph):
    """A whole delta is applied though it does not begin where this server's knowledge ends."""

    def merge(self, page: Delta) -> Merged:
        held = self.digest.get(page.origin, Position(0))
        if page.last and page.after == page.since and page.upto > held:
            page = msgspec.structs.replace(page, since=held.sequence, after=held.sequence)
        return super().merge(page)


class RegisterKeptHome(Graph):
    """The register does not travel with deltas."""

    def merge(self, page: Delta) -> Merged:
        return super().merge(msgspec.structs.replace(page, register=0))


class RenewedLow(Graph):
    """A renewal takes the clock for its register, however far the versions have come."""

    def renewed(
        self, own_origin: str, *, now_ms: int, generation: Generation | None = None
    ) -> Graph:
        return RenewedLow(own_origin, register=now_ms)


class Interrupted(Graph):
    """Something happens while an answer is made; no harm, as the digest was captured first."""

    meanwhile: Callable[[], None] | None = None

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        answer = super().answer(known, cursor, hidden=hidden)
        if self.meanwhile is not None:
            self.meanwhile()
        return answer


class DigestLate(Interrupted):
    """The digest of an answer is captured after its keys were evaluated."""

    def answer(
        self, known: Mapping[str, int], cursor: str | None, *, hidden: Collection[str] = ()
    ) -> Answer:
        answer = super().answer(known, cursor, hidden=hidden)
        told = decode_cursor(answer.cursor)
        assert told is not None
        return answer._replace(cursor=encode_cursor(advance(told, self.digest)))


# ---- worlds ------------------------------------------------------------------------------------


class SharedNonce(World):
    """A forked process goes on under its parent's origin."""

    def fork(self, server: Server) -> Server:
        child = super().fork(server)
        child.graph = copy.deepcopy(server.graph)
        return child


class NobodyRemoves(World):
    """A server that is gone for good is just not there any more."""

    def remove(self, server: Server) -> None:
        self.crash(server)
        self.servers.remove(server)


# ---- clients -----------------------------------------------------------------------------------


class AdoptsPartial(Client):
    """It takes over the cursor of an answer that was not about all its keys."""

    def adopts(self, asked: tuple[str, ...]) -> bool:
        return True


class TrustsToldHash(Client):
    """It compares an announced hash with the one it was told before, not with that of its data."""

    def held_hash(self, key: str) -> str:
        return self.told_hash.get(key, "")


class SkipsOnReset(Client):
    """It skips a refetch by hash although the server could not prove continuity."""

    def skips(self, key: str, node: Node, *, reset: bool) -> bool:
        return super().skips(key, node, reset=False)


class SkipsWithoutCursor(Client):
    """It skips a refetch by hash although it asked without a cursor."""

    def hear(self, key: str, node: Node, *, reset: bool, continuous: bool) -> None:
        super().hear(key, node, reset=reset, continuous=True)


class AsksWithoutCursor(Client):
    """It asks with versions and no cursor, as an older client, while it holds no cursor yet."""

    def cursor_to_send(self, known: Mapping[str, int]) -> str | None:
        return self.held.cursor


class SkipsWhileDirty(Client):
    """It takes a matching hash for a reason to need no refetch any more."""

    def skips(self, key: str, node: Node, *, reset: bool) -> bool:
        is_due = not reset and key not in self.fetching and node.hash == self.held_hash(key) != ""
        if is_due:
            self.held.dirty.pop(key, None)
        return is_due


class SkipsWhileFetching(Client):
    """It compares with the data that the fetch under way is about to replace."""

    def skips(self, key: str, node: Node, *, reset: bool) -> bool:
        if reset or key not in self.fetching:
            return super().skips(key, node, reset=reset)
        return node.hash == self.held_hash(key) != ""


class IgnoresKnownOnReset(Client):
    """It takes a version that it already knows for no news even on a reset."""

    def hear(self, key: str, node: Node, *, reset: bool, continuous: bool) -> None:
        if node.version != self.held.known.get(key):
            super().hear(key, node, reset=reset, continuous=continuous)


class CleanedByEarlierFetch(Client):
    """Any data that arrives makes a key clean, whenever its fetch began."""

    def finish_fetch(self, key: str) -> None:
        super().finish_fetch(key)
        self.held.dirty.pop(key, None)


class CursorSavedApart(Client):
    """It writes cursor and versions down with every answer, and its data only now and then."""

    def restart(self) -> None:
        cursor, known = self.held.cursor, self.held.known
        super().restart()
        if self.held.data:
            self.held.cursor, self.held.known = cursor, known


class PositionAfterData(Client):
    """It begins with a page that captured its position after it had read the data."""

    def open_page(self, server: Server, *, meanwhile: Callable[[], None]) -> None:
        self.read_data()
        meanwhile()
        self.take_position(server)
