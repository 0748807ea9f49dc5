"""Forks: a child of a server that is in use is another run of it, and its own member."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import Awaitable, Callable

import pytest

from reality import Mesh, RealityServer
from reality.core.cursor import gone_origin, is_durable
from tests.server.asking import PATIENCE_S, Asker
from tests.server.meshed import SECRET, alike, digest_of, meshed
from tests.support.hosting import hosted


def in_child(act: Callable[[], Awaitable[object]]) -> int:
    """Run something in a child of a fork; the descriptor that its answer, as JSON, comes from."""
    source, target = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = json.dumps(asyncio.new_event_loop().run_until_complete(act()))
        except BaseException:  # noqa: BLE001  # nothing else may leave the child
            text = json.dumps(traceback.format_exc())
        os.write(target, text.encode())
        os._exit(0)
    os.close(target)
    _children[source] = pid
    return source


_children: dict[int, int] = {}


async def answer_of(source: int) -> object:
    """What the child has answered."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            text = await asyncio.to_thread(_read_all, source)
    finally:
        os.close(source)
        await asyncio.to_thread(os.waitpid, _children.pop(source), 0)
    return json.loads(text)


def _read_all(source: int) -> bytes:
    chunks = []
    while chunk := os.read(source, 65_536):
        chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
async def test_a_child_is_another_run() -> None:
    """I1: a child goes on under an origin of its own, joins anew, and both sides hear of both."""
    server = RealityServer("a", mesh=Mesh([], secret=SECRET))
    async with hosted(server.asgi()) as url:
        await server.invalidate("before")
        forked = RealityServer("b", mesh=Mesh([url], secret=SECRET, interval=0.1))
        await forked.start()
        await alike(server, forked)
        asker = await Asker(server, "k").caught_up()

        async def act() -> object:
            versions = await forked.invalidate("k")
            sync = await Asker(forked, "before", "k").ask()
            mesh = forked.stats().mesh
            await forked.stop()
            is_joined = mesh is not None and mesh.is_joined
            return [forked.stats().origin, versions, sorted(sync.changed), is_joined]

        child = await answer_of(in_child(act))
        assert isinstance(child, list), child
        origin, versions, changed, is_joined = child
        assert origin.startswith("b~")
        assert origin != forked.stats().origin
        assert (changed, is_joined) == (["before", "k"], True)
        response = await asker.ask()
        assert response.reset  # another run is there
        assert "k" in response.changed
        await forked.invalidate("k")  # the parent goes on
        await alike(server, forked)

        assert {origin, forked.stats().origin} <= digest_of(server).keys()
        assert max(versions.values()) <= (await server.get_node("k")).version  # type: ignore[union-attr]
        assert not any(is_durable(each) or each == gone_origin("b") for each in digest_of(server))
        await forked.stop()
        await server.stop()


async def test_nothing_runs_before_a_fork() -> None:
    """A server that was only made has no thread, so it may be forked."""
    async with meshed() as wires:
        server = wires.server("a", peers=["b"])
        assert server.mesh is not None
        assert not server.mesh.is_joined
        assert server.stats().mesh.exchanges == 0  # type: ignore[union-attr]
        assert wires.said == []
