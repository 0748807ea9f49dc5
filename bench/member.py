"""One server of a mesh, in a process of its own: `python -m bench.member NAME PORT PEER_PORT,…`.

It is served as `reality serve` serves; at `/figures` it tells what it has done. Without peers it is
a server by itself. With `KIND ORIGINS NAMES` it knows from the start what so many servers that are
gone have touched: each of them `other` names, or all the `same`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time

from bench.apps import answer
from bench.processes import TOKEN
from reality import Limits, Mesh, RealityServer
from reality.core.cursor import Position
from reality.core.delta import Delta, Touched
from reality.core.graph import Graph
from reality.http.serving import serve
from reality.http.types import Message, Receive, Scope, Send
from reality.storage.memory import MemoryStorage

FIGURES_PATH = "/figures"
_SECRET = "the-secret-of-the-bench"  # noqa: S105  # these servers live for seconds, on this machine
_LIMITS = Limits(nodes_max=2_000_000)
_AT_MS = 1_795_000_000_000


def url_of(port: int) -> str:
    """Where a server is reached by the others."""
    return f"http://127.0.0.1:{port}"


def fill(graph: Graph, kind: str, origins: int, names: int) -> None:
    """Know what so many servers have touched, one name a batch."""
    for number in range(origins):
        top = "posts" if kind == "same" else f"posts-{number}"
        touched = (Touched(f"{top}:{at}", at, 1, "", _AT_MS, False) for at in range(1, names + 1))
        origin = f"gone-{number}~{number:016x}"
        graph.merge(
            Delta(
                origin=origin,
                sender=origin,
                position=_AT_MS,
                register=_AT_MS,
                since=0,
                after=0,
                upto=Position(names),
                last=True,
                touched=tuple(touched),
            )
        )


def main() -> None:
    """The command line."""
    name, port, peers, *filling = sys.argv[1:]
    storage = MemoryStorage()
    mesh = None
    if peers:
        urls = [url_of(int(each)) for each in peers.split(",")]
        mesh = Mesh(urls, secret=_SECRET, advertise=url_of(int(port)))
    server = RealityServer(name, storage=storage, mesh=mesh, limits=_LIMITS, token=TOKEN)
    if filling:
        kind, origins, names = filling
        fill(storage.graph, kind, int(origins), int(names))
    application = server.asgi()
    began_s, ready_s = time.monotonic(), 0.0

    async def observed(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            nonlocal ready_s
            if message["type"] == "lifespan.startup.complete":
                ready_s = time.monotonic() - began_s
            await send(message)

        if scope.get("path") == FIGURES_PATH:
            figures = dataclasses.asdict(server.stats()) | {"ready_s": ready_s}
            await answer(send, json.dumps(figures).encode())
        else:
            await application(scope, receive, send_and_note)

    serve(observed, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
