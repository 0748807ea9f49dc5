"""Whether clients and servers are as they should be, judged from outside, over HTTP only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from tests.network.application import Data
from tests.network.calling import CallFailed, Calling
from tests.network.client import SYNC_TIMEOUT_S, Client

Result = TypeVar("Result")

PACE_S = 0.05
_HELD_MS = 500
_SHOWN_MAX = 8


async def versions(calling: Calling, server: int, keys: Sequence[str]) -> dict[str, int]:
    """What a server tells somebody who knows nothing.

    Raises:
        CallFailed: it does not answer.
    """
    known = dict.fromkeys(keys, 0)
    message = {"known": known, "clientId": "judge", "mode": "native", "hint": "interaction"}
    answer = await calling.post(server, "/reality/sync", message, timeout_s=SYNC_TIMEOUT_S)
    return known | {key: node["version"] for key, node in answer["changed"].items()}


async def until_equal(
    calling: Calling, servers: Sequence[int], keys: Sequence[str], deadline: float
) -> list[str]:
    """Wait until all servers tell the same versions (I8); what differs after the deadline."""
    while True:
        try:
            told = [await versions(calling, number, keys) for number in servers]
        except CallFailed as error:
            differing = [f"I8: a server does not answer: {error}"]
        else:
            differing = [
                f"I8: {key} has the versions {[each[key] for each in told]}"
                for key in keys
                if len({each[key] for each in told}) > 1
            ]
        if not differing or time.monotonic() > deadline:
            return shortened(differing)
        await asyncio.sleep(PACE_S)


async def one_answer(call: Callable[[], Awaitable[Result]], deadline: float) -> Result:
    """The first answer of a call that may fail.

    Raises:
        CallFailed: there was none by the deadline.
    """
    while True:
        try:
            return await call()
        except CallFailed:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(PACE_S)


async def judge_client(
    client: Client, data: Data, servers: Sequence[int], deadline: float
) -> list[str]:
    """What is wrong with one client, after one sync at the first of the servers.

    I1: it holds all there is. I2: then nobody tells it anything, and a wait waits.
    """
    complaints = []
    try:
        complaints = await _after_one_sync(client, data, servers[0], deadline)
        for number in servers:
            complaints += await _told_again(client, number, deadline)
        complaints += await _held(client, servers[0], deadline)
    except CallFailed as failure:
        complaints.append(f"client {client.name} gets no answer: {failure}")
    return shortened(complaints + client.complaints)


async def _after_one_sync(client: Client, data: Data, server: int, deadline: float) -> list[str]:
    await one_answer(partial(client.sync, server), deadline)
    return [
        f"I1: client {client.name}, after a sync with server {server}, holds {each}"
        for each in client.behind(data.now)
    ]


async def _told_again(client: Client, server: int, deadline: float) -> list[str]:
    answer = await one_answer(partial(client.sync, server), deadline)
    if not answer["changed"] and not answer.get("reset"):
        return []
    told = f"reset {answer.get('reset', False)}, {shortened(list(answer['changed']))}"
    return [f"I2: client {client.name}, which knows all, is told by server {server}: {told}"]


async def _held(client: Client, server: int, deadline: float) -> list[str]:
    began = time.monotonic()
    answer = await one_answer(partial(client.sync, server, wait_ms=_HELD_MS), deadline)
    held_s = time.monotonic() - began
    if not answer["changed"] and held_s >= _HELD_MS / 2_000:
        return []
    return [f"I2: server {server} held client {client.name} for {held_s:.2f} s"]


def shortened(items: list[str]) -> list[str]:
    """The first few of them, and how many more there are."""
    more = len(items) - _SHOWN_MAX
    return [*items[:_SHOWN_MAX], f"… and {more} more"] if more > 0 else items
