"""Plays the scripts of `conformance/vectors/graph.json`: operations on several named graphs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from reality.core.cursor import Position, decode_cursor
from reality.core.delta import Delta
from reality.core.graph import Graph
from reality.errors import RealityError

Step = dict[str, Any]


def perform(script: dict[str, Any]) -> None:
    """Play one script and compare what each step gives with what it says."""
    stage = Stage(script["graphs"])
    for number, step in enumerate(script["steps"]):
        given, expected = stage.play(step), {name: step[name] for name in outcome_names(step)}
        assert _comparable(given) == _comparable(expected), f"step {number}: {step}"


def outcome_names(step: Step) -> tuple[str, ...]:
    """The members of a step that say what it gives."""
    return ("code",) if "code" in step else _OUTCOMES[step["do"]]


def _comparable(outcomes: dict[str, Any]) -> dict[str, Any]:
    """The same with cursors read: the order of their entries is not part of a script."""
    return {
        name: decode_cursor(value) if name in ("nextCursor", "digest") else value
        for name, value in outcomes.items()
    }


class Stage:
    """The graphs of one script by name, and the pages that were saved."""

    def __init__(self, graphs: dict[str, Any]) -> None:
        self.graphs = {
            name: Graph(
                made["origin"], register=made["register"], origins_max=made.get("originsMax", 64)
            )
            for name, made in graphs.items()
        }
        self.saved: dict[str, list[Delta]] = {}

    def play(self, step: Step) -> dict[str, Any]:
        """What one step gives."""
        operation = getattr(self, f"_{step['do']}")
        if "code" not in step:
            return dict(zip(_OUTCOMES[step["do"]], operation(step), strict=True))
        with pytest.raises(RealityError) as caught:
            operation(step)
        return {"code": caught.value.code}

    # ---- operations; each returns its outcomes in the order of `_OUTCOMES` ---------------------

    def _touch(self, step: Step) -> tuple[int]:
        return (
            self._at(step).touch(
                step["names"],
                now_ms=step["now"],
                hash=step.get("hash", ""),
                deleted=step.get("deleted", False),
            ),
        )

    def _renew(self, step: Step) -> tuple[()]:
        self.graphs[step["at"]] = self._at(step).renewed(step["origin"], now_ms=step["now"])
        return ()

    def _fork(self, step: Step) -> tuple[()]:
        self.graphs[step["as"]] = self._at(step).forked(step["origin"], now_ms=step["now"])
        return ()

    def _pages(self, step: Step) -> tuple[list[Any]]:
        graph, between = self._at(step), step.get("between")
        pages: list[Delta] = []
        for page in graph.delta(step["origin"], since=step["since"], page_max=step["pageMax"]):
            if between is not None and not pages:
                graph.touch(between["names"], now_ms=between["now"])
            register = step.get("register", page.register)
            pages.append(msgspec.structs.replace(page, register=register))
        self.saved[step["save"]] = pages
        return (json.loads(msgspec.json.encode(pages)),)

    def _merge(self, step: Step) -> tuple[bool, list[str], bool]:
        if "delta" in step:
            delta = msgspec.convert(step["delta"], Delta)
        else:
            name, _, number = step["page"].partition(".")
            delta = self.saved[name][int(number)]
        merged = self._at(step).merge(delta)
        return merged.applied, sorted(merged.touched), merged.new_origin

    def _pull(self, step: Step) -> tuple[()]:
        sender, receiver = self.graphs[step["from"]], self.graphs[step["to"]]
        held = receiver.digest
        for origin in sender.digest:
            since = held.get(origin, Position(0)).sequence
            if since <= sender.digest[origin].sequence:
                for page in sender.delta(origin, since=since):
                    receiver.merge(page)
        return ()

    def _answer(self, step: Step) -> tuple[dict[str, Any], str, bool]:
        hidden = frozenset(step.get("hidden", ()))
        changed, cursor, reset = self._at(step).answer(step["known"], step["cursor"], hidden=hidden)
        return msgspec.to_builtins(changed), cursor, reset

    def _version(self, step: Step) -> tuple[int]:
        return (self._at(step).version(step["key"]),)

    def _node(self, step: Step) -> tuple[Any]:
        return (msgspec.to_builtins(self._at(step).node(step["key"])),)

    def _listing(self, step: Step) -> tuple[list[Any], bool]:
        listed, more = self._at(step).listing(step["since"], limit=step["limit"])
        return [[position, msgspec.to_builtins(node)] for position, node in listed], more

    def _state(self, step: Step) -> tuple[str, int, int, int]:
        graph = self._at(step)
        return graph.cursor, graph.position, graph.version_max, len(graph)

    def _at(self, step: Step) -> Graph:
        return self.graphs[step["at"]]


_OUTCOMES: dict[str, tuple[str, ...]] = {
    "touch": ("sequence",),
    "renew": (),
    "fork": (),
    "pages": ("pages",),
    "merge": ("applied", "touched", "newOrigin"),
    "pull": (),
    "answer": ("changed", "nextCursor", "reset"),
    "version": ("version",),
    "node": ("node",),
    "listing": ("listed", "more"),
    "state": ("digest", "position", "versionMax", "names"),
}
