from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.network.calling import open_streams
from tests.network.network import TRUNK, Network, mesh_address, public_address
from tests.support import namespaces, programs
from tests.support.namespaces import Namespace, require_namespaces

PORT = 3456
# A packet that gets through at all does so in microseconds, and one that was lost is sent again.
NOTHING_S = 0.3
PATIENCE_S = 10.0

pytestmark = pytest.mark.slow


async def reaches(machine: Namespace, address: str) -> bool:
    """Whether a connection from a machine to an address is accepted soon."""
    try:
        async with asyncio.timeout(NOTHING_S):
            _, writer = await open_streams(machine.new_socket(), address, PORT)
    except (TimeoutError, OSError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def until_it_reaches(machine: Namespace, address: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await reaches(machine, address):
            pass


async def test_pulled_cables_carry_nothing() -> None:
    """The trunk parts 3 from 2, a server's cable parts it from all; clients have their own."""
    require_namespaces()
    with Network() as network:
        first, second, fourth = (network.servers[number] for number in (1, 2, 4))
        clients = network.clients
        listening = [
            machine.listening(address, PORT)
            for number, machine in network.servers.items()
            for address in (mesh_address(number), public_address(number))
        ]
        assert await reaches(first, mesh_address(4))

        network.pull(TRUNK)
        assert not await reaches(first, mesh_address(4))
        assert await reaches(first, mesh_address(3))
        assert await reaches(fourth, mesh_address(5))
        assert await reaches(clients, public_address(4))
        network.plug(TRUNK)
        await until_it_reaches(first, mesh_address(4))

        network.pull("mesh1", "public2")
        assert not await reaches(second, mesh_address(1))
        assert not await reaches(first, mesh_address(2))
        assert await reaches(clients, public_address(1))
        assert not await reaches(clients, public_address(2))
        network.plug("mesh1", "public2")
        await until_it_reaches(second, mesh_address(1))
        await until_it_reaches(clients, public_address(2))
        for each in listening:
            each.close()


def test_nothing_remains() -> None:
    """Namespaces end with the block, whatever ends it, and two at a time are in nobody's way."""
    require_namespaces()

    def own() -> list[Path]:
        return list(Path("/run/netns").glob(f"reality-{os.getpid()}-*"))

    def fail() -> None:
        with Network(), Network():
            assert 14 == len(own())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [] == own()


@pytest.mark.parametrize("reason", ["rights", "kernel"])
def test_what_is_not_permitted_is_skipped(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that lacks rights is no failure, even where every program must be there."""
    if reason == "kernel":
        require_namespaces()
    monkeypatch.setattr(programs, "REQUIRE_ALL", True)
    if reason == "rights":
        monkeypatch.setattr(namespaces, "_may_administer", lambda: False)
    else:
        monkeypatch.setattr(Namespace, "ip", refuse)

    with pytest.raises(pytest.skip.Exception, match="needs network namespaces: "):
        require_namespaces()


def refuse(*_: object) -> None:
    raise namespaces.NotPermitted("Unknown device type")
