"""The judge of the network tests finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import Any

from reality import RealityServer
from tests.http.calling import BEARER, TOKEN
from tests.http.calling import Caller as Application
from tests.network.application import Data, Writer
from tests.network.calling import CallFailed
from tests.network.client import Client
from tests.network.judge import judge_client, until_equal

FIRST, SECOND = 1, 2
KEY, OTHER = "board:1:1", "board:1:2"


class Apart:
    """Two servers that never hear of each other, without a network."""

    def __init__(self) -> None:
        self._applications = {
            number: Application(RealityServer(f"s{number}", token=TOKEN).asgi())
            for number in (FIRST, SECOND)
        }
        self.requests = 0

    async def post(self, server: int, path: str, message: Any, *, timeout_s: float) -> Any:
        """See `Calling`."""
        self.requests += 1
        answer = await self._applications[server].post(path, message, headers=BEARER)
        if answer.status != 200:
            raise CallFailed(f"{answer.status} {answer.body!r}")
        return answer.json()


class Stage:
    """The two servers, the application's data, and somebody who writes to one of them."""

    def __init__(self) -> None:
        self.calling = Apart()
        self.data = Data(random.Random(1))

    def client(self, kind: Callable[..., Client]) -> Client:
        return kind("under suspicion", self.calling, self.data)

    async def write(self, server: int, name: str) -> None:
        await Writer(self.data, self.calling, [server], random.Random(1)).write(name)

    async def judge(self, client: Client, server: int) -> list[str]:
        return await judge_client(client, self.data, [server], time.monotonic() + 1)


class AdoptsAnyCursor(Client):
    """Takes the cursor of an answer to some of its keys for one to all of them."""

    def take(self, answer: dict[str, Any], *, is_whole: bool) -> None:
        super().take(answer, is_whole=True)


class FetchesBefore(Client):
    """Fetches, and only then asks for the versions of what it has fetched."""

    async def sync(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        self.fetched = dict(self._data.now)
        return await super().sync(*arguments, **options)

    def fetch(self, keys: Collection[str]) -> None:
        self.held |= {key: self.fetched[key] for key in keys}


async def ask_for_a_part(kind: type[Client]) -> list[str]:
    """What is wrong after a sync of other keys with a server whose versions are smaller."""
    stage = Stage()
    client = stage.client(kind)
    # The server whose first use is later has the greater versions: not the one judged.
    await client.sync(SECOND)
    await client.sync(FIRST)
    for _ in range(5):
        await stage.write(FIRST, KEY)
    await client.sync(FIRST)
    await stage.write(SECOND, KEY)
    await client.sync(SECOND, keys=[OTHER])
    return await stage.judge(client, SECOND)


async def ask_in_a_race(kind: type[Client]) -> list[str]:
    """What is wrong after a sync that a change overtakes on its way."""
    stage = Stage()
    client = stage.client(kind)
    await client.sync(FIRST)
    post = stage.calling.post

    async def overtaken(*arguments: Any, **options: Any) -> Any:
        stage.calling.post = post  # type: ignore[method-assign]
        await stage.write(FIRST, KEY)
        return await post(*arguments, **options)

    stage.calling.post = overtaken  # type: ignore[method-assign]
    await client.sync(FIRST)
    return await stage.judge(client, FIRST)


async def test_a_client_that_keeps_the_rules_loses_nothing() -> None:
    """I1, I2: the judge finds nothing wrong with it in either case."""
    assert [] == await ask_for_a_part(Client)
    assert [] == await ask_in_a_race(Client)


async def test_adopting_the_cursor_of_a_part_loses() -> None:
    """I1: what is accounted for unasked is found missing."""
    (found,) = await ask_for_a_part(AdoptsAnyCursor)

    assert found.startswith("I1:")
    assert f"holds {KEY}: 5 of 6" in found


async def test_fetching_before_asking_loses() -> None:
    """I1: a change between the fetch and the answer is found missing."""
    (found,) = await ask_in_a_race(FetchesBefore)

    assert found.startswith("I1:")
    assert f"holds {KEY}: 0 of 1" in found


async def test_pattern_changes_count_for_all_below() -> None:
    """I1: a client that has not synced since misses each key below a pattern."""
    stage = Stage()
    client = stage.client(Client)
    await client.sync(FIRST)
    await stage.write(FIRST, "board:2:*")

    assert 12 == len(client.behind(stage.data.now))
    assert [] == await stage.judge(client, FIRST)


async def test_servers_apart_differ() -> None:
    """I8: servers of which one has not heard of a change differ in what they tell."""
    stage = Stage()
    await stage.write(FIRST, KEY)
    keys = [KEY, OTHER]  # their boot times differ too, so that one of the two may agree by chance
    found = await until_equal(stage.calling, [FIRST, SECOND], keys, time.monotonic())

    assert found
    assert all(each.startswith("I8: ") for each in found)
    assert [] == await until_equal(stage.calling, [FIRST, FIRST], keys, time.monotonic())


async def test_news_of_nothing_and_falling_versions_are_found() -> None:
    """I2, I4: a server that tells a client what it knows already is found, and one that falls."""
    stage = Stage()
    client = stage.client(Client)
    post = stage.calling.post

    async def repeating(*arguments: Any, **options: Any) -> Any:
        answer = await post(*arguments, **options)
        version = 10**15 - stage.calling.requests
        return answer | {"changed": {KEY: {"version": version, "hash": ""}}}

    stage.calling.post = repeating  # type: ignore[method-assign]
    found = await stage.judge(client, FIRST)

    assert any(each.startswith("I2: client under suspicion, which knows all") for each in found)
    assert any("held client under suspicion for 0." in each for each in found)
    assert any(each.startswith("I4: client under suspicion was told") for each in found)
