"""The commands and their options."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from reality import RealityError, __version__
from reality.cli import mesh, serving, stores, talking
from reality.cli.options import (
    DEFAULT_URL,
    PORT,
    STORE_HELP,
    Host,
    Json,
    Port,
    SecretFile,
    Store,
    Token,
    Url,
    Yes,
)
from reality.cli.terminal import fail, say
from reality.cli.watching import Watch

app = typer.Typer(
    name="reality",
    help="Socketless real-time: tells clients when data changed, over plain HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

store_app = typer.Typer(
    name="store", help="Look after a store that servers share.", no_args_is_help=True
)
app.add_typer(store_app)
app.add_typer(mesh.peers_app)


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = PORT,
    token: Token = None,
    store: Annotated[
        str,
        typer.Option("--store", envvar="REALITY_STORE", help=STORE_HELP + " or memory://."),
    ] = stores.MEMORY_URL,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that serve; they share the store.")
    ] = 1,
    server_id: Annotated[
        str | None, typer.Option("--server-id", help="Names this server.", show_default="host name")
    ] = None,
    base_path: Annotated[
        str, typer.Option("--base-path", help="The path that the routes are below.")
    ] = "/reality",
    cors_origin: Annotated[
        list[str] | None,
        typer.Option("--cors-origin", help="A page's origin that may call; may be repeated."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", metavar="URL", help="Another server of the mesh; may be repeated."),
    ] = None,
    secret_file: SecretFile = None,
    advertise: Annotated[
        str | None,
        typer.Option("--advertise", metavar="URL", help="Where other servers reach this one."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option("--public-url", metavar="URL", help="Where clients reach this server."),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            "--accelerator",
            envvar="REALITY_ACCELERATOR",
            metavar="URL",
            help="What makes servers faster: redis://, postgresql:// or nats://.",
        ),
    ] = None,
) -> None:
    """Serve over HTTP until interrupted."""
    options = serving.Options(
        store=store,
        server_id=server_id,
        token=token,
        base_path=base_path,
        cors=cors_origin,
        log_level=logging.getLogger().level,
        mesh=mesh.MeshOptions(
            peers=peer or [],
            secret_file=secret_file,
            secrets=mesh.read_secrets(secret_file),
            advertise=advertise,
            public_url=public_url,
        ),
        accelerator=accelerator,
    )
    serving.run(options, workers=workers, host=host, port=port)


@app.command()
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    database: Annotated[
        Path | None,
        typer.Option("--database", help="The SQLite file.", show_default="a temporary one"),
    ] = None,
) -> None:
    """Serve a small message board; open it in two windows and post."""
    from reality.demo import demo_application

    with tempfile.TemporaryDirectory(prefix="reality-demo-") as folder:
        application = demo_application(database or Path(folder) / "board.db")
        address = serving.shown(host, port)
        notes = [f"open {address} in two browser windows and post in one of them", "Ctrl-C ends"]
        serving.run_application(application.state.reality, application, host, port, notes)


@app.command()
def invalidate(
    keys: Annotated[list[str], typer.Argument(help="Keys, or patterns such as 'posts:*'.")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Write to this store instead; every server on it notices."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell a server, or its store, that the data of these keys changed."""
    if store is not None:
        versions = stores.run(stores.invalidate(store, keys))
    elif token is None:
        fail("invalidating needs a credential: give --token, or REALITY_TOKEN in the environment")
    else:
        versions = asyncio.run(talking.invalidate(url, token, keys))
    if as_json:
        say(json.dumps({"invalidated": keys, "versions": versions}))
        return
    for key in dict.fromkeys(keys):
        say(f"{key}  version {versions[key]}" if key in versions else f"{key}  all keys below")


@app.command()
def watch(
    keys: Annotated[list[str], typer.Argument(help="Keys to watch.")],
    url: Url = DEFAULT_URL,
    changes: Annotated[
        int | None, typer.Option("--changes", min=1, help="End after so many changes.")
    ] = None,
) -> None:
    """Show keys live: a table on a terminal, a line a change elsewhere."""

    async def follow() -> None:
        await Watch(url, keys, changes_max=changes).run(Console())

    asyncio.run(follow())


@app.command()
def get(
    key: Annotated[str, typer.Argument(help="The key.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a key's version and hash."""
    meta = asyncio.run(talking.get(url, key))
    if as_json:
        say(json.dumps(talking.meta_members(meta)))
        return
    deleted = "  deleted" if meta.deleted else ""
    say(f"{meta.key}  version {meta.version}  hash {meta.hash or '–'}{deleted}")


@app.command()
def health(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show how a server is; exits with 1 unless it is healthy."""
    answer = asyncio.run(talking.health(url))
    if as_json:
        from reality.core.codec import encode

        say(encode(answer).decode())
    else:
        for line in talking.health_lines(answer):
            say(line)
    if answer.status == "unhealthy":
        raise typer.Exit(1)


@app.command()
def secret() -> None:
    """Print a new secret for servers of one mesh, to be kept in a file that all of them have."""
    say(secrets.token_urlsafe(32))


@app.command()
def schema(
    dialect: Annotated[
        Literal["postgres", "mysql", "sqlite"],
        typer.Option("--dialect", help="The database; mysql is MariaDB's too."),
    ],
    table: Annotated[
        str,
        typer.Option("--table-name", "--table", help="What the names of the tables begin with."),
    ] = "reality",
) -> None:
    """Print the SQL that makes a store's tables, for psql, mysql or sqlite3."""
    from reality.storage.sql import schema_statements

    for statement in schema_statements(dialect, table):
        say(f"{statement};")


@store_app.command()
def show(store: Store, as_json: Json = False) -> None:
    """Show where a store stands."""
    name, found = stores.run(stores.opening(store))
    if as_json:
        say(json.dumps({"store": name, **stores.members(found)}))
        return
    for line in stores.lines(name, found):
        say(line)


@store_app.command()
def new_lineage(
    store: Store,
    yes: Yes = False,
) -> None:
    """Tell apart what a restored or copied store holds from what it held before.

    After restoring a backup, and on the copy after copying a store: every client of its servers
    then refetches once, and none goes on from what only the other history has.
    """
    if not yes and not sys.stdin.isatty():
        fail("all clients would refetch, and there is nobody to ask: give --yes")
    name, found = stores.run(stores.opening(store))
    if not yes:
        say(f"{name} is {found.head.origin}. All clients of its servers will refetch once.")
        typer.confirm("Give it a new lineage?", abort=True)
    head = stores.run(stores.rotate(store, found.head.origin))
    say(f"before  {found.head.origin}")
    say(f"now     {head.origin}")
    say("servers notice by themselves, within their feed's interval; each client refetches once")


def _version(is_asked: bool) -> None:
    if is_asked:
        say(f"reality {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log to standard error.")] = False,
) -> None:
    """Socketless real-time: tells clients when data changed, over plain HTTP."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format=serving.LOG_FORMAT,
    )


def run() -> None:
    """The whole command line: a failure is one line on standard error and the status 1."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (RealityError, OSError, ValueError) as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.getLogger("reality.cli").debug("the command failed", exc_info=error)
        fail(error.strerror or str(error) if isinstance(error, OSError) else str(error))
    except Exception as error:  # a person gets a line, --debug the whole story
        logging.getLogger("reality.cli").debug("the command failed", exc_info=error)
        fail(f"{type(error).__name__}: {error}")
