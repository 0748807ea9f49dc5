"""Engines of a store's own: connections made as the application's engine makes them.

The store works in another thread or event loop than the application, and what it records must not
be a part of the application's transactions. The application's pool is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import AssertionPool, Pool, StaticPool

from reality.errors import MissingDependency
from reality.storage.opening import check_url, shown
from reality.storage.sql.sessions import SESSIONS, Session
from reality.storage.sqlalchemy.executors import AsyncEngineExecutor, EngineExecutor
from reality.storage.sqlalchemy.spelling import (
    BROUGHT,
    CONNECT_TIMEOUT_S,
    CONNECT_TIMEOUTS,
    DIALECTS,
    DISTRIBUTIONS,
    EXTRAS,
    USUAL_DRIVERS,
)

AnyEngine = Engine | AsyncEngine
# What an application has.
Bound = AnyEngine | sessionmaker[Any] | async_sessionmaker[Any]


class Connected(NamedTuple):
    """What a store needs of a database.

    Attributes:
        executor: runs statements on connections of its own; the store closes it.
        dialect: "postgres", "mysql" or "sqlite".
        name: what errors and logs call the store; without credentials.
        new_engine: makes another engine like the executor's, with an empty pool.
    """

    executor: EngineExecutor | AsyncEngineExecutor
    dialect: str
    name: str
    new_engine: Callable[[], AnyEngine]


def engine_executor(bound: Bound | URL | str) -> Connected:
    """Prepare connections like those of an engine or sessionmaker, or of a URL.

    Nothing is connected yet.

    Args:
        bound: what the application uses, sync or async, or where the database is. A URL without a
            driver is served by psycopg or PyMySQL.

    Raises:
        ValueError: it is not for one of these databases, or its connections cannot be multiplied.
        MissingDependency: the driver is not installed.
    """
    engine = _engine_of(bound)
    core = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    dialect = DIALECTS.get(core.dialect.name)
    if dialect is None:
        raise ValueError(
            "a store needs PostgreSQL, MySQL, MariaDB or SQLite, and the engine is for "
            f"{core.dialect.name!r}"
        )
    _check_shareable(core.url)
    _check_multipliable(core.pool)
    session = SESSIONS[dialect]
    own = _own_engine(engine, session)
    executor: EngineExecutor | AsyncEngineExecutor
    if isinstance(own, AsyncEngine):
        executor = AsyncEngineExecutor(own, session.begin)
    else:
        executor = EngineExecutor(own, session.begin)
    return Connected(executor, dialect, _name(core.url), partial(_own_engine, engine, session))


def _engine_of(bound: Bound | URL | str) -> AnyEngine:
    if isinstance(bound, str):
        check_url(bound)
        safe = shown(bound)
        try:
            bound = make_url(bound)
        except (ArgumentError, ValueError):
            # Whose words may have a part of the password.
            raise ValueError(_no_url(safe)) from None
    if isinstance(bound, URL):
        try:
            return _engine_for(bound)
        except ArgumentError:
            raise ValueError(_no_url(_name(bound))) from None
    engine = bound.kw.get("bind") if isinstance(bound, sessionmaker | async_sessionmaker) else bound
    if not isinstance(engine, Engine | AsyncEngine):
        raise ValueError(
            "a store needs an Engine, an AsyncEngine or a URL, or a sessionmaker that is bound to "
            f"an engine; got {bound!r}"
        )
    return engine


def _no_url(name: str) -> str:
    return (
        f"{name!r} is no URL of a database for a store: write postgresql://user:password@host/"
        "database, or mysql://, with special characters of user and password as %XX"
    )


def _engine_for(url: URL) -> AnyEngine:
    """An engine that is never connected; it is only there to be imitated."""
    _check_shareable(url)
    url = url.set(drivername=USUAL_DRIVERS.get(url.drivername, url.drivername))
    try:
        option = CONNECT_TIMEOUTS.get(url.get_dialect().driver)
        has_own = option is None or option in url.query
        engine = create_engine(url, connect_args={} if has_own else {option: CONNECT_TIMEOUT_S})
    except ModuleNotFoundError as error:
        package = error.name or url.drivername
        backend = url.get_backend_name()
        raise MissingDependency(
            package,
            extra=EXTRAS.get(backend, "sqlalchemy"),
            needed_for=f"a store at {url.drivername}://",
            install=None if package in BROUGHT else DISTRIBUTIONS.get(package, package),
        ) from error
    return AsyncEngine(engine) if engine.dialect.is_async else engine


def _name(url: URL) -> str:
    where = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"{url.get_backend_name()}://{where}/{url.database or ''}"


def _check_shareable(url: URL) -> None:
    """Another connection must reach the same database."""
    name = url.database or ":memory:"
    is_in_memory = ":memory:" in name or "mode=memory" in name or url.query.get("mode") == "memory"
    if url.get_backend_name() == "sqlite" and is_in_memory:
        raise ValueError(
            f"{_name(url)} is in memory, where a connection has a database of its own: use a file, "
            "or MemoryStorage"
        )


def _check_multipliable(pool: Pool) -> None:
    if isinstance(pool, StaticPool | AssertionPool):
        raise ValueError(
            f"the engine's {type(pool).__name__} has one connection only, and the store needs some "
            "of its own: give the engine another `poolclass`"
        )


def _own_engine(engine: AnyEngine, session: Session) -> AnyEngine:
    """An engine over a pool of its own, with the events of the application's pool."""
    core = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    own = Engine(core.pool.recreate(), core.dialect, core.url, hide_parameters=True)

    def prepare(connection: DBAPIConnection, _record: object) -> None:
        own.dialect.set_isolation_level(connection, "AUTOCOMMIT")
        cursor = connection.cursor()
        try:
            for statement in session.settings:
                cursor.execute(statement)
        finally:
            cursor.close()

    event.listen(own, "connect", prepare)
    return own if core is engine else AsyncEngine(own)
