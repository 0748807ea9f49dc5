"""`server.blocking`: the server's verbs for code without an event loop, from any thread.

Calls run on one daemon loop thread that the blocking server owns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from reality.core.graph import Node
from reality.core.messages import SyncRequest, SyncResponse, VersionsResponse
from reality.errors import BlockingInLoop
from reality.server.loop_thread import LoopThread
from reality.server.stats import Stats

if TYPE_CHECKING:
    from reality.server.server import RealityServer

Result = TypeVar("Result")


class BlockingServer:
    """The verbs of `RealityServer`, blocking. Arguments, results and errors are the same."""

    def __init__(self, server: RealityServer) -> None:
        self._server = server
        self._thread = LoopThread("reality-blocking")

    def sync(self, request: SyncRequest | dict[str, Any]) -> SyncResponse:
        """See `RealityServer.sync`; blocks for as long as the sync is held."""
        return self._run(self._server.sync(request), "sync")

    def get_node(self, key: str) -> Node | None:
        """See `RealityServer.get_node`."""
        return self._run(self._server.get_node(key), "get_node")

    def list_changed_since(
        self, since: int, *, server_id: str | None = None, limit: int | None = None
    ) -> VersionsResponse:
        """See `RealityServer.list_changed_since`."""
        call = self._server.list_changed_since(since, server_id=server_id, limit=limit)
        return self._run(call, "list_changed_since")

    def invalidate(self, *names: str | Iterable[str]) -> dict[str, int]:
        """See `RealityServer.invalidate`."""
        return self._run(self._server.invalidate(*names), "invalidate")

    def invalidate_many(self, names: Iterable[str]) -> dict[str, int]:
        """See `RealityServer.invalidate_many`."""
        return self._run(self._server.invalidate_many(names), "invalidate_many")

    def update_node(self, key: str, hash: str) -> Node:
        """See `RealityServer.update_node`."""
        return self._run(self._server.update_node(key, hash), "update_node")

    def delete_node(self, key: str) -> Node:
        """See `RealityServer.delete_node`."""
        return self._run(self._server.delete_node(key), "delete_node")

    def start(self) -> None:
        """See `RealityServer.start`."""
        self._run(self._server.start(), "start")

    def probe(self) -> None:
        """See `RealityServer.probe`."""
        self._run(self._server.probe(), "probe")

    def stop(self) -> None:
        """See `RealityServer.stop`."""
        self._run(self._server.stop(), "stop")

    def stats(self) -> Stats:
        """See `RealityServer.stats`."""
        return self._server.stats()

    def _run(self, call: Coroutine[Any, Any, Result], verb: str) -> Result:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._thread.block_on(call)
        call.close()
        raise BlockingInLoop(
            f"server.blocking.{verb} was called in the thread of a running event loop, which it "
            f"would freeze: write `await server.{verb}(...)` there"
        )
