"""What travels between clients and servers: one struct per message of PROTOCOL.md.

Members are camelCase on the wire; unknown members are ignored; times and waits are milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reality.core.graph import Node
from reality.core.limits import CLIENT_ID_CHARS_MAX, HASH_CHARS_MAX, SOURCE_CHARS_MAX, VERSION_MAX

Version = Annotated[int, Meta(ge=0, le=VERSION_MAX)]
Milliseconds = Annotated[int, Meta(ge=0, le=VERSION_MAX)]
Mode = Literal["native", "sse-compat", "polling-compat"]
Hint = Literal["interaction", "focus", "idle", "mutation", "mount", "reconnect", "poll"]
Health = Literal["healthy", "degraded", "unhealthy", "unknown"]
Source = Annotated[str, Meta(max_length=SOURCE_CHARS_MAX)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all messages have in common."""


class SyncRequest(_Message, frozen=True):
    """`POST /sync`: I know these keys at these versions, what changed?

    Attributes:
        known: the version last reported, by key; 0 for a key never reported.
        client_id: any text that tells clients apart.
        mode: how the client keeps fresh.
        hint: why it asks now.
        timestamp: the client's clock.
        wait: how long the answer may be held until something changes; 0 answers at once.
        cursor: the last answer's cursor, if that answer covered every key the client holds.
    """

    known: dict[str, Version]
    client_id: Annotated[str, Meta(min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
    mode: Mode
    hint: Hint
    timestamp: Milliseconds | UnsetType = UNSET
    wait: Milliseconds = 0
    cursor: str | UnsetType = UNSET


class ChangedNode(_Message, frozen=True):
    """One key that changed.

    Attributes:
        version: its version now.
        hash: hash of its data, "" if unknown.
        source: who touched it, where that is known.
        deleted: whether the last touch was a deletion.
    """

    version: Version
    hash: str
    source: str | UnsetType = UNSET
    deleted: bool = False


class MeshInfo(_Message, frozen=True):
    """What the server knows of its peers.

    Attributes:
        peers: health by public URL; words that are not known are taken for `unknown`.
        server_version: the server's local apply position; not comparable across servers.
    """

    peers: dict[str, str]
    server_version: int


class SyncResponse(_Message, frozen=True):
    """The answer to `POST /sync`.

    Attributes:
        changed: what is news, by key.
        mesh: what the server knows of its peers.
        server_time: the server's clock.
        cursor: to be echoed with the next request that asks for every key held.
        reset: continuity could not be proven: every key asked for is in `changed`.
        spread_ms: refetches should be spread at random over this time.
    """

    changed: dict[str, ChangedNode]
    mesh: MeshInfo
    server_time: int
    cursor: str | UnsetType = UNSET
    reset: bool = False
    spread_ms: int = 0


class InvalidateRequest(_Message, frozen=True):
    """`POST /invalidate`: these keys and patterns changed."""

    keys: Annotated[list[str], Meta(min_length=1)]
    source: Source | UnsetType = UNSET
    timestamp: Milliseconds | UnsetType = UNSET


class InvalidateResponse(_Message, frozen=True):
    """The answer to `POST /invalidate`: what was touched, and the versions of the keys among it."""

    invalidated: list[str]
    versions: dict[str, int]


class UpdateRequest(_Message, frozen=True):
    """`POST /update`: this key's data now has this hash."""

    key: str
    hash: Annotated[str, Meta(min_length=1, max_length=HASH_CHARS_MAX)]


class VersionsResponse(_Message, frozen=True):
    """The answer to `GET /versions`: what was touched after a local apply position.

    Attributes:
        server_id: of the answering server.
        origin: of its run; as `serverId` of the next request it also detects a restart.
        max_version: the local apply position now.
        changed: keys and patterns, in the order they were last touched.
        since: where the next page begins.
        more: whether there is a next page already.
        reset: the position asked for is not one of this server's run; the list starts anew.
        timestamp: the server's clock.
    """

    server_id: str
    origin: str
    max_version: int
    changed: list[Node]
    since: int
    more: bool
    timestamp: int
    reset: bool = False


class MeshHealth(_Message, frozen=True):
    """Peers in all, and how many of them are healthy."""

    peer_count: int
    healthy_peers: int


class StorageHealth(_Message, frozen=True):
    """Whether the store answers, and a number that no version exceeds."""

    healthy: bool
    max_version: int


class AcceleratorHealth(_Message, frozen=True):
    """Which accelerator a server has, and whether its channel stands."""

    name: str
    connected: bool


class RedisHealth(_Message, frozen=True):
    """Whether the channel of an accelerator over Redis stands."""

    connected: bool


class HealthResponse(_Message, frozen=True):
    """The answer to `GET /health`. `uptime` is in milliseconds; `version` is the package's.

    `redis` repeats `accelerator` where that is Redis, for clients of the existing protocol.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    server_id: str
    version: str
    uptime: int
    mesh: MeshHealth
    storage: StorageHealth
    accelerator: AcceleratorHealth | UnsetType = UNSET
    redis: RedisHealth | UnsetType = UNSET


class Problem(_Message, frozen=True):
    """An error after RFC 9457 (`application/problem+json`).

    Attributes:
        title: the status in words.
        status: the HTTP status.
        detail: what happened, to what, and what to do next.
        code: stable name of the error, in snake_case.
        error: `detail` again, for clients of the existing protocol.
    """

    title: str
    status: int
    detail: str
    code: str
    error: str
    type: str = "about:blank"
