"""`list_changed_since`: what was touched after a position of this server's run, page by page."""

from __future__ import annotations

import pytest

from reality import Limits, RealityServer
from reality.core.messages import VersionsResponse


@pytest.fixture
async def server() -> RealityServer:
    server = RealityServer("alpha", limits=Limits(page_nodes_max=3))
    await server.invalidate("a", "b", "c:*")
    await server.update_node("d", "h")
    await server.invalidate("a")
    await server.delete_node("e")
    return server


async def all_pages(server: RealityServer, since: int = 0) -> list[VersionsResponse]:
    """Every page from a position on."""
    pages = [await server.list_changed_since(since)]
    while pages[-1].more:
        pages.append(await server.list_changed_since(pages[-1].since, server_id=pages[-1].origin))
    return pages


async def test_pages_are_in_the_order_of_the_last_touch(server: RealityServer) -> None:
    """Names are listed once, under their last touch, oldest first, in pages."""
    first, second = await all_pages(server)

    assert ["b", "c:*", "d"] == [node.key for node in first.changed]
    assert ["a", "e"] == [node.key for node in second.changed]
    assert ("h", True) == (first.changed[2].hash, second.changed[1].deleted)
    assert (True, False) == (first.more, second.more)
    assert second.max_version == second.since == server.stats().position
    assert [] == (await server.list_changed_since(second.since)).changed


async def test_versions_in_the_list_are_those_of_syncs(server: RealityServer) -> None:
    """A key's version in the list is the one that `get_node` and `sync` tell."""
    for page in await all_pages(server):
        for node in page.changed:
            if node.key != "c:*":
                assert node == await server.get_node(node.key)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 1_000])
async def test_a_page_is_no_longer_than_asked(server: RealityServer, limit: int) -> None:
    """I6: a page has what was asked for, and never more than `page_nodes_max`."""
    page = await server.list_changed_since(0, limit=limit)

    assert min(limit, 3) == len(page.changed)


@pytest.mark.parametrize("limit", [-1, 0])
async def test_a_nonsense_limit_is_no_way_around_the_page(
    server: RealityServer, limit: int
) -> None:
    """I6: no `limit` gives more than `page_nodes_max` nodes."""
    try:
        page = await server.list_changed_since(0, limit=limit)
    except ValueError:
        return

    assert len(page.changed) <= 3


async def test_positions_of_others_are_reset(server: RealityServer) -> None:
    """Another server's id, a run that is over, or a foreign position lists from the start."""
    stats = server.stats()
    own = await server.list_changed_since(stats.position, server_id="alpha")
    run = await server.list_changed_since(stats.position, server_id=stats.origin)
    beta = await server.list_changed_since(stats.position, server_id="beta")
    over = await server.list_changed_since(stats.position, server_id="alpha~00000000")
    early = await server.list_changed_since(5)
    late = await server.list_changed_since(stats.position + 1)

    assert [False, False] == [own.reset, run.reset]
    assert [[], []] == [own.changed, run.changed]
    for page in (beta, over, early, late):
        assert page.reset
        assert ["b", "c:*", "d"] == [node.key for node in page.changed]


async def test_the_start_is_no_reset(server: RealityServer) -> None:
    """Position 0 is the start of any run: nothing can have been missed before it."""
    assert not (await server.list_changed_since(0)).reset


async def test_a_restart_is_noticed() -> None:
    """I1: a position of the server's last run, told with its origin, is a reset in the next one."""
    first, second = RealityServer("alpha"), RealityServer("alpha")
    await first.invalidate("a")
    await second.invalidate("b", "c")
    page = await first.list_changed_since(0)

    after = await second.list_changed_since(page.since, server_id=page.origin)

    assert page.server_id == after.server_id
    assert (True, ["b", "c"]) == (after.reset, [node.key for node in after.changed])


async def test_listing_changes_that_come_between_pages(server: RealityServer) -> None:
    """I1: a name that is touched while the pages are read is on a later page."""
    first = await server.list_changed_since(0)
    await server.invalidate("b", "a")
    rest = [node.key for page in await all_pages(server, first.since) for node in page.changed]

    assert ["e", "b", "a"] == rest
