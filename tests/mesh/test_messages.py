"""`mesh.messages`: what travels is what was meant, and nothing that cannot be gets in (I6)."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.limits import (
    MESH_MESSAGE_BYTES_MAX,
    REGISTER_MAX,
    TOUCHES_MAX,
    VERSION_MAX,
)
from reality.core.replica import Generation
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
