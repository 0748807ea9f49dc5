"""A simulated network: hosts that serve ASGI applications, and all that can go wrong between them.

    async def main() -> None:
        network = SimulatedNetwork(Random(7))
        server = RealityServer("s1")
        network.serve(network.start("s1"), server.asgi())
        network.start("laptop")
        async with AsyncRealityClient("http://s1", http=network.http("laptop")) as client:
            network.link("laptop", "s1").loss = 0.1
            ...

    run_virtually(main())

What is simulated is HTTP: a request and an answer. Both take a time drawn from the link's delays,
so that calls made together may arrive in another order. A message that is lost, or meets a link
that is cut, is waited for until the caller's time-out; nobody is told. Who gives up closes the
connection, which the other side hears of if the link is up. Everything is drawn from one
`random.Random`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from reality.errors import MissingDependency
from reality.testing.hosts import Host

try:
    import httpx2
except ImportError as error:
    raise MissingDependency("httpx2", extra="client", needed_for="the simulated network") from error

_logger = logging.getLogger("reality.testing")

Headers = Sequence[tuple[bytes, bytes]]
Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


@dataclass(slots=True)
class Link:
    """What happens to messages from one host to another; the way back is a link of its own.

    Attributes:
        delay_s: the least and the greatest time a message takes, in seconds.
        loss: how many of the messages are lost, from 0 to 1.
        duplication: how many of the requests arrive twice, from 0 to 1.
        is_cut: whether nothing gets through.
    """

    delay_s: tuple[float, float] = (0.001, 0.02)
    loss: float = 0.0
    duplication: float = 0.0
    is_cut: bool = False


class Answer(NamedTuple):
    """What an application answered."""

    status: int
    headers: Headers
    body: bytes


@dataclass(slots=True)
class Call:
    """One request as it arrives.

    Attributes:
        source: the name of the host that asks.
        method: of HTTP.
        path: of the URL, percent-encoded; with the query.
        headers: names in lower case.
        body: all of it.
        gone: set once the asker is known to have gone.
    """

    source: str
    method: str
    path: str
    headers: Headers
    body: bytes
    gone: asyncio.Event = field(default_factory=asyncio.Event)


Handler = Callable[[Call], Awaitable[Answer]]


class SimulatedNetwork:
    """Hosts and the links between them.

    Args:
        random: what delays and losses are drawn from.
        link: what links are like that nobody has changed.

    Attributes:
        hosts: the present run of every machine, dead ones too, by name.
        watch: called with each call, the host that has answered it, and the answer; for traces.
    """

    def __init__(self, random: Random, *, link: Link | None = None) -> None:
        self.hosts: dict[str, Host] = {}
        self.watch: Callable[[Call, Host, Answer], object] | None = None
        self._random = random
        self._pattern = link or Link()
        self._links: dict[tuple[str, str], Link] = {}
        self._handlers: dict[Host, Handler] = {}
        self._balanced: dict[str, Callable[[], str]] = {}

    # ---- hosts ---------------------------------------------------------------------------------

    def start(self, name: str) -> Host:
        """Begin a run of a machine; its wall clock is as wrong as it was in the run before."""
        before = self.hosts.get(name)
        if before is not None and not before.is_dead:
            raise ValueError(f"the host {name!r} runs already: kill it first")
        host = Host(name, wall_offset_s=0.0 if before is None else before.wall_offset_s)
        self.hosts[name] = host
        return host

    def serve(self, host: Host, application: Application) -> None:
        """Have a host answer what it is asked, until it dies: an ASGI application."""
        self.handle(host, lambda call: _asked(application, call))

    def handle(self, host: Host, handler: Handler) -> None:
        """Have a host answer what it is asked, until it dies: a function."""
        self._handlers[host] = handler

    async def kill(self, name: str) -> None:
        """A machine dies: what is under way there is answered by nobody. See `Host.kill`."""
        host = self.hosts[name]
        self._handlers.pop(host, None)
        await host.kill()

    def balance(self, name: str, choose: Callable[[], str]) -> None:
        """Let a name stand for several hosts: `choose` says for each request which one it is."""
        self._balanced[name] = choose

    # ---- links ---------------------------------------------------------------------------------

    def link(self, source: str, target: str) -> Link:
        """The way from one host to another, to be changed at will."""
        link = self._links.get((source, target))
        if link is None:
            pattern = self._pattern
            link = Link(pattern.delay_s, pattern.loss, pattern.duplication, pattern.is_cut)
            self._links[source, target] = link
        return link

    def heal(self) -> None:
        """All links are as nobody had changed them; no host is slow or stands still."""
        self._links.clear()
        for host in self.hosts.values():
            host.slow_s = 0.0
            if host.is_paused:
                host.resume()

    # ---- calls ---------------------------------------------------------------------------------

    def http(self, source: str) -> httpx2.AsyncClient:
        """An HTTP client whose requests go from this host through this network."""
        return httpx2.AsyncClient(transport=HttpOverNetwork(self, source))

    async def call(
        self,
        source: str,
        method: str,
        url: str,
        *,
        headers: Headers = (),
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> Answer:
        """One request from a host to another, and its answer.

        Args:
            source: the name of the host that asks.
            method: of HTTP.
            url: its host is a name of this network; the port means nothing.
            headers: names in lower case.
            body: all of it.
            timeout_s: for all of it together; None for ever.

        Raises:
            ConnectionRefusedError: nobody serves there.
            ConnectionResetError: the host died before it had answered.
            TimeoutError: no answer has come; the request may have been carried out.
        """
        parts = urlsplit(url)
        name = parts.hostname or ""
        target = self._balanced[name]() if name in self._balanced else name
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        call = Call(source, method, path, headers, body)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(call, target)
        except BaseException:
            self._leave(call, target)
            raise

    # ---- inside --------------------------------------------------------------------------------

    async def _exchange(self, call: Call, target: str) -> Answer:
        there, back = self.link(call.source, target), self.link(target, call.source)
        is_twice = there.duplication and self._random.random() < there.duplication
        await self._travel(there)
        host = self.hosts.get(target)
        handler = None if host is None else self._handlers.get(host)
        if host is None or handler is None:
            await self._travel(back)
            raise ConnectionRefusedError(f"nobody serves at {target}")
        if is_twice:
            again = Call(call.source, call.method, call.path, call.headers, call.body)
            host.spawn(self._handled_later(host, handler, again))
        work = host.spawn(self._handled(host, handler, call))
        await asyncio.wait([work])
        if work.cancelled():
            await self._travel(back)
            raise ConnectionResetError(f"{target} died before it had answered")
        answer = work.result()
        await self._travel(back)
        return answer

    async def _travel(self, link: Link) -> None:
        """Be on the way; for ever, if the message is lost."""
        is_lost = link.loss and self._random.random() < link.loss
        await asyncio.sleep(self._random.uniform(*link.delay_s))
        if is_lost or link.is_cut:
            await asyncio.get_running_loop().create_future()

    async def _handled(self, host: Host, handler: Handler, call: Call) -> Answer:
        if host.slow_s:
            await asyncio.sleep(self._random.uniform(0, host.slow_s))
        try:
            answer = await handler(call)
        except Exception:
            _logger.exception("%s failed to answer %s %s", host.name, call.method, call.path)
            answer = Answer(500, (), b"")
        if self.watch is not None:
            self.watch(call, host, answer)
        return answer

    async def _handled_later(self, host: Host, handler: Handler, call: Call) -> None:
        await asyncio.sleep(self._random.uniform(*self._pattern.delay_s))
        await self._handled(host, handler, call)

    def _leave(self, call: Call, target: str) -> None:
        """The asker closes the connection; the other side hears of it, if the link is up."""
        link = self.link(call.source, target)
        delay_s = self._random.uniform(*link.delay_s)
        host = self.hosts.get(target)
        if host is not None and not link.is_cut:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, call.gone.set, context=host.context())


async def _asked(application: Application, call: Call) -> Answer:
    """What an ASGI application answers."""
    path, _, query = call.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": call.method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": call.headers,
        "client": (call.source, 0),
    }
    status = 500
    headers: Headers = ()
    body = b""
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        if not is_read:
            is_read = True
            return {"type": "http.request", "body": call.body, "more_body": False}
        await call.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status, headers = message["status"], tuple(message.get("headers", ()))
        else:
            body += message.get("body", b"")

    await application(scope, receive, send)
    return Answer(status, headers, body)


class HttpOverNetwork(httpx2.AsyncBaseTransport):
    """What httpx2 sends its requests through, in place of sockets."""

    def __init__(self, network: SimulatedNetwork, source: str) -> None:
        self._network = network
        self._source = source

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.AsyncBaseTransport`."""
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        try:
            answer = await self._network.call(
                self._source,
                request.method,
                str(request.url),
                headers=[(name.lower(), value) for name, value in request.headers.raw],
                body=await request.aread(),
                timeout_s=timeouts.get("read"),
            )
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no answer came in time", request=request) from error
        except ConnectionRefusedError as error:
            trace = request.extensions.get("trace")
            if trace is not None:  # tells those that wonder whether a kept connection broke
                await trace("connection.connect_tcp.failed", {"exception": error})
            raise httpx2.ConnectError(str(error), request=request) from error
        except ConnectionError as error:
            raise httpx2.ReadError(str(error), request=request) from error
        return httpx2.Response(
            answer.status,
            headers=list(answer.headers),
            stream=httpx2.ByteStream(answer.body),
            request=request,
        )
