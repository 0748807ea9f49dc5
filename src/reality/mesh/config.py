"""`Mesh`: what makes a server one of several that tell each other what they know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reality.core.limits import PEERS_MAX, URL_CHARS_MAX
from reality.core.urls import base_url
from reality.mesh.membership import Timing
from reality.mesh.signing import check_secrets

if TYPE_CHECKING:
    import httpx2

_INTERVAL_S_MAX = 60.0
_REMOVE_AFTER_S_MIN = 60.0


class Mesh:
    """Which servers to exchange with, and how.

    Args:
        peers: URLs of other servers, such as `http://server-2:3456`. Without a path, `/reality` is
            meant. One is enough to find the others; with all of them, a server that was never
            reached is still missed. The server's own URL among them does no harm.
        secret: what all servers of the mesh know and nobody else: at least 16 characters; make one
            with `reality secret`. Of several, the first signs and all are accepted, so that it can
            be changed one server after the other.
        advertise: the URL under which other servers reach this one. Without it they do, if they
            have it among their `peers`.
        public_url: the URL under which clients reach this server, told to the clients of others; by
            default as `advertise`.
        interval: between exchanges with one of the peers, in seconds. What a push has lost arrives
            within about three of them.
        timeout: what a call may take, in seconds.
        remove_after: how long a peer may be out of contact before it is removed for good, in
            seconds; by default only an operator removes. It must be longer than any failure of the
            network: servers that cannot see each other for so long remove each other.
        http: an `httpx2.AsyncClient` with the caller's proxies, certificates and so on, made for
            the event loop that the mesh runs in. The caller closes it. Without one, the mesh has
            connections of its own, which are faster and go through no proxy.

    Raises:
        ValueError: an argument cannot be; the text says which and what would do.
    """

    def __init__(
        self,
        peers: Sequence[str] = (),
        *,
        secret: str | Sequence[str] | None = None,
        advertise: str | None = None,
        public_url: str | None = None,
        interval: float = 1.0,
        timeout: float = 2.0,
        remove_after: float | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        if isinstance(peers, str):
            raise ValueError("peers must be a list of URLs, got a single string: write [url]")
        if secret is None or not secret:
            raise ValueError(
                "servers of a mesh need a secret that all of them know and nobody else: make one "
                "with `reality secret`, and give it to each as Mesh(secret=...) or --secret-file"
            )
        if len(peers) > PEERS_MAX:
            raise ValueError(f"a server may have {PEERS_MAX} peers, got {len(peers)}")
        if not 0.05 <= interval <= _INTERVAL_S_MAX or not 0.05 <= timeout <= _INTERVAL_S_MAX:
            raise ValueError(
                f"interval and timeout must be 0.05 to {_INTERVAL_S_MAX:.0f} seconds, got "
                f"{interval!r} and {timeout!r}"
            )
        if remove_after is not None and not remove_after >= _REMOVE_AFTER_S_MIN:
            raise ValueError(
                f"remove_after must be at least {_REMOVE_AFTER_S_MIN:.0f} seconds, longer than any "
                f"network failure, got {remove_after!r}"
            )
        self.peers = list(dict.fromkeys(checked_url(each) for each in peers))
        self.secrets = check_secrets(secret)
        self.advertise = "" if advertise is None else checked_url(advertise)
        self.public_url = self.advertise if public_url is None else checked_url(public_url)
        self.timing = Timing(interval_s=interval, timeout_s=timeout, remove_after_s=remove_after)
        self.http = http


def checked_url(url: str) -> str:
    """The URL of a server, below which its routes are.

    Raises:
        ValueError: it is none, or too long.
    """
    checked = base_url(url)
    if len(checked.encode()) > URL_CHARS_MAX:
        raise ValueError(f"the URL of a server may have {URL_CHARS_MAX} bytes: {url!r}")
    return checked
