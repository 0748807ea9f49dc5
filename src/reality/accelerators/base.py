"""The port of an accelerator: a channel on which servers tell each other that something changed.

A hint says which server has touched something, and how far its origin has come. Whoever hears it
looks there at once, instead of a little later. A hint is never a reason to believe anything: it may
be lost, doubled, late, forged, and all that follows is that somebody looks (invariant I5).

An `Accelerator` only knows how to connect, and each `Channel` is one connection. Whatever breaks, a
channel ends and another is made; so nothing has to survive a reconnect, or a fork. What is sent,
when, and what to do about failures is decided in `reality.server.acceleration`.
"""

from __future__ import annotations

from typing import Annotated, Protocol
from urllib.parse import urlsplit

import msgspec

from reality.core.limits import SERVER_ID_CHARS_MAX
from reality.errors import AcceleratorUnavailable

HINT_BYTES_MAX = 1024
# The longest id of an origin or run is that of a server, a separator, and a nonce.
_ID_CHARS_MAX = SERVER_ID_CHARS_MAX + 33

_Id = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9._~!@-]{{1,{_ID_CHARS_MAX}}}\Z")]
_OptionalId = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9._~!@-]{{0,{_ID_CHARS_MAX}}}\Z")]
_Sequence = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Hint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What travels, as JSON of at most 1 KiB.

    Attributes:
        server_id: whose hint it is.
        run: which run of that server; a server tells its own hints by it.
        origin: what was touched is of this origin. "" is no hint, only a sign of life.
        sequence: how far that origin has come.
    """

    server_id: _Id
    run: _Id
    origin: _OptionalId = ""
    sequence: _Sequence = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Hint).decode


def encode_hint(hint: Hint) -> bytes:
    """The hint as it travels."""
    return _encode(hint)


def decode_hint(payload: bytes) -> Hint | None:
    """The hint that travelled; None if this is none. Members that are not known are ignored."""
    if len(payload) > HINT_BYTES_MAX:
        return None
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class Channel(Protocol):
    """One connection to a channel. Lives in the event loop that it was made in.

    It ends for good with the first failure, and never connects anew by itself: what was missed
    meanwhile must not go unnoticed. From then on `publish` and `receive` raise.
    """

    async def publish(self, payload: bytes) -> None:
        """Send at most 1 KiB to all channels of that name that stand now, this one included.

        It is not called again before it has returned, but while `receive` waits. Having returned,
        it has promised nothing. If it is cancelled, the channel may have ended.

        Raises:
            AcceleratorUnavailable: the connection is gone, or this may not be sent.
        """
        ...

    async def receive(self) -> bytes:
        """Wait for what anybody has sent since the channel was made: anything, of any size.

        In the order of each sender, if nothing else comes between. May be cancelled, after which
        the channel is only good for `close`.

        Raises:
            AcceleratorUnavailable: the connection is gone.
        """
        ...

    async def close(self) -> None:
        """Disconnect. May be called twice, and never raises; what the application brought stays."""
        ...


class Accelerator(Protocol):
    """How to connect to a channel. May be made anywhere: that neither connects nor looks around.

    Attributes:
        kind: what it is, in one word, for `/health`.
        name: what errors and logs call it; without credentials.
    """

    @property
    def kind(self) -> str:
        """What it is, in one word, for `/health`."""
        ...

    @property
    def name(self) -> str:
        """What errors and logs call the accelerator; without credentials."""
        ...

    async def connect(self) -> Channel:
        """Another channel: from the return on, it hears all that is sent.

        May be called in any event loop, and in a child of a fork, whose channels leave those of its
        parent alone. If it is cancelled, nothing stays behind.

        Raises:
            AcceleratorUnavailable: it cannot be reached, or refuses; the text says what to do.
        """
        ...


def unavailable(name: str, error: BaseException | None = None) -> AcceleratorUnavailable:
    """What to raise where a driver has failed.

    Its words are left to the cause: they may tell more of the address than logs should have.
    """
    reason = "" if error is None else f" ({type(error).__name__})"
    return AcceleratorUnavailable(
        f"{name} cannot be reached, or the connection was lost{reason}: check that it runs, that "
        "this host may connect to it, and the credentials"
    )


def place(url: str) -> str:
    """Host and port of a URL, for names: nothing that could be a part of a password.

    Raises:
        ValueError: it cannot be told what in it is a password, and what is not.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        rest = parts.path + parts.query + parts.fragment
        is_clear = parts.netloc.count("@") <= 1 and "@" not in rest
    except ValueError:  # whose words may have a part of the password
        is_clear = False
    if not is_clear:
        raise ValueError(
            "the URL of the accelerator is ambiguous: write special characters of user and "
            "password as %XX (%40 for @, %2F for /, %23 for #), and the port as a number"
        )
    host = parts.hostname or "localhost"
    return host if port is None else f"{host}:{port}"
