"""What each verb of `RealityServer` does to the nodes, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from reality import Limits, RealityError, RealityServer
from reality.core.cursor import decode_cursor
from reality.errors import InvalidKey, InvalidRequest, LimitExceeded
from tests.server.asking import Asker, holding, settle

BAD_NAMES = {
    "empty": "",
    "control character": "a\nb",
    "DEL": "a\x7f",
    "C1": "a\x85b",
    "lone surrogate": "a\ud800",
    "too long": "k" * 513,
    "too long in UTF-8": "é" * 257,
    "too deep": ":".join("abcdefghi"),
    "pattern too deep": "a:" * 8 + "*",
    "number": 7,
    "bytes": b"posts",
    "nothing": None,
}


@pytest.fixture
def server() -> RealityServer:
    return RealityServer("alpha")


def sequence(server: RealityServer, cursor: object) -> int:
    """How many batches of this server's run a cursor has accounted for."""
    assert isinstance(cursor, str)
    decoded = decode_cursor(cursor)
    assert decoded is not None
    return decoded.positions[server.stats().origin].sequence


@pytest.mark.parametrize(
    "names",
    [
        ("a", "b", "c:*"),
        (["a", "b", "c:*"],),
        (["a"], "b", ("c:*",)),
        ({"a", "b", "c:*"},),
        (iter(["a", "b", "c:*"]),),
        ((name for name in ("a", "b", "c:*")),),
        ({"a": 1, "b": 2}.keys(), "c:*"),
        ("a", "b", "a", ["b", "c:*", "c:*"]),
    ],
    ids=["several", "list", "mixed", "set", "iterator", "generator", "view", "repeated"],
)
async def test_invalidate_takes_names_in_any_shape(
    server: RealityServer, names: tuple[str | Iterable[str], ...]
) -> None:
    """However the names are given, each is touched once, in one batch."""
    asker = await Asker(server, "a", "b", "c:1", "other").caught_up()
    before = dict(asker.known)

    versions = await server.invalidate(*names)
    response = await asker.ask()

    assert {"a": before["a"] + 1, "b": before["b"] + 1} == versions
    assert {key: before[key] + 1 for key in ("a", "b", "c:1")} == {
        key: node.version for key, node in response.changed.items()
    }
    assert 1 == sequence(server, asker.cursor)
    assert 1 == server.stats().invalidations


async def test_invalidate_many_is_invalidate_of_an_iterable(server: RealityServer) -> None:
    """`invalidate_many` touches what one iterable yields, in one batch."""
    before = await server.invalidate_many(["a", "b:*"])
    after = await server.invalidate_many(name for name in ("a",))

    assert ["a"] == list(before)
    assert {"a": before["a"] + 1} == after


@pytest.mark.parametrize("names", [(), ([],), (iter(()),), ([], ())])
async def test_no_names_touch_nothing(
    server: RealityServer, names: tuple[Iterable[str], ...]
) -> None:
    """An invalidation without names is no batch and wakes nobody."""
    before = server.stats()
    async with holding(Asker(server, "a")) as (held,):
        assert {} == await server.invalidate(*names)
        await settle()

        assert not held.done()
    after = server.stats()
    assert (before.position, before.invalidations) == (after.position, after.invalidations)


@pytest.mark.parametrize("bad", BAD_NAMES.values(), ids=BAD_NAMES)
async def test_a_bad_name_spoils_the_batch(server: RealityServer, bad: Any) -> None:
    """One bad name among good ones is a clear error, and nothing at all is touched."""
    before = await server.invalidate("a")
    position = server.stats().position
    async with holding(Asker(server, "a", "z")) as (held,):
        for names in (["a", bad], [bad, "a"], ["a", bad, "*"]):
            with pytest.raises((InvalidKey, LimitExceeded), match="key"):
                await server.invalidate(names)
        await settle()

        assert not held.done()
    node = await server.get_node("a")
    assert node is not None
    assert before["a"] == node.version
    assert position == server.stats().position


async def test_an_iterable_that_fails_touches_nothing(server: RealityServer) -> None:
    """If the names cannot all be had, the batch does not happen."""

    def names() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await server.invalidate(names())

    assert await server.get_node("a") is None


async def test_endless_names_are_refused_without_being_drained(server: RealityServer) -> None:
    """I6: names are counted as they are drawn: an endless iterable is an error, not a hang."""
    drawn = itertools.count()

    def names() -> Iterator[str]:
        for number in drawn:
            assert number <= 2 * server.limits.keys_max, "drew far more names than allowed"
            yield f"k:{number}"

    with pytest.raises(LimitExceeded) as caught:
        await server.invalidate(names())

    assert "too_many_keys" == caught.value.code


async def test_update_node_records_a_hash(server: RealityServer) -> None:
    """A hash update is a touch that carries the hash; an equal hash is a touch all the same."""
    asker = await Asker(server, "a").caught_up()

    first = await server.update_node("a", "h1")
    second = await server.update_node("a", "h1")
    response = await asker.ask()

    assert (first.version + 1, "h1", False) == (second.version, second.hash, second.deleted)
    assert second == await server.get_node("a")
    assert (second.version, "h1") == (response.changed["a"].version, response.changed["a"].hash)


async def test_invalidate_clears_the_hash(server: RealityServer) -> None:
    """After an invalidation, of the key or of a pattern above it, the hash is unknown."""
    for name in ("a:b", "a:*", "*"):
        await server.update_node("a:b", "h1")
        await server.invalidate(name)

        node = await server.get_node("a:b")
        assert node is not None
        assert "" == node.hash


async def test_delete_node_is_a_touch(server: RealityServer) -> None:
    """A deletion is reported like any change; the record stays, and the next touch revives it."""
    asker = await Asker(server, "a").caught_up()

    deleted = await server.delete_node("a")
    response = await asker.ask()
    await server.invalidate("a")
    revived = await asker.ask()

    assert deleted.deleted
    assert response.changed["a"].deleted
    assert deleted.version == response.changed["a"].version
    assert not revived.changed["a"].deleted
    assert deleted.version + 1 == revived.changed["a"].version


@pytest.mark.parametrize("pattern", ["*", "a:*"])
async def test_hashes_and_deletions_need_a_key(server: RealityServer, pattern: str) -> None:
    """A pattern has neither a hash nor a deletion."""
    with pytest.raises(InvalidKey, match="pattern"):
        await server.update_node(pattern, "h")
    with pytest.raises(InvalidKey, match="pattern"):
        await server.delete_node(pattern)
    with pytest.raises(InvalidKey, match="pattern"):
        await server.get_node(pattern)
    assert 0 == server.stats().nodes


@pytest.mark.parametrize("hash", ["", "h" * 257, 7, None, b"h"])
async def test_a_hash_is_a_short_text(server: RealityServer, hash: Any) -> None:
    """I6: a hash has 1 to 256 characters."""
    with pytest.raises(InvalidRequest, match="hash"):
        await server.update_node("a", hash)
    assert await server.get_node("a") is None


@pytest.mark.parametrize("bad", BAD_NAMES.values(), ids=BAD_NAMES)
async def test_single_keys_are_checked(server: RealityServer, bad: Any) -> None:
    """Every verb that takes one key refuses a bad one as Reality's own error."""
    with pytest.raises(RealityError, match="key"):
        await server.get_node(bad)
    with pytest.raises(RealityError, match="key"):
        await server.update_node(bad, "h")
    with pytest.raises(RealityError, match="key"):
        await server.delete_node(bad)
    assert 0 == server.stats().nodes


async def test_get_node_tells_touched_keys_only(server: RealityServer) -> None:
    """A key has a node once it, or a pattern above it, was touched."""
    assert await server.get_node("a:b") is None
    await server.invalidate("a:b:c", "b")
    assert await server.get_node("a:b") is None
    await server.invalidate("a:*")

    node = await server.get_node("a:b")
    assert node is not None
    assert ("a:b", "", False) == (node.key, node.hash, node.deleted)


async def test_stats_count(server: RealityServer) -> None:
    """`stats` tells what the server has done and holds."""
    first = server.stats()
    async with holding(Asker(server, "a")) as (held,):
        during = server.stats()
        await server.invalidate("a", "b:*")
        await held
    last = server.stats()

    assert ("alpha", 0, 0, 0) == (first.server_id, first.nodes, first.syncs, first.invalidations)
    assert (0, 1, 0) == (first.waiters, during.waiters, last.waiters)
    assert (2, 1, 1) == (last.nodes, last.invalidations, last.woken)
    assert first.position + 2 == last.position
    assert first.version_max + 2 == last.version_max
    assert first.origin == last.origin
    assert last.origin.startswith("alpha~")
    assert 0 <= first.uptime_s <= last.uptime_s


async def test_stats_count_each_sync_once(server: RealityServer) -> None:
    """`Stats.syncs` counts answers: one for each sync, held or not, none for one still held."""
    asker = await Asker(server, "a").caught_up()
    await asker.ask()
    assert 2 == server.stats().syncs

    async with holding(asker) as (held,):  # which catches up once more
        assert 3 == server.stats().syncs
        await server.invalidate("a")
        await held
        assert 4 == server.stats().syncs


async def test_sync_takes_wire_members(server: RealityServer) -> None:
    """`sync` takes a dict as it would travel, and refuses a wrong one by its member."""
    await server.invalidate("a")

    response = await server.sync(
        {"known": {"a": 0}, "clientId": "c", "mode": "native", "hint": "mount", "more": 1}
    )

    assert ["a"] == list(response.changed)
    for member, value in [
        ("known", {"a": -1}),
        ("known", {"a": True}),
        ("known", {"a": 1.5}),
        ("clientId", ""),
        ("mode", "live"),
        ("hint", "hunch"),
        ("wait", -1),
        ("cursor", 5),
    ]:
        good: dict[str, Any] = {"known": {}, "clientId": "c", "mode": "native", "hint": "mount"}
        with pytest.raises(InvalidRequest, match=member):
            await server.sync(good | {member: value})


async def test_sync_reports_once(server: RealityServer) -> None:
    """I2: what an answer told is not told again, with a cursor and without one."""
    for has_cursor in (True, False):
        asker = Asker(server, "a", "b:c", "never", has_cursor=has_cursor)
        await server.invalidate("a", "b:*")

        first = await asker.ask()
        second = await asker.ask()

        assert {"a", "b:c", "never"} == set(first.changed)
        assert {} == second.changed
        assert not first.reset
        assert not second.reset


async def test_a_partial_sync_does_not_hide_the_rest(server: RealityServer) -> None:
    """I1: asking for some keys does not account for the others."""
    asker = await Asker(server, "a", "b").caught_up()
    await server.invalidate("a", "b")

    part = await asker.ask(keys=["a"])
    rest = await asker.ask()

    assert ["a"] == list(part.changed)
    assert "b" in rest.changed


async def test_limits_of_a_request_in_process() -> None:
    """I6: too many keys are refused by the verbs themselves, not only over HTTP."""
    server = RealityServer("alpha", limits=Limits(keys_max=2))

    calls: list[tuple[Callable[[], Awaitable[object]], str]] = [
        (lambda: server.invalidate("a", "b", "c"), "keys"),
        (lambda: server.invalidate_many(["a", "b", "c"]), "keys"),
        (lambda: server.sync(Asker(server, "a", "b", "c").request()), "known"),
    ]
    for call, member in calls:
        with pytest.raises(LimitExceeded, match=f"`{member}`") as caught:
            await call()
        assert "too_many_keys" == caught.value.code
    assert 0 == server.stats().nodes
