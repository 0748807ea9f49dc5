"""A server, and a way to call it over ASGI, for the tests of this folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from reality import RealityServer
from tests.http.apps import BASE_PATHS
from tests.http.calling import TOKEN, Caller
from tests.http.served import COMMANDS, Live, live


@pytest.fixture
def server() -> RealityServer:
    return RealityServer("alpha", token=TOKEN)


@pytest.fixture
def call(server: RealityServer) -> Caller:
    return Caller(server.asgi())


@pytest.fixture(
    scope="session",
    params=itertools.product(COMMANDS, BASE_PATHS),
    ids=", ".join,
)
def running(request: pytest.FixtureRequest) -> Iterator[Live]:
    """Each real server in turn, with Reality alone and mounted."""
    with live(*request.param) as server:
        yield server
