"""The mesh on the command line: its secrets, `reality peers`, and what `reality serve` needs."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reality.cli.options import DEFAULT_URL, Json, SecretFile, Url, Yes
from reality.cli.terminal import fail, note, printable, say
from reality.core.urls import shown_url
from reality.mesh import Mesh
from reality.mesh.messages import (
    PeersResponse,
    PeerStatus,
    RemoveRequest,
    decode_peers,
    decode_removed,
    encode,
)
from reality.mesh.signing import check_secrets
from reality.mesh.transport import HttpMeshTransport

SECRET_VARIABLE = "REALITY_MESH_SECRET"  # noqa: S105  # the name of one
_FILE_BYTES_MAX = 64 * 1024
_TIMEOUT_S = 10.0
# Where the width is nobody's, a row is a line.
_PIPE_COLUMNS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshOptions:
    """What was said of the mesh to `reality serve`."""

    peers: list[str]
    secret_file: Path | None
    secrets: tuple[str, ...] = field(repr=False)
    advertise: str | None
    public_url: str | None

    def check(self, *, workers: int) -> None:
        """Raise ValueError unless so many processes can be in a mesh like this."""
        given = {
            "--peer": self.peers,
            "--advertise": self.advertise,
            "--public-url": self.public_url,
            "--secret-file": self.secret_file,
        }
        names = " and ".join(name for name, value in given.items() if value)
        if names and workers > 1:
            raise ValueError(
                f"{names} cannot go with --workers {workers}: each worker is a server of its own, "
                "and of those that share a URL a peer reaches one or another. Start several "
                "`reality serve`, each with a --port of its own; those on one --store need no mesh"
            )
        if names and not self.secrets:
            raise ValueError(
                f"{names} needs the secret that all servers of the mesh share: {_HOW_TO_GIVE}"
            )

    def make(self) -> Mesh | None:
        """The mesh; None where there is no secret, and so none.

        Raises:
            ValueError: an option cannot be.
        """
        if not self.secrets:
            return None
        return Mesh(
            peers=self.peers,
            secret=self.secrets,
            advertise=self.advertise,
            public_url=self.public_url,
        )

    def notes(self) -> list[str]:
        """What to tell whoever starts the server."""
        if not self.secrets:
            return []
        peers = ", ".join(shown_url(each) for each in self.peers)
        notes = [f"in a mesh with {peers}" if peers else "in a mesh, without peers so far"]
        if self.advertise is None:
            notes.append(
                "servers that are not told of this one with --peer will not find it: --advertise "
                "names the URL at which they do"
            )
        return notes


_HOW_TO_GIVE = (
    f"give --secret-file, or {SECRET_VARIABLE} in the environment; make one with `reality secret`"
)

# ---- secrets -------------------------------------------------------------------------------------


def read_secrets(file: Path | None) -> tuple[str, ...]:
    """The secrets in a file, or else in the environment; none if there are none in either.

    There is one in a line; empty lines and those that begin with `#` do not count.

    Raises:
        ValueError: the file cannot be read, or a secret is none.
    """
    where = SECRET_VARIABLE if file is None else f"the secret file {file}"
    text = os.environ.get(SECRET_VARIABLE, "") if file is None else _text_of(file)
    lines = [line.strip() for line in text.split("\n")]
    secrets = [line for line in lines if line and not line.startswith("#")]
    if not secrets:
        if file is None:
            return ()
        raise ValueError(f"{where} has no secret: make one with `reality secret`")
    try:
        return check_secrets(secrets)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def needed_secrets(file: Path | None) -> tuple[str, ...]:
    """The same, for commands that cannot do without.

    Raises:
        ValueError: there are none.
    """
    secrets = read_secrets(file)
    if not secrets:
        raise ValueError(f"asking for peers needs the secret of the mesh: {_HOW_TO_GIVE}")
    return secrets


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"the secret file {file} cannot be read: {error.strerror}") from error
    if mode & stat.S_IROTH and stat.S_ISREG(mode):
        note(
            f"every user of this machine can read the secret file {file}: chmod 600 takes that "
            "from them"
        )
    try:
        if len(content) <= _FILE_BYTES_MAX:
            return content.decode()
    except UnicodeDecodeError:
        pass
    raise ValueError(f"the secret file {file} is no text file with a secret a line")


# ---- peers ---------------------------------------------------------------------------------------

peers_app = typer.Typer(name="peers", invoke_without_command=True)


@peers_app.callback()
def peers(
    context: typer.Context,
    url: Url = DEFAULT_URL,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Show a server's peers: how they are, and how far behind."""
    if context.invoked_subcommand is not None:
        return
    answer = asyncio.run(_peers(url, needed_secrets(secret_file)))
    if as_json:
        say(encode(answer).decode())
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_COLUMNS)
    if answer.peers:
        console.print(_table(answer))
    else:
        say(f"{answer.server_id} has no peers: start servers with `reality serve --peer URL`")
    if answer.is_removed:
        say(
            f"{answer.server_id} has been removed from the mesh, and its id never returns: start "
            "it with another --server-id"
        )


@peers_app.command()
def remove(
    context: typer.Context,
    server_id: Annotated[str, typer.Argument(metavar="ID", help="The server that is gone.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Any server of the mesh.", show_default=False)
    ] = None,
    secret_file: SecretFile = None,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that is unknown here, or that answers.")
    ] = False,
) -> None:
    """Remove a server that never comes back.

    Every client refetches once, as only that server may have known of its last changes, and a
    server of this id never gets into the mesh again. It is for servers that keep their nodes in
    memory and died; one that was stopped has said goodbye.
    """
    if not yes and not sys.stdin.isatty():
        fail("all clients would refetch, and there is nobody to ask: give --yes")
    # What was given before the word `remove` counts as well.
    assert context.parent is not None
    before = context.parent.params
    url = url or before["url"]
    secrets = needed_secrets(secret_file or before["secret_file"])
    known = asyncio.run(_peers(url, secrets))
    if not force and (objection := _objection(known, server_id)):
        fail(objection)
    if not yes:
        say(_known(known, server_id))
        say(f"All clients will refetch once, and no server called {server_id} can ever join.")
        typer.confirm("Remove it for good?", abort=True)
    body = encode(RemoveRequest(server_id=server_id))
    removed = decode_removed(asyncio.run(_ask(url, secrets, "/mesh/remove", body)))
    say(f"removed  {server_id} ({removed.origin})")


async def _peers(url: str, secrets: tuple[str, ...]) -> PeersResponse:
    return decode_peers(await _ask(url, secrets, "/mesh/peers", b"{}"))


async def _ask(url: str, secrets: tuple[str, ...], route: str, body: bytes) -> bytes:
    transport = HttpMeshTransport(secrets)
    try:
        return await transport.post(url, route, body, timeout_s=_TIMEOUT_S)
    finally:
        await transport.aclose()


def _table(answer: PeersResponse) -> Table:
    title = f"peers of {printable(answer.server_id)} · generation {answer.generation}"
    table = Table(title=Text(title))
    for column in ("server", "url", "health"):
        table.add_column(column, overflow="fold")
    for column in ("lag", "last contact", "latency", "failures"):
        table.add_column(column, justify="right")
    for peer in answer.peers:
        table.add_row(*(Text(printable(cell)) for cell in _cells(peer)))
    return table


def _cells(peer: PeerStatus) -> tuple[str, ...]:
    return (
        peer.server_id or "–",
        shown_url(peer.url) or "–",
        peer.health,
        str(peer.lag),
        _ago(peer.last_contact_ms),
        "–" if peer.latency_ms is None else f"{peer.latency_ms:.1f} ms",
        str(peer.failures),
    )


def _ago(milliseconds: int | None) -> str:
    """How long ago something was, as precisely as a person wants to know."""
    if milliseconds is None:
        return "never"
    seconds = milliseconds / 1000
    for limit_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit_s:
            return f"{seconds / unit_s:.{1 if seconds < 10 else 0}f} {unit} ago"
    return f"{seconds / 86_400:.0f} d ago"


def _objection(answer: PeersResponse, server_id: str) -> str:
    """Why a server is perhaps not the one that should be removed; "" if it may well be."""
    found = [peer for peer in answer.peers if peer.server_id == server_id]
    if server_id == answer.server_id:
        return ""  # the server says so itself
    if not found:
        return (
            f"{answer.server_id} knows no server {server_id}: `reality peers` shows those that it "
            "knows; --force removes the id all the same"
        )
    if found[0].health == "healthy":
        return (
            f"{server_id} is healthy, last contact {_ago(found[0].last_contact_ms)}: stop it "
            "instead, it says goodbye; --force removes it all the same"
        )
    return ""


def _known(answer: PeersResponse, server_id: str) -> str:
    """What the asked server knows of the one that is to be removed."""
    for peer in answer.peers:
        if peer.server_id == server_id:
            return f"{server_id} is {peer.health}; last contact {_ago(peer.last_contact_ms)}."
    return f"{server_id} is not among the peers of {answer.server_id}."
