"""What servers sign: whoever wrote this has the mesh's secret, wrote it just now, and only once.

A request is signed over its method, route, time, nonce and body; an answer over the nonce of its
request, so that nobody in between can forge one or use it twice. Both carry their time and

    Reality-Signature: v1=HMAC-SHA256(secret, text), in hexadecimal digits

where the text is a compact JSON array of strings, of which no two messages have the same:

    ["reality-request-v1", method, route, time in ms, nonce, SHA-256 of the body]
    ["reality-answer-v1", nonce, status, time in ms, SHA-256 of the body]

The route is the path below the base path, as proxies may put another in front. Several secrets may
be valid at a time, so that they can be changed while the mesh works: the first one signs requests,
each of them is accepted, and answers are signed with all, with commas between, as the asker may
have any one of them. Pure: times and nonces are arguments.
"""

from __future__ import annotations

import heapq
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from reality.errors import MeshUnauthorized, ProtocolError

TIMESTAMP = "Reality-Timestamp"
NONCE = "Reality-Nonce"
SIGNATURE = "Reality-Signature"

SECRET_CHARS_MIN = 16
# How far the clock of who signed may be from that of who checks, in milliseconds.
SKEW_MS = 30_000
# Some 8,000 requests a second for the 30 s that each is remembered; 250 bytes for each.
NONCES_MAX = 250_000

_TIMESTAMP = re.compile("[0-9]{1,15}")
_NONCE = re.compile("[0-9a-f]{32}")
_PREFIX = "v1="


def check_secrets(secret: str | Sequence[str]) -> tuple[str, ...]:
    """The secrets, the first of which signs.

    Args:
        secret: one or several.

    Raises:
        ValueError: there is none, or one is too short or has control characters.
    """
    secrets = (secret,) if isinstance(secret, str) else tuple(secret)
    if not secrets:
        raise ValueError("servers of a mesh need a secret: make one with `reality secret`")
    for each in secrets:
        is_text = isinstance(each, str) and each.isprintable()
        if not is_text or len(each) < SECRET_CHARS_MIN:
            raise ValueError(
                f"a secret of a mesh must have at least {SECRET_CHARS_MIN} characters, none of "
                "them a control character: make one with `reality secret`"
            )
    return secrets


class Signer:
    """Signs requests and answers, and checks the answers to what it signed."""

    def __init__(self, secrets: str | Sequence[str]) -> None:
        """`secrets`: one or several; the first signs.

        Raises:
            ValueError: they are none.
        """
        self._keys = _keys(secrets)

    def headers(
        self, method: str, route: str, body: bytes, *, now_ms: int, nonce: str
    ) -> dict[str, str]:
        """The headers that sign a request.

        Args:
            method: in upper case.
            route: the path below the base path, such as `/mesh/exchange`.
            body: as it is sent.
            now_ms: milliseconds since the epoch.
            nonce: 32 random hexadecimal digits, never used before.
        """
        text = _request_text(method, route, str(now_ms), nonce, body)
        return {TIMESTAMP: str(now_ms), NONCE: nonce, SIGNATURE: _sign(self._keys[0], text)}

    def answer_headers(
        self, nonce: str, status: int, body: bytes, *, now_ms: int
    ) -> dict[str, str]:
        """The headers that sign an answer.

        Args:
            nonce: of the request, which `Verifier.check` returns.
            status: of the answer.
            body: as it is sent.
            now_ms: milliseconds since the epoch.
        """
        text = _answer_text(nonce, status, str(now_ms), body)
        signatures = ", ".join(_sign(key, text) for key in self._keys)
        return {TIMESTAMP: str(now_ms), SIGNATURE: signatures}

    def check_answer(self, nonce: str, status: int, headers: Mapping[str, str], body: bytes) -> int:
        """The time at which an answer was signed, by the clock of who did, in milliseconds.

        Args:
            nonce: of the request that it answers.
            status: of the answer.
            headers: the names as above, or in lower case.
            body: as it came.

        Raises:
            ProtocolError: its signature is missing or wrong.
        """
        timestamp = _header(headers, TIMESTAMP)
        signature = _header(headers, SIGNATURE)
        if not _TIMESTAMP.fullmatch(timestamp) or not signature:
            raise ProtocolError("the answer is not signed with the secret of the mesh")
        if not _is_right(self._keys, _answer_text(nonce, status, timestamp, body), signature):
            raise ProtocolError(
                "the answer's signature is wrong: the answerer has another secret, or something "
                "in between has changed the answer"
            )
        return int(timestamp)


class Verifier:
    """Checks requests, and remembers them for as long as they could be sent again.

    It is to be used by one thread.
    """

    def __init__(
        self,
        secrets: str | Sequence[str],
        *,
        skew_ms: int = SKEW_MS,
        nonces_max: int = NONCES_MAX,
    ) -> None:
        """A verifier that has not seen any request.

        Args:
            secrets: one or several, each of which is accepted.
            skew_ms: how far the clock of who signed may be from this server's, in milliseconds.
            nonces_max: how many requests are remembered; more are refused.

        Raises:
            ValueError: there are no good secrets.
        """
        self._keys = _keys(secrets)
        self._skew_ms = skew_ms
        self._nonces_max = nonces_max
        self._seen = set[str]()
        # When each of those can be forgotten, the first one on top.
        self._ends = list[tuple[int, str]]()

    def check(
        self, method: str, route: str, headers: Mapping[str, str], body: bytes, *, now_ms: int
    ) -> str:
        """The nonce of a request that may be answered; the answer is signed over it.

        Args:
            method: in upper case.
            route: the path below the base path.
            headers: the names as above, or in lower case.
            body: as it came.
            now_ms: milliseconds since the epoch.

        Raises:
            MeshUnauthorized: it was not signed with one of the secrets, or, if the error has a
                `nonce`, too long ago (`mesh_clock_skew`) or already used (`mesh_replayed`).
        """
        timestamp = _header(headers, TIMESTAMP)
        nonce = _header(headers, NONCE)
        signature = _header(headers, SIGNATURE)
        if not (_TIMESTAMP.fullmatch(timestamp) and _NONCE.fullmatch(nonce) and signature):
            raise MeshUnauthorized(
                f"servers of a mesh sign what they send, and this is not signed: {TIMESTAMP}, "
                f"{NONCE} or {SIGNATURE} is missing or malformed"
            )
        if not _is_right(
            self._keys, _request_text(method, route, timestamp, nonce, body), signature
        ):
            raise MeshUnauthorized(
                "the signature is wrong: the asker has another secret than this server, or "
                "something in between has changed the request"
            )
        self._check_time(int(timestamp), nonce, now_ms)
        self._remember(int(timestamp), nonce, now_ms)
        return nonce

    def _check_time(self, timestamp_ms: int, nonce: str, now_ms: int) -> None:
        difference_ms = timestamp_ms - now_ms
        if abs(difference_ms) > self._skew_ms:
            raise MeshUnauthorized(
                f"the request was signed at a time {abs(difference_ms) / 1000:.0f} s "
                f"{'after' if difference_ms > 0 else 'before'} this server's, and at most "
                f"{self._skew_ms / 1000:.0f} s are allowed: set the clocks of both",
                code="mesh_clock_skew",
                nonce=nonce,
            )

    def _remember(self, timestamp_ms: int, nonce: str, now_ms: int) -> None:
        while self._ends and self._ends[0][0] < now_ms:
            self._seen.discard(heapq.heappop(self._ends)[1])
        if nonce in self._seen:
            raise MeshUnauthorized(
                "the request was already sent once: sign it anew",
                code="mesh_replayed",
                nonce=nonce,
            )
        if len(self._seen) >= self._nonces_max:
            # To forget one would let it be sent again.
            raise MeshUnauthorized(
                f"the mesh has sent {self._nonces_max} requests in less than a minute, and this "
                "server remembers no more, so it cannot tell whether this one is new: send fewer",
                code="mesh_replayed",
                nonce=nonce,
            )
        self._seen.add(nonce)
        heapq.heappush(self._ends, (timestamp_ms + self._skew_ms, nonce))


def _keys(secrets: str | Sequence[str]) -> tuple[bytes, ...]:
    return tuple(each.encode() for each in check_secrets(secrets))


def _header(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name) or headers.get(name.lower()) or ""


def _request_text(method: str, route: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    return _text("reality-request-v1", method, route, timestamp, nonce, sha256(body).hexdigest())


def _answer_text(nonce: str, status: int, timestamp: str, body: bytes) -> bytes:
    return _text("reality-answer-v1", nonce, str(status), timestamp, sha256(body).hexdigest())


def _text(*parts: str) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


def _sign(key: bytes, text: bytes) -> str:
    return _PREFIX + hmac.digest(key, text, "sha256").hex()


def _is_right(keys: Sequence[bytes], text: bytes, signature: str) -> bool:
    """Whether one of the keys made one of the signatures; as quickly whichever it was, or none."""
    given = [each.strip() for each in signature.encode("utf-8", "replace").split(b",", 8)[:8]]
    made = [_sign(key, text).encode() for key in keys]
    return any([hmac.compare_digest(one, other) for one in made for other in given])  # noqa: C419
