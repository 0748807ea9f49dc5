"""Five machines and their cables, each a network namespace of the kernel; the clients' beside them.

    servers 1 2 3 ── west ══ trunk ══ east ── servers 4 5      10.77.1.N, where servers talk
    servers 1 2 3 4 5 ───── public ───── clients               10.77.2.N, where clients ask

Every line is a pair of veth interfaces, every name in the middle a bridge in the hub. Pulling the
trunk makes a 3|2 partition. Cables are pulled at the hub, so that a server is told nothing: what it
sends vanishes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from tests.support.namespaces import Namespace

SERVERS = 5
WEST = 3  # servers before the trunk
CLIENTS_ADDRESS = "10.77.2.254"
TRUNK = "trunk"


def mesh_address(number: int) -> str:
    """Where the other servers find a server."""
    return f"10.77.1.{number}"


def public_address(number: int) -> str:
    """Where clients find a server."""
    return f"10.77.2.{number}"


class Network:
    """The machines and their cables. Used as a context manager; nothing of it remains."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._hub = stack.enter_context(Namespace("hub"))
            self.clients = stack.enter_context(Namespace("clients"))
            self.servers = {
                number: stack.enter_context(Namespace(f"s{number}"))
                for number in range(1, SERVERS + 1)
            }
            for bridge in ("west", "east", "public"):
                self._hub.ip(
                    f"link add {bridge} type bridge forward_delay 0", f"link set {bridge} up"
                )
            self._hub.ip(
                f"link add {TRUNK} type veth peer name {TRUNK}-east",
                f"link set {TRUNK} master west up",
                f"link set {TRUNK}-east master east up",
            )
            for number, server in self.servers.items():
                bridge = "west" if number <= WEST else "east"
                self._plug(server, bridge, f"mesh{number}", mesh_address(number))
                self._plug(server, "public", f"public{number}", public_address(number))
            self._plug(self.clients, "public", "clients", CLIENTS_ADDRESS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pull(self, *cables: str) -> None:
        """Pull cables: `trunk`, `mesh1` …, `public1` …; what is under way in them is lost."""
        self._hub.ip(*(f"link set {cable} down" for cable in cables))

    def plug(self, *cables: str) -> None:
        """Plug them in again."""
        self._hub.ip(*(f"link set {cable} up" for cable in cables))

    def _plug(self, machine: Namespace, bridge: str, cable: str, address: str) -> None:
        """A new cable from a machine to a bridge of the hub; both ends are called the same."""
        self._hub.ip(f"link add {cable} type veth peer name {cable} netns {machine.name}")
        self._hub.ip(f"link set {cable} master {bridge} up")
        machine.ip(f"address add {address}/24 dev {cable}", f"link set {cable} up")
