"""Cursors over HTTP: whatever a client sends as its cursor, it is told the truth (I1, I2)."""

from __future__ import annotations

import random

import pytest

from reality import RealityServer
from reality.core.limits import CURSOR_BYTES_MAX
from tests.http.calling import Caller, following, message

FOREIGN = "1;0;beta~0123456789abcdef=7"

NO_CURSORS = {
    "empty": "",
    "garbage": "garbage",
    "blank": "   ",
    "only the format": "1",
    "no origins": "1;0;",
    "nothing": "1;0",
    "another format": "2;0;alpha~0=1",
    "no generation": "1;;alpha~0=1",
    "negative": "1;0;alpha~0=-1",
    "fractional": "1;0;alpha~0=1.5.5",
    "too great": "1;0;alpha~0=" + "9" * 30,
    "twice": "1;0;alpha~0=1;alpha~0=2",
    "no kind": "1;0;alpha=1",
    "not ASCII": "1;0;älpha~0=1",
    "other digits": "1;0;alpha~0=\u0661",
    "line feed": "1;0;alpha~0=1\n",
    "NUL": "\0",
    "JSON": '{"alpha":1}',
    "foreign": FOREIGN,
    "other run": "1;0;alpha~0123456789abcdef=7",
    "durable": "1;0;store@lineage=7.1f",
    "removed": "1;0;gamma!gone=3",
    "many": "1;0;" + ";".join(f"s{number}~0=1" for number in range(129)),
    "oversized": "1;0;" + "x" * 20_000,
    "large": "x" * 500_000,
    "large, not ASCII": "é" * 16_000,
}


async def test_every_answer_has_a_cursor_that_works(call: Caller) -> None:
    """I2: the cursor of an answer, sent back, is neither a reset nor news."""
    request = message("a", "b:c")
    for _ in range(3):
        answer = (await call.post("/reality/sync", request)).json()
        assert "reset" not in answer
        request = following(request, answer)

    assert {} == answer["changed"]


@pytest.mark.parametrize("cursor", NO_CURSORS.values(), ids=NO_CURSORS)
async def test_a_cursor_that_proves_nothing_is_reset(
    server: RealityServer, call: Caller, cursor: str
) -> None:
    """I1, I2: an unusable cursor is a `reset` with every asked key, once; never an error."""
    await server.invalidate("a")
    before = (await call.post("/reality/sync", message("a", "b"))).json()
    request = following(message("a", "b"), before) | {"cursor": cursor, "wait": 20_000}

    answer = await call.post("/reality/sync", request)

    assert 200 == answer.status
    assert answer.json()["reset"] is True
    assert before["changed"] == answer.json()["changed"]
    again = (
        await call.post("/reality/sync", following(request, answer.json()) | {"wait": 0})
    ).json()
    assert {} == again["changed"]
    assert "reset" not in again


async def test_a_foreign_cursor_is_kept_for_the_way_back() -> None:
    """I2: a client that hops between two servers is reset by each once, and by neither again."""
    alpha, beta = (Caller(RealityServer(name).asgi()) for name in ("alpha", "beta"))
    request = message("a")
    resets = []
    for call in (alpha, beta, alpha, beta, alpha):
        answer = (await call.post("/reality/sync", request)).json()
        resets.append(answer.get("reset", False))
        request = following(request, answer)

    assert [False, True, False, False, False] == resets


async def test_a_restart_is_reset_once() -> None:
    """I1: after a restart every cursor of the run before is reset, so nothing it missed is lost."""
    old, new = RealityServer("alpha"), RealityServer("alpha")
    request = following(
        message("a"), (await Caller(old.asgi()).post("/reality/sync", message("a"))).json()
    )
    await new.invalidate("a")

    answer = (await Caller(new.asgi()).post("/reality/sync", request)).json()
    again = (await Caller(new.asgi()).post("/reality/sync", following(request, answer))).json()

    assert (True, ["a"]) == (answer["reset"], list(answer["changed"]))
    assert ({}, False) == (again["changed"], again.get("reset", False))


async def test_the_length_of_a_cursor_is_limited() -> None:
    """I6: a cursor of more than `CURSOR_BYTES_MAX` is a reset, whatever it says."""
    call = Caller(RealityServer("alpha").asgi())
    request = following(message("a"), (await call.post("/reality/sync", message("a"))).json())
    request["cursor"] += ";" * CURSOR_BYTES_MAX

    assert (await call.post("/reality/sync", request)).json()["reset"] is True


async def test_random_cursors_are_never_errors(call: Caller) -> None:
    """A cursor is opaque: any text whatsoever, also one close to a real one, has an answer."""
    draw = random.Random(2)
    real = (await call.post("/reality/sync", message("a"))).json()["cursor"]
    for _ in range(300):
        text = list(real)
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(len(text) + 1)
            text[place : place + draw.randrange(3)] = draw.choice(
                ["", ";", "=", "~", ".", "9", "é"]
            )
        answer = await call.post("/reality/sync", message("a", cursor="".join(text)))
        assert 200 == answer.status
        assert ["a"] == list(answer.json()["changed"])
