"""Which of several servers a client asks next: healthy before failing, then freshest, then fastest.

Versions of different servers cannot be compared, so the freshest is the one that answered last;
which also keeps a client at its server for as long as that answers.

A server is *configured*, or *discovered*: one that an answering server named among its peers. Of
what a client has seen itself and what peers say of a server's health, the newer counts; except that
nothing said makes a server be asked that was just left alone after failures of its own.
`conformance/vectors/servers.json` has these rules as cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

from reality.core.messages import Health
from reality.core.urls import base_url

FAILURES_MAX = 3
BLACKLIST_S = 30.0
DISCOVERED_MAX = 64
ADVERTISED_S = 300.0
# What is read of one answer's map, and how long a URL in it may be.
PEERS_READ_MAX = 256
URL_CHARS_MAX = 2048
# Weight of the newest measurement in the running mean of latencies.
_LATENCY_WEIGHT = 0.2

_NEVER = float("-inf")
_RANKS: Mapping[Health, int] = {"healthy": 0, "unknown": 1, "degraded": 2, "unhealthy": 3}
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class _Server:
    url: str
    is_configured: bool
    failures: int = 0
    blocked_until_s: float = _NEVER
    answered_at_s: float = _NEVER
    failed_at_s: float = _NEVER
    latency_s: float | None = None
    told: Health = "unknown"
    told_at_s: float = _NEVER
    advertised_at_s: float = _NEVER

    def avoided_until_s(self) -> float:
        """Until when it is asked only after all others: it kept failing, or peers say so."""
        if self.told == "unhealthy" and self._is_told_newer():
            return max(self.blocked_until_s, self.told_at_s + BLACKLIST_S)
        return self.blocked_until_s

    def health(self, now_s: float) -> Health:
        """What is believed of it."""
        if self.avoided_until_s() > now_s:
            return "unhealthy"
        if self._is_told_newer():
            # Nobody has repeated for a while that it is unhealthy: nobody knows.
            return "unknown" if self.told == "unhealthy" else self.told
        if self.failures:
            return "degraded"
        return "healthy" if self.answered_at_s > _NEVER else "unknown"

    def order(self, now_s: float) -> tuple[float, ...]:
        """The server with the least is asked next."""
        health = self.health(now_s)
        if health == "unhealthy":
            return (_RANKS[health], self.avoided_until_s())
        latency_s = 0.0 if self.latency_s is None else self.latency_s
        # Those that failed take turns, so that one of them that is back is found soon.
        freshest = -self.answered_at_s
        return (_RANKS[health], self.failures, freshest, latency_s)

    def _is_told_newer(self) -> bool:
        return self.told_at_s > max(self.answered_at_s, self.failed_at_s)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a client knows of a server.

    Attributes:
        url: its base URL.
        health: the newest of what the client has seen itself (healthy: it has answered; degraded:
            it has failed; unhealthy: it has failed so often that it is left alone for a while) and
            what other servers say of it; unknown if there is neither.
        failures: failures in a row, seen by the client itself.
        latency_s: running mean of the time that answers without wait take, in seconds.
        is_configured: whether the client was given its URL; False if other servers named it.
    """

    url: str
    health: Health
    failures: int
    latency_s: float | None
    is_configured: bool


# What a word for a server's health says of it; "unknown", or an unknown word, says nothing.
_TELLING: Mapping[str, Health] = {
    "healthy": "healthy",
    "degraded": "degraded",
    "unhealthy": "unhealthy",
}


class ServerPool:
    """The servers of one client. Times are seconds of a monotonic clock.

    Args:
        urls: the configured servers, as `base_url` gives them.
        discovered_max: how many servers may be asked beside those.
        random: a number drawn from [0, 1): which of several discovered servers that are alike is
            asked, so that the clients of a server that dies do not all go to the same one.
    """

    def __init__(
        self, urls: Iterable[str], *, discovered_max: int = DISCOVERED_MAX, random: float = 0.0
    ) -> None:
        self._servers = {_identity(url): _Server(url, is_configured=True) for url in urls}
        if not self._servers:
            raise ValueError("a client needs at least one server's URL")
        self._discovered_max = discovered_max
        self._random = random
        self._is_secure = all(scheme == "https" for scheme, *_ in self._servers)

    def pick(self, now_s: float, *, configured_only: bool = False) -> str:
        """The URL to ask next. Where all are to be avoided, the one whose time is up first."""
        servers = [
            each for each in self._servers.values() if each.is_configured or not configured_only
        ]
        orders = [each.order(now_s) for each in servers]
        first = min(orders)
        alike = [each for each, order in zip(servers, orders, strict=True) if order == first]
        # The configured ones stand first, in the order given.
        return alike[0 if alike[0].is_configured else int(self._random * len(alike))].url

    def is_configured(self, url: str) -> bool:
        """Whether the client was given this server's URL."""
        server = self._servers.get(_identity(url))
        return server is not None and server.is_configured

    def answered(self, url: str, now_s: float, *, latency_s: float | None) -> None:
        """A server answered; `latency_s` is None for an answer that was held."""
        server = self._servers.get(_identity(url))
        if server is None:
            return  # dropped while it was asked
        server.failures, server.blocked_until_s, server.answered_at_s = 0, _NEVER, now_s
        if latency_s is not None:
            before = server.latency_s if server.latency_s is not None else latency_s
            server.latency_s = before + _LATENCY_WEIGHT * (latency_s - before)

    def failed(self, url: str, now_s: float) -> None:
        """A server did not answer; after `FAILURES_MAX` in a row it is left alone for a while."""
        server = self._servers.get(_identity(url))
        if server is None:
            return  # dropped while it was asked
        server.failures += 1
        server.failed_at_s = now_s
        if server.failures >= FAILURES_MAX:
            server.blocked_until_s = now_s + BLACKLIST_S

    def learn(self, peers: Mapping[str, str], now_s: float, *, told_by: str) -> None:
        """A server answered and named its peers: from now on they may be asked too.

        Args:
            peers: health by URL, as the answer has it; words that are not known say nothing. What
                cannot be asked is ignored, and so is a URL without TLS where all configured ones
                have it.
            now_s: when the answer came.
            told_by: the URL of the server that answered. It does not name itself.
        """
        teller = self._servers.get(_identity(told_by))
        if teller is not None:
            teller.advertised_at_s = now_s
        for url, health in islice(peers.items(), PEERS_READ_MAX):
            server = self._named(url)
            if server is None:
                continue
            server.advertised_at_s = now_s
            told = _TELLING.get(health)
            if told is not None:
                server.told, server.told_at_s = told, now_s
        self._drop_some(now_s)

    def clear(self) -> None:
        """Forget all failures: the network came back."""
        for server in self._servers.values():
            server.failures, server.blocked_until_s, server.failed_at_s = 0, _NEVER, _NEVER

    def status(self, now_s: float) -> list[ServerStatus]:
        """What is known of each server, the configured ones first."""
        return [
            ServerStatus(
                each.url, each.health(now_s), each.failures, each.latency_s, each.is_configured
            )
            for each in self._servers.values()
        ]

    # ---- inside --------------------------------------------------------------------------------

    def _named(self, url: str) -> _Server | None:
        """The server behind a URL that a peer named, perhaps a new one; None if it is no URL."""
        if len(url) > URL_CHARS_MAX:
            return None
        try:
            url = base_url(url)
        except ValueError:
            return None
        identity = _identity(url)
        if identity not in self._servers:
            if self._is_secure and identity[0] != "https":
                return None
            self._servers[identity] = _Server(url, is_configured=False)
        return self._servers[identity]

    def _drop_some(self, now_s: float) -> None:
        """Forget discovered servers that nobody names any more, and those that are too many.

        Only called when a server has answered: while none does, none could have been named.
        """
        named = [
            each
            for each in self._servers.values()
            if not each.is_configured and now_s - each.advertised_at_s <= ADVERTISED_S
        ]
        named.sort(key=lambda each: (each.health(now_s) == "unhealthy", -each.advertised_at_s))
        kept = {each.url for each in named[: self._discovered_max]}
        self._servers = {
            identity: each
            for identity, each in self._servers.items()
            if each.is_configured or each.url in kept
        }


def _identity(url: str) -> tuple[str, str | None, int | None, str]:
    """What two URLs of the same server have in common, however they are written."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path
