"""`mesh.messages`: what travels is what was meant, and nothing that cannot be gets in (I6)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.limits import (
    HASH_CHARS_MAX,
    MESH_MESSAGE_BYTES_MAX,
    REGISTER_MAX,
    SEQUENCE_MAX,
    TOUCHES_MAX,
    VERSION_MAX,
)
from reality.core.replica import Generation
from reality.errors import ProtocolError
from reality.mesh.messages import (
    PeersResponse,
    PeerStatus,
    RemoveResponse,
    decode_exchange,
    decode_peers,
    decode_remove,
    decode_removed,
    delta_of,
    digest_of,
    encode,
    generation_of,
    page_of,
)
from tests.mesh.exchanging import TAG_MAX, delta, exchange, largest_exchange, page, plain

DECODERS: list[Callable[[bytes], Any]] = [
    decode_exchange,
    decode_remove,
    decode_removed,
    decode_peers,
]

# ---- what travels --------------------------------------------------------------------------------

_names = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=":"), min_size=1, max_size=40
)
_tags = st.integers(0, TAG_MAX)
_entries = st.tuples(
    _names,
    st.integers(0, 100),
    st.integers(1, TOUCHES_MAX),
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20),
    st.integers(0, VERSION_MAX),
    st.booleans(),
)


@st.composite
def _deltas(draw: st.DrawFn) -> Delta:
    """Pages of all kinds, also those that begin or end in the middle of a batch."""
    since = draw(st.integers(0, 1_000))
    after = since + draw(st.integers(0, 5))
    upto = after + draw(st.integers(0, 100))
    last = draw(st.booleans())
    touched = [
        Touched(name, min(after + 1 + distance, max(upto, after + 1)), *rest)
        for name, distance, *rest in draw(st.lists(_entries, max_size=5))
    ]
    return Delta(
        origin=draw(st.sampled_from(["a~1", "store@one", "c!gone"])),
        sender="a~1",
        position=draw(st.integers(0, VERSION_MAX)),
        register=draw(st.integers(0, REGISTER_MAX)),
        since=since,
        since_tag=draw(_tags),
        after=after,
        after_name=draw(st.just("") | _names),
        upto=Position(max([upto, *(each.sequence for each in touched)]), draw(_tags)),
        upto_name="" if last else draw(st.just("") | _names),
        last=last,
        touched=tuple(touched),
        past=tuple(Position(at, draw(_tags)) for at in draw(st.lists(st.integers(1, upto + 1)))),
    )


@given(_deltas())
def test_a_page_arrives_as_it_was(sent: Delta) -> None:
    """I8: a page, whole or of a split batch, is the same delta on the other side."""
    message = exchange(pages=[page_of(sent)])
    (got,) = decode_exchange(encode(message)).pages

    assert plain(delta_of(got, sent.sender)) == sent


def test_a_page_is_known_by_the_run_that_sent_it() -> None:
    """Who has sent a page is told by the message that it is in."""
    assert plain(delta_of(page(), "b~1")) == delta()
    assert delta_of(page(), "c~9").sender == "c~9"


def test_a_message_arrives_as_it_was() -> None:
    """The largest message is read as it was written, and digest and generation from it."""
    sent = largest_exchange()
    got = decode_exchange(encode(sent))

    assert got == sent
    assert digest_of(got) == {origin: Position(*at) for origin, at in sent.digest.items()}
    assert generation_of(got) == Generation(*sent.generation)


def test_what_others_add_is_ignored() -> None:
    """Members that a later version may add do no harm."""
    members = json.loads(encode(exchange(pages=[page()])))
    members["later"] = {"a": [1]}
    members["pages"][0]["later"] = "x"

    assert decode_exchange(json.dumps(members).encode()) == exchange(pages=[page()])


def test_a_message_of_the_greatest_size_fits() -> None:
    """I6: with 64 origins, 32 members and all names as long as can be it leaves room for a page."""
    assert len(encode(largest_exchange())) < MESH_MESSAGE_BYTES_MAX - 4_096


def test_other_messages_arrive_as_they_were() -> None:
    """Removals and the table of peers are read as they were written."""
    peer = PeerStatus("http://b", "b", "", "healthy", 0, None, None, 0, is_configured=True)
    peers = PeersResponse(server_id="a", run="a~1", generation=1, peers=[peer], is_removed=True)

    assert decode_remove(b'{"serverId":"b"}').server_id == "b"
    assert decode_removed(encode(RemoveResponse(origin="b!gone"))).origin == "b!gone"
    assert decode_peers(encode(peers)) == peers


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
        try:
            decode(body)
        except ProtocolError as error:
            assert str(error).isprintable()


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
