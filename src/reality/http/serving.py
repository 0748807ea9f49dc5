"""Serve an ASGI application with granian until SIGINT or SIGTERM: here, or in worker processes."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

from reality.errors import BlockingInLoop, MissingDependency
from reality.http.types import ASGIApplication

try:
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server.embed import Server
    from granian.server.mp import MPServer
except ImportError as error:
    raise MissingDependency("granian", extra="cli", needed_for="serving over HTTP") from error

# The kernel's queue of connections not yet accepted: a burst of clients must not be refused.
_BACKLOG = 2048
_CONNECTIONS_MAX = 65_536
_PORT_MAX = 65_535
# What a worker gets to answer its last requests and close its store.
_STOP_WORKER_S = 10
# Granian's own lines go where those of this package go.
_LOGGING = {"loggers": {"_granian": {"handlers": [], "propagate": True}}}


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
    _check_thread()
    host = _checked_address(host, port)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(app, host, port, on_stop, on_start))


def serve_in_workers(
    load: Callable[[], ASGIApplication],
    *,
    workers: int,
    host: str,
    port: int,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Block until the process is told to stop, while so many processes serve one port.

    A worker that dies is replaced, unless its replacement dies at once. Workers end when this
    process does, however it ends.

    Args:
        load: makes what a worker serves, in that worker; can be pickled, and the applications of
            different workers share what they must agree about.
        workers: how many.
        host: address to listen on.
        port: TCP port.
        on_start: called once the port was found free, before the workers are started.

    Raises:
        OSError: the address cannot be listened on.
        RuntimeError: workers die as soon as they are started, or this is not the main thread.
    """
    _check_thread()
    server = MPServer(
        # The application's name; what is served comes from `load`.
        "reality",
        address=_checked_address(host, port),
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_WORKER_S,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS_MAX,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    )

    def start() -> None:
        # Granian would take it for "reload"; here it ends the server, as with one process.
        signal.signal(signal.SIGHUP, server.signal_handler_interrupt)
        on_start()

    server.on_startup(start)
    try:
        server.serve(target_loader=partial(_load_in_worker, load), wrap_loader=False)
    except SystemExit as error:
        # A supervisor may have told the workers as well: they may be gone by now.
        if error.code and not server.interrupt_signal:
            raise RuntimeError(
                "a worker ended again as soon as it was started: its log says why"
            ) from error


def _load_in_worker(load: Callable[[], ASGIApplication]) -> ASGIApplication:
    # The terminal's Ctrl-C is for the parent, which tells the workers: granian 2.8 may hang, until
    # it is killed, when a second signal comes while it handles the first.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, name="reality-parent", daemon=True).start()
    return load()


def _end_with_parent() -> None:
    """Workers whose parent was killed would serve on, and nobody would know whom to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


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


def _check_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "a server is run in the main thread, which gets the signals that stop it: elsewhere "
            "serve `server.asgi()` with a server of your choice"
        )
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
