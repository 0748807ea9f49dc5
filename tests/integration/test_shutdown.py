"""A server that is told to stop answers what it holds at once, and ends as it usually does."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from tests.http import raw
from tests.http.calling import Answer, following, message
from tests.http.raw import Connection
from tests.http.served import COMMANDS, Live, live, usual_status
from tests.server.asking import LONG_WAIT_MS

HELD = 20
# Far below the wait; a busy machine needs some of it.
AT_ONCE_S = 5.0


async def hold(server: Live, base_path: str) -> list[Connection]:
    """Connections whose syncs the server holds."""
    first = await raw.post(server.port, f"{base_path}/sync", message("a"))
    request = following(message("a"), first.json()) | {"wait": LONG_WAIT_MS}
    data = raw.request("POST", f"{base_path}/sync", json.dumps(request).encode())
    connections = [await Connection.open(server.port) for _ in range(HELD)]
    for connection in connections:
        await connection.send(data)
    await raw.until_waiters(server.port, HELD, base_path)
    return connections


async def stop(server: Live, number: signal.Signals) -> tuple[list[Answer], float, float]:
    """What the held syncs are answered; after how many seconds the last was, and the exit."""
    loop = asyncio.get_running_loop()
    connections = await hold(server, server.base_paths[-1])
    begun = loop.time()
    server.process.send_signal(number)
    answers = [await connection.answer() for connection in connections]
    answered_s = loop.time() - begun
    for connection in connections:
        await connection.close()
    await asyncio.to_thread(server.process.wait, 20)
    return answers, answered_s, loop.time() - begun


@pytest.mark.parametrize("kind", [kind for kind in COMMANDS if kind != "hypercorn"])
@pytest.mark.parametrize(
    ("number", "form"), [(signal.SIGTERM, "alone"), (signal.SIGINT, "mounted")]
)
async def test_held_syncs_end_at_once(kind: str, form: str, number: signal.Signals) -> None:
    """On a stop signal held syncs are answered at once, with `Retry-After`; the server ends."""
    with live(kind, form) as server:
        answers, answered_s, ended_s = await stop(server, number)

    assert [(200, "1")] * HELD == [
        (answer.status, answer.headers["retry-after"]) for answer in answers
    ]
    assert all({} == answer.json()["changed"] for answer in answers)
    assert answered_s < AT_ONCE_S
    assert ended_s < AT_ONCE_S + 3
    assert usual_status(kind, number) == server.process.returncode


@pytest.mark.parametrize(
    ("number", "form"), [(signal.SIGTERM, "alone"), (signal.SIGINT, "mounted")]
)
async def test_held_syncs_end_with_hypercorns_patience(number: signal.Signals, form: str) -> None:
    """Hypercorn's workers see no signal: they cut held syncs off after three seconds, retryably."""
    with live("hypercorn", form) as server:
        answers, answered_s, ended_s = await stop(server, number)

    assert all(answer.status >= 500 for answer in answers)
    assert answered_s < 3 + AT_ONCE_S
    assert ended_s < 6 + AT_ONCE_S
    assert usual_status("hypercorn", number) == server.process.returncode


@pytest.mark.parametrize("kind", ["uvicorn, httptools, uvloop", "server.run"])
async def test_a_stop_before_the_first_request(kind: str) -> None:
    """A server that never held anything ends as fast, and no differently."""
    with live(kind, "alone") as server:
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait, 10)

    assert usual_status(kind, signal.SIGTERM) == server.process.returncode


async def test_a_restart_is_noticed() -> None:
    """I1: a client that outlives its server is reset by the next run and told what it missed."""
    request = message("a", "b")
    for run in range(3):
        with live("uvicorn, httptools, uvloop", "alone") as server:
            answer = (await raw.post(server.port, "/reality/sync", request)).json()
            assert (run > 0) == answer.get("reset", False)
            assert {"a", "b"} == answer["changed"].keys()
            versions = {key: node["version"] for key, node in answer["changed"].items()}
            assert all(versions[key] > request["known"][key] for key in versions)
            request = following(request, answer)
            again = (await raw.post(server.port, "/reality/sync", request)).json()
            assert {} == again["changed"]
