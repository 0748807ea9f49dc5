"""Who there is: the servers that one server knows of, and what it has seen of each. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reality.core.cursor import Position
from reality.core.limits import MEMBERS_TOLD_MAX, PEERS_MAX
from reality.core.messages import Health
from reality.mesh.messages import Exchange, Member, PeerStatus
from reality.mesh.peers import Peer, lag


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a server calls others, in seconds.

    Attributes:
        interval_s: between exchanges of digests with one of the peers.
        jitter: by what part of it an interval is longer or shorter, at random.
        timeout_s: what a call may take, from connecting to the end of its answer.
        push_gap_s: between two pushes to the same peer; what comes meanwhile goes together.
        forget_s: how long a peer that was heard of from others is called in vain.
        remove_after_s: how long a peer may be out of contact before it is removed for good; None:
            only an operator removes.
    """

    interval_s: float = 1.0
    jitter: float = 0.2
    timeout_s: float = 2.0
    push_gap_s: float = 0.01
    forget_s: float = 3600.0
    remove_after_s: float | None = None


class Membership:
    """The peers of one server: those that were configured, and those that were heard of."""

    def __init__(
        self, server_id: str, urls: Iterable[str], *, timing: Timing, seed: random.Random
    ) -> None:
        self.run = self.origin = ""  # of this process; told when it starts
        self._server_id = server_id
        self._timing = timing
        self._seed = seed
        self._peers: dict[str, Peer] = {}  # by URL
        self._callers: dict[str, Peer] = {}  # by id: those that cannot be called
        # Since when this server has had no long pause, in which it could not hear anybody.
        self._awake_since = float("-inf")
        self._own_urls: set[str] = set()
        self._removed: set[str] = set()
        for url in urls:
            self.add(url)

    def add(self, url: str) -> None:
        """Call this server too, from now on.

        Raises:
            ValueError: there are as many as there may be.
        """
        if url in self._own_urls:
            return
        if url not in self._peers and len(self._peers) >= PEERS_MAX:
            raise ValueError(f"a server may have {PEERS_MAX} peers, so {url} cannot be added")
        self._peers.setdefault(url, Peer(url, is_configured=True)).is_configured = True

    def forget(self, url: str) -> bool:
        """Call this server no more, unless it is heard of again; whether it was one of the peers.

        It stays a member of the mesh.
        """
        return self._peers.pop(url, None) is not None

    def removed(self, server_ids: Iterable[str]) -> None:
        """These servers are gone for good: nothing is said to them, nor believed of them."""
        self._removed.update(server_ids)
        for peers in (self._peers, self._callers):
            for name in [at for at, each in peers.items() if each.server_id in self._removed]:
                del peers[name]

    def overdue(self, now_s: float) -> list[str]:
        """The servers that have been out of contact for so long that they are to be removed."""
        longest = self._timing.remove_after_s
        if longest is None:
            return []
        # Who was never in contact with this server may be well, and in contact with others.
        known = [each for each in self._peers.values() if each.digest is not None]
        return [
            each.server_id
            for each in known
            if not each.has_left and now_s - max(each.heard_at, self._awake_since) > longest
        ]

    # ---- what is known of the others -----------------------------------------------------------

    def peer(self, url: str) -> Peer | None:
        """The peer at this URL."""
        return self._peers.get(url)

    def caller(self, server_id: str) -> Peer | None:
        """The peer with this id, whether it can be called or not."""
        everyone = (*self._peers.values(), *self._callers.values())
        return next((each for each in everyone if each.server_id == server_id), None)

    def members(self) -> list[Member]:
        """Servers to tell others of: those that answer."""
        known = [
            Member(server_id=each.server_id, url=each.url, public_url=each.public_url)
            for each in self._peers.values()
            if each.server_id and each.health in ("healthy", "degraded")
        ]
        return self._seed.sample(known, min(len(known), MEMBERS_TOLD_MAX))

    def health(self) -> dict[str, Health]:
        """The health of the peers that clients can reach, by public URL."""
        return {each.public_url: each.health for each in self._peers.values() if each.public_url}

    def counts(self) -> tuple[int, int]:
        """How many peers there are, and how many of them are healthy."""
        everyone = (*self._peers.values(), *self._callers.values())
        return len(everyone), sum(each.health == "healthy" for each in everyone)

    def are_calling(self, urls: Iterable[str]) -> bool:
        """Whether a call of one of these is under way, or about to be."""
        peers = [self._peers[each] for each in urls if each in self._peers]
        return any(each.is_calling or each.due is not None for each in peers)

    def reachable(self) -> list[str]:
        """The URLs of the peers that answer, or have called and may well answer."""
        return [each.url for each in self._peers.values() if each.is_there]

    def is_caught_up(self) -> bool:
        """Whether all was had that peers know: those that are configured, or were heard themselves.

        One that cannot be reached is not waited for.
        """
        return all(
            each.caught_up_at is not None or each.failures or each.has_left
            for each in self._peers.values()
            if each.is_configured or each.digest is not None
        )

    def rejoin(self) -> None:
        """What was had of the peers is forgotten: ask all of them again."""
        for peer in self._peers.values():
            peer.caught_up_at = None

    def may_know(self, origins: Iterable[str]) -> list[str]:
        """The URLs of the peers that are known to have one of these origins."""
        wanted = set(origins)
        return [
            each.url
            for each in self._peers.values()
            if each.url and each.is_there and wanted & (each.digest or {}).keys()
        ]

    def statuses(self, held: Mapping[str, Position], now_s: float) -> list[PeerStatus]:
        """What is known of each peer, in the order of their ids."""
        everyone = (*self._peers.values(), *self._callers.values())
        return [
            PeerStatus(
                url=each.url,
                server_id=each.server_id,
                public_url=each.public_url,
                health=each.health,
                lag=lag(held, each.digest) + lag(each.digest or {}, held),
                last_contact_ms=each.silent_ms(now_s),
                latency_ms=None if each.latency_s is None else each.latency_s * 1000,
                failures=each.failures,
                is_configured=each.is_configured,
            )
            for each in sorted(everyone, key=lambda each: (each.server_id, each.url))
        ]

    # ---- inside --------------------------------------------------------------------------------

    def _peer_of(self, message: Exchange, url: str) -> Peer | None:
        """The peer that a message is from; None if nothing is to be kept of it."""
        if message.server_id in self._removed:
            self._peers.pop(url, None)
            return None
        known = self._peers.get(url) or self.caller(message.server_id)
        if known is None and (there := self._peers.get(message.url)) and not there.server_id:
            known = there  # it calls from where it is called, and has not answered yet
        if not url and known is not None and _has_moved(known, message.url):
            del self._peers[known.url]
            known = None
        if known is not None and known.url:
            self._callers.pop(message.server_id, None)
            for other in list(self._peers.values()):
                if other.server_id == message.server_id and other is not known:
                    # Reached under two URLs: the one that has just answered is kept.
                    known.is_configured |= other.is_configured
                    self._peers.pop(other.url, None)
            return known
        self._meet(message.server_id, message.url, message.public_url)
        met = self.caller(message.server_id)
        if met is None and len(self._callers) < PEERS_MAX:
            met = self._callers[message.server_id] = Peer("", is_configured=False)
        return met

    def _meet(self, server_id: str, url: str, public_url: str) -> None:
        """A server was heard of: call it, unless it is known, removed, or one too many."""
        is_new = server_id not in self._removed and url not in self._own_urls
        if not url or server_id == self._server_id or not is_new:
            return
        if url in self._peers or len(self._peers) >= PEERS_MAX:
            return
        if any(each.server_id == server_id for each in self._peers.values()):
            return
        self._callers.pop(server_id, None)
        self._peers[url] = Peer(
            url, is_configured=False, server_id=server_id, public_url=public_url
        )

    def _forget_old(self, now_s: float) -> None:
        """Forget who was only heard of from others, and not for a long time."""
        for peers in (self._peers, self._callers):
            for name, peer in list(peers.items()):
                if peer.is_configured or peer.is_calling:
                    continue
                peer.met_at = min(peer.met_at, now_s)
                if now_s - max(peer.heard_at, peer.met_at) > self._timing.forget_s:
                    del peers[name]


def _has_moved(known: Peer, url: str) -> bool:
    """Whether a server that was found at one URL, and fails there, says that it is at another."""
    is_lost = bool(known.url) and not known.is_configured and known.health == "unhealthy"
    return is_lost and url not in ("", known.url)
