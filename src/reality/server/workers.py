"""Nodes in memory are those of one process: a second one that serves the same address is refused.

With `uvicorn --workers 4` each worker would keep nodes of its own, a touch would reach a quarter of
the clients, and nobody would notice. A server cannot ask how many workers there are, but it can see
what makes them harmful: two processes that serve one address. So each process *claims* the
addresses that it serves with nodes in memory, by a lock on a file that the system takes back when
the process ends.

- At `start`, where workers that share a listening socket (uvicorn, gunicorn, hypercorn, granian)
  hold it already, an address that stays claimed by another process is an error: the worker does not
  start. Others get a few seconds to end first, since a reload starts the new worker before the old
  one has gone. A child of a fork may have inherited a socket that only its parent serves; there,
  gunicorn's workers aside, nothing is claimed at the start.
- At a request, the address is the one that it came in at. Here nothing is raised that could end a
  process: the error is logged, `/ready` is 503 and so is whatever is asked, until the other process
  has gone. Every request looks again.

Programs on different ports or addresses, several servers in one process, the processes of a test
run (which have no socket at the address that they pretend to serve) and whoever uses a server
without HTTP never meet. Where there are no such locks (Windows, no folder for temporary files)
nothing is noticed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import stat
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reality.errors import NotReady
from reality.storage.process import renew_after_fork

_logger = logging.getLogger("reality.server")

# How long the worker of before a reload may take to end.
_PATIENCE_S = 3.0
_LOOK_INTERVAL_S = 0.05
# Of one process; what requests claim to have come in at must not fill a table.
_ADDRESSES_MAX = 64

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class _Claims:
    """The addresses that this process has claimed, and those that it could not."""

    def __init__(self) -> None:
        self._claimed: dict[str, int] = {}  # file descriptors
        self.contested: set[str] = set()
        self._foreign: set[str] = set()
        self._is_forked = False
        self._lock = threading.Lock()
        renew_after_fork(self, _Claims._after_fork)

    def is_known(self, address: str) -> bool:
        """Whether nothing more can be found out about an address, for now."""
        return not self.contested and (address in self._claimed or address in self._foreign)

    def ignore(self, address: str) -> None:
        """Somebody pretends that this process serves an address."""
        if len(self._foreign) < _ADDRESSES_MAX:
            self._foreign.add(address)

    def claim(self, address: str) -> bool:
        """Whether no other process serves this address with nodes in memory."""
        with self._lock:
            if address in self._claimed or len(self._claimed) >= _ADDRESSES_MAX:
                return True
            file = _open_lock_file(address)
            if file is not None and not _try_lock(file):
                os.close(file)
                # Whoever is refused keeps nobody else from serving.
                self._release_all()
                self.contested.add(address)
                return False
            self.contested.discard(address)
            if file is not None:
                self._claimed[address] = file
            return True

    def look_again(self) -> None:
        """Claim what could not be claimed before."""
        for address in list(self.contested):
            self.claim(address)

    def release_all(self) -> None:
        """This process serves no more."""
        with self._lock:
            self._release_all()
            self._foreign.clear()
            self.contested.clear()

    @property
    def has_own_sockets(self) -> bool:
        """Whether the sockets that this process holds are there for it to serve."""
        return not self._is_forked or "gunicorn.arbiter" in sys.modules

    def _release_all(self) -> None:
        while self._claimed:
            os.close(self._claimed.popitem()[1])

    def _after_fork(self) -> None:
        """In a child: the locks are its parent's, and stay so when the files are closed here."""
        self._is_forked = True
        self._lock = threading.Lock()
        self._release_all()
        self._foreign.clear()
        self.contested.clear()


_claims = _Claims()


def check_sole_worker() -> None:
    """Raise if another process serves what this one was found to serve.

    Raises:
        NotReady: it does; the text says how to go on.
    """
    if _claims.contested:
        raise NotReady(_refusal())


def is_sole_worker() -> bool:
    """Whether no other process is known to serve what this one serves."""
    return not _claims.contested


async def claim_at_start() -> None:
    """Claim the addresses of the sockets that this process was given to listen on.

    Raises:
        NotReady: another process has claimed one of them, and goes on.
    """
    if not _claims.has_own_sockets:
        return
    deadline = time.monotonic() + _PATIENCE_S
    for address in sorted(_listening_addresses()):
        while not _claims.claim(address):
            if time.monotonic() > deadline:
                raise NotReady(_refusal())
            await asyncio.sleep(_LOOK_INTERVAL_S)
    _release_with_loop()


def release() -> None:
    """Give back what was claimed: this process serves no more."""
    _claims.release_all()


class SoleWorker:
    """An ASGI application in front of one that keeps nodes in memory: claims what is served."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """ASGI's entry point."""
        address = _address(scope.get("server"))
        if address is not None and not _claims.is_known(address):
            _look_at(address)
        await self._application(scope, receive, send)


def _look_at(address: str) -> None:
    was_sole = is_sole_worker()
    _claims.look_again()
    if _is_served_here(address):
        _claims.claim(address)
        _release_with_loop()
    else:
        _claims.ignore(address)
    if was_sole and not is_sole_worker():
        _logger.error("%s", _refusal())
    elif is_sole_worker() and not was_sole:
        _logger.warning("this process alone serves now, with nodes in memory")


def _refusal() -> str:
    addresses = ", ".join(sorted(_claims.contested))
    return (
        f"another process serves {addresses} as well, and this server keeps nodes in the memory of "
        "one process: let the workers share a store, RealityServer(storage="
        '"sqlite:////path/reality.db"), or serve with one worker'
    )


def _release_with_loop() -> None:
    """A process may outlive its serving, as that of a test suite does."""
    with suppress(TypeError):  # a loop of a third party may know no weak references
        loop = asyncio.get_running_loop()
        if loop not in _loops:
            _loops.add(loop)
            weakref.finalize(loop, release).atexit = False


_loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


# ---- what the system knows -----------------------------------------------------------------------


def _address(server: Any) -> str | None:
    """The address in an ASGI scope: a host and a port (granian's is text), or a socket's path."""
    try:
        host, port = server
    except (TypeError, ValueError):
        return None
    return str(host) if port is None else f"{host}:{port}"


def _sockets() -> Iterator[socket.socket]:
    """Every stream socket of this process, as a copy that is closed when the next one is drawn."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  # the names alone are wanted
        with suppress(OSError, ValueError):  # closed meanwhile, or of a family unknown to Python
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            copy = os.dup(int(name))
            try:
                each = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                continue
            with each:
                if each.type == socket.SOCK_STREAM:
                    yield each


def _name(each: socket.socket) -> str:
    """Where a socket is bound, as `_address` writes it; "" for none."""
    name = each.getsockname()
    if isinstance(name, tuple):
        return f"{name[0]}:{name[1]}" if name[1] else ""
    return name if isinstance(name, str) else ""


def _listening_addresses() -> set[str]:
    """The addresses that this process listens on, or is about to."""
    found = set()
    with suppress(OSError):
        for each in _sockets():
            try:
                each.getpeername()
            except OSError:
                found.add(_name(each))
    return found - {""}


def _is_served_here(address: str) -> bool:
    """Whether this process has a socket at the address's port, as whoever serves it must have."""
    port = address.rpartition(":")[2]
    with suppress(OSError):
        return any(_name(each).rpartition(":")[2] == port for each in _sockets())
    return False


def _open_lock_file(address: str) -> int | None:
    """The file whose lock stands for an address; None where there can be none."""
    if sys.platform == "win32":
        return None
    try:
        # A port belongs to a network namespace, which containers have of their own.
        network = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
    except OSError:
        network = 0
    digest = hashlib.sha256(f"{network} {address}".encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir(), f"reality-worker-{os.geteuid()}-{digest}")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.fstat(file).st_uid == os.geteuid():
            return file
        os.close(file)
    except OSError as error:
        _logger.debug("%s cannot be locked, other workers would not be noticed: %s", path, error)
    return None


def _try_lock(file: int) -> bool:
    """Lock a file, as this process's and not its children's; False if another process has it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
