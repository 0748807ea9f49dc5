"""Keys that an asker may not see are, to him, keys that nobody ever touched (I7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from reality import RealityServer, SyncResponse
from tests.server.asking import Asker, answered, settle, until

Touch = Callable[[RealityServer], Awaitable[object]]

TOUCHES: dict[str, Touch] = {
    "nothing": lambda server: server.invalidate(),
    "the secret": lambda server: server.invalidate("team:secret"),
    "the secret's hash": lambda server: server.update_node("team:secret", "h"),
    "the secret's end": lambda server: server.delete_node("team:secret"),
    "the secret and its pattern": lambda server: server.invalidate("team:secret", "team:*"),
    "the pattern": lambda server: server.invalidate("team:*"),
    "everything": lambda server: server.invalidate("*"),
    "below the secret": lambda server: server.invalidate("team:secret:*", "team:secret:1"),
}


def seen(response: SyncResponse, key: str) -> dict[str, Any]:
    """An answer as the asker reads it, whatever the key is called, but for the clock."""
    members: dict[str, Any] = msgspec.to_builtins(response)
    members["changed"] = {
        "?" if each == key else each: members["changed"][each] for each in members["changed"]
    }
    del members["serverTime"]
    return members


@pytest.fixture
async def server() -> RealityServer:
    """A server where a secret, one of its siblings and the pattern above have a history."""
    server = RealityServer("alpha")
    await server.invalidate("team:secret", "team:known")
    await server.update_node("team:secret", "hash of the secret")
    await server.invalidate("team:*")
    await server.delete_node("team:secret")
    return server


def curious(server: RealityServer, *, has_cursor: bool) -> tuple[Asker, Asker]:
    """Two askers alike; one asks for the forbidden key, one for a key that nobody touched."""
    return (
        Asker(server, "team:secret", "team:known", client_id="1", has_cursor=has_cursor),
        Asker(server, "team:unused", "team:known", client_id="2", has_cursor=has_cursor),
    )


@pytest.mark.parametrize("has_cursor", [True, False], ids=["cursor", "no cursor"])
@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
async def test_answers_are_alike(server: RealityServer, touch: Touch, has_cursor: bool) -> None:
    """I7: whatever is touched, the answers for a forbidden and an unknown key are the same."""
    forbidden, unknown = curious(server, has_cursor=has_cursor)
    for _ in range(2):
        for known in (None, 0, 1, 2**52 - 1):
            if known is not None:
                forbidden.known["team:secret"] = unknown.known["team:unused"] = known
            first = await forbidden.ask(hidden=["team:secret"])
            second = await unknown.ask()
            assert seen(first, "team:secret") == seen(second, "team:unused")
        forbidden.cursor = unknown.cursor = "garbage" if has_cursor else forbidden.cursor
        await touch(server)


@pytest.mark.parametrize("has_cursor", [True, False], ids=["cursor", "no cursor"])
@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
async def test_waits_are_alike(server: RealityServer, touch: Touch, has_cursor: bool) -> None:
    """I7: a forbidden key is held and woken as an unknown one is."""
    pair = curious(server, has_cursor=has_cursor)
    for asker in pair:
        del asker.known["team:known"]
    await pair[0].ask(hidden=["team:secret"])
    await pair[1].ask()
    forbidden = asyncio.create_task(pair[0].ask(wait=20_000, hidden=["team:secret"]))
    unknown = asyncio.create_task(pair[1].ask(wait=20_000))
    await until(lambda: server.stats().waiters == 2)

    await touch(server)
    await settle()

    assert forbidden.done() == unknown.done()
    server.end_waits()
    first, second = await answered(forbidden), await answered(unknown)
    assert seen(first, "team:secret") == seen(second, "team:unused")


async def test_the_others_keys_are_told(server: RealityServer) -> None:
    """What may be seen is answered and woken as ever beside a forbidden key."""
    asker, _ = curious(server, has_cursor=True)
    await asker.ask(hidden=["team:secret"])
    held = asyncio.create_task(asker.ask(wait=20_000, hidden=["team:secret"]))
    await until(lambda: server.stats().waiters == 1)
    await server.invalidate("team:secret")
    await settle()
    assert not held.done()

    await server.invalidate("team:known")

    assert ["team:known"] == list((await answered(held)).changed)
