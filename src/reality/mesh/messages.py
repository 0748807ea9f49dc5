"""What servers say to each other: one struct per message, and their bytes.

Both ways of an exchange are the same message: who I am, how far I have come, and pages of what you
lack. Whatever a peer sends is checked here for shape and bounds before anything believes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from reality.core.cursor import Position, is_origin, is_server_id
from reality.core.delta import Delta, Mark, Touched
from reality.core.keys import KEY_BYTES_MAX, check_names, forbidden_character
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
from reality.core.messages import Health
from reality.core.replica import Generation
from reality.errors import ProtocolError, RealityError

Kind = Literal["push", "exchange", "goodbye"]
Answer = TypeVar("Answer")

_ORIGIN_CHARS_MAX = SERVER_ID_CHARS_MAX + 33
_PAGES_MAX = ORIGINS_MAX
_PARTIAL_MAX = 8
_PAST_MAX = 256

Sequence = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
Tag = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Name = Annotated[str, Meta(max_length=KEY_BYTES_MAX)]
Origin = Annotated[str, Meta(min_length=1, max_length=_ORIGIN_CHARS_MAX)]
Opener = Annotated[str, Meta(max_length=_ORIGIN_CHARS_MAX)]
Url = Annotated[str, Meta(max_length=URL_CHARS_MAX)]
At = tuple[Sequence, Tag]
Place = tuple[Sequence, Name]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all messages have in common."""


class Entry(Touched, frozen=True, gc=False, array_like=True):
    """`Touched`, as an array: most of what servers send is these."""

    name: Annotated[str, Meta(min_length=1, max_length=KEY_BYTES_MAX)]
    sequence: Annotated[int, Meta(ge=1, le=SEQUENCE_MAX)]
    touches: Annotated[int, Meta(ge=1, le=TOUCHES_MAX)]
    hash: Annotated[str, Meta(max_length=HASH_CHARS_MAX)]
    updated_at: Annotated[int, Meta(ge=0, le=VERSION_MAX)]
    deleted: bool


class Page(_Message, frozen=True):
    """One page of a delta; see `reality.core.delta.Delta`."""

    origin: Origin
    position: Annotated[int, Meta(ge=0, le=VERSION_MAX)]
    register: Annotated[int, Meta(ge=0, le=REGISTER_MAX)]
    since: At
    begins: Place
    ends: Place
    last: bool
    touched: list[Entry]
    tag: Tag = 0
    past: Annotated[list[At], Meta(max_length=_PAST_MAX)] = []


class Member(_Message, frozen=True):
    """A server that the sender has been in contact with: its id and URLs."""

    server_id: Annotated[str, Meta(min_length=1, max_length=SERVER_ID_CHARS_MAX)]
    url: Url
    public_url: Url = ""


class Partial(_Message, frozen=True):
    """Pages of an origin that the sender has already had of the server it speaks to."""

    since: At
    ends: Place


class Exchange(_Message, frozen=True):
    """`POST /mesh/exchange`, and its answer.

    Attributes:
        kind: `push` brings the sender's own news, `exchange` asks for news as well, `goodbye` says
            that the sender ends for good.
        server_id: the sender.
        run: which run of it, `server_id~nonce`.
        origin: what its own touches belong to.
        generation: its generation, number and who opened it.
        register: what its versions start from.
        digest: how far it has come in each origin: sequence and tag.
        url: where other servers reach it; "" if they cannot.
        public_url: where clients reach it.
        members: servers that it has been in contact with.
        pages: what the receiver lacks, as far as it fits.
        more: whether it did not all fit.
        partial: pages that the sender has had of the receiver, by origin.
        skip: origins that the sender is being sent by another server.
    """

    kind: Kind
    server_id: Annotated[str, Meta(min_length=1, max_length=SERVER_ID_CHARS_MAX)]
    run: Origin
    origin: Origin
    generation: tuple[Annotated[int, Meta(ge=0, le=10**8)], Opener]
    register: Annotated[int, Meta(ge=0, le=REGISTER_MAX)]
    digest: Annotated[dict[Origin, At], Meta(max_length=ORIGINS_MAX)]
    url: Url = ""
    public_url: Url = ""
    members: Annotated[list[Member], Meta(max_length=MEMBERS_TOLD_MAX)] = []
    pages: Annotated[list[Page], Meta(max_length=_PAGES_MAX)] = []
    more: bool = False
    partial: Annotated[dict[Origin, Partial], Meta(max_length=_PARTIAL_MAX)] = {}
    skip: Annotated[list[Origin], Meta(max_length=ORIGINS_MAX)] = []


class RemoveRequest(_Message, frozen=True):
    """`POST /mesh/remove`: this server is gone for good."""

    server_id: Annotated[str, Meta(min_length=1, max_length=SERVER_ID_CHARS_MAX)]


class RemoveResponse(_Message, frozen=True):
    """The origin that stands for the removed server."""

    origin: str


class PeerStatus(_Message, frozen=True):
    """How a server sees one of its peers.

    Attributes:
        url: where it is called; "" for a server that only calls.
        server_id: "" as long as it was never reached.
        public_url: where clients reach it.
        health: from the calls made.
        lag: batches that one of the two is known to lack of the other.
        last_contact_ms: how long ago it was last heard of; None if never.
        latency_ms: mean of its answers; None if it never answered.
        failures: calls in a row that have failed.
        is_configured: whether it was configured, rather than heard of from others.
    """

    url: str
    server_id: str
    public_url: str
    health: Health
    lag: int
    last_contact_ms: int | None
    latency_ms: float | None
    failures: int
    is_configured: bool


class PeersResponse(_Message, frozen=True):
    """The answer to `POST /mesh/peers`."""

    server_id: str
    run: str
    generation: int
    peers: list[PeerStatus]
    is_removed: bool = False


encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

_exchange = msgspec.json.Decoder(Exchange)
_remove = msgspec.json.Decoder(RemoveRequest)
_removed = msgspec.json.Decoder(RemoveResponse)
_peers = msgspec.json.Decoder(PeersResponse)


def decode_exchange(body: bytes) -> Exchange:
    """Read an exchange or its answer, and check all that can be checked of it by itself.

    Raises:
        ProtocolError: it is none; the text says what is wrong.
    """
    message = _decode(_exchange, body)
    for origin in (message.run, message.origin, *message.digest, *message.partial, *message.skip):
        _check(is_origin(origin), f"{origin!a} is no origin")
    _check(is_server_id(message.server_id), f"{message.server_id!a} is no server id")
    _check(message.run.startswith(message.server_id + "~"), f"{message.run!a} is another's run")
    opener = message.generation[1]
    is_opener = not opener or is_server_id(opener) or is_origin(opener)
    _check(is_opener, f"{opener!a} opens no generation")
    for member in message.members:
        _check(is_server_id(member.server_id), f"{member.server_id!a} is no server id")
        _check_url(member.url)
        _check_url(member.public_url)
    _check_url(message.url)
    _check_url(message.public_url)
    for page in message.pages:
        _check_page(page)
    return message


def decode_remove(body: bytes) -> RemoveRequest:
    """Read a removal; raises as `decode_exchange`."""
    message = _decode(_remove, body)
    _check(is_server_id(message.server_id), f"{message.server_id!a} is no server id")
    return message


def decode_removed(body: bytes) -> RemoveResponse:
    """Read the answer to a removal; raises as `decode_exchange`."""
    return _decode(_removed, body)


def decode_peers(body: bytes) -> PeersResponse:
    """Read the table of peers; raises as `decode_exchange`."""
    return _decode(_peers, body)


def page_of(delta: Delta) -> Page:
    """A page as it travels."""
    return Page(
        origin=delta.origin,
        position=delta.position,
        register=delta.register,
        since=(delta.since, delta.since_tag),
        begins=(delta.after, delta.after_name),
        ends=(delta.upto.sequence, delta.upto_name),
        tag=delta.upto.tag,
        last=delta.last,
        touched=[
            Entry(each.name, each.sequence, each.touches, each.hash, each.updated_at, each.deleted)
            for each in delta.touched
        ],
        past=list(delta.past),
    )


def delta_of(page: Page, sender: str) -> Delta:
    """The page as graphs take it in; `sender` is the run of the server that sent it."""
    return Delta(
        origin=page.origin,
        sender=sender,
        position=page.position,
        register=page.register,
        since=page.since[0],
        since_tag=page.since[1],
        after=page.begins[0],
        after_name=page.begins[1],
        upto=Position(page.ends[0], page.tag),
        upto_name=page.ends[1],
        last=page.last,
        touched=tuple(page.touched),
        past=tuple(Position(*each) for each in page.past),
    )


def digest_of(message: Exchange) -> dict[str, Position]:
    """How far the sender has come."""
    return {origin: Position(*at) for origin, at in message.digest.items()}


def generation_of(message: Exchange) -> Generation:
    """The sender's generation."""
    return Generation(*message.generation)


def _check_page(page: Page) -> None:
    _check(is_origin(page.origin), f"{page.origin!a} is no origin")
    begins, ends = Mark(*page.begins), Mark(*page.ends)
    _check(page.since[0] <= begins.sequence, f"a page of {page.origin} begins before its delta")
    _check(begins.sequence <= ends.sequence, f"a page of {page.origin} ends before it begins")
    first, last = begins.sequence, ends.sequence
    are_in = all(first <= each.sequence <= last for each in page.touched)
    _check(are_in, f"a page of {page.origin} has a batch that is not in it")
    try:
        check_names([each.name for each in page.touched])
    except RealityError as error:
        raise ProtocolError(f"a page of {page.origin} has a bad name: {error}") from error
    bad = forbidden_character("".join(each.hash for each in page.touched))
    _check(not bad, f"a hash in a page of {page.origin} has {bad}")


def _check_url(url: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    is_good = is_good and url.isprintable() and len(url.encode()) <= URL_CHARS_MAX
    _check(is_good, f"{url!a} is not the URL of a server")


def _check(is_good: bool, text: str) -> None:
    if not is_good:
        raise ProtocolError(f"a server of the mesh has sent what cannot be: {text}")


def _decode(decoder: msgspec.json.Decoder[Answer], body: bytes) -> Answer:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a server of the mesh has sent what is no message: {error}") from error
