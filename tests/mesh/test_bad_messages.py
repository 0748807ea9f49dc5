"""`mesh.messages`: nothing that cannot be gets in, whatever comes (I6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.limits import (
    HASH_CHARS_MAX,
    REGISTER_MAX,
    SEQUENCE_MAX,
    TOUCHES_MAX,
    VERSION_MAX,
)
from reality.errors import ProtocolError
from reality.mesh.messages import (
    decode_exchange,
    decode_peers,
    decode_remove,
    decode_removed,
    encode,
)
from tests.mesh.exchanging import TAG_MAX, exchange, page

DECODERS: list[Callable[[bytes], Any]] = [
    decode_exchange,
    decode_remove,
    decode_removed,
    decode_peers,
]

# ---- what is refused -----------------------------------------------------------------------------

_WRONG: dict[str, list[Any]] = {
    "kind": ["pull", "", None, 1],
    "serverId": ["", "a b", "a~1", "x" * 65, "\u202e", None, 7],
    "run": ["b", "c~1", "b@1", "b!gone", "", "b~" + "x" * 33, "b~1\n", None],
    "origin": ["b", "", "b~", "~1", "b@", "b~1=2", "x" * 200, None],
    "generation": [[0], [-1, ""], [10**8 + 1, ""], [0, "x" * 65], [0, None], ["0", ""], 0, {}],
    "register": [-1, REGISTER_MAX + 1, 1.5, "1", None, 2**63, 2**64],
    "digest": [
        {"b": [0, 0]},
        {"b~1": [-1, 0]},
        {"b~1": [SEQUENCE_MAX + 1, 0]},
        {"b~1": [0, -1]},
        {"b~1": [0, TAG_MAX + 1]},
        {"b~1": [0]},
        {"b~1": [0, 0, 0]},
        {"b~1": 0},
        {f"b~{number}": [0, 0] for number in range(65)},
        [],
        None,
    ],
    "url": [
        "b",
        "ftp://b",
        "http://",
        "http://b:0",
        "http://b:99999",
        "http://[",
        "http://" + "x" * 250,
        1,
    ],
    "publicUrl": [
        "javascript:alert(1)",
        "http://b/\n",
        "http://b/\x1b[2J",
        "//b",
        "http://" + "é" * 125,
    ],
    "members": [
        [{"serverId": "", "url": ""}],
        [{"serverId": "c c", "url": "http://c"}],
        [{"serverId": "c"}],
        [{"serverId": "c", "url": "c"}],
        [{"serverId": "c", "url": "http://c", "publicUrl": "c"}],
        [{"serverId": "c", "url": "http://c/" + "x" * 256}],
        [{"serverId": "c", "url": "http://c"}] * 33,
        {},
    ],
    "pages": [[{}], [None], [[]], {}, None],
    "more": [0, "true", None],
    "partial": [
        {"b": {"since": [0, 0], "ends": [0, ""]}},
        {"b~1": {"since": [0, 0]}},
        {"b~1": {"since": [0, 0], "ends": [0, "x" * 513]}},
        {f"b~{number}": {"since": [0, 0], "ends": [0, ""]} for number in range(9)},
    ],
    "skip": [["b"], [f"b~{number}" for number in range(65)], [None], "b~1"],
}
_WRONG_IN_PAGES: dict[str, list[Any]] = {
    "origin": ["b", "", None],
    "position": [-1, VERSION_MAX + 1, "0"],
    "register": [-1, REGISTER_MAX + 1],
    "since": [[2, 0], [-1, 0], [0], [0, TAG_MAX + 1]],
    "begins": [[2, ""], [0], [0, 0], [-1, ""], [0, "x" * 513]],
    "ends": [[0, ""], [SEQUENCE_MAX + 1, ""]],
    "last": [0, None],
    "tag": [-1, TAG_MAX + 1],
    "past": [[[0]], [[-1, 0]], [[0, TAG_MAX + 1]], [[1, 1]] * 257],
}
# A name, a sequence from 1 to 1, touches, a hash, a time, and whether it is deleted.
_WRONG_ENTRIES: list[Any] = [
    ["", 1, 1, "", 0, False],
    ["a\nb", 1, 1, "", 0, False],
    ["\ud800", 1, 1, "", 0, False],
    ["a:" * 8 + "b", 1, 1, "", 0, False],
    ["x" * 513, 1, 1, "", 0, False],
    ["é" * 257, 1, 1, "", 0, False],
    ["k", 0, 1, "", 0, False],
    ["k", 2, 1, "", 0, False],
    ["k", SEQUENCE_MAX + 1, 1, "", 0, False],
    ["k", 1, 0, "", 0, False],
    ["k", 1, TOUCHES_MAX + 1, "", 0, False],
    ["k", 1, 1, "x" * (HASH_CHARS_MAX + 1), 0, False],
    ["k", 1, 1, "a\x00b", 0, False],
    ["k", 1, 1, "", -1, False],
    ["k", 1, 1, "", VERSION_MAX + 1, False],
    ["k", 1, 1, "", 0, None],
    ["k", 1, 1, "", 0],
    {},
    "k",
]


def _refused(members: dict[str, Any]) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode_exchange(json.dumps(members).encode())
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 1_000
    return text


@pytest.mark.parametrize("member", _WRONG)
def test_what_cannot_be_is_refused(member: str) -> None:
    """I6: a message with a member of the wrong shape, or out of bounds, is refused as a whole."""
    members = json.loads(encode(exchange()))
    for value in _WRONG[member]:
        assert _refused(members | {member: value})


@pytest.mark.parametrize("member", ["kind", "serverId", "run", "origin", "generation", "digest"])
def test_what_is_missing_is_refused(member: str) -> None:
    """A message that does not say who it is from and how far that server has come is refused."""
    members = json.loads(encode(exchange()))
    del members[member]

    assert member in _refused(members)


@pytest.mark.parametrize("member", _WRONG_IN_PAGES)
def test_a_page_that_cannot_be_is_refused(member: str) -> None:
    """I6: so is one with a page that begins after its end, is out of bounds or of another shape."""
    members = json.loads(encode(exchange(pages=[page()])))
    for value in _WRONG_IN_PAGES[member]:
        broken = members["pages"][0] | {member: value}
        assert _refused(members | {"pages": [broken]})


@pytest.mark.parametrize("entry", _WRONG_ENTRIES)
def test_an_entry_that_cannot_be_is_refused(entry: Any) -> None:
    """I6: no name, hash or number gets in that this server itself would not have taken."""
    members = json.loads(encode(exchange(pages=[page()])))
    members["pages"][0]["touched"] = [entry]

    assert _refused(members)


def test_a_generation_is_opened_by_somebody() -> None:
    """I6: nothing is logged of a peer that could not be a name; an origin of a store is one."""
    members = json.loads(encode(exchange()))
    for name in ("", "s1", "store@one", "s" * 64 + "@" + "l" * 32):
        body = json.dumps(members | {"generation": [3, name]}).encode()
        assert decode_exchange(body).generation == (3, name)
    for name in ("\x1b[2J", "a b", "a\nb", "a=b"):
        assert _refused(members | {"generation": [3, name]})


# ---- anything at all -----------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
_paths = st.sampled_from(
    [(name,) for name in _WRONG]
    + [("pages", 0, name) for name in _WRONG_IN_PAGES]
    + [("pages", 0, "touched"), ("pages", 0, "touched", 0)]
    + [("pages", 0, "touched", 0, index) for index in range(6)]
)


def _decoded(body: bytes) -> None:
    for decode in DECODERS:
        with suppress(ProtocolError):
            decode(body)


@given(st.binary(max_size=200))
def test_garbage_is_only_refused(body: bytes) -> None:
    """I6: whatever bytes come, they are refused as what is no message."""
    _decoded(body)


@given(_json)
def test_any_json_is_only_refused(value: Any) -> None:
    """I6: whatever JSON comes, it is read or refused."""
    _decoded(json.dumps(value).encode())


@given(_paths, _json | st.text(max_size=600) | st.integers(-(2**70), 2**70))
def test_a_message_with_anything_in_it_is_read_or_refused(
    path: tuple[Any, ...], value: Any
) -> None:
    """I6: whatever stands in one place of a message, it is read or refused."""
    members = json.loads(encode(exchange(pages=[page()])))
    place = members
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    _decoded(json.dumps(members).encode())


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 10_000, b'{"pages":[' * 6_000])
def test_deep_json_is_only_refused(body: bytes) -> None:
    """I6: no depth of nesting ends more than the message."""
    _decoded(body)
