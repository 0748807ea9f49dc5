"""One node whose peers a test plays: what they say goes in, calls come out."""

from __future__ import annotations

import random
from typing import Any

from reality.core.cursor import Position
from reality.mesh.membership import Timing
from reality.mesh.messages import Exchange
from reality.mesh.node import Answered, Call, Node
from tests.mesh.exchanging import exchange
from tests.mesh.model import url_of

HELD = {"a~1": Position(0), "b~1": Position(0), "c~1": Position(0)}


def node_of(*urls: str, seed: int = 1, **timing: float) -> Node:
    """The node of a server `a` with these peers."""
    node = Node("a", urls, timing=Timing(**timing), seed=random.Random(seed))
    node.run = node.origin = "a~1"
    return node


def said_by(name: str, **members: Any) -> Exchange:
    """What a server says that knows as much as `HELD`."""
    digest = {origin: tuple(at) for origin, at in HELD.items()}
    return exchange(name, **{"digest": digest, "url": url_of(name)} | members)


def answer(
    node: Node,
    name: str,
    now_s: float,
    *,
    url: str = "",
    held: dict[str, Position] | None = None,
    learned: bool = False,
    sent_more: bool = False,
    **members: Any,
) -> list[Call]:
    """Let the call of a peer be answered."""
    message = said_by(name, **members)
    url = url or url_of(name)
    node.heard(message, now_s, url=url)
    return node.answered(url, Answered(message, held or HELD, learned, sent_more), now_s)


def met(*names: str, at_s: float = 0.0, **timing: Any) -> Node:
    """A node whose peers have all been reached; nothing is under way, and the gap is over."""
    node = node_of(*map(url_of, names), **timing)
    assert set(node.tick(at_s)) == {Call(url_of(name), "exchange") for name in names}
    for name in names:
        assert answer(node, name, at_s + 0.01) == []
    return node


def settled(node: Node, now_s: float) -> None:
    """Let an exchange that falls due now come to its end."""
    for url, _ in node.tick(now_s):
        answer(node, url.split("/")[2], now_s)
