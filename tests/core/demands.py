"""What must hold in `world`, as checks."""

from __future__ import annotations

from collections.abc import Iterable

from tests.core.model_client import Client
from tests.core.world import KEYS, Server, World


def check_versions(server: Server) -> None:
    """I4: within a run, renewal, merging and forking included, versions never fall."""
    versions = {key: server.graph.version(key) for key in KEYS}
    for key, version in versions.items():
        before = server.versions.get(key, 0)
        assert version >= before, f"{server.id}: {key} fell from {before} to {version}"
    server.versions = versions


def check_digest(world: World, server: Server) -> None:
    """A position of a digest means everything of that origin up to there, as it really was."""
    for origin, position in server.graph.digest.items():
        really: dict[str, int] = {}
        for batch in world.batches:
            if batch.origin == origin and batch.sequence <= position.sequence:
                really.update(dict.fromkeys(batch.names, batch.sequence))
        held = {
            touched.name: touched.sequence
            for page in server.graph.delta(origin, since=0)
            for touched in page.touched
        }
        assert held == really, f"{server.id} holds {held} of {origin}, not {really}"


def check_alike(world: World) -> None:
    """I8: identical digests, versions, hashes and nodes everywhere."""
    for server in world.servers:
        check_digest(world, server)
    first, *others = (server.graph for server in world.servers)
    for other in others:
        assert other.digest == first.digest
        assert other.version_max == first.version_max
        assert len(other) == len(first)
        for key in KEYS:
            assert other.node(key) == first.node(key)
            assert other.version(key) == first.version(key)


def check_nothing_lost(client: Client, server: Server) -> None:
    """I1: one full sync leaves no key that the client wrongly believes to be fresh."""
    client.sync(server)
    assert not client.stale_keys(), f"lost changes of {client.stale_keys()}"
    client.fetch_dirty()


def check_quiet(client: Client, servers: Iterable[Server]) -> None:
    """I2: wherever the client asks again, it is told nothing, and there is no reset."""
    for server in servers:
        answer = client.sync(server)
        assert not answer.changed, f"told {answer.changed} though nothing was touched"
        assert not answer.reset
