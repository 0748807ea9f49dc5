"""Pages of other origins: preflights, allowed and not, errors included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reality import Cors, RealityServer
from tests.http.calling import BEARER, TOKEN, Answer, Caller, message

ALLOWED = "https://app.example"
OTHER = "https://evil.example"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,authorization",
}

# One call for every kind of answer that there is.
CALLS: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "200": ("POST", "/reality/sync", json.dumps(message("a")).encode(), {}),
    "health": ("GET", "/reality/health", b"", {}),
    "script": ("GET", "/reality/client.js", b"", {}),
    "204": ("OPTIONS", "/reality/sync", b"", {}),
    "400": ("POST", "/reality/sync", b"{", {}),
    "401": ("POST", "/reality/invalidate", b"{}", {}),
    "404": ("GET", "/reality/nowhere", b"", {}),
    "405": ("PUT", "/reality/sync", b"", {}),
    "413": ("POST", "/reality/sync", b"x" * 2_000_000, {}),
    "415": ("POST", "/reality/sync", b"{}", {"content-type": "text/plain"}),
    "422": ("POST", "/reality/sync", json.dumps(message("k" * 513)).encode(), {}),
    "content-length": ("POST", "/reality/sync", b"", {"content-length": "many"}),
}


def asked(cors: Any) -> Caller:
    """A server that lets these origins in."""
    return Caller(RealityServer("alpha", token=TOKEN, cors=cors).asgi())


async def ask(call: Caller, name: str, origin: str | None) -> Answer:
    """The answer to one of `CALLS`, from a page of an origin."""
    method, path, body, headers = CALLS[name]
    return await call(method, path, body, headers=headers | ({"origin": origin} if origin else {}))


def granted(answer: Answer) -> dict[str, str]:
    """What an answer says about other origins."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-")}


@pytest.mark.parametrize("name", CALLS)
async def test_every_answer_can_be_read_by_an_allowed_page(name: str) -> None:
    """Every answer, errors included, names the allowed origin and says that it depends on it."""
    answer = await ask(asked([ALLOWED]), name, ALLOWED)

    assert ALLOWED == answer.headers["access-control-allow-origin"]
    assert "origin" == answer.headers["vary"]
    assert "retry-after" == answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("origin", [OTHER, "null", f"{ALLOWED}.evil.example", "\xff", None])
async def test_no_answer_can_be_read_by_another(name: str, origin: str | None) -> None:
    """Another origin is granted nothing, and no cache may mix the two."""
    answer = await ask(asked([ALLOWED]), name, origin)

    assert {} == granted(answer)
    assert "origin" == answer.headers["vary"]


@pytest.mark.parametrize("name", CALLS)
async def test_everybody(name: str) -> None:
    """`*` lets everybody in, does not vary, and never has credentials."""
    call = asked(["*"])
    for origin in (ALLOWED, "null"):
        answer = await ask(call, name, origin)
        assert "*" == answer.headers["access-control-allow-origin"]
        assert "vary" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("name", CALLS)
async def test_nobody(name: str) -> None:
    """Without `cors` no answer speaks of origins."""
    answer = await ask(asked(None), name, ALLOWED)

    assert {} == granted(answer)
    assert "vary" not in answer.headers


async def test_credentials() -> None:
    """Where credentials are allowed the answer says so, to the allowed origin alone."""
    call = asked(Cors([ALLOWED], credentials=True))
    for name in ("200", "400", "204"):
        allowed, refused = await ask(call, name, ALLOWED), await ask(call, name, OTHER)
        assert "true" == allowed.headers["access-control-allow-credentials"]
        assert ALLOWED == allowed.headers["access-control-allow-origin"]
        assert {} == granted(refused)


@pytest.mark.parametrize("path", ["sync", "invalidate", "update", "versions", "health"])
async def test_a_preflight(path: str) -> None:
    """A preflight of an allowed page is granted the route's methods and our headers."""
    call = asked([ALLOWED, "https://second.example"])
    answer = await call(
        "OPTIONS", f"/reality/{path}", headers=PREFLIGHT | {"origin": "https://second.example"}
    )

    assert (204, b"") == (answer.status, answer.body)
    assert "https://second.example" == answer.headers["access-control-allow-origin"]
    methods = answer.headers["access-control-allow-methods"].split(", ")
    assert ("POST" if path in {"sync", "invalidate", "update"} else "GET") in methods
    assert {"content-type", "authorization"} <= set(
        answer.headers["access-control-allow-headers"].split(", ")
    )
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "origin" == answer.headers["vary"]


async def test_a_preflight_of_another_is_not_granted() -> None:
    """A preflight of another origin, or without one, is told the methods and granted nothing."""
    call = asked([ALLOWED])
    for headers in (PREFLIGHT | {"origin": OTHER}, PREFLIGHT, {}):
        answer = await call("OPTIONS", "/reality/sync", headers=headers)
        assert 204 == answer.status
        assert {} == granted(answer)


async def test_a_preflight_touches_nothing() -> None:
    """A preflight needs no token and does nothing."""
    server = RealityServer("alpha", token=TOKEN, cors=[ALLOWED])
    body = b'{"keys":["a"]}'
    await Caller(server.asgi())(
        "OPTIONS", "/reality/invalidate", body, headers=PREFLIGHT | BEARER | {"origin": ALLOWED}
    )

    assert 0 == server.stats().nodes


async def test_unavailable_answers_can_be_read() -> None:
    """503 and 429 answers are readable, with `Retry-After`, by an allowed page."""
    server = RealityServer("alpha", cors=[ALLOWED])
    await server.stop()
    for method, path in (("GET", "ready"), ("POST", "sync")):
        body = json.dumps(message("a")).encode() if method == "POST" else b""
        answer = await Caller(server.asgi())(
            method, f"/reality/{path}", body, headers={"origin": ALLOWED}
        )
        assert 503 == answer.status
        assert ALLOWED == answer.headers["access-control-allow-origin"]
        assert "retry-after" in answer.headers["access-control-expose-headers"]
        assert answer.headers["retry-after"]
