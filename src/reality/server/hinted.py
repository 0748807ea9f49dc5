"""What a server does with a hint: it looks where the news is said to be."""

from __future__ import annotations

from reality.accelerators.base import Hint
from reality.server.meshing import ServerMesh
from reality.server.state import State


class Hinted:
    """Implements `reality.server.acceleration.Target` on a server's state and mesh."""

    def __init__(self, state: State, mesh: ServerMesh | None) -> None:
        self._state = state
        self._mesh = mesh

    def hinted(self, hint: Hint) -> None:
        """See `Target`. Whatever lineage a store has, it is looked at."""
        self._state.look_soon()
        if self._mesh is not None and self._lacks(hint):
            self._mesh.hinted(hint.server_id)

    def recheck(self) -> None:
        """See `Target`."""
        self._state.look_soon(is_doubtful=True)
        if self._mesh is not None:
            self._mesh.hinted("")

    def _lacks(self, hint: Hint) -> bool:
        with self._state.lock:
            graph = self._state.graph
            held = None if graph is None else graph.held(hint.origin)
            return held is None or held.sequence < hint.sequence
