"""Which of several servers a client asks next: healthy before failing, then freshest, then fastest.

Versions of different servers cannot be compared, so the freshest is the one that answered last;
which also keeps a client at its server for as long as that answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reality.core.messages import Health

FAILURES_MAX = 3
BLACKLIST_S = 30.0
# Weight of the newest measurement in the running mean of latencies.
_LATENCY_WEIGHT = 0.2


@dataclass(slots=True)
class _Server:
    url: str
    failures: int = 0
    blocked_until_s: float = 0.0
    answered_at_s: float = float("-inf")
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a client has seen of a server.

    Attributes:
        url: its base URL.
        health: healthy once it has answered, degraded after a failure, unhealthy while it is not
            asked, unknown before the first answer.
        failures: failures in a row.
        latency_s: running mean of the time that answers without wait take, in seconds.
    """

    url: str
    health: Health
    failures: int
    latency_s: float | None


class ServerPool:
    """The servers of one client. Times are seconds of a monotonic clock."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._servers = {url: _Server(url) for url in urls}
        if not self._servers:
            raise ValueError("a client needs at least one server's URL")

    def pick(self, now_s: float) -> str:
        """The URL to ask next. Where all are blocked, the one whose time is up first."""
        servers = self._servers.values()
        free = [each for each in servers if each.blocked_until_s <= now_s]
        if not free:
            return min(servers, key=lambda each: each.blocked_until_s).url
        return min(
            free,
            key=lambda each: (
                each.failures > 0,
                -each.answered_at_s,
                each.latency_s if each.latency_s is not None else 0.0,
            ),
        ).url

    def answered(self, url: str, now_s: float, *, latency_s: float | None) -> None:
        """A server answered; `latency_s` is None for an answer that was held."""
        server = self._servers[url]
        server.failures, server.blocked_until_s, server.answered_at_s = 0, 0.0, now_s
        if latency_s is not None:
            before = server.latency_s if server.latency_s is not None else latency_s
            server.latency_s = before + _LATENCY_WEIGHT * (latency_s - before)

    def failed(self, url: str, now_s: float) -> None:
        """A server did not answer; after `FAILURES_MAX` in a row it is left alone for a while."""
        server = self._servers[url]
        server.failures += 1
        if server.failures >= FAILURES_MAX:
            server.blocked_until_s = now_s + BLACKLIST_S

    def clear(self) -> None:
        """Forget all failures: the network came back."""
        for server in self._servers.values():
            server.failures, server.blocked_until_s = 0, 0.0

    def status(self, now_s: float) -> list[ServerStatus]:
        """What is known of each server."""
        return [
            ServerStatus(each.url, _health(each, now_s), each.failures, each.latency_s)
            for each in self._servers.values()
        ]


def _health(server: _Server, now_s: float) -> Health:
    if server.blocked_until_s > now_s:
        return "unhealthy"
    if server.failures:
        return "degraded"
    return "healthy" if server.answered_at_s > float("-inf") else "unknown"
