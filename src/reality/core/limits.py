"""Every bound of a server, in one place, with its unit in its name (invariant I6)."""

from __future__ import annotations

from dataclasses import dataclass, fields

# Bounds of the protocol itself, the same for every server and client.
VERSION_MAX = 2**52 - 1
CLIENT_ID_CHARS_MAX = 128
HASH_CHARS_MAX = 256
SOURCE_CHARS_MAX = 128
SERVER_ID_CHARS_MAX = 64
# Origins that one graph knows, and that a cursor carries beside those. A cursor of the greatest
# length has room for both, so that a server can always read what it has given.
ORIGINS_MAX = 64
FOREIGN_ORIGINS_MAX = 64
# Removed servers that a new generation still knows of.
GONE_MAX = 24
CURSOR_BYTES_MAX = 16 * 1024
# What versions of servers that exchange state are made of; together they stay below VERSION_MAX.
REGISTER_MAX = 2**51
TOUCHES_MAX = 2**40
SEQUENCE_MAX = 2**50
# Other servers that one server calls, and tells of in one message.
PEERS_MAX = 64
MEMBERS_TOLD_MAX = 32
URL_CHARS_MAX = 256
# A message between servers, or the answer to one.
MESH_MESSAGE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one server accepts and keeps. Exceeding a limit is a clear error, never a silent drop.

    Attributes:
        body_bytes_max: bytes of one request body (413).
        keys_max: keys or patterns of one request (422).
        wait_ms_max: how long one sync is held, in milliseconds; a longer wish is cut.
        waiters_max: held syncs of the server (503).
        waiters_per_client_max: held syncs of one `clientId` (429).
        waited_names_max: keys and patterns that all held syncs wait for, counted for each (503);
            one takes some 500 bytes.
        nodes_max: keys and patterns kept in memory. A memory store that passes it starts a new
            origin; a server on a shared store drops those that were longest ago touched or read,
            and reads them again when they are asked for.
        queued_names_max: keys and patterns that wait to be recorded in a shared store (503).
        page_nodes_max: nodes in one answer of `GET /versions`.
        refetches_per_s: when one touch wakes more waiters than this, their refetches are spread
            (`spreadMs`) so that the application's own API sees about this many a second.
    """

    body_bytes_max: int = 1024 * 1024
    keys_max: int = 10_000
    wait_ms_max: int = 25_000
    waiters_max: int = 10_000
    waiters_per_client_max: int = 64
    waited_names_max: int = 500_000
    nodes_max: int = 1_000_000
    queued_names_max: int = 100_000
    page_nodes_max: int = 1_000
    refetches_per_s: int = 1_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"Limits.{field.name} must be a whole number from 1, got {value!r}"
                )
