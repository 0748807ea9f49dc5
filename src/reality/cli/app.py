"""The commands and their options."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from reality import RealityError, __version__
from reality.cli import serving, stores, talking
from reality.cli.watching import Watch

PORT = 3456

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

_STORE_HELP = (
    "Where nodes are kept: sqlite:////FILE, postgresql://, mysql://, redis://, dynamodb://"
)
Store = Annotated[
    str, typer.Option("--store", envvar="REALITY_STORE", show_envvar=True, help=_STORE_HELP + ".")
]
Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="REALITY_URL", help="The server; without a path, /reality is meant."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="REALITY_TOKEN", help="The credential for invalidating over HTTP."
    ),
]
Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="The TCP port to listen on.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT_URL = f"http://127.0.0.1:{PORT}"


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = PORT,
    token: Token = None,
    store: Annotated[
        str,
        typer.Option("--store", envvar="REALITY_STORE", help=_STORE_HELP + " or memory://."),
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
) -> None:
    """Serve over HTTP until interrupted."""
    options = serving.Options(
        store=store,
        server_id=server_id,
        token=token,
        base_path=base_path,
        cors=cors_origin,
        log_level=logging.getLogger().level,
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
    url: Url = _DEFAULT_URL,
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
        _fail("invalidating needs a credential: give --token, or REALITY_TOKEN in the environment")
    else:
        versions = asyncio.run(talking.invalidate(url, token, keys))
    if as_json:
        _print(json.dumps({"invalidated": keys, "versions": versions}))
        return
    for key in dict.fromkeys(keys):
        _print(f"{key}  version {versions[key]}" if key in versions else f"{key}  all keys below")


@app.command()
def watch(
    keys: Annotated[list[str], typer.Argument(help="Keys to watch.")],
    url: Url = _DEFAULT_URL,
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
    url: Url = _DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a key's version and hash."""
    meta = asyncio.run(talking.get(url, key))
    if as_json:
        _print(json.dumps(talking.meta_members(meta)))
        return
    deleted = "  deleted" if meta.deleted else ""
    _print(f"{meta.key}  version {meta.version}  hash {meta.hash or '–'}{deleted}")


@app.command()
def health(url: Url = _DEFAULT_URL, as_json: Json = False) -> None:
    """Show how a server is; exits with 1 unless it is healthy."""
    answer = asyncio.run(talking.health(url))
    if as_json:
        from reality.core.codec import encode

        _print(encode(answer).decode())
    else:
        for line in talking.health_lines(answer):
            _print(line)
    if answer.status == "unhealthy":
        raise typer.Exit(1)


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
        _print(f"{statement};")


@store_app.command()
def show(store: Store, as_json: Json = False) -> None:
    """Show where a store stands."""
    name, found = stores.run(stores.opening(store))
    if as_json:
        _print(json.dumps({"store": name, **stores.members(found)}))
        return
    for line in stores.lines(name, found):
        _print(line)


@store_app.command()
def new_lineage(
    store: Store,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Tell apart what a restored or copied store holds from what it held before.

    After restoring a backup, and on the copy after copying a store: every client of its servers
    then refetches once, and none goes on from what only the other history has.
    """
    if not yes and not sys.stdin.isatty():
        _fail("all clients would refetch, and there is nobody to ask: give --yes")
    name, found = stores.run(stores.opening(store))
    if not yes:
        _print(f"{name} is {found.head.origin}. All clients of its servers will refetch once.")
        typer.confirm("Give it a new lineage?", abort=True)
    head = stores.run(stores.rotate(store, found.head.origin))
    _print(f"before  {found.head.origin}")
    _print(f"now     {head.origin}")
    _print("servers notice by themselves, within their feed's interval; each client refetches once")


def _version(is_asked: bool) -> None:
    if is_asked:
        _print(f"reality {__version__}")
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
        _fail(error.strerror or str(error) if isinstance(error, OSError) else str(error))
    except Exception as error:  # a person gets a line, --debug the whole story
        logging.getLogger("reality.cli").debug("the command failed", exc_info=error)
        _fail(f"{type(error).__name__}: {error}")


def _print(text: str) -> None:
    print(_printable(text))


def _fail(reason: str) -> NoReturn:
    sys.exit(f"reality: {_printable(' '.join(reason.split()))}")


def _printable(text: str) -> str:
    """Text of a server without what a terminal would take for commands."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
