"""The storage of the existing protocol, one node at a time, can be written on the port."""

from __future__ import annotations

from typing import NamedTuple

from reality.core.changelog import Batch
from reality.core.delta import Touched
from reality.errors import StorageError, StorageUnavailable
from reality.storage.base import Storage
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage


class VersionedNode(NamedTuple):
    key: str
    version: int
    hash: str
    updated_at: int


class NodeStorage:
    """`getNode`, `setNode`, `incrementVersion` and the others, in seven verbs of a store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def get_node(self, key: str) -> VersionedNode | None:
        return (await self.get_nodes([key])).get(key)

    async def get_nodes(self, keys: list[str]) -> dict[str, VersionedNode]:
        read = await self._storage.read(keys)
        return {key: _node(each) for key, each in read.items() if not each.deleted}

    async def set_node(self, node: VersionedNode) -> None:
        """An import: the version becomes at least the node's."""
        await self._append(Batch((node.key,), node.updated_at, node.hash, touches_min=node.version))

    async def increment_version(self, key: str, *, now_ms: int, hash: str = "") -> VersionedNode:
        return _node(await self._append(Batch((key,), now_ms, hash)))

    async def list_changed_since(self, sequence: int) -> list[VersionedNode]:
        found: list[VersionedNode] = []
        more = True
        while more:
            touched, more = await self._storage.scan(sequence, limit=1_000)
            found += [_node(each) for each in touched]
            sequence = touched[-1].sequence if touched else sequence
        return found

    async def get_max_version(self) -> int:
        """No version is greater, and whatever changes raises it."""
        head = (await self._storage.open()).head
        return head.register + head.touches

    async def delete_node(self, key: str, *, now_ms: int) -> bool:
        was_there = await self.get_node(key) is not None
        await self._append(Batch((key,), now_ms, deleted=True))
        return was_there

    async def is_healthy(self) -> bool:
        try:
            await self._storage.read([])
        except StorageError:
            return False
        return True

    async def _append(self, batch: Batch) -> Touched:
        (logged,) = (await self._storage.append([batch])).batches
        return logged.touched[0]


def _node(touched: Touched) -> VersionedNode:
    return VersionedNode(touched.name, touched.touches, touched.hash, touched.updated_at)


async def test_a_storage_of_nodes_is_expressible() -> None:
    """All that the existing protocol asks of its storage can be had from the seven verbs."""
    inner = FaultyStorage(DictStorage())
    nodes = NodeStorage(inner)

    assert None is await nodes.get_node("posts")
    assert 0 == await nodes.get_max_version()
    assert VersionedNode("posts", 1, "", 5) == await nodes.increment_version("posts", now_ms=5)
    assert VersionedNode("posts", 2, "h", 6) == await nodes.increment_version(
        "posts", now_ms=6, hash="h"
    )
    imported = VersionedNode("users", 40, "i", 3)
    await nodes.set_node(imported)
    assert {"posts", "users"} == (await nodes.get_nodes(["posts", "users", "none"])).keys()
    assert imported == await nodes.get_node("users")
    assert [imported] == await nodes.list_changed_since(2)
    assert ["posts", "users"] == [each.key for each in await nodes.list_changed_since(0)]
    assert 42 == await nodes.get_max_version()

    assert await nodes.delete_node("users", now_ms=7)
    assert not await nodes.delete_node("users", now_ms=8)
    assert None is await nodes.get_node("users")
    assert 43 == (await nodes.increment_version("users", now_ms=9)).version

    assert await nodes.is_healthy()
    inner.failing = StorageUnavailable("the dictionary store is out; wait")
    assert not await nodes.is_healthy()
