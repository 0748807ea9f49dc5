"""An authorizer: what it is asked, and that an asker cannot tell forbidden from unknown (I7)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any

import pytest

from reality import RealityServer
from tests.http.calling import BEARER, TOKEN, Answer, Caller, following, message
from tests.server.asking import LONG_WAIT_MS, settle, until

ALICE = {"x-user": "alice"}
EVE = {"x-user": "eve"}


class Teams:
    """Lets `alice` see all, others no name under `team:`; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], list[str]]] = []

    async def may_read(self, headers: Mapping[str, str], keys: Collection[str]) -> Collection[str]:
        """As `Authorizer.may_read`."""
        self.asked.append((dict(headers), list(keys)))
        await asyncio.sleep(0)
        if headers.get("x-user") == "alice":
            return [*keys, "never:asked"]
        return {key for key in keys if not key.startswith("team:")}


@pytest.fixture
def teams() -> Teams:
    return Teams()


@pytest.fixture
def server(teams: Teams) -> RealityServer:
    return RealityServer("alpha", token=TOKEN, authorizer=teams)


def alike(answer: Answer, key: str) -> tuple[int, dict[str, str], str]:
    """All that the asker gets, with the clock and the key's own name taken out."""
    body = re.sub(r'"serverTime":\d+', "", answer.body.decode()).replace(key, "?")
    return answer.status, answer.headers, body


async def test_what_it_is_asked(server: RealityServer, call: Caller, teams: Teams) -> None:
    """It is asked once a request, with the headers in lower case and the keys."""
    await server.invalidate("a", "b:*")
    await call.post("/reality/sync", message("a", "b:c"), headers={"cookie": "s=é"})
    await call("GET", "/reality/versions", headers={"cookie": "t"})
    await call.post("/reality/invalidate", {"keys": ["z"]}, headers=BEARER)

    assert [["a", "b:c"], ["a", "b:*"]] == [sorted(keys) for _, keys in teams.asked]
    assert ["s=é", "t"] == [headers["cookie"] for headers, _ in teams.asked]


@pytest.mark.parametrize(
    "keys", [["a\n"], ["team:*"], ["k" * 513], ["a:b:c:d:e:f:g:h:i"], ["fine", ""]]
)
async def test_it_is_not_asked_of_what_is_no_key(
    call: Caller, teams: Teams, keys: list[str]
) -> None:
    """Malformed keys are refused before the authorizer sees them, as for everybody."""
    assert (await call.post("/reality/sync", message(*keys))).status in {400, 422}

    assert [] == teams.asked


async def test_it_is_not_asked_of_too_many_keys(call: Caller, teams: Teams) -> None:
    """I6: too many keys are refused before the authorizer has to judge them."""
    keys = [f"k:{number}" for number in range(10_001)]

    assert 422 == (await call.post("/reality/sync", message(*keys))).status
    assert [] == teams.asked


@pytest.mark.parametrize("touched", ["nothing", "team:secret", "team:*", "*"])
@pytest.mark.parametrize("has_cursor", [True, False], ids=["cursor", "no cursor"])
async def test_forbidden_and_unknown_look_alike(
    server: RealityServer, call: Caller, touched: str, has_cursor: bool
) -> None:
    """I7: for a forbidden and an unknown key status, headers and body are always the same."""
    await server.update_node("team:secret", "a hash")
    await server.delete_node("team:secret")
    forbidden, unknown = message("team:secret"), message("team:unused")
    for _ in range(3):
        answers = [
            await call.post("/reality/sync", request, headers=EVE)
            for request in (forbidden, unknown)
        ]
        assert alike(answers[0], "team:secret") == alike(answers[1], "team:unused")
        forbidden, unknown = (
            following(request, answer.json())
            for request, answer in zip((forbidden, unknown), answers, strict=True)
        )
        if not has_cursor:
            del forbidden["cursor"], unknown["cursor"]
        if touched != "nothing":
            await server.invalidate(touched)


@pytest.mark.parametrize(
    ("touched", "wakes"),
    [("team:secret", False), ("team:secret:*", False), ("team:*", True), ("*", True), ("x", False)],
)
async def test_forbidden_and_unknown_are_held_alike(
    server: RealityServer, call: Caller, touched: str, wakes: bool
) -> None:
    """I7: a touch of a forbidden key does not wake those who may not see it; a pattern's does."""
    await server.invalidate("team:secret")
    tasks = []
    for key in ("team:secret", "team:unused"):
        first = await call.post("/reality/sync", message(key), headers=EVE)
        request = following(message(key), first.json()) | {"wait": LONG_WAIT_MS}
        tasks.append(asyncio.create_task(call.post("/reality/sync", request, headers=EVE)))
    await until(lambda: server.stats().waiters == 2)

    await server.invalidate(touched)
    await settle()
    done = [task.done() for task in tasks]
    server.end_waits()
    answers = [await task for task in tasks]

    assert [wakes, wakes] == done
    assert alike(answers[0], "team:secret") == alike(answers[1], "team:unused")


async def test_who_may_see_does(server: RealityServer, call: Caller) -> None:
    """Those who may see a key are answered and woken as if there were no authorizer."""
    first = await call.post("/reality/sync", message("team:secret"), headers=ALICE)
    request = following(message("team:secret"), first.json()) | {"wait": LONG_WAIT_MS}
    task = asyncio.create_task(call.post("/reality/sync", request, headers=ALICE))
    await until(lambda: server.stats().waiters == 1)
    await server.update_node("team:secret", "h")

    node = await server.get_node("team:secret")
    assert node is not None
    assert {"team:secret": {"version": node.version, "hash": "h"}} == (await task).json()["changed"]


async def test_versions_are_filtered(server: RealityServer, call: Caller) -> None:
    """I7: `GET /versions` lists what the asker may see, patterns included, page by page."""
    await server.invalidate("team:secret", "a", "team:*", "b:*", "team:other", "c")

    async def listed(headers: dict[str, str]) -> list[str]:
        names: list[str] = []
        query = "limit=2"
        while True:
            page: dict[str, Any] = (
                await call("GET", "/reality/versions", query=query, headers=headers)
            ).json()
            names += [node["key"] for node in page["changed"]]
            if not page["more"]:
                return names
            query = f"limit=2&since={page['since']}"

    assert ["a", "b:*", "c"] == await listed(EVE)
    assert ["team:secret", "a", "team:*", "b:*", "team:other", "c"] == await listed(ALICE)


async def test_writing_is_not_the_authorizers_business(
    server: RealityServer, call: Caller, teams: Teams
) -> None:
    """I7: the token decides who may write; what the authorizer lets see does not matter."""
    allowed = await call.post("/reality/invalidate", {"keys": ["team:a"]}, headers=BEARER | EVE)
    refused = await call.post("/reality/invalidate", {"keys": ["team:a"]}, headers=ALICE)

    assert (200, 401) == (allowed.status, refused.status)
    assert [] == teams.asked
