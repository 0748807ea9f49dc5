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

import re
from inspect import iscoroutinefunction
from os import PathLike
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from reality.errors import MissingDependency
from reality.storage.base import BlockingStorage, Storage

_VERBS = ("open", "append", "changes", "read", "scan", "rotate", "close")
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
# By the package that a mistaken `storage=` comes from: what to write instead.
_INSTEAD = {
    "sqlalchemy": "SQLAlchemyStorage(engine), with the engine itself",
    "redis": "RedisStorage(client)",
}


def shared_storage(storage: Storage | BlockingStorage | str) -> Storage:
    """What a server works on: the store itself, or that of a URL, or one that blocks, in threads.

    Raises:
        ValueError: it is none of these.
        MissingDependency: the URL's kind of store needs a package that is not installed.
    """
    if isinstance(storage, str):
        return open_storage(storage)
    missing = [verb for verb in _VERBS if not callable(getattr(storage, verb, None))]
    if missing or isinstance(storage, type):
        raise ValueError(_no_store(storage, missing))
    if iscoroutinefunction(storage.append):
        return cast("Storage", storage)
    from reality.storage.threads import ThreadedStorage

    return ThreadedStorage(cast("BlockingStorage", storage))


def _no_store(given: object, missing: list[str]) -> str:
    """Why this is no store; it may be a client with a password in its repr, so only its type."""
    if isinstance(given, type):
        return (
            f"storage must be a store, got the class {given.__name__}: write {given.__name__}(...)"
        )
    kind = type(given)
    instead = _INSTEAD.get(kind.__module__.partition(".")[0])
    if isinstance(given, PathLike):
        instead = f'"sqlite:///{given.__fspath__()}", a URL (four slashes for an absolute path)'
    if instead is not None:
        return f"storage must be a store or a URL, got a {kind.__name__}: write {instead}"
    return (
        f"storage must be a store or a URL, got a {kind.__name__}, which lacks: "
        f"{', '.join(missing)}"
    )


def open_storage(url: str, *, create: bool = True) -> Storage:
    """The store that a URL names. Nothing is connected before its first use.

    Args:
        url: see the module.
        create: whether `open` makes what is missing: the file, tables. One in Redis is made anyway.

    Raises:
        ValueError: the URL is malformed, or of no kind that this package knows.
        MissingDependency: this kind of store needs a package that is not installed.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if "://" not in url:
        raise ValueError(
            f"{shown(url)!r} is no URL of a store: for a file write sqlite:////absolute/path.db, "
            "or sqlite:///relative/path.db"
        )
    if scheme == "sqlite":
        return _sqlite(url, create)
    if scheme in ("postgresql", "postgres", "mysql", "mariadb"):
        return _sql(url, create)
    if scheme in ("redis", "rediss", "unix", "valkey", "valkeys"):
        from reality.storage.redis import RedisStorage

        # redis-py knows a Valkey by a Redis' schemes only.
        return RedisStorage("redis" + url.removeprefix("valkey") if "valkey" in scheme else url)
    if scheme == "dynamodb":
        return _dynamodb(url, create)
    raise ValueError(
        f"{shown(url)!r} names no store: the kinds are memory://, sqlite:///FILE, postgresql://, "
        "mysql://, redis:// and dynamodb://"
    )


def check_url(url: str) -> None:
    """Refuse a URL of which drivers would take a part of the password for the address.

    They show that part in errors and logs, so they are not asked.

    Raises:
        ValueError: it has an `@` too many, or a port that is no number.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.partition("+")[0] == "sqlite":
        return
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    behind, _, query = rest[len(authority) :].partition("?")
    credentials, _, address = authority.rpartition("@")
    is_broken = "@" in credentials or _PORT.fullmatch(address) is None
    if scheme == "dynamodb":
        is_broken = is_broken or "@" in rest
    elif scheme != "unix":  # whose paths may have one
        names = (each.partition("=")[0] for each in query.split("&"))
        is_broken = is_broken or "@" in behind or any("@" in name for name in names)
    if is_broken:
        raise ValueError(
            f"{shown(url)!r} is ambiguous: write special characters of user and password as %XX "
            "(%40 for @, %2F for /, %23 for #), and the port as a number"
            if scheme != "dynamodb"
            else f"{shown(url)!r} must be dynamodb://TABLE: credentials are found as boto3 finds "
            "them, in the environment for example; special characters are written as %XX"
        )


def shown(url: str) -> str:
    """The URL without what may be a password: the scheme, and the host if that is certain."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url.rpartition("@")[2]
    _, at, host = rest.rpartition("@")
    host = re.split("[/?#]", host, maxsplit=1)[0]
    # Without an `@`, what follows a colon may be a password that was cut off.
    return f"{scheme}://{host if at else host.partition(':')[0]}"


def _sqlite(url: str, create: bool) -> Storage:
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/") or parts.scheme != "sqlite":
        raise ValueError(
            f"{url!r} names no SQLite file: write sqlite:////absolute/path.db, or "
            "sqlite:///relative/path.db"
        )
    from reality.storage.sqlite import SQLiteStorage

    return SQLiteStorage(unquote(parts.path[1:]), create=create)


def _sql(url: str, create: bool) -> Storage:
    check_url(url)
    from reality.storage.sql import SQLStorage

    try:
        return SQLStorage(url=url, create=create)
    except MissingDependency as error:
        if error.package != "sqlalchemy":
            raise
        scheme = url.partition(":")[0]
        extra = "postgres" if scheme.startswith("postgres") else "mysql"
        needed_for = f"a store at {scheme}://"
        raise MissingDependency("sqlalchemy", extra=extra, needed_for=needed_for) from error


def _dynamodb(url: str, create: bool) -> Storage:
    check_url(url)
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - {"endpoint", "region"})
    if not parts.netloc or unknown:
        raise ValueError(
            f"{shown(url)!r} must be dynamodb://TABLE, with ?endpoint=URL&region=NAME at most"
        )
    from reality.storage.dynamodb import DynamoDBStorage

    return DynamoDBStorage(
        table_name=parts.netloc,
        endpoint_url=options.get("endpoint"),
        region_name=options.get("region"),
        create=create,
    )
