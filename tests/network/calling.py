"""How whoever is outside talks to the servers: plain HTTP, from the clients' machine."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from tests.http.calling import TOKEN, Answer
from tests.http.raw import Connection
from tests.network.network import Network, public_address

PORT = 3456
AUTHORIZATION = f"Bearer {TOKEN}"


class CallFailed(Exception):
    """There was no answer, or none that is a success."""


class Calling(Protocol):
    """Somebody's way to the servers."""

    async def post(self, server: int, path: str, message: Any, *, timeout_s: float) -> Any:
        """The answer to a POST of JSON.

        Raises:
            CallFailed: whether the server has taken it is not known.
        """


async def connect(socket: Any, host: str, port: int) -> Connection:
    """A connection over a socket of some namespace."""
    return Connection(*await open_streams(socket, host, port))


async def open_streams(
    socket: Any, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The two streams of a connection over a socket of some namespace."""
    try:
        await asyncio.get_running_loop().sock_connect(socket, (host, port))
        return await asyncio.open_connection(sock=socket)
    except BaseException:
        socket.close()
        raise


class Caller:
    """One client's connections: at most one to each server, kept until a call fails.

    Args:
        network: where servers and clients are.
        oddities: gets what no server should answer, whatever goes wrong around it.
    """

    def __init__(self, network: Network, oddities: list[str]) -> None:
        self._network = network
        self._oddities = oddities
        self._connections: dict[int, Connection] = {}

    async def post(self, server: int, path: str, message: Any, *, timeout_s: float) -> Any:
        """See `Calling`."""
        return (await self._answer(server, timeout_s, "POST", path, message)).json()

    async def get(self, server: int, path: str, *, timeout_s: float) -> Any:
        """The answer to a GET, which must be JSON. Fails as `post` does."""
        return (await self._answer(server, timeout_s, "GET", path, None)).json()

    async def close(self) -> None:
        """Leave all servers."""
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.close(is_abrupt=True)

    async def _answer(
        self, server: int, timeout_s: float, method: str, path: str, message: Any
    ) -> Answer:
        connection = self._connections.pop(server, None)
        is_used_up = True
        try:
            async with asyncio.timeout(timeout_s):
                if connection is None:
                    connection = await connect(
                        self._network.clients.new_socket(), public_address(server), PORT
                    )
                if method == "GET":
                    answer = await connection.call(method, path)
                else:
                    answer = await connection.post(path, message, authorization=AUTHORIZATION)
            is_used_up = False
        except (OSError, EOFError, TimeoutError) as error:
            raise CallFailed(f"{type(error).__name__} {error}") from error
        finally:
            if connection is not None and is_used_up:
                await connection.close(is_abrupt=True)
        self._connections[server] = connection
        if answer.status != 200:
            failure = f"{answer.status} {answer.body[:300]!r}"
            if answer.status != 503:
                self._oddities.append(f"server {server} answered {method} {path} with {failure}")
            raise CallFailed(failure)
        return answer
