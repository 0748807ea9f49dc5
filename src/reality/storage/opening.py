"""Stores by URL, and what an application may give a server as its store.

    memory://                                   in this process (the default)
    sqlite:////var/lib/app/reality.db           a file; three slashes for a relative path
    postgresql://user:password@host/database    SQLAlchemy and psycopg 3
    mysql://user:password@host/database         SQLAlchemy and PyMySQL; mariadb:// as well
    redis://host:6379/0                         rediss:// and unix:// as well
    dynamodb://table?region=eu-west-1           endpoint=http://… for one of your own

SQLAlchemy's spelling `postgresql+asyncpg://…` names another driver.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from reality.storage.base import BlockingStorage, Storage

_VERBS = ("open", "append", "changes", "read", "scan", "rotate", "close")


def shared_storage(storage: Storage | BlockingStorage | str) -> Storage:
    """What a server works on: the store itself, or that of a URL, or one that blocks, in threads.

    Raises:
        ValueError: it is none of these.
        MissingDependency: the URL's kind of store needs a package that is not installed.
    """
    if isinstance(storage, str):
        return open_storage(storage)
    missing = [verb for verb in _VERBS if not callable(getattr(storage, verb, None))]
    if missing:
        raise ValueError(
            f"storage must be a store or a URL, got {storage!r}, which lacks: {', '.join(missing)}"
        )
    if iscoroutinefunction(storage.append):
        return cast("Storage", storage)
    from reality.storage.threads import ThreadedStorage

    return ThreadedStorage(cast("BlockingStorage", storage))


def open_storage(url: str) -> Storage:
    """The store that a URL names. Nothing is connected before its first use.

    Raises:
        ValueError: the URL is malformed, or of no kind that this package knows.
        MissingDependency: this kind of store needs a package that is not installed.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme in ("postgresql", "postgres", "mysql", "mariadb"):
        return _sql(url)
    if scheme in ("redis", "rediss", "unix", "valkey", "valkeys"):
        from reality.storage.redis import RedisStorage

        return RedisStorage(url)
    if scheme == "dynamodb":
        return _dynamodb(url)
    raise ValueError(
        f"{_shown(url)!r} names no store: the kinds are memory://, sqlite:///FILE, postgresql://, "
        "mysql://, redis:// and dynamodb://"
    )


def _sqlite(url: str) -> Storage:
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.scheme != "sqlite":
        raise ValueError(
            f"{url!r} names no SQLite file: write sqlite:////absolute/path.db, or "
            "sqlite:///relative/path.db"
        )
    from reality.storage.sqlite import SQLiteStorage

    return SQLiteStorage(unquote(parts.path[1:]))


def _sql(url: str) -> Storage:
    from reality.storage.sql import SQLStorage

    try:
        return SQLStorage(url=url)
    except ValueError as error:
        # Its text may have a part of the password, where a character of that was not escaped.
        raise ValueError(
            f"{_shown(url)!r} names no database: check host and port, and write special characters "
            "of user and password as %XX"
        ) from error


def _dynamodb(url: str) -> Storage:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - {"endpoint", "region"})
    if not parts.netloc or unknown:
        raise ValueError(
            f"{_shown(url)!r} must be dynamodb://TABLE, with ?endpoint=URL&region=NAME at most"
        )
    from reality.storage.dynamodb import DynamoDBStorage

    return DynamoDBStorage(
        table_name=parts.netloc,
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
    )


def _shown(url: str) -> str:
    """The URL without what may be a password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
