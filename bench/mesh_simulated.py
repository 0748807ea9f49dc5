"""Meshes larger than the machine holds: the real servers' mesh, one thread, virtual time.

Messages are encoded, decoded and checked as they are over HTTP; what is missing is HTTP itself and
the signatures. Each takes a fixed time in the network, and computing takes none: what is found is
what the rules cost, not the machine.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from random import Random

from bench.report import Table, percentile, plot
from reality.core.limits import Limits
from reality.mesh.membership import Timing
from reality.mesh.messages import decode_exchange, encode
from reality.mesh.node import Node
from reality.mesh.runner import Runner
from reality.server.sharing import Sharing
from reality.server.state import MemoryState
from reality.storage.memory import MemoryStorage
from reality.testing.virtual_time import run_virtually

SIZES = (2, 4, 8, 16)
_KEY = "posts"
_ONE_WAY_S = 0.001
_TIMING = Timing()
# Until all have met, and between invalidations.
_SETTLING_S = 10.0
_PAUSE_S = 5.0
# Until the answers to pushes are back.
_LAST_ANSWERS_S = 0.01
# The clock that virtual time leaves alone.
_cpu_s = time.process_time


@dataclass
class _Found:
    """Of each round: until all knew, what all servers computed, and what was said.

    Attributes:
        known_s: virtual seconds.
        cpu_s: real seconds of this process.
        messages: requests.
    """

    known_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)


class _Network:
    """The servers, and what is said between them."""

    def __init__(self, size: int, *, pushes: bool) -> None:
        self.messages = 0
        self.alike = asyncio.Event()
        self.members = [_Member(self, number, size, pushes=pushes) for number in range(size)]

    def look(self) -> None:
        """Notice when all have come equally far."""
        first, *others = [each.state.graph.digest for each in self.members]
        if all(each == first for each in others):
            self.alike.set()


class _Member:
    """One server, and its transport."""

    def __init__(self, network: _Network, number: int, size: int, *, pushes: bool) -> None:
        name = f"s{number}"
        self._network = network
        self.state = MemoryState(name, MemoryStorage(), Limits())
        self.runner = Runner(
            Node(
                name,
                [_url_of(each) for each in range(size) if each != number],
                timing=_TIMING,
                seed=Random(name),
            ),
            Sharing(name, self.state, Limits()),
            self,
            server_id=name,
            url=_url_of(number),
            public_url="",
            timing=_TIMING,
            on_health=lambda _: None,
        )
        if pushes:
            self.state.after_touch = lambda _: self.runner.touched()

    async def post(
        self,
        url: str,
        route: str,  # noqa: ARG002  # there is but one
        body: bytes,
        *,
        timeout_s: float,  # noqa: ARG002  # nothing is ever late
    ) -> bytes:
        """See `Transport`."""
        network = self._network
        network.messages += 1
        await asyncio.sleep(_ONE_WAY_S)
        asked = network.members[_number_of(url)].runner
        answer = encode(await asked.answer(decode_exchange(body)))
        network.look()
        await asyncio.sleep(_ONE_WAY_S)
        asyncio.get_running_loop().call_soon(network.look)
        return answer

    async def aclose(self) -> None:
        """See `Transport`."""


def measure(*, is_quick: bool) -> list[Table]:
    """What one invalidation costs, and how soon it is known, by the number of servers."""
    rounds = 10 if is_quick else 100
    table = Table(
        f"Simulated: one invalidation, {_ONE_WAY_S * 1000:.0f} ms from server to server; "
        f"{rounds} rounds",
        (
            *("known by all ms", "messages", "CPU ms and server, without HTTP"),
            *("without pushes: known by all, intervals p50", "max", "goal"),
        ),
    )
    cpu_ms: list[float] = []
    unpushed: list[float] = []
    for size in SIZES:
        pushed = run_virtually(_rounds(size, rounds, pushes=True))
        cpu_ms.append(statistics.median(pushed.cpu_s) / size * 1000)
        found = run_virtually(_rounds(size, rounds, pushes=False))
        intervals = [each / _TIMING.interval_s for each in found.known_s]
        unpushed.append(percentile(intervals, 50))
        messages = statistics.mean(pushed.messages)
        known_ms = percentile(pushed.known_s, 50) * 1000
        row = (known_ms, messages, cpu_ms[-1], unpushed[-1], max(intervals), "≤ 3")
        table.rows.append((f"{size} servers", row))
    table.notes += [
        *plot("CPU ms and server", SIZES, cpu_ms),
        *plot("without pushes: known by all, intervals", SIZES, unpushed),
    ]
    return [table]


async def _rounds(size: int, rounds: int, *, pushes: bool) -> _Found:
    network = _Network(size, pushes=pushes)
    await asyncio.sleep(_SETTLING_S)
    random = Random("rounds")
    found = _Found()
    for number in range(rounds):
        await asyncio.sleep(_PAUSE_S * random.uniform(0.5, 1.5))
        network.alike.clear()
        messages, began_s, began_cpu_s = network.messages, time.monotonic(), _cpu_s()
        await network.members[number % size].state.touch([_KEY])
        await network.alike.wait()
        found.known_s.append(time.monotonic() - began_s)
        await asyncio.sleep(_LAST_ANSWERS_S)
        found.cpu_s.append(_cpu_s() - began_cpu_s)
        found.messages.append(network.messages - messages)
    for each in network.members:
        await each.runner.stop(farewell=False)
    return found


def _url_of(number: int) -> str:
    return f"http://s{number}"


def _number_of(url: str) -> int:
    return int(url.removeprefix("http://s"))
