"""Bytes to messages and back. Refusals name the member that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from reality.core.keys import forbidden_character
from reality.core.limits import HASH_CHARS_MAX, VERSION_MAX, Limits
from reality.core.messages import (
    HealthResponse,
    InvalidateRequest,
    InvalidateResponse,
    Problem,
    SyncRequest,
    SyncResponse,
    UpdateRequest,
    VersionsResponse,
)
from reality.errors import InvalidRequest, LimitExceeded, ProtocolError

Message = TypeVar("Message")

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

_sync_request = msgspec.json.Decoder(SyncRequest)
_invalidate_request = msgspec.json.Decoder(InvalidateRequest)
_update_request = msgspec.json.Decoder(UpdateRequest)
_problem = msgspec.json.Decoder(Problem)
_ANSWERS: dict[type, msgspec.json.Decoder[Any]] = {
    each: msgspec.json.Decoder(each)
    for each in (SyncResponse, InvalidateResponse, VersionsResponse, HealthResponse)
}


def decode_sync_request(body: bytes) -> SyncRequest:
    """Read a sync request. Keys, and how many they are, are checked where they are looked up.

    Raises:
        InvalidRequest: malformed JSON (`malformed_json`) or a wrong shape; names the member.
    """
    return _decode(_sync_request, body)


def decode_invalidate_request(body: bytes) -> InvalidateRequest:
    """Read an invalidation; raises as `decode_sync_request`."""
    return _decode(_invalidate_request, body)


def decode_update_request(body: bytes) -> UpdateRequest:
    """Read a hash update; raises as `decode_sync_request`."""
    return _decode(_update_request, body)


def decode_answer(kind: type[Message], body: bytes) -> Message:
    """Read a server's answer.

    Raises:
        ProtocolError: it is not such an answer.
    """
    try:
        answer: Message = _ANSWERS[kind].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the answer is not a {kind.__name__}: {error}") from error
    return answer


def decode_problem(body: bytes) -> Problem | None:
    """Read an error answer; None where it is none of ours."""
    try:
        return _problem.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def sync_request(data: SyncRequest | dict[str, Any]) -> SyncRequest:
    """A sync request from a struct or from the wire's members in a dict (camelCase).

    Raises:
        InvalidRequest: a member is missing or wrong.
    """
    if isinstance(data, SyncRequest):
        return data
    try:
        return msgspec.convert(data, SyncRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from error


def check_count(count: int, limits: Limits, *, member: str) -> None:
    """Raise unless one request may carry so many keys."""
    if count > limits.keys_max:
        raise LimitExceeded(
            f"`{member}` has {count} keys; at most {limits.keys_max} are allowed in one request: "
            "split it",
            code="too_many_keys",
        )


def check_hash(hash: object) -> None:
    """Raise unless a text may be the hash of data: 1 to 256 characters, none for control."""
    if not isinstance(hash, str) or not 1 <= len(hash) <= HASH_CHARS_MAX:
        raise InvalidRequest(
            f"a hash must be a string of 1 to {HASH_CHARS_MAX} characters; "
            "where the hash is not known, invalidate the key instead"
        )
    if found := forbidden_character(hash):
        raise InvalidRequest(f"a hash must not have {found}")


def _decode(decoder: msgspec.json.Decoder[Message], body: bytes) -> Message:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_explained(str(error), body)) from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", code="malformed_json") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error}", code="malformed_json") from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply", code="malformed_json") from error


def _explained(text: str, body: bytes) -> str:
    """The decoder's words, with the key of `known` that they leave out (`$.known[...]`)."""
    if "`$.known[...]`" not in text:
        return text
    try:
        known = msgspec.json.decode(body)["known"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    if not isinstance(known, dict):  # there may be two of them, the first one wrong
        return text
    for key, version in known.items():
        if (
            isinstance(version, bool)
            or not isinstance(version, int)
            or not 0 <= version <= VERSION_MAX
        ):
            shown = ascii(key if len(key) <= 64 else key[:61] + "...")
            return text.replace("[...]", f"[{shown}]")
    return text
