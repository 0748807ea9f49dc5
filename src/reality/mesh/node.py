"""Whom to call, and when: one server's part in the mesh, without I/O.

Whatever happens is told to the node, which answers with the calls to make: news of this server is
pushed to all peers at once; every interval digests are exchanged with one peer, so that what a push
has lost is found; peers that fail are tried again within a second. There is no queue: a call brings
all that the peer lacks when the call is made. Time is seconds of a monotonic clock; random numbers
are drawn from what the node is given.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reality.core.cursor import Position
from reality.mesh.membership import Membership, Timing
from reality.mesh.messages import Exchange, Kind
from reality.mesh.peers import Peer, lacks

# The part of an interval within which, and once in which, what an exchange has brought is told on.
_SOON = 0.15
# A server that has not looked at its clock for so many intervals was suspended.
_PAUSE_INTERVALS = 5
# For how long messages may be under way that a goodbye has overtaken.
_LATE_S = 5.0


class Call(NamedTuple):
    """A call to make: which peer, and what for."""

    url: str
    kind: Kind


class Answered(NamedTuple):
    """What came of a call.

    Attributes:
        message: the answer.
        held: this server's digest once it has taken the answer in.
        learned: whether a page of the answer was of use.
        sent_more: whether not all that the peer lacks fitted into the call.
    """

    message: Exchange
    held: Mapping[str, Position]
    learned: bool
    sent_more: bool


class Node(Membership):
    """One server's view of the others."""

    def __init__(
        self, server_id: str, urls: Iterable[str], *, timing: Timing, seed: random.Random
    ) -> None:
        super().__init__(server_id, urls, timing=timing, seed=seed)
        self._next_exchange_at = self._spread_at = self._ticked_at = float("-inf")
        self._left: dict[str, float] = {}  # when runs have said goodbye, a short time ago

    # ---- what there is to call -----------------------------------------------------------------

    def due_at(self) -> float:
        """When `tick` should be called next."""
        times = [self._next_exchange_at]
        for peer in self._peers.values():
            if not peer.is_calling:
                if peer.is_sought:
                    times.append(peer.retry_at)
                elif peer.due is not None:
                    times.append(self._push_at(peer))
        return min(times)

    def tick(self, now_s: float) -> list[Call]:
        """The clock has moved on."""
        if now_s - self._ticked_at > _PAUSE_INTERVALS * self._timing.interval_s:
            self._awake_since = now_s
        self._ticked_at = now_s
        calls = []
        for peer in self._peers.values():
            if peer.is_sought:
                calls += self._call(peer, "exchange", now_s)
            elif peer.due is not None and self._push_at(peer) <= now_s:
                calls += self._call(peer, peer.due, now_s)
        if now_s >= self._next_exchange_at:
            spread = self._timing.jitter * (2 * self._seed.random() - 1)
            self._next_exchange_at = now_s + self._timing.interval_s * (1 + spread)
            calls += self._exchange_with_one(now_s)
        self._forget_old(now_s)
        return calls

    def touched(self, now_s: float) -> list[Call]:
        """This server has news of its own."""
        return [call for peer in self._peers.values() for call in self._want(peer, "push", now_s)]

    def hinted(self, server_id: str, now_s: float) -> list[Call]:
        """A server is said to have news; without a name, all may."""
        peers = [each for each in self._peers.values() if server_id in ("", each.server_id)]
        return [call for peer in peers for call in self._want(peer, "exchange", now_s)]

    def wanted(self, urls: Iterable[str], now_s: float) -> list[Call]:
        """These peers are known to have what somebody waits for."""
        peers = [self._peers[each] for each in urls if each in self._peers]
        return [call for peer in peers for call in self._want(peer, "exchange", now_s)]

    def learned(self, held: Mapping[str, Position], now_s: float) -> None:
        """Something came by an exchange that others may lack: tell one of them soon.

        What servers push reaches all by itself. This is for what their pushes did not bring.
        """
        soon = self._timing.interval_s * _SOON
        if now_s < self._spread_at + soon:
            return
        if any(lacks(each.digest or {}, held) for each in self._peers.values()):
            self._spread_at = now_s
            self._next_exchange_at = min(self._next_exchange_at, now_s + soon * self._seed.random())

    # ---- what became of it ---------------------------------------------------------------------

    def heard(
        self,
        message: Exchange,
        now_s: float,
        *,
        url: str = "",
        held: Mapping[str, Position] | None = None,
    ) -> None:
        """A peer has called, or with its `url` has answered; `held` is the digest after that."""
        if message.run == self.run:
            self._own_urls.add(url)  # one of the URLs leads to this very server
            self._peers.pop(url, None)
            return
        if self._is_late(message, now_s, url):
            return
        peer = self._peer_of(message, url)
        if peer is not None:
            peer.take(message, now_s, is_call=not url)
            if held is not None and not peer.has_left and not self._differences(peer, held)[0]:
                peer.caught_up_at = now_s
            if peer.has_left and not peer.is_configured:
                self._peers.pop(peer.url, None)
                self._callers.pop(peer.server_id, None)
        for member in message.members:
            self._meet(member.server_id, member.url, member.public_url)

    def answered(self, url: str, answered: Answered, now_s: float) -> list[Call]:
        """A call was answered; `heard` was told before."""
        peer = self._peers.get(url)
        if peer is None or not peer.is_calling:
            return []  # forgotten meanwhile, and perhaps met again
        peer.answered(now_s)
        here, there = self._differences(peer, answered.held)
        if not here:
            peer.caught_up_at = now_s
        if peer.due is not None:
            return self._want(peer, peer.due, now_s)
        if peer.kind == "push":
            there = [each for each in there if each == self.origin]
        goes_on = (
            (answered.message.more and bool(here) and answered.learned)
            or (answered.sent_more and bool(there) and peer.has_moved)
            or (bool(there) and peer.follow_ups == 0)
        )
        if not goes_on:
            peer.follow_ups = 0
            return []
        peer.follow_ups += 1
        return self._call(peer, peer.kind, now_s)

    def failed(self, url: str, now_s: float, *, was_busy: bool) -> None:
        """A call failed; `was_busy` if this server itself was too busy to say whose fault it is."""
        peer = self._peers.get(url)
        if peer is not None and peer.is_calling:
            peer.failed(now_s, random=self._seed.random(), counts=not was_busy)

    # ---- inside --------------------------------------------------------------------------------

    def _is_late(self, message: Exchange, now_s: float, url: str) -> bool:
        """Whether it was sent before the goodbye of the same run, which has overtaken it."""
        left_at = self._left.get(message.run, float("-inf"))
        asked = self._peers.get(url)
        if message.kind == "goodbye":
            recent = {run: at for run, at in self._left.items() if now_s - at < _LATE_S}
            self._left = recent | {message.run: now_s}
            return False
        return now_s - left_at < _LATE_S and (asked is None or asked.called_at <= left_at)

    def _want(self, peer: Peer, kind: Kind, now_s: float) -> list[Call]:
        """Call a peer as soon as it may be; one that fails is called in its time anyway."""
        if peer.is_sought:
            return []
        if peer.due != "exchange":
            peer.due = kind
        return self._call(peer, peer.due, now_s) if self._push_at(peer) <= now_s else []

    def _call(self, peer: Peer, kind: Kind, now_s: float) -> list[Call]:
        if not peer.may_be_called(now_s):
            return []
        peer.began(kind, now_s)
        return [Call(peer.url, kind)]

    def _push_at(self, peer: Peer) -> float:
        return max(peer.retry_at, peer.called_at + self._timing.push_gap_s)

    def _exchange_with_one(self, now_s: float) -> list[Call]:
        """With the peer whose last exchange is the longest ago; a draw among equals."""
        there = [each for each in self._peers.values() if not each.is_sought]
        self._seed.shuffle(there)
        if not there:
            return []
        return self._want(min(there, key=lambda each: each.exchanged_at), "exchange", now_s)

    def _differences(self, peer: Peer, held: Mapping[str, Position]) -> tuple[list[str], list[str]]:
        """The origins that are lacking here and there; not that of a store that both are on."""
        there = peer.digest or {}
        shared = self.origin if peer.origin == self.origin else ""
        return (
            [each for each in lacks(held, there) if each != shared],
            [each for each in lacks(there, held) if each != shared],
        )
