"""The commands that work on a store, with a real SQLite file, and `reality serve` on one."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from reality import RealityServer
from reality.storage.sql.dialects import DIALECTS
from reality.storage.sql.failures import schema_missing_text
from reality.storage.sql.statements import Statements
from tests.cli.running import COMMAND, TOKEN, is_refused, run, variables
from tests.support.processes import free_port, serving
from tests.support.redis_server import RedisServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store in which one key was touched once."""
    path = tmp_path / "reality.db"
    server = RealityServer(storage=f"sqlite:///{path}")
    server.blocking.invalidate("posts")
    server.blocking.stop()
    return path


@pytest.fixture
def store(path: Path) -> str:
    """The store's URL."""
    return f"sqlite:///{path}"


@pytest.fixture
def url(store: str) -> Iterator[str]:
    """A server on the store."""
    base = f"http://127.0.0.1:{(port := free_port())}"
    with serving(
        [*COMMAND, "serve", "--port", str(port)],
        ready_url=f"{base}/reality/ready",
        environment={"REALITY_STORE": store, "REALITY_TOKEN": TOKEN},
    ):
        yield base


def shown(store: str) -> Any:
    """What `reality store show --json` prints."""
    result = run("store", "show", "--store", store, "--json")
    assert 0 == result.returncode, result.stderr
    return json.loads(result.stdout)


def test_a_store_is_shown(store: str, path: Path) -> None:
    """`store show` names the store and says where it stands, for people and for programs."""
    found = shown(store)
    text = run("store", "show", REALITY_STORE=store).stdout

    assert (1, 1, 0, 1) == tuple(
        found[name] for name in ("position", "touches", "register", "logged")
    )
    assert f"the SQLite store {path}" == found["store"] == text.splitlines()[0]
    assert found["origin"] in text


def test_invalidating_in_the_store_reaches_servers(store: str, url: str) -> None:
    """I1: a touch written straight to the store, without a server or a token, is answered."""
    told = run("invalidate", "posts", "chat:*", "--store", store)

    assert ["posts  version 2", "chat:*  all keys below"] == told.stdout.splitlines()
    assert run("get", "posts", "--url", url).stdout.startswith("posts  version 2")


def test_a_new_lineage(store: str, url: str) -> None:
    """I4: after `new-lineage` the origin is another and no version is lower; servers follow."""
    before = shown(store)
    version = json.loads(run("get", "posts", "--json", "--url", url).stdout)["version"]
    told = run("store", "new-lineage", "--store", store, "--yes")
    after = shown(store)

    assert 0 == told.returncode
    assert f"before  {before['origin']}" in told.stdout
    assert f"now     {after['origin']}" in told.stdout
    assert before["origin"].partition("@")[0] == after["origin"].partition("@")[0]
    assert before["origin"] != after["origin"]
    assert after["register"] > before["register"] + before["touches"]
    assert json.loads(run("get", "posts", "--json", "--url", url).stdout)["version"] > version


def test_a_copy_gets_another_lineage_than_its_original(store: str, path: Path) -> None:
    """I1: of a copied file, the copy is told apart and the original stays what it was."""
    copy = shutil.copy(path, path.with_name("copy.db"))
    run("store", "new-lineage", "--store", f"sqlite:///{copy}", "--yes")

    assert shown(store)["origin"] != shown(f"sqlite:///{copy}")["origin"]


@pytest.mark.parametrize(("answer", "status"), [(b"n\n", 1), (b"y\n", 0)])
def test_on_a_terminal_new_lineage_asks(store: str, answer: bytes, status: int) -> None:
    """A person is asked before every client refetches; `--yes` answers for them."""
    before = shown(store)["origin"]
    person, terminal = pty.openpty()
    try:
        os.write(person, answer)
        asked = run("store", "new-lineage", "--store", store, stdin=terminal)
    finally:
        os.close(person)
        os.close(terminal)

    assert "refetch" in asked.stdout
    assert status == asked.returncode
    assert (shown(store)["origin"] == before) == (status == 1)
    assert 0 == run("store", "new-lineage", "--store", store, "--yes").returncode


def test_without_a_terminal_new_lineage_needs_yes(store: str) -> None:
    """Where nobody can be asked, nothing is done without `--yes`."""
    before = shown(store)

    assert is_refused(run("store", "new-lineage", "--store", store), "--yes")
    assert before == shown(store)


COMMANDS_ON_STORES = [
    ("store", "show"),
    ("store", "new-lineage", "--yes"),
    ("invalidate", "posts"),
]


@pytest.mark.parametrize("command", COMMANDS_ON_STORES)
def test_where_there_is_no_store_none_is_made(command: tuple[str, ...], tmp_path: Path) -> None:
    """Commands that look after a store leave a database without one as it is."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as database, database:
        database.execute("CREATE TABLE posts (id INTEGER)")
    refused = run(*command, "--store", f"sqlite:///{tmp_path}/app.db")
    with closing(sqlite3.connect(tmp_path / "app.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()

    assert is_refused(refused, "there is no store here")
    assert [("posts",)] == tables


@pytest.mark.slow
def test_where_there_are_no_keys_none_are_made(private_redis: RedisServer) -> None:
    """In a Redis, too, only servers make a store."""
    for command in COMMANDS_ON_STORES:
        refused = run(*command, "--store", private_redis.url)
        assert is_refused(refused, "there is no store here")
    with Redis.from_url(private_redis.url) as client:
        assert 0 == client.dbsize()


def test_the_command_that_an_error_names_runs(tmp_path: Path) -> None:
    """What the error for missing tables tells people to run, they can run."""
    text = schema_missing_text("it", "none", Statements("sqlite", "live"))
    command = text.partition("`")[2].partition("`")[0].split()

    made = run(*command[1:])
    assert "reality" == command[0]
    assert 0 == made.returncode
    assert "live_store" in made.stdout


def test_an_interrupted_command_ends_at_once(store: str, path: Path) -> None:
    """Ctrl-C does not wait for a database that somebody else has locked."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(
            [*COMMAND, "--debug", "invalidate", "posts", "--store", store],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables(),
        ) as blocked:
            assert blocked.stderr is not None
            # Of asyncio: the loops of the command, and of the server within it.
            first = blocked.stderr.readline() + blocked.stderr.readline()
            blocked.send_signal(signal.SIGINT)
            before_s = time.monotonic()
            _, rest = blocked.communicate(timeout=20)

    assert 130 == blocked.returncode
    assert time.monotonic() - before_s < 2
    assert "Traceback" not in first + rest


@pytest.mark.parametrize("table", ["reality", "live"])
def test_the_schema_is_what_the_database_takes(tmp_path: Path, table: str) -> None:
    """`reality schema` prints statements that SQLite runs as they are, and that a store accepts."""
    text = run("schema", "--dialect", "sqlite", "--table-name", table).stdout
    with closing(sqlite3.connect(tmp_path / "made.db")) as database:
        database.executescript(text)
        made = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}

    assert {f"{table}_store", f"{table}_log", f"{table}_nodes"} <= made
    if table == "reality":
        assert 0 == shown(f"sqlite:///{tmp_path}/made.db")["position"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_a_schema(dialect: str) -> None:
    """`--dialect` takes every dialect that stores know."""
    assert "CREATE TABLE" in run("schema", "--dialect", dialect).stdout


def test_refusals_are_one_line(store: str, path: Path, tmp_path: Path) -> None:
    """What cannot be done is one line that says what to do, and makes no files."""
    missing = tmp_path / "typing-error.db"

    assert is_refused(run("store", "show", "--store", "memory://"), "sqlite:////path/reality.db")
    assert is_refused(run("store", "show", "--store", f"sqlite:///{missing}"), "no file")
    assert is_refused(run("invalidate", "a", "--store", f"sqlite:///{missing}"), "no file")
    assert is_refused(run("invalidate", "", "--store", store), "must not be empty")
    assert is_refused(run("schema", "--dialect", "sqlite", "--table", "a b"), "table name")
    assert 2 == run("schema", "--dialect", "oracle").returncode
    assert not missing.exists()


def test_a_store_of_a_newer_release_is_refused(store: str, path: Path) -> None:
    """`serve` does not begin on a schema that it does not know."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE reality_store SET schema_version = 999")

    refused = run("serve", "--store", store, "--port", str(free_port()))
    assert is_refused(refused, "schema version 999", "upgrade")
    assert is_refused(run("store", "show", "--store", store), "schema version 999")


def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """`serve` says what is in the way, is not ready, and becomes so without a restart."""
    folder = tmp_path / "later"
    base = f"http://127.0.0.1:{(port := free_port())}"
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port), "--store", f"sqlite:///{folder}/reality.db"],
        stderr=subprocess.PIPE,
        text=True,
        env=variables(REALITY_TOKEN=TOKEN),
    ) as server:
        try:
            assert server.stderr is not None
            lines = [server.stderr.readline() for _ in range(3)]
            assert str(folder) in lines[1]
            assert "not ready yet" in lines[2]
            assert 1 == run("health", "--url", base).returncode
            folder.mkdir()
            while run("health", "--url", base).returncode != 0:
                assert server.poll() is None
        finally:
            server.terminate()
            server.communicate(timeout=20)
    assert 0 == server.returncode
