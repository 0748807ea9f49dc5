"""`mesh.node`: calls that follow on calls, until both know the same, and no longer."""

from __future__ import annotations

from reality.core.cursor import Position
from reality.mesh.node import Answered, Call
from tests.mesh.model import url_of
from tests.mesh.nodes import HELD, answer, met, said_by

B, C, D = map(url_of, "bcd")


def test_pages_that_are_missing_are_asked_for_at_once() -> None:
    """While a peer has more, and what it sends is of use, it is asked again without a pause."""
    node = met("b")
    ahead = {"b~1": (9, 0)}
    node.hinted("b", 0.5)
    for _ in range(20):
        calls = answer(node, "b", 0.6, learned=True, digest=ahead, more=True)
        assert calls == [Call(B, "exchange")]
    held = HELD | {"b~1": Position(9)}
    assert answer(node, "b", 0.6, learned=True, digest=ahead, held=held, more=False) == []


def test_a_peer_that_sends_nothing_new_is_not_asked_again() -> None:
    """A peer that says that it has more, and sends what is of no use, waits for the interval."""
    node = met("b")
    node.hinted("b", 0.5)
    digest = {origin: tuple(at) for origin, at in HELD.items()} | {"b~1": (9, 0)}

    assert answer(node, "b", 0.6, learned=False, digest=digest, more=True) == []


def test_what_a_peer_lacks_follows_its_digest() -> None:
    """A peer whose answer shows that it lacks something is called once more, with that."""
    node = met("b")
    held = HELD | {"a~1": Position(3)}
    node.hinted("b", 0.5)
    assert answer(node, "b", 0.6, held=held) == [Call(B, "exchange")]
    assert answer(node, "b", 0.7, held=held) == []


def test_pushes_bring_only_their_own_news() -> None:
    """After a push, what the peer lacks of others is left to the exchanges."""
    node = met("b")
    node.touched(0.5)
    assert answer(node, "b", 0.6, kind="push", held=HELD | {"c~1": Position(3)}) == []
    node.touched(0.7)
    assert answer(node, "b", 0.8, kind="push", held=HELD | {"a~1": Position(3)}) == [
        Call(B, "push")
    ]


def test_a_large_send_goes_on_while_the_peer_comes_further() -> None:
    """Pages for a peer follow each other as long as each brings it further, and stop if not."""
    node = met("b")
    held = HELD | {"a~1": Position(100)}
    node.touched(0.5)
    for sequence in range(5):
        digest = {"a~1": (sequence + 1, 0)}
        calls = answer(node, "b", 0.6, kind="push", held=held, digest=digest, sent_more=True)
        assert calls == [Call(B, "push")]
    calls = answer(node, "b", 0.6, kind="push", held=held, digest=digest, sent_more=True)
    assert calls == []


def test_servers_on_one_store_do_not_send_it_to_each_other() -> None:
    """What the peer's store has, it does not lack: both follow it."""
    node = met("b")
    node.origin = "store@one"
    held = HELD | {"store@one": Position(8)}
    digest = {origin: tuple(at) for origin, at in held.items()} | {"store@one": (5, 0)}
    node.hinted("b", 0.5)

    assert answer(node, "b", 0.6, held=held, origin="store@one", digest=digest) == []


def test_an_answer_to_a_peer_that_was_forgotten_means_nothing() -> None:
    """What comes back for a peer that was removed, and perhaps added again, changes nothing."""
    node = met("b")
    node.hinted("b", 0.5)
    assert node.forget(B)
    node.add(B)
    message = said_by("b")
    assert node.answered(B, Answered(message, HELD, learned=False, sent_more=False), 0.6) == []
    node.failed(B, 0.7, was_busy=False)
    peer = node.peer(B)

    assert peer is not None
    assert (peer.latency_s, peer.failures) == (None, 0)
    assert node.answered(D, Answered(message, HELD, learned=False, sent_more=False), 0.6) == []
    node.failed(D, 0.7, was_busy=False)
