"""Bodies to messages and back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core import codec, messages
from reality.core.limits import CLIENT_ID_CHARS_MAX, VERSION_MAX, Limits
from reality.errors import InvalidRequest, LimitExceeded, ProtocolError
from tests.core.vectors import each, spelled_out

_READERS: dict[str, Callable[[bytes], Any]] = {
    "sync": codec.decode_sync_request,
    "invalidate": codec.decode_invalidate_request,
    "update": codec.decode_update_request,
}
_ANSWERS: dict[str, type[Any]] = {
    "sync": messages.SyncResponse,
    "invalidate": messages.InvalidateResponse,
    "versions": messages.VersionsResponse,
    "health": messages.HealthResponse,
}
_WRITTEN: dict[str, type[Any]] = {
    "sync": messages.SyncRequest,
    "syncAnswer": messages.SyncResponse,
    "invalidate": messages.InvalidateRequest,
    "update": messages.UpdateRequest,
    "problem": messages.Problem,
}

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@each("codec.json", "requests")
def test_requests_are_read_or_refused(case: dict[str, Any]) -> None:
    """I6: a request is read as the vector says, or refused with its code and the member's name."""
    read = _READERS[case["message"]]
    if "members" in case:
        assert msgspec.to_builtins(read(_body(case))) == case["members"]
        return
    with pytest.raises(InvalidRequest) as caught:
        read(_body(case))
    assert caught.value.code == case["code"]
    assert caught.value.status == 400
    assert case.get("member", "") in str(caught.value)
    assert len(str(caught.value)) < 300


@each("codec.json", "answers")
def test_answers_are_read_or_refused(case: dict[str, Any]) -> None:
    """A client reads an answer as the vector says, or knows that it is none."""
    kind = _ANSWERS[case["message"]]
    if "members" in case:
        assert msgspec.to_builtins(codec.decode_answer(kind, _body(case))) == case["members"]
        return
    with pytest.raises(ProtocolError, match=kind.__name__) as caught:
        codec.decode_answer(kind, _body(case))
    assert caught.value.code == case["code"]
    assert caught.value.retryable


@each("codec.json", "problems")
def test_problems_are_read_or_none_of_ours(case: dict[str, Any]) -> None:
    """An error answer is read if it is one of ours; anything else is None, never an exception."""
    problem = codec.decode_problem(_body(case))
    assert (None if problem is None else msgspec.to_builtins(problem)) == case["members"]


@each("codec.json", "written")
def test_messages_are_written(case: dict[str, Any]) -> None:
    """A message is written with its members in order, camelCase, defaults left out."""
    message = msgspec.convert(case["members"], _WRITTEN[case["message"]])
    assert codec.encode(message).decode() == case["body"]


def test_a_sync_request_may_be_a_struct_or_wire_members() -> None:
    """`sync_request` takes a struct as it is and reads wire members like a body."""
    members = {"known": {"posts": 1}, "clientId": "c", "mode": "native", "hint": "mount"}
    request = codec.sync_request(members)
    assert request == codec.decode_sync_request(json.dumps(members).encode())
    assert codec.sync_request(request) is request
    with pytest.raises(InvalidRequest, match="hint"):
        codec.sync_request({**members, "hint": "hover"})


def test_the_number_of_keys_is_bounded() -> None:
    """I6: one key more than allowed is an error that names the member and the limit."""
    limits = Limits(keys_max=3)
    codec.check_count(3, limits, member="known")
    with pytest.raises(LimitExceeded, match=r"`known` has 4 keys; at most 3") as caught:
        codec.check_count(4, limits, member="known")
    assert caught.value.code == "too_many_keys"
    assert caught.value.status == 422


@pytest.mark.parametrize("hash", ["h\x00", "\x1b[2J", "h\ud800"])
def test_a_hash_has_no_control_characters(hash: str) -> None:
    """What no database stores, and what would command a terminal, is refused."""
    with pytest.raises(InvalidRequest, match="U\\+"):
        codec.check_hash(hash)


@pytest.mark.parametrize("hash", ["", "h" * 257, None, 7, b"h"])
def test_a_hash_has_1_to_256_characters(hash: object) -> None:
    """I6: an empty or too long hash, or none at all, is refused with advice."""
    codec.check_hash("h")
    codec.check_hash("h" * 256)
    with pytest.raises(InvalidRequest, match="invalidate the key instead"):
        codec.check_hash(cast("str", hash))


@given(
    known=st.dictionaries(st.text(), st.integers(0, VERSION_MAX), max_size=5),
    client_id=st.text(min_size=1, max_size=CLIENT_ID_CHARS_MAX),
    wait=st.integers(0, VERSION_MAX),
    cursor=st.text() | st.just(msgspec.UNSET),
)
def test_what_is_written_is_read_back(
    known: dict[str, int], client_id: str, wait: int, cursor: str | msgspec.UnsetType
) -> None:
    """Every sync request survives being written and read."""
    request = messages.SyncRequest(
        known=known, client_id=client_id, mode="native", hint="idle", wait=wait, cursor=cursor
    )
    assert codec.decode_sync_request(codec.encode(request)) == request


@given(st.binary(max_size=60) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """I6: whatever the bytes, a body is read or refused; it never fails in another way."""
    for read in _READERS.values():
        with pytest.raises(InvalidRequest):
            read(body)
    for kind in _ANSWERS.values():
        with pytest.raises(ProtocolError):
            codec.decode_answer(kind, body)
    assert codec.decode_problem(body) is None


@given(known=_json, more=_json, member=st.sampled_from(["known", "wait", "cursor", "clientId"]))
def test_any_member_is_read_or_refused(known: Any, more: Any, member: str) -> None:
    """I6: whatever the members, even one that comes twice, a request is read or refused."""
    shown = f'"clientId":"c","mode":"native","hint":"mount","{member}":{json.dumps(more)}'
    body = f'{{"known":{json.dumps(known)},{shown}}}'.encode()
    with contextlib.suppress(InvalidRequest):
        assert codec.decode_sync_request(body).hint == "mount"


def _body(case: dict[str, Any]) -> bytes:
    body = case["body"]
    if isinstance(body, dict) and "hex" in body:
        return bytes.fromhex(body["hex"])
    return spelled_out(body).encode()
