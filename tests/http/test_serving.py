"""`server.run`: what it refuses before it serves."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from reality import RealityServer
from reality.errors import MissingDependency
from tests.http.served import live


def test_a_port_that_is_taken_is_refused() -> None:
    """A port that somebody listens on is an OSError at once, although granian could share it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            RealityServer("alpha").run(port=taken.getsockname()[1])


def test_two_servers_do_not_share_a_port() -> None:
    """I1: a second server on a port, which would split the clients, ends at once."""
    with live("server.run", "alone") as first:
        program = f"from reality import RealityServer; RealityServer('beta').run(port={first.port})"
        second = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
        )

    assert 1 == second.returncode
    assert "in use" in second.stderr


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_here_is_refused(host: str) -> None:
    """An address that this machine does not have is an OSError at once."""
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        RealityServer("alpha").run(host=host, port=0)


def test_without_granian_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without granian `run` is an ImportError with the line that installs it; the rest works."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "granian"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "granian", None)
    monkeypatch.delitem(sys.modules, "reality.http.serving", raising=False)

    server = RealityServer("alpha")
    with pytest.raises(MissingDependency, match=r"pip install 'reality-sync\[cli\]'"):
        server.run()
    assert callable(server.asgi())
