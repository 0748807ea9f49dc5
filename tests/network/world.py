"""The servers under test: a process each on a machine of its own, a proxy before each.

A server listens on its machine's loopback only. What it advertises is its proxy's address, so that
all that comes to it, from peers and from clients, passes the cables and then the proxy.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from tests.http.calling import TOKEN
from tests.network.calling import PORT, Caller, CallFailed, open_streams
from tests.network.network import CLIENTS_ADDRESS, SERVERS, Network, mesh_address, public_address
from tests.network.proxy import Proxy, Streams, Trouble

ROOT = Path(__file__).parents[2]
SECRET = "the secret of the tests, which no mesh outside of them has"
START_TIMEOUT_S = 30.0
_LOG_TAIL_CHARS = 2_000

NUMBERS = tuple(range(1, SERVERS + 1))
# Who calls a server: another one by its number, or clients.
CLIENTS = 0


class Server:
    """One server: its process, which comes and goes, and its proxy, which stays."""

    def __init__(self, number: int, network: Network, options: Sequence[str], draw: random.Random):
        self.number = number
        self.starts = 0
        self.proxy = Proxy(self._connect, draw)
        self._machine = network.servers[number]
        self._options = options
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        """Start the process, and the proxy before it."""
        for address in (mesh_address(self.number), public_address(self.number)):
            await self.proxy.listen(self._machine.listening(address, PORT))
        self.start()

    def start(self) -> None:
        """Start a process under the same id, on the same address."""
        self.starts += 1
        arguments = ["--host", "127.0.0.1", "--port", str(PORT), "--server-id", f"s{self.number}"]
        command = [sys.executable, "-m", "reality", "serve", *arguments, *self._options]
        self._process = subprocess.Popen(
            self._machine.command(*command),
            cwd=ROOT,
            env={**os.environ, "REALITY_TOKEN": TOKEN},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def has_ended(self) -> bool:
        """Whether the process has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """End it as a crash does: all it held in memory is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send_signal(self, sent: signal.Signals) -> None:
        """Such as SIGSTOP and SIGCONT."""
        assert self._process is not None
        self._process.send_signal(sent)

    def trouble(self, caller: int, trouble: Trouble) -> None:
        """Put what one caller sends here in trouble."""
        self.proxy.troubles[caller_address(caller)] = trouble

    async def reset(self, caller: int) -> None:
        """Reset the connections of one caller to here."""
        await self.proxy.reset(caller_address(caller))

    def log(self) -> str:
        """The end of what its processes have said."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(size - _LOG_TAIL_CHARS, 0))
        return self._log.read().decode(errors="replace")

    async def close(self) -> None:
        """End the process and the proxy."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        await self.proxy.close()
        self._log.close()

    async def _connect(self) -> Streams:
        return await open_streams(self._machine.new_socket(), "127.0.0.1", PORT)


class World:
    """Five servers and the network between them. Used as an asynchronous context manager.

    Args:
        kind: `mesh`, memory stores that exchange state; or `store`, one SQLite file for all.
        folder: for the file of the store or of the secret.
        seed: of what the proxies do by chance.

    Attributes:
        oddities: what servers answered and never should.
    """

    def __init__(self, kind: str, folder: Path, seed: int) -> None:
        self.oddities: list[str] = []
        self._kind = kind
        self._folder = folder
        self._draw = random.Random(seed)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.network = stack.enter_context(Network())
            self.servers: dict[int, Server] = {}
            for number in NUMBERS:
                options = self._options(number)
                server = Server(number, self.network, options, self._draw)
                self.servers[number] = server
                stack.push_async_callback(server.close)
                await server.open()
            await asyncio.gather(*(self.until_ready(number) for number in NUMBERS))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if error is not None:
            error.add_note(self.logs())
        await self._stack.aclose()

    def caller(self) -> Caller:
        """A new way to the servers; whoever asks for it closes it."""
        return Caller(self.network, self.oddities)

    async def until_ready(self, number: int) -> None:
        """Wait until a server says that it answers syncs."""
        deadline = time.monotonic() + START_TIMEOUT_S
        caller = self.caller()
        try:
            while True:
                try:
                    await caller.get(number, "/reality/ready", timeout_s=1)
                    return
                except CallFailed as error:
                    if time.monotonic() > deadline or self.servers[number].has_ended():
                        raise TimeoutError(
                            f"server {number} is not ready: {error}\n{self.logs()}"
                        ) from error
                # Not a guess at readiness, only the pace of asking.
                await asyncio.sleep(0.05)
        finally:
            await caller.close()

    def requests_of(self, number: int) -> int:
        """How many requests a server has sent to its peers."""
        return sum(each.proxy.requests[mesh_address(number)] for each in self.servers.values())

    def logs(self) -> str:
        """The end of what each server has said."""
        return "\n".join(
            f"---- server {each.number}\n{each.log()}" for each in self.servers.values()
        )

    def _options(self, number: int) -> list[str]:
        if self._kind == "store":
            return ["--store", f"sqlite:///{self._folder / 'reality.db'}"]
        secret = self._folder / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        options = ["--secret-file", str(secret), "--advertise", mesh_url(number)]
        options += ["--public-url", f"http://{public_address(number)}:{PORT}"]
        for peer in NUMBERS:
            options += [] if peer == number else ["--peer", mesh_url(peer)]
        return options


def mesh_url(number: int) -> str:
    """Where the other servers find a server: at its proxy."""
    return f"http://{mesh_address(number)}:{PORT}"


def caller_address(caller: int) -> str:
    """Where a server, or clients, call from."""
    return CLIENTS_ADDRESS if caller == CLIENTS else mesh_address(caller)
