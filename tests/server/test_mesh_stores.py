"""Servers of one mesh that keep their nodes in different places: memory, a file, another file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reality import RealityServer, SQLiteStorage
from reality.core.cursor import is_durable
from reality.testing.dictionary import DictStorage
from tests.server.asking import Asker, answered, holding
from tests.server.meshed import (
    SOON_S,
    Wires,
    alike,
    digest_of,
    eventually,
    hears_of,
    meshed,
)


async def mixed(wires: Wires, folder: Path) -> list[RealityServer]:
    """A server that has its nodes in memory, and two that share a file."""
    names = ("m", "p", "q")
    storages = (None, SQLiteStorage(folder / "r.db"), SQLiteStorage(folder / "r.db"))
    servers = [
        wires.server(name, peers=names, interval=SOON_S, storage=storage)
        for name, storage in zip(names, storages, strict=True)
    ]
    for server in servers:
        await server.start()
    await converged(*servers)
    return servers


async def converged(*servers: RealityServer) -> None:
    """Return once all servers have come equally far."""
    await eventually(lambda: len({frozenset(digest_of(each).items()) for each in servers}) == 1)


async def test_a_touch_anywhere_is_heard_everywhere(tmp_path: Path) -> None:
    """I1: a waiter on any of three servers, two of them on one file, hears of a touch on any."""
    async with meshed() as wires:
        servers = await mixed(wires, tmp_path)
        for number, touched in enumerate(servers):
            key = f"k:{number}"
            askers = [Asker(server, key, client_id=server.server_id) for server in servers]
            for asker in askers:
                await asker.caught_up()
            async with (
                holding(askers[0]) as [a],
                holding(askers[1]) as [b],
                holding(askers[2]) as [c],
            ):
                await touched.invalidate(key)
                responses = [await answered(task) for task in (a, b, c)]
            for response in responses:
                assert list(response.changed) == [key]
                assert not response.reset
            await converged(*servers)


async def test_servers_of_all_kinds_agree(tmp_path: Path) -> None:
    """I8: nodes, hashes and versions are the same wherever they are kept."""
    keys = ("a", "a:1", "b", "c", "untouched")
    async with meshed() as wires:
        servers = await mixed(wires, tmp_path)
        for round_ in range(3):
            for server in servers:
                await server.invalidate("a", "b")
                await server.update_node("a:1", f"h{round_}")
        await servers[0].invalidate("a:*")
        await servers[1].delete_node("c")
        await servers[2].invalidate("*")
        await converged(*servers)
        answers = [await Asker(server, *keys).ask() for server in servers]

    first, *others = ({key: each.changed[key] for key in keys} for each in answers)
    assert others == [first, first]


async def test_a_file_is_one_origin(tmp_path: Path) -> None:
    """Servers that share a file add one origin to their mesh, and do not send it to each other."""
    async with meshed() as wires:
        servers = await mixed(wires, tmp_path)
        await servers[1].invalidate("k")
        await converged(*servers)
        durable = {origin for origin in digest_of(servers[0]) if is_durable(origin)}
        wires.said.clear()
        for number in range(20):
            await servers[1 + number % 2].invalidate(f"k:{number}")
        await converged(*servers)

        assert len(durable) == 1
        assert len(digest_of(servers[0])) == 2
        for said in wires.said:
            if {said.source, said.target} == {"p", "q"}:
                assert not durable & {page.origin for page in said.message.pages}


async def test_a_hop_between_kinds_refetches_nothing(tmp_path: Path) -> None:
    """I2: a client that goes from server to server is told nothing that it knows."""
    async with meshed() as wires:
        servers = await mixed(wires, tmp_path)
        for server in servers:
            await server.invalidate("k", server.server_id)
        await converged(*servers)
        asker = await Asker(servers[0], "k", "m", "p", "other").caught_up()
        for number in range(9):
            asker.server = servers[number % 3]
            response = await asker.ask()
            assert (response.changed, response.reset) == ({}, False)


async def test_a_store_server_that_restarts_knows_of_others_again(tmp_path: Path) -> None:
    """I1: what others know is not in the store; a server on it has it again before it answers."""
    async with meshed() as wires:
        memory, store, _ = await mixed(wires, tmp_path)
        asker = await Asker(store, "k", "s").caught_up()
        await wires.crash("p")
        await memory.invalidate("k")
        again = wires.server(
            "p", peers=("m", "q"), interval=SOON_S, storage=SQLiteStorage(tmp_path / "r.db")
        )
        asker.server = again
        response = await asker.ask()

        assert list(response.changed) == ["k"]
        assert not response.reset  # the file's origin is what it was
        assert (await asker.ask()).changed == {}


async def test_foreign_knowledge_survives_the_memory_server_in_its_peers(tmp_path: Path) -> None:
    """I1: what only a memory server was told is known to its peers when it dies and restarts."""
    async with meshed() as wires:
        memory, p, q = await mixed(wires, tmp_path)
        asker = await Asker(p, "k").caught_up()
        await memory.invalidate("k")
        await converged(memory, p, q)
        await wires.crash("m")
        fresh = wires.server("m", peers=("p", "q"), interval=SOON_S)
        asker.server = fresh

        assert list((await asker.ask()).changed) == ["k"]
        assert not (await asker.ask()).changed


async def test_a_restored_store_begins_a_generation() -> None:
    """I1, I4: a store that loses writes gets a new lineage, and all servers begin anew with it."""
    storage = DictStorage()
    async with meshed() as wires:
        memory = wires.server("m", peers=["p"], interval=SOON_S)
        store = wires.server("p", peers=["m"], interval=SOON_S, storage=storage)
        await asyncio.gather(memory.start(), store.start())
        await store.invalidate("old")
        backup = storage.backup()
        version = (await store.invalidate("lost", "old"))["old"]
        await converged(memory, store)
        askers = [Asker(server, "old", "lost") for server in (memory, store)]
        for asker in askers:
            await asker.caught_up()
        storage.restore(backup)
        for asker in askers:
            await hears_of(asker, "lost")
            assert asker.known["old"] > version
        await alike(memory, store)

        assert memory.stats().mesh.generation == 1  # type: ignore[union-attr]
        assert store.stats().mesh.generation == 1  # type: ignore[union-attr]
        await memory.invalidate("lost")
        for asker in askers:
            await hears_of(asker, "lost")
        for asker in askers:
            response = await asker.ask()
            assert (response.changed, response.reset) == ({}, False)


async def test_a_store_that_is_full_of_names_is_told_in_pages(tmp_path: Path) -> None:
    """I1: a memory server that joins a mesh has all that is in the file, batch by batch."""
    storage = SQLiteStorage(tmp_path / "r.db")
    async with meshed() as wires:
        store = wires.server("p", interval=SOON_S, storage=storage)
        await store.start()
        for number in range(3):
            await store.invalidate([f"{number}:{name:04}:{'x' * 150}" for name in range(1_000)])
        memory = wires.server("m", peers=["p"], interval=SOON_S)
        await memory.start()

        assert len(memory._state.graph or ()) == 3_000
        await store.invalidate("k")
        await alike(memory, store)
