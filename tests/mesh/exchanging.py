"""Messages between servers, small and of the greatest size."""

from __future__ import annotations

from typing import Any

import msgspec

from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.limits import (
    HASH_CHARS_MAX,
    MEMBERS_TOLD_MAX,
    ORIGINS_MAX,
    REGISTER_MAX,
    SEQUENCE_MAX,
    SERVER_ID_CHARS_MAX,
    TOUCHES_MAX,
    URL_CHARS_MAX,
    VERSION_MAX,
)
from reality.mesh.messages import Entry, Exchange, Kind, Member, Page, Partial

TAG_MAX = 2**32 - 1
LONGEST_ID = "s" * SERVER_ID_CHARS_MAX


def exchange(server_id: str = "b", **members: Any) -> Exchange:
    """A message that says little but who has sent it."""
    run = f"{server_id}~1"
    kind: Kind = "exchange"
    told: dict[str, Any] = {
        "kind": kind,
        "server_id": server_id,
        "run": run,
        "origin": run,
        "generation": (0, ""),
        "register": 1,
        "digest": {run: (0, 0)},
    }
    return Exchange(**(told | members))


def page(**members: Any) -> Page:
    """A page with one entry, and last."""
    told: dict[str, Any] = {
        "origin": "b~1",
        "position": 7,
        "register": 1,
        "since": (0, 0),
        "begins": (0, ""),
        "ends": (1, ""),
        "last": True,
        "touched": [Entry("k", 1, 1, "", 0, False)],
    }
    return Page(**(told | members))


def delta(**members: Any) -> Delta:
    """What `page` is to graphs, if it was sent by the run `b~1`."""
    told: dict[str, Any] = {
        "origin": "b~1",
        "sender": "b~1",
        "position": 7,
        "register": 1,
        "since": 0,
        "after": 0,
        "upto": Position(1),
        "last": True,
        "touched": (Touched("k", 1, 1, "", 0, False),),
    }
    return Delta(**(told | members))


def plain(given: Delta) -> Delta:
    """A delta with its entries as graphs make them."""
    entries = tuple(Touched(*msgspec.structs.astuple(each)) for each in given.touched)
    return msgspec.structs.replace(given, touched=entries)


def longest_name(number: int) -> str:
    """A name of 512 bytes, each of which JSON escapes."""
    return f"{number:04}" + '"' * 508


def longest_url(number: int) -> str:
    """A URL of the greatest length, most of which JSON escapes."""
    return f"http://h/{number:04}".ljust(URL_CHARS_MAX, '"')


def durable(number: int) -> str:
    """The longest id of an origin."""
    return f"{number:02}".ljust(SERVER_ID_CHARS_MAX, "o") + "@" + "l" * 32


def largest_exchange() -> Exchange:
    """A message without pages in which all is as long as it may be."""
    at = (SEQUENCE_MAX, TAG_MAX)
    origins = [durable(number) for number in range(ORIGINS_MAX)]
    return Exchange(
        kind="exchange",
        server_id=LONGEST_ID,
        run=LONGEST_ID + "~" + "n" * 32,
        origin=origins[0],
        generation=(10**8, LONGEST_ID),
        register=REGISTER_MAX,
        digest=dict.fromkeys(origins, at),
        url=longest_url(0),
        public_url=longest_url(1),
        members=[
            Member(
                server_id=LONGEST_ID,
                url=longest_url(2 * number),
                public_url=longest_url(2 * number + 1),
            )
            for number in range(MEMBERS_TOLD_MAX)
        ],
        more=True,
        partial={
            origin: Partial(since=at, ends=(SEQUENCE_MAX, longest_name(0)))
            for origin in origins[:8]
        },
        skip=origins[8:],
    )


def largest_entry(number: int) -> Entry:
    """An entry in which all is as long as it may be."""
    return Entry(
        longest_name(number), SEQUENCE_MAX, TOUCHES_MAX, '"' * HASH_CHARS_MAX, VERSION_MAX, False
    )
