"""Stores by URL: what is refused before a driver sees it, and never with a password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from reality.storage.opening import open_storage, shared_storage
from reality.storage.redis import RedisStorage
from reality.storage.sql import SQLStorage
from reality.storage.sqlalchemy import SQLAlchemyStorage
from reality.storage.sqlite import SQLiteStorage

BROKEN_SQL = [
    "postgresql://app:s3cr@etTAIL@127.0.0.1:25432/app",
    "postgresql+asyncpg://app:s3cr@etTAIL@h/app",
    "mysql://app:s3cr@etTAIL@h/app",
    "postgresql://app:s3cr/etTAIL@h/app",
    "postgresql://app:12/etTAIL@h/app",
    "postgresql://app:s3cr#etTAIL@h/app",
    "postgresql://app:s3cr?etTAIL@h/app",
    "mysql://app:s3@cr/etTAIL@h/app",
    "postgresql://app:s3cr@etTAIL@h:port/app",
    "postgresql://h:etTAIL/app",
]
BROKEN_REDIS = [
    "redis://:s3cr/etTAIL@h",
    "redis://:s3cr#etTAIL@h",
    "redis://:s3cr?etTAIL@h",
    "redis://:s3cr@etTAIL@h",
    "rediss://:12/etTAIL@h",
    "unix://:s3cr/etTAIL@/run/redis.sock",
    "redis://:s3cr#etTAIL",
]
BROKEN_DYNAMODB = ["dynamodb://AKIA:s3cr@etTAIL@t", "dynamodb://AKIA:s3cr/etTAIL@t"]


def refusal(make: Any, *arguments: Any, **options: Any) -> str:
    """The words with which it is refused, and those of all that a log would show of it."""
    with pytest.raises(ValueError, match=r".") as caught:
        make(*arguments, **options)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize("url", [*BROKEN_SQL, *BROKEN_REDIS, *BROKEN_DYNAMODB])
def test_an_unescaped_password_is_refused_unseen(url: str) -> None:
    """No driver is given a URL whose password it would take for the address, and none is shown."""
    text = refusal(open_storage, url)

    assert "TAIL" not in text
    assert "s3cr" not in text
    assert "%XX" in text
    assert url.partition("://")[0] in text


@pytest.mark.parametrize("url", BROKEN_SQL)
def test_a_sql_store_refuses_it_by_itself(url: str) -> None:
    """`SQLStorage(url=)` checks as `open_storage` does."""
    assert "TAIL" not in refusal(SQLStorage, url=url)


@pytest.mark.parametrize("url", [*BROKEN_REDIS, "redis://:etTAIL@h?db=etTAIL", "etTAIL://h"])
def test_a_redis_store_refuses_it_by_itself(url: str) -> None:
    """`RedisStorage(url)` checks as `open_storage` does, and redis-py's words are not passed on."""
    assert "TAIL" not in refusal(RedisStorage, url).replace("etTAIL://", "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:s3cr%40et@127.0.0.1:25432/app",
        "postgresql://app@[::1]:5432/app",
        "postgresql:///app?host=/run/postgresql",
        "postgresql://h/app?user=app@tenant",
        "mysql+asyncmy://app:s3cr%2Fet@h/app?charset=utf8mb4",
        "redis://:s3cr%23et@h:6379/0",
        "valkey://h",
        "valkeys://h",
        "unix:///run/a@b.sock?db=1",
        "dynamodb://t?region=eu-west-1&endpoint=http://127.0.0.1:8000",
        "sqlite:////folder/a@b@c.db",
    ],
)
def test_well_formed_urls_are_taken(url: str) -> None:
    """Escaped passwords, IPv6 addresses, sockets and options are no mistakes."""
    assert "s3cr" not in open_storage(url).name


@pytest.mark.parametrize("url", ["nosuch://app:s3cr@et@h/?password=s3cret", "app:s3cret@h/app"])
def test_what_names_no_store_is_not_repeated(url: str) -> None:
    """A URL of no known kind may have a password too."""
    assert "s3cr" not in refusal(open_storage, url)


async def test_nothing_is_made_without_create(tmp_path: Path) -> None:
    """`create=False` reaches the store: a missing file is not made."""
    storage = open_storage(f"sqlite:///{tmp_path}/missing.db", create=False)
    with pytest.raises(Exception, match=r"missing\.db"):
        await storage.open()
    await storage.close()

    assert not list(tmp_path.iterdir())


ENGINE = sa.create_engine("sqlite://")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ENGINE, "SQLAlchemyStorage(engine)"),
        (sessionmaker(ENGINE), "SQLAlchemyStorage(engine)"),
        (redis.Redis(password="s3cret"), "RedisStorage(client)"),
        (Path("/var/lib/app.db"), '"sqlite:////var/lib/app.db"'),
        ("/var/lib/app.db", "sqlite:////absolute/path.db"),
        ("reality.db", "sqlite:////absolute/path.db"),
        (SQLiteStorage, "class SQLiteStorage"),
        (object(), "which lacks: open, append"),
    ],
)
def test_what_is_no_store_is_told_what_to_write(given: Any, words: str) -> None:
    """An engine, a client, a path or a class given as `storage=` gets the line that would do."""
    text = refusal(shared_storage, given)

    assert words in text
    assert "s3cret" not in text


@pytest.mark.parametrize("given", [None, "postgresql://h/app", sa.make_url("postgresql://h/app")])
def test_sqlalchemy_storage_takes_no_url(given: Any) -> None:
    """What is no engine is refused in the class's own name, with what takes a URL."""
    text = refusal(SQLAlchemyStorage, given)

    assert text.startswith("SQLAlchemyStorage needs")
    assert "SQLStorage(url=...)" in text


@pytest.mark.parametrize(
    ("url", "missing", "advice"),
    [
        ("postgresql://h/app", "sqlalchemy", "pip install 'reality-sync[postgres]'"),
        ("mariadb://h/app", "sqlalchemy", "pip install 'reality-sync[mysql]'"),
        ("postgresql://h/app", "psycopg", "pip install 'reality-sync[postgres]'"),
        ("mysql://h/app", "pymysql", "pip install 'reality-sync[mysql]'"),
        ("postgresql+asyncpg://h/app", "asyncpg", "pip install asyncpg "),
        ("mysql+asyncmy://h/app", "asyncmy", "pip install asyncmy "),
        ("mysql+aiomysql://h/app", "aiomysql", "pip install aiomysql "),
        ("mysql+mysqldb://h/app", "MySQLdb", "pip install mysqlclient "),
    ],
)
def test_a_missing_package_is_named_with_what_brings_it(
    url: str, missing: str, advice: str
) -> None:
    """The error has the line that installs just what this URL lacks."""
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from reality.errors import MissingDependency\n"
        "from reality.storage.opening import open_storage\n"
        f"try: open_storage({url!r})\n"
        "except MissingDependency as error: print(error)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert f"Install it with: {advice}" in told.stdout
