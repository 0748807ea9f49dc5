"""Graphs that exchange, and what they tell each other, for tests."""

from __future__ import annotations

from typing import Any

from reality.core.cursor import Position
from reality.core.delta import Delta, Mark, Touched
from reality.core.graph import Graph

KEYS = [f"k:{number:02}" for number in range(20)]


def graph_of(origin: str = "a~1", **arguments: Any) -> Graph:
    return Graph(origin, **{"register": 0} | arguments)


def delta(origin: str = "b~1", *names: str, **members: Any) -> Delta:
    """All of an origin, whole: one name a batch."""
    touched = tuple(
        Touched(name, sequence, 1, "", 0, False) for sequence, name in enumerate(names, 1)
    )
    whole: dict[str, Any] = {
        "origin": origin,
        "sender": "z~1",
        "position": 1,
        "register": 0,
        "since": 0,
        "after": 0,
        "upto": Position(len(names)),
        "last": True,
        "touched": touched,
    }
    return Delta(**whole | members)


def walk(graph: Graph, origin: str, *, bytes_max: int) -> list[Delta]:
    """The pages of all that a graph knows of an origin."""
    pages: list[Delta] = []
    begins = Mark(0)
    while not pages or not pages[-1].last:
        page = graph.page(origin, Position(0), begins, names_max=1_000, bytes_max=bytes_max)
        pages.append(page)
        begins = page.ends
    return pages
