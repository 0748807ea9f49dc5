"""`mesh.peers`: what is remembered of a peer, and how healthy that makes it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from reality.core.cursor import Position
from reality.mesh.peers import BACKOFF_MAX_S, FAILURES_MAX, SLOW_S, Peer, lacks, lag
from tests.mesh.exchanging import exchange, page


def peer() -> Peer:
    return Peer("http://b/reality", is_configured=True)


def called(taken_s: float = 0.001, *, at_s: float = 100.0) -> Peer:
    """A peer that has answered one call."""
    found = peer()
    found.began("exchange", at_s)
    found.take(exchange(), at_s + taken_s, is_call=False)
    found.answered(at_s + taken_s)
    return found


def fail(found: Peer, at_s: float, *, random: float = 0.5, counts: bool = True) -> None:
    found.began("exchange", at_s)
    found.failed(at_s, random=random, counts=counts)


def test_health_follows_calls() -> None:
    """Unknown, healthy, degraded at the first failure, unhealthy at the third, healthy again."""
    found = peer()
    seen = [found.health]
    found = called()
    seen.append(found.health)
    for _ in range(FAILURES_MAX):
        fail(found, 101)
        seen.append(found.health)
    found.began("exchange", 102)
    found.answered(102.001)
    seen.append(found.health)

    assert seen == ["unknown", "healthy", "degraded", "degraded", "unhealthy", "healthy"]


def test_a_peer_that_was_never_reached_is_not_healthy() -> None:
    """Failures of a peer that never answered make it degraded and then unhealthy."""
    found = peer()
    seen = []
    for _ in range(FAILURES_MAX):
        fail(found, 1)
        seen.append(found.health)

    assert seen == ["degraded", "degraded", "unhealthy"]


def test_a_slow_peer_is_degraded() -> None:
    """A peer whose answers take more than a second is degraded, until they are fast again."""
    found = called(SLOW_S * 1.1)
    before: str = found.health
    assert before == "degraded"
    for _ in range(10):
        found.began("push", 200)
        found.answered(200.001)
    assert found.health == "healthy"


def test_back_off_is_never_over_a_second_and_never_nothing() -> None:
    """A failing peer is tried again within a second, and never at once."""
    draw = random.Random(1)
    found = peer()
    for failures in range(200):
        fail(found, 10.0, random=draw.choice([0.0, draw.random(), 1.0]))
        assert 0.05 <= found.retry_at - 10.0 <= BACKOFF_MAX_S
        if failures < 2:
            assert found.retry_at - 10.0 <= 0.2


def test_a_failure_of_this_server_does_not_count() -> None:
    """A call that failed because this server was busy is made again, and makes nobody unhealthy."""
    found = called()
    for _ in range(10):
        fail(found, 101, counts=False)

    assert found.health == "healthy"
    assert found.due == "exchange"
    assert not found.may_be_called(101.01)
    assert found.may_be_called(102)


def test_what_a_failed_call_was_for_is_still_due() -> None:
    """A failed push is owed; something greater that was wanted meanwhile is not forgotten."""
    found = called()
    found.began("push", 101)
    found.failed(101, random=0, counts=True)
    assert found.due == "push"
    found.began("push", 102)
    found.due = "exchange"
    found.failed(102, random=0, counts=True)
    assert found.due == "exchange"


def test_a_goodbye_is_no_failure() -> None:
    """Whoever has left is of unknown health, is not called for a while, and has to be found."""
    found = called()
    found.take(exchange(kind="goodbye"), 101, is_call=True)

    assert (found.health, found.has_left, found.failures) == ("unknown", True, 0)
    assert found.is_sought
    assert not found.may_be_called(101.5)
    assert found.may_be_called(102)
    found.take(exchange(), 103, is_call=True)
    assert (found.health, found.has_left) == ("healthy", False)


def test_an_answer_from_before_a_goodbye_is_no_return() -> None:
    """A call that was under way when the peer left, and is answered after, changes nothing."""
    found = called()
    found.began("exchange", 101)
    found.take(exchange(kind="goodbye"), 102, is_call=True)
    found.take(exchange(), 103, is_call=False)
    found.answered(103)
    assert found.has_left

    found.began("exchange", 104)
    found.answered(104.1)
    assert not found.has_left


def test_what_a_peer_has_said_is_kept_without_its_pages() -> None:
    """Of a message, the pages are not kept: they were taken in."""
    found = peer()
    found.take(exchange(pages=[page()], public_url="http://p"), 7, is_call=True)

    assert found.last == exchange(public_url="http://p")
    assert (found.server_id, found.run, found.public_url) == ("b", "b~1", "http://p")
    assert found.digest == {"b~1": Position(0)}
    assert found.silent_ms(7.5) == 500
    assert found.silent_ms(6.0) == 0
    assert peer().silent_ms(7) is None


@pytest.mark.parametrize(
    ("members", "has_moved"),
    [
        ({}, False),
        ({"digest": {"b~1": (1, 0)}}, True),
        ({"partial": {"a~1": {"since": (0, 0), "ends": (1, "k")}}}, True),
        ({"members": []}, False),
    ],
)
def test_progress_is_noticed(members: dict[str, Any], has_moved: bool) -> None:
    """Whether a peer has come further since it was last called is seen in digest and pages."""
    found = called()
    found.began("exchange", 101)
    found.take(exchange(**members), 102, is_call=False)

    assert found.has_moved is has_moved


def test_lag_is_what_one_lacks_of_the_other() -> None:
    """Batches are counted per origin; what the other has more of does not make up for others."""
    ours = {"a~1": Position(5), "b~1": Position(2), "c~1": Position(0)}
    theirs = {"a~1": Position(3), "b~1": Position(9)}

    assert lag(ours, theirs) == 2
    assert lag(theirs, ours) == 7
    assert lag(ours, None) == 0
    assert lacks(ours, theirs) == ["b~1"]
    assert lacks(theirs, ours) == ["a~1", "c~1"]
