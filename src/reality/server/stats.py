"""What a server tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reality.server.acceleration import AcceleratorStats
    from reality.server.meshing import MeshStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a server has done and holds.

    Attributes:
        server_id: its configured id.
        origin: its run, or its store's lineage; "" as long as a store could not be opened.
        storage: what the store is called in logs; "memory" if the server keeps the nodes itself.
        is_storage_healthy: whether the store did what it was last asked.
        uptime_s: seconds since it was made.
        nodes: keys and patterns in memory.
        position: the local apply position.
        version_max: a number that no key's version exceeds.
        waiters: syncs held now.
        syncs: syncs answered.
        invalidations: batches recorded.
        woken: held syncs that touches have ended.
        mesh: what it has done among other servers; None if it is alone.
        accelerator: what its accelerator has done; None if it has none.
    """

    server_id: str
    origin: str
    storage: str
    is_storage_healthy: bool
    uptime_s: float
    nodes: int
    position: int
    version_max: int
    waiters: int
    syncs: int
    invalidations: int
    woken: int
    mesh: MeshStats | None = None
    accelerator: AcceleratorStats | None = None
