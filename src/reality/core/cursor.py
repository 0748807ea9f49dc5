"""Digests and cursors: how far, per origin, a server has come or a client has accounted for.

An *origin* is one append-only sequence of batches. Its id says of which kind it is:

    server_id~nonce     volatile: one run of one memory-only server
    server_id!gone      volatile: stands for a server that was removed from the membership
    store_id@lineage    durable: one lineage of one store; its positions carry a 32-bit tag

A cursor travels as text, `1;<generation>;<origin>=<sequence>[.<tag in hex>];…`, oldest entry first.
Clients treat it as opaque. The leading 1 is the version of this format; the generation is 0 until a
mesh has opened another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from reality.core.limits import FOREIGN_ORIGINS_MAX, ORIGINS_MAX, SERVER_ID_CHARS_MAX

_FORMAT = "1"
_ENTRIES_MAX = ORIGINS_MAX + FOREIGN_ORIGINS_MAX
# Clients that were answered at the same time hold the same cursor: all whom one touch has woken.
# A parsed one of the greatest length takes some 60 kB.
_CACHED_CURSORS_MAX = 128
_ID = rf"[A-Za-z0-9._-]{{1,{SERVER_ID_CHARS_MAX}}}"
_ORIGIN_ID = rf"{_ID}(?:~[A-Za-z0-9]{{1,32}}|!gone|@[A-Za-z0-9]{{1,32}})"
_ORIGIN = re.compile(_ORIGIN_ID, re.ASCII)
_ENTRY = re.compile(rf"({_ORIGIN_ID})=(\d{{1,18}})(?:\.([0-9a-f]{{1,8}}))?", re.ASCII)
_SERVER_ID = re.compile(_ID, re.ASCII)
_GENERATION = re.compile(r"\d{1,9}", re.ASCII)


class Position(NamedTuple):
    """A place in one origin: its sequence, and for a durable origin the tag of that sequence."""

    sequence: int
    tag: int = 0


class Cursor(NamedTuple):
    """What a client has accounted for: a position per origin, oldest knowledge first."""

    positions: Mapping[str, Position]
    generation: int = 0


def is_server_id(text: str) -> bool:
    """Whether `text` may name a server: 1 to 64 of letters, digits, dot, underscore and dash."""
    return _SERVER_ID.fullmatch(text) is not None


def is_durable(origin: str) -> bool:
    """Whether the origin is a lineage of a store; otherwise it is volatile."""
    return "@" in origin


def is_origin(text: str) -> bool:
    """Whether `text` may be the id of an origin."""
    return _ORIGIN.fullmatch(text) is not None


def gone_origin(server_id: str) -> str:
    """The origin that stands for a server that was removed from the membership."""
    return f"{server_id}!gone"


def is_gone(origin: str) -> bool:
    """Whether the origin stands for a removed server."""
    return origin.endswith("!gone")


def encode_cursor(cursor: Cursor) -> str:
    """The cursor as the text that clients echo."""
    entries = (
        f"{origin}={sequence}.{tag:x}" if tag else f"{origin}={sequence}"
        for origin, (sequence, tag) in cursor.positions.items()
    )
    return ";".join((_FORMAT, str(cursor.generation), *entries))


@lru_cache(maxsize=_CACHED_CURSORS_MAX)
def decode_cursor(text: str) -> Cursor | None:
    """The cursor behind a client's text, or None if this is not one: the answer is then `reset`."""
    form, _, rest = text.partition(";")
    generation, *entries = rest.split(";")
    if form != _FORMAT or not _GENERATION.fullmatch(generation) or len(entries) > _ENTRIES_MAX:
        return None
    positions: dict[str, Position] = {}
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        if match is None or match[1] in positions:
            return None
        positions[match[1]] = Position(int(match[2]), int(match[3] or "0", 16))
    return Cursor(positions, int(generation))


def advance(cursor: Cursor, digest: Mapping[str, Position], *, generation: int = 0) -> Cursor:
    """The cursor of an answer: per origin the greater of what was asked with and what is known.

    Origins that the server does not know stay, the newest `FOREIGN_ORIGINS_MAX` of them: they are
    what another server will need to find nothing new.
    """
    merged = dict(cursor.positions)
    for origin, position in digest.items():
        merged[origin] = max(position, merged.get(origin, position))
    surplus = len(merged) - len(digest) - FOREIGN_ORIGINS_MAX
    if surplus > 0:
        foreign = [origin for origin in merged if origin not in digest]
        for origin in foreign[:surplus]:
            del merged[origin]
    return Cursor(merged, max(cursor.generation, generation))
