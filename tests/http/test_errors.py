"""What happens when something fails inside: a 500 that says nothing, and a log that says all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reality import RealityServer
from reality.errors import Forbidden, RemoteError
from reality.http.types import Message
from tests.http.calling import Caller, held, message, read


class Raising:
    """An authorizer that raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def may_read(self, headers: object, keys: object) -> list[str]:
        """Raise."""
        raise self.error


SECRET = "the password of the database"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        ValueError(SECRET),
        KeyError(SECRET),
        OSError(5, SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        TimeoutError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_unforeseen_errors_do_not_leak(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A 500 says nothing of the exception, which goes to the log."""
    call = Caller(RealityServer("alpha", authorizer=Raising(error)).asgi())
    await call("GET", "/reality/health")
    for answer in (
        await call.post("/reality/sync", message("a")),
        await call("GET", "/reality/versions"),
    ):
        assert (500, "internal_error") == answer.problem()[:2]
        assert SECRET not in answer.body.decode()
        assert type(error).__name__ not in answer.body.decode()
    assert SECRET in caplog.text


async def test_an_authorizer_may_refuse_the_request() -> None:
    """I7: an authorizer that raises one of Reality's errors gives the answer."""
    error = Forbidden("log in first", code="log_in_first")
    call = Caller(RealityServer("alpha", authorizer=Raising(error)).asgi())

    assert (403, "log_in_first", "log in first") == (
        await call.post("/reality/sync", message("a"))
    ).problem()


@pytest.mark.parametrize("status", [304, 520, 599])
async def test_an_error_of_elsewhere_is_answered(status: int) -> None:
    """An authorizer that passes on another server's refusal, however odd, is no crash."""
    error = RemoteError("the gateway is unhappy", status=status, code="odd")
    answer = await Caller(RealityServer("alpha", authorizer=Raising(error)).asgi()).post(
        "/reality/sync", message("a")
    )

    assert answer.status >= 400
    assert answer.problem()[2]


async def test_a_cancelled_request_is_not_answered(server: RealityServer) -> None:
    """A server that cancels a request is not answered with an error; the ticket is given back."""
    call = Caller(server.asgi())
    async with held(server, call, "a") as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 0 == server.stats().waiters


async def test_minimal_scopes(server: RealityServer) -> None:
    """`root_path` and `query_string` may be left out of a scope."""
    sent: list[Message] = []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/reality/versions",
        "headers": [],
    }

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(event: Message) -> None:
        sent.append(event)

    await server.asgi()(scope, receive, send)

    assert 200 == read(sent, "GET").status
