"""What `reality serve` and `reality demo` do: one process, or several on a shared store."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from reality.accelerators.opening import accelerator_from_url
from reality.cli import stores
from reality.cli.mesh import MeshOptions
from reality.cli.terminal import note
from reality.core.limits import SERVER_ID_CHARS_MAX
from reality.core.urls import shown_url
from reality.http.types import ASGIApplication
from reality.server.server import RealityServer

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What makes a server, in this process or in a worker."""

    store: str
    server_id: str | None
    token: str | None
    base_path: str
    cors: list[str] | None
    log_level: int
    mesh: MeshOptions
    accelerator: str | None

    def server(self) -> RealityServer:
        """The server.

        Raises:
            ValueError: an option cannot be.
        """
        url = self.accelerator
        return RealityServer(
            self.server_id,
            storage=self.store,
            token=self.token,
            cors=self.cors,
            base_path=self.base_path,
            mesh=self.mesh.make(),
            accelerator=None if url is None else accelerator_from_url(url),
        )


def run(options: Options, *, workers: int, host: str, port: int) -> None:
    """Serve until interrupted."""
    if workers > 1 and options.store == stores.MEMORY_URL:
        raise ValueError(
            f"{workers} workers need a store that they share, and memory:// is each one's own: "
            "use --store sqlite:////path/reality.db, or --workers 1"
        )
    options.mesh.check(workers=workers)
    if workers > 1:
        # Without other options, a secret in the environment is nothing that was asked for here.
        options = replace(options, mesh=replace(options.mesh, secrets=()))
    server = options.server()
    notes = [f"{server.server_id} listens on {shown(host, port)}{options.base_path}"]
    if workers > 1:
        notes[0] += f" with {workers} workers"
    notes += _store_notes(server, options)
    notes += options.mesh.notes()
    if options.accelerator is not None:
        notes.append(f"hints go through {shown_url(options.accelerator)}")
    if options.token is None:
        notes.append(
            "invalidating over HTTP is off: turn it on with --token, or REALITY_TOKEN "
            "in the environment"
        )
    if workers == 1:
        run_application(server, server.asgi(), host, port, notes)
        return
    from reality.http.serving import serve_in_workers

    load = partial(_load, options, server.server_id)
    serve_in_workers(load, workers=workers, host=host, port=port, on_start=_telling(notes))


def run_application(
    server: RealityServer, application: ASGIApplication, host: str, port: int, notes: list[str]
) -> None:
    """Serve an application, of which the server is a part, in this process until interrupted."""
    from reality.http.serving import serve

    on_start = _telling(notes)
    serve(application, host=host, port=port, on_start=on_start, on_stop=server.end_waits)


def shown(host: str, port: int) -> str:
    """The address for a browser on this machine."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _load(options: Options, server_id: str) -> ASGIApplication:
    """What a worker serves; its process id tells it from the others."""
    logging.basicConfig(level=options.log_level, format=LOG_FORMAT)
    suffix = f"-{os.getpid()}"
    server_id = server_id[: SERVER_ID_CHARS_MAX - len(suffix)] + suffix
    return replace(options, server_id=server_id).server().asgi()


def _store_notes(server: RealityServer, options: Options) -> list[str]:
    """Say where nodes are, once it is known that nothing but time can be in the way."""
    if options.store == stores.MEMORY_URL:
        if options.mesh.secrets:
            return ["nodes are kept in memory, by this process and its peers"]
        return ["nodes are kept in memory: they end with this process, which must be the only one"]
    problem = asyncio.run(stores.check(options.store))
    notes = [f"nodes are kept in {server.stats().storage}"]
    if problem is not None:
        notes.append(f"not ready yet, waiting: {problem}")
    return notes


def _telling(notes: list[str]) -> Callable[[], None]:
    def tell() -> None:
        for text in notes:
            note(text)

    return tell
