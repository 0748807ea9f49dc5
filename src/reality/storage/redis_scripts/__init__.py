"""The Lua scripts of `reality.storage.redis`: `store.lua` begins each, the others are its verbs."""

from __future__ import annotations

from importlib import resources

VERBS = ("open", "append", "changes", "read", "scan", "rotate")


def source(verb: str) -> str:
    """The whole script of a verb."""
    folder = resources.files(__name__)
    return "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in ("store", verb))
