"""What the mesh needs: a way to its peers, and the state that it keeps equal to theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from reality.core.cursor import Position
from reality.core.replica import Generation
from reality.mesh.messages import Exchange, Page, Partial


class Transport(Protocol):
    """How a message gets to a peer, and its answer back."""

    async def post(self, url: str, route: str, body: bytes, *, timeout_s: float) -> bytes:
        """The body of a successful, authentic answer.

        Raises:
            ServerUnavailable: the peer could not be reached, or did not answer in time.
            RemoteError: it refused.
            ProtocolError: what came is not an answer of a peer.
        """

    async def aclose(self) -> None:
        """Close the connections."""


class Summary(NamedTuple):
    """Where a server stands."""

    run: str
    origin: str
    generation: Generation
    register: int
    digest: Mapping[str, Position]


class Taken(NamedTuple):
    """What a server made of a message.

    Attributes:
        held: its digest afterwards.
        learned: whether a page was of use.
        removed: servers that are known to be gone for good.
    """

    held: Mapping[str, Position]
    learned: bool
    removed: frozenset[str]


class Replicated(Protocol):
    """The state of the server that the mesh keeps equal to that of others."""

    async def summary(self) -> Summary:
        """Where the server stands."""

    async def take(self, message: Exchange) -> Taken:
        """Take in what a peer has sent.

        Raises:
            ProtocolError: it claims what cannot be.
        """

    async def pages(
        self, message: Exchange, *, bytes_max: int, only: str | None = None
    ) -> tuple[list[Page], bool]:
        """What the sender of a message lacks, as far as it fits, and whether there is more.

        With `only`, of this origin alone.
        """

    def partial(self, run: str) -> tuple[dict[str, Partial], list[str]]:
        """Pages had so far of this run of a peer, and origins that others are sending."""

    async def remove(self, server_id: str) -> str:
        """Know that a server is gone for good; the origin that stands for it."""
