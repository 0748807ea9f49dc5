"""Network namespaces of Linux: machines with network cards of their own, as far as TCP can tell.

They need root's rights to the network, which most containers lack: `require_namespaces` skips.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.support.programs import require_program

_CLONE_NEWNET = 0x40000000  # of sched.h
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # of linux/capability.h
_NUMBERS = itertools.count(1)


class NotPermitted(Exception):
    """The machine does not do what `ip` was asked to do."""


class Namespace:
    """One network namespace, with its loopback up. Used as a context manager.

    Args:
        label: what it is called in the list of `ip netns`, beside a name of its own.
    """

    def __init__(self, label: str) -> None:
        # Interfaces live inside, so this is the only name that parallel runs could both want.
        self.name = f"reality-{os.getpid()}-{next(_NUMBERS)}-{label}"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(_run_ip, "netns", "delete", self.name)
            try:
                _run_ip("netns", "add", self.name)
            except NotPermitted:
                stack.pop_all()
                raise
            self.ip("link set lo up")
            self._thread = stack.enter_context(
                ThreadPoolExecutor(1, initializer=_enter, initargs=(self.name,))
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ip(self, *commands: str) -> None:
        """Run commands of `ip` inside, one after the other.

        Raises:
            NotPermitted: one failed; those after it were not run.
        """
        _run_ip("-netns", self.name, "-batch", "-", commands="\n".join(commands))

    def command(self, *arguments: str) -> list[str]:
        """What runs a program inside; the process is the program's own."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def new_socket(self) -> socket.socket:
        """A new TCP socket that stays inside, whoever uses it."""
        made = self._thread.submit(socket.socket, socket.AF_INET, socket.SOCK_STREAM).result()
        made.setblocking(False)
        return made

    def listening(self, address: str, port: int) -> socket.socket:
        """A new TCP socket inside that takes connections."""
        made = self.new_socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(100)
        return made


def require_namespaces() -> None:
    """Skip the test where namespaces, cables and bridges between them are not to be had."""
    if sys.platform != "linux":
        pytest.skip("needs network namespaces: Linux")
    if not _may_administer():
        pytest.skip("needs network namespaces: root with CAP_NET_ADMIN and CAP_SYS_ADMIN")
    require_program("ip", debian_package="iproute2")
    try:
        with Namespace("probe") as probe:
            probe.ip("link add bridge type bridge", "link add one type veth peer name other")
    except NotPermitted as error:
        pytest.skip(f"needs network namespaces: {error}")


def _may_administer() -> bool:
    """Whether this process has the kernel's permission, in a container or not."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            capabilities = int(line.split()[1], 16)
            return all(capabilities >> each & 1 for each in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))
    return False


def _enter(name: str) -> None:
    """Move the calling thread, and no other, into a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", name).open() as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {name}")


def _run_ip(*arguments: str, commands: str = "") -> None:
    program = shutil.which("ip") or "ip"
    done = subprocess.run(
        [program, *arguments], input=commands, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        what = commands or " ".join(arguments)
        raise NotPermitted(f"ip {what!r}: {' '.join(done.stderr.split())}")
