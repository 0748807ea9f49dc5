"""The servers that are compared: how each is started, as one worker, without an access log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.processes import PYTHON, ROOT, TOKEN

Command = Callable[[int], list[str]]

NODE = "Node http"
NODE_MODULES = ROOT / "tests" / "peers" / "node" / "node_modules"
_NODE_PACKAGE = "@rootlodge/reality-server"


@dataclass(frozen=True)
class Host:
    """One way to serve.

    Attributes:
        name: what the tables call it.
        reality: the command that serves Reality on a port.
        echo: the command that serves the echo; None where there is nothing to compare with.
        loads_all: whether it is measured under every load, not only the first.
    """

    name: str
    reality: Command
    echo: Command | None
    loads_all: bool = False


def python_hosts() -> list[Host]:
    """Reality under the Python servers."""
    return [
        Host(
            "uvicorn",
            partial(uvicorn, "application"),
            partial(uvicorn, "echo"),
            loads_all=True,
        ),
        Host("granian", partial(_granian, "application"), partial(_granian, "echo")),
        Host("reality serve", _reality_serve, _echo_serve),
    ]


def node_host() -> Host:
    """The npm server. Look at `why_no_node` first."""
    return Host(NODE, _node, None, loads_all=True)


def why_no_node() -> str | None:
    """What has to be done before the npm server can be measured; None if it can be."""
    if shutil.which("node") is None:
        return "needs the program node: apt-get install nodejs npm"
    if not (NODE_MODULES / _NODE_PACKAGE).is_dir():
        return "needs its package: npm install --prefix tests/peers/node"
    return None


def uvicorn(app: str, port: int) -> list[str]:
    """Serve an application of `bench.apps` with uvicorn and the fastest parts it can use."""
    options = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    quiet = ["--no-access-log", "--log-level", "warning"]
    return [*PYTHON, "-m", "uvicorn", f"bench.apps:{app}", "--port", str(port), *options, *quiet]


def _node(port: int) -> list[str]:
    # It is found by its folder: Node looks for packages beside the program only.
    return ["env", f"NODE_PATH={NODE_MODULES}", "node", str(ROOT / "bench" / "peer.cjs"), str(port)]


def _granian(app: str, port: int) -> list[str]:
    options = ["--interface", "asgi", "--loop", "uvloop", "--no-ws", "--log-level", "error"]
    return [*PYTHON, "-m", "granian", f"bench.apps:{app}", "--port", str(port), *options]


def _reality_serve(port: int) -> list[str]:
    return [*PYTHON, "-m", "reality", "serve", "--port", str(port), "--token", TOKEN]


def _echo_serve(port: int) -> list[str]:
    return [*PYTHON, "-m", "bench.apps", str(port)]
