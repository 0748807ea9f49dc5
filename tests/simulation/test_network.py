from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import httpx2
import pytest

from reality import AsyncRealityClient, RealityServer
from reality.testing.network import Answer, Call, Link, SimulatedNetwork
from reality.testing.virtual_time import run_virtually

Scenario = Callable[["Pair"], Awaitable[Any]]
START_S = 1_000.0


class Pair:
    """A laptop, and a server that answers with what it was sent, in a network without delays."""

    def __init__(self) -> None:
        self.network = SimulatedNetwork(Random(7), link=Link(delay_s=(0.1, 0.1)))
        self.arrived: list[float] = []
        self.gone: list[float] = []
        self.work_s = 0.0
        self.network.start("laptop")
        self.start()

    def start(self) -> None:
        """The server comes up."""
        self.network.handle(self.network.start("server"), self.echo)

    async def echo(self, call: Call) -> Answer:
        """Answer, unless the asker goes first."""
        self.arrived.append(round(time.monotonic() - START_S, 3))
        working = asyncio.create_task(asyncio.sleep(self.work_s))
        going = asyncio.create_task(call.gone.wait())
        await asyncio.wait([working, going], return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            self.gone.append(round(time.monotonic() - START_S, 3))
        working.cancel()
        going.cancel()
        return Answer(200, (), call.body)

    async def ask(self, timeout_s: float = 5.0) -> str:
        """What became of a call."""
        try:
            answer = await self.network.call(
                "laptop", "POST", "http://server/echo", body=b"hello", timeout_s=timeout_s
            )
        except (OSError, TimeoutError) as error:
            return type(error).__name__
        return answer.body.decode()


def play(scenario: Scenario) -> Any:
    """The result of a scenario, and when it was there."""

    async def main() -> tuple[Any, float]:
        result = await scenario(Pair())
        return result, round(time.monotonic() - START_S, 3)

    return run_virtually(main())


def test_a_call_takes_its_time_both_ways() -> None:
    """A request and its answer each take what their link takes."""
    assert play(lambda pair: pair.ask()) == ("hello", 0.2)


@pytest.mark.parametrize(
    ("way", "arrived"), [(("laptop", "server"), []), (("server", "laptop"), [0.1])]
)
@pytest.mark.parametrize("fault", [{"loss": 1.0}, {"is_cut": True}])
def test_a_lost_message_is_waited_for_until_the_time_out(
    way: tuple[str, str], arrived: list[float], fault: dict[str, Any]
) -> None:
    """Nobody is told of a loss; a request whose answer is lost has been carried out."""

    async def scenario(pair: Pair) -> tuple[str, list[float]]:
        for name, value in fault.items():
            setattr(pair.network.link(*way), name, value)
        return await pair.ask(), pair.arrived

    assert play(scenario) == (("TimeoutError", arrived), 5.0)


def test_a_doubled_request_arrives_twice_and_is_answered_once() -> None:
    """Duplication is of requests."""

    async def scenario(pair: Pair) -> tuple[str, list[float]]:
        pair.network.link("laptop", "server").duplication = 1.0
        told = await pair.ask()
        await asyncio.sleep(1)
        return told, pair.arrived

    assert play(scenario) == (("hello", [0.1, 0.2]), 1.2)


def test_who_gives_up_is_noticed_if_the_link_is_up() -> None:
    """The handler hears that the asker has gone; behind a cut link it never does."""

    async def scenario(pair: Pair) -> list[float]:
        pair.work_s = 100.0
        await pair.ask(timeout_s=2.0)
        await asyncio.sleep(1)
        asking = asyncio.create_task(pair.ask(timeout_s=2.0))
        await asyncio.sleep(1)
        pair.network.link("laptop", "server").is_cut = True
        await asking
        await asyncio.sleep(200)
        return pair.gone

    assert play(scenario)[0] == [2.1]


def test_a_host_that_dies_breaks_its_calls_and_refuses_others_until_it_is_back() -> None:
    """Calls under way are reset, later ones refused, and a new run answers again."""

    async def scenario(pair: Pair) -> list[str]:
        pair.work_s = 1.0
        asking = asyncio.create_task(pair.ask())
        await asyncio.sleep(0.5)
        await pair.network.kill("server")
        told = [await asking, await pair.ask()]
        pair.start()
        return [*told, await pair.ask()]

    assert play(scenario)[0] == ["ConnectionResetError", "ConnectionRefusedError", "hello"]


def test_a_paused_host_answers_late_and_a_slow_one_later() -> None:
    """A request to a host that stands still waits there."""

    async def scenario(pair: Pair) -> tuple[str, str, float]:
        pair.network.hosts["server"].pause(3)
        first = await pair.ask()
        begun_s = time.monotonic()
        pair.network.hosts["server"].slow_s = 2.0
        second = await pair.ask()
        took_s = time.monotonic() - begun_s
        pair.network.heal()
        return first, second, took_s

    (first, second, took_s), _ = play(scenario)
    assert (first, second) == ("hello", "hello")
    assert 0.2 < took_s < 2.2


def test_a_balanced_name_stands_for_several_hosts() -> None:
    """Each request goes to the host that is chosen for it."""

    async def scenario(pair: Pair) -> str:
        pair.network.balance("balancer", lambda: "server")
        answer = await pair.network.call("laptop", "GET", "http://balancer/", body=b"x")
        return answer.body.decode()

    assert play(scenario)[0] == "x"


def test_an_application_that_fails_answers_500() -> None:
    """As behind a real server."""

    async def scenario(pair: Pair) -> int:
        async def fail(call: Call) -> Answer:
            raise ValueError("no")

        pair.network.handle(pair.network.hosts["server"], fail)
        return (await pair.network.call("laptop", "GET", "http://server/")).status

    assert play(scenario)[0] == 500


def test_a_machine_cannot_run_twice() -> None:
    """A host has to die before it starts again."""

    async def scenario(pair: Pair) -> None:
        with pytest.raises(ValueError, match="runs already"):
            pair.start()

    play(scenario)


def test_real_clients_and_servers_talk_through_it() -> None:
    """A client of this package is woken by a server of this package, over ASGI and httpx2."""

    async def main() -> tuple[list[object], list[str]]:
        network = SimulatedNetwork(Random(7))
        host = network.start("s1")
        server = host.call(RealityServer, "s1")
        network.serve(host, server.asgi())
        network.start("laptop")
        posts, shown, errors = ["one"], [], []

        async def fetch() -> list[str]:
            return list(posts)

        async with AsyncRealityClient("http://s1", http=network.http("laptop")) as client:
            client.subscribe("posts", lambda state: shown.append(state.data), fetcher=fetch)
            await asyncio.sleep(1)
            posts.append("two")
            await server.invalidate("posts")
            await asyncio.sleep(1)
            status = (await network.http("laptop").get("http://s1/reality/health")).json()
            errors.append(status["status"])
            await network.kill("s1")
            for url in ("http://s1/", "http://nowhere/"):
                with pytest.raises(httpx2.ConnectError):
                    await network.http("laptop").get(url)
            network.link("laptop", "s1").is_cut = True
            with pytest.raises(httpx2.ReadTimeout):
                await network.http("laptop").get("http://s1/", timeout=1.0)
        return shown, errors

    shown, errors = run_virtually(main())
    assert shown[-1] == ["one", "two"]
    assert errors == ["healthy"]
