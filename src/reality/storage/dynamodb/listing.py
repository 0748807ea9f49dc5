"""Nodes in the order of their last touch, out of the index of every partition of nodes.

The index costs each write of a node two more. Without it, each page of a walk would read all nodes.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from reality.core.delta import Touched
from reality.storage.dynamodb.items import SPREAD, node_of
from reality.storage.dynamodb.table import Table


async def read_index(table: Table, after: int, upto: int, limit: int) -> tuple[list[Touched], bool]:
    """About `limit` nodes last touched in (after, upto], and whether there are more of them."""
    found: list[Touched] = []
    async with aclosing(_merged(table, after, upto, limit)) as nodes:
        async for node in nodes:
            found.append(node)
            if len(found) > limit and found[-2].sequence < node.sequence:
                break
    return cut(found, limit)


def cut(nodes: list[Touched], limit: int) -> tuple[list[Touched], bool]:
    """The first of them, about `limit` but no part of a batch, and whether some are left."""
    end = limit
    while 0 < end < len(nodes) and nodes[end - 1].sequence == nodes[end].sequence:
        end += 1
    return nodes[:end], end < len(nodes)


async def _merged(table: Table, after: int, upto: int, limit: int) -> AsyncGenerator[Touched, None]:
    condition, values = "#sequence BETWEEN :first AND :last", {"first": after + 1, "last": upto}
    page = limit // SPREAD + 1
    async with AsyncExitStack() as stack:
        walks = []
        for number in range(SPREAD):
            walk = table.query(f"node#{number}", condition, values, page=page, by_sequence=True)
            walks.append(await stack.enter_async_context(aclosing(walk)))
        firsts = await asyncio.gather(*(_next(walk) for walk in walks))
        heap = [(node.sequence, number, node) for number, node in enumerate(firsts) if node]
        heapq.heapify(heap)
        while heap:
            _, number, node = heap[0]
            yield node
            following = await _next(walks[number])
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following.sequence, number, following))


async def _next(walk: AsyncGenerator[dict[str, Any], None]) -> Touched | None:
    async for item in walk:
        return node_of(item)
    return None
