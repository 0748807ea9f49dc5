"""Serve an ASGI application with granian, in this process, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable

from reality.errors import BlockingInLoop, MissingDependency
from reality.http.types import ASGIApplication

try:
    from granian.constants import Interfaces
    from granian.server.embed import Server
except ImportError as error:
    raise MissingDependency("granian", extra="cli", needed_for="serving over HTTP") from error

# The kernel's queue of connections not yet accepted: a burst of clients must not be refused.
_BACKLOG = 2048
_CONNECTIONS_MAX = 65_536
_PORT_MAX = 65_535


def serve(
    app: ASGIApplication,
    *,
    host: str,
    port: int,
    on_stop: Callable[[], None] = lambda: None,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Block until the process is told to stop.

    Args:
        app: what to serve.
        host: address to listen on.
        port: TCP port.
        on_stop: called in the loop when the signal has come, before requests are waited for.
        on_start: called once the port is bound, before the first request.

    Raises:
        OSError: the address cannot be listened on.
        BlockingInLoop: this thread has a running event loop.
        RuntimeError: this is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "a server is run in the main thread, which gets the signals that stop it: elsewhere "
            "serve `server.asgi()` with a server of your choice"
        )
    _check_outside_loop()
    host = _checked_address(host, port)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(app, host, port, on_stop, on_start))


async def _serve(
    app: ASGIApplication,
    host: str,
    port: int,
    on_stop: Callable[[], None],
    on_start: Callable[[], None],
) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=_BACKLOG,
        # Unset, it follows the backlog and would stop accepting while so many syncs are held.
        backpressure=_CONNECTIONS_MAX,
        log_enabled=False,
    )
    server.on_startup(on_start)

    def stop() -> None:
        on_stop()
        server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server has no types

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    await server.serve()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where it is installed, which answers more requests; else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _check_outside_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingInLoop(
        "running a server blocks, and would freeze the event loop of this thread: serve "
        "`server.asgi()` there with a server of your choice"
    )


def _checked_address(host: str, port: int) -> str:
    """The numeric address of a host, on which the port is free.

    Granian takes no names, and shares a port that another process already serves (SO_REUSEPORT).
    """
    if not isinstance(port, int) or not 0 <= port <= _PORT_MAX:
        raise ValueError(f"the port must be a whole number from 0 to {_PORT_MAX}, got {port!r}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        text = f"cannot listen on {host} port {port}: {error.strerror}"
        hint = "; choose another port" if error.errno == errno.EADDRINUSE else ""
        raise OSError(error.errno, text + hint) from error
    return str(address[0])
