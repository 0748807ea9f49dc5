"""`mesh.membership`: who there is, how they are found, and when they are forgotten or removed."""

from __future__ import annotations

import random

from reality.mesh.messages import Member
from reality.mesh.node import Call, Node
from tests.mesh.model import Group, url_of
from tests.mesh.nodes import HELD, answer, met, node_of, said_by

A, B, C, D = map(url_of, "abcd")


def member(name: str) -> Member:
    return Member(server_id=name, url=url_of(name), public_url=f"http://public.{name}")


def ids(node: Node) -> list[str]:
    return [each.server_id for each in node.statuses(HELD, 0.0)]


def configured(node: Node) -> dict[str, bool]:
    return {each.url: each.is_configured for each in node.statuses(HELD, 0.0)}


def test_peers_tell_of_others() -> None:
    """A member that a peer tells of is called, and its public URL known."""
    node = met("b")
    node.heard(said_by("b", members=[member("c"), member("a")]), 0.5)

    assert node.tick(0.5) == [Call(C, "exchange")]
    assert configured(node) == {B: True, C: False}
    assert node.health() == {"http://public.c": "unknown"}


def test_a_caller_is_called_back() -> None:
    """Whoever calls and says where it is reached is called at once: is it reached there?"""
    node = node_of()
    node.heard(said_by("b"), 0.5)

    assert node.due_at() <= 0.5
    assert node.tick(0.5) == [Call(B, "exchange")]
    answer(node, "b", 0.6)
    assert node.touched(0.7) == [Call(B, "push")]


def test_a_caller_without_a_url_is_not_called() -> None:
    """A server that nobody can call is a peer all the same; it hears when it calls."""
    node = node_of()
    node.heard(said_by("b", url=""), 0.5)

    assert ids(node) == ["b"]
    assert node.touched(0.6) == []
    assert node.counts()[0] == 1
    node.heard(said_by("b"), 0.7)  # it can be reached now
    assert node.tick(0.8) == [Call(B, "exchange")]
    assert ids(node) == ["b"]


def test_one_peer_leads_to_all() -> None:
    """Servers that have one peer in common find each other within a few intervals."""
    group = Group(random.Random(1))
    group.add("s0")
    for number in range(1, 12):
        group.add(f"s{number}", "s0")
    group.run(3.0)

    assert group.is_alike
    assert all(server.node.counts() == (11, 11) for server in group.servers.values())


def test_a_chain_becomes_a_mesh() -> None:
    """I8: where each has only the next as its peer, all know all in the end."""
    group = Group(random.Random(1))
    for number in range(8):
        group.add(f"s{number}", f"s{number + 1}")
    group.add("s8")
    group.run(3.0)

    assert group.is_alike
    assert all(server.node.counts() == (8, 8) for server in group.servers.values())


def test_a_server_finds_itself_out() -> None:
    """One of the URLs may be the server's own: it is called once, and then no more."""
    node = node_of(A, B)
    node.tick(0.0)
    assert answer(node, "a", 0.01) == []
    answer(node, "b", 0.01)
    assert configured(node) == {B: True}
    node.add(A)
    node.heard(said_by("b", members=[member("a"), Member(server_id="x", url=A)]), 0.5)

    assert configured(node) == {B: True}


def test_another_run_under_the_same_id_is_a_peer() -> None:
    """Two servers by mistake under one id exchange, as every run is an origin of its own."""
    node = node_of(B)
    node.tick(0.0)
    answer(node, "a", 0.01, url=B, run="a~2", origin="a~2")

    assert configured(node) == {B: True}


def test_one_server_under_two_urls_is_one_peer() -> None:
    """A server that answers at two URLs is called at one of them."""
    node = node_of(B, C)
    node.tick(0.0)
    answer(node, "b", 0.01)
    answer(node, "b", 0.02, url=C)

    assert configured(node) == {C: True}
    assert node.touched(0.5) == [Call(C, "push")]


def test_a_configured_url_is_preferred() -> None:
    """A server is called where it was configured, not where it says that it is."""
    node = node_of(C)
    node.heard(said_by("b"), 0.0)
    assert configured(node) == {B: False, C: True}
    node.tick(0.0)
    answer(node, "b", 0.01, url=C)
    assert configured(node) == {C: True}
    node.heard(said_by("b"), 0.5)
    node.heard(said_by("d", members=[member("b")]), 0.6)

    assert configured(node) == {C: True, D: False}


def test_a_configured_url_of_a_server_that_was_found_elsewhere_is_kept() -> None:
    """Where the URL that was heard of answers last, the configured one stays nonetheless."""
    node = node_of(C)
    node.heard(said_by("b"), 0.0)
    assert Call(C, "exchange") in node.tick(0.0)
    node.touched(0.0)
    answer(node, "b", 0.01, url=C)
    answer(node, "b", 0.02, url=B)

    assert configured(node) == {C: True}


def test_a_server_that_moved_is_called_where_it_is() -> None:
    """A server that was heard of, fails, and says that it is elsewhere now, is called there."""
    node = node_of()
    node.heard(said_by("b"), 0.0)
    node.touched(0.1)
    for number in range(5):
        node.failed(B, 0.1 + number, was_busy=False)
        node.tick(1.0 + number)
    node.heard(said_by("b", url=D), 6.0)

    assert configured(node) == {D: False}
    assert node.tick(7.0) == [Call(D, "exchange")]


def test_another_server_behind_a_url_is_that_peer_from_then_on() -> None:
    """A URL that leads to another server after its restart, under another id, is followed."""
    node = met("b")
    node.touched(0.5)
    answer(node, "c", 0.6, url=B)

    assert [(each.url, each.server_id) for each in node.statuses(HELD, 1.0)] == [(B, "c")]


def test_who_calls_from_a_configured_url_is_that_peer() -> None:
    """A configured peer that calls before it was reached is one peer, not two."""
    node = node_of(B)
    node.heard(said_by("b"), 0.0)

    assert ids(node) == ["b"]
    assert configured(node) == {B: True}
    assert node.tick(0.0) == [Call(B, "exchange")]
