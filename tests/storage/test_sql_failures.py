"""What drivers raise, and which `StorageError` it is. Real failures are in the tests of stores."""

from __future__ import annotations

import sqlite3

import asyncpg  # type: ignore[import-untyped]  # it has no types
import psycopg
import pymysql
import pytest
import sqlalchemy.exc

from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.sql.failures import storage_error
from reality.storage.sql.statements import Statements

NAME = "the store under test"


def mapped(error: BaseException, dialect: str = "postgres") -> StorageError | None:
    return storage_error(error, name=NAME, statements=Statements(dialect))


def kind(error: BaseException, dialect: str = "postgres") -> type[StorageError]:
    found = mapped(error, dialect)
    assert found is not None
    assert NAME in str(found)
    return type(found)


POSTGRES = [
    (psycopg.errors.UndefinedTable, StorageSchemaMissing),
    (psycopg.errors.InvalidSchemaName, StorageSchemaMissing),
    (psycopg.errors.InvalidCatalogName, StorageSchemaMissing),
    (psycopg.errors.UndefinedColumn, StorageSchemaMismatch),
    (psycopg.errors.InsufficientPrivilege, StorageDenied),
    (psycopg.errors.ReadOnlySqlTransaction, StorageDenied),
    (psycopg.errors.InvalidPassword, StorageDenied),
    (psycopg.errors.InvalidAuthorizationSpecification, StorageDenied),
    (psycopg.errors.DiskFull, StorageFull),
    (psycopg.errors.TooManyConnections, StorageBusy),
    (psycopg.errors.LockNotAvailable, StorageBusy),
    (psycopg.errors.QueryCanceled, StorageBusy),
    (psycopg.errors.DeadlockDetected, StorageBusy),
    (psycopg.errors.SerializationFailure, StorageBusy),
    (psycopg.errors.AdminShutdown, StorageUnavailable),
    (psycopg.errors.CannotConnectNow, StorageUnavailable),
    (psycopg.errors.ConnectionFailure, StorageUnavailable),
    (psycopg.OperationalError, StorageUnavailable),
    (psycopg.errors.InternalError_, StorageUnavailable),
]


@pytest.mark.parametrize(("error", "expected"), POSTGRES)
def test_sqlstates_of_psycopg(error: type[psycopg.Error], expected: type[StorageError]) -> None:
    """PostgreSQL tells by SQLSTATE."""
    assert expected is kind(error("the driver's words"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.UndefinedTableError, StorageSchemaMissing),
        (asyncpg.InsufficientPrivilegeError, StorageDenied),
        (asyncpg.InvalidPasswordError, StorageDenied),
        (asyncpg.DiskFullError, StorageFull),
        (asyncpg.TooManyConnectionsError, StorageBusy),
        (asyncpg.ConnectionDoesNotExistError, StorageUnavailable),
        (asyncpg.InterfaceError, StorageUnavailable),
        (asyncpg.InternalClientError, StorageUnavailable),
    ],
)
def test_errors_of_asyncpg(error: type[Exception], expected: type[StorageError]) -> None:
    """Its errors are no children of PEP 249's, and are told all the same."""
    assert expected is kind(error("the driver's words"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1146, StorageSchemaMissing),
        (1049, StorageSchemaMissing),
        (1054, StorageSchemaMismatch),
        (1045, StorageDenied),
        (1142, StorageDenied),
        (1290, StorageDenied),
        (1114, StorageFull),
        (1040, StorageBusy),
        (1205, StorageBusy),
        (1213, StorageBusy),
        (2003, StorageUnavailable),
        (2013, StorageUnavailable),
        (9999, StorageUnavailable),
    ],
)
def test_numbers_of_mysql(number: int, expected: type[StorageError]) -> None:
    """MySQL and MariaDB tell by number."""
    assert expected is kind(pymysql.err.OperationalError(number, "words"), "mysql")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, StorageBusy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusy),
        (sqlite3.SQLITE_READONLY, StorageDenied),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StorageDenied),
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_NOTADB, StorageSchemaMismatch),
        (sqlite3.SQLITE_CORRUPT, StorageSchemaMismatch),
        (sqlite3.SQLITE_IOERR, StorageUnavailable),
    ],
)
def test_codes_of_sqlite(code: int, expected: type[StorageError]) -> None:
    """SQLite tells by result code, of which the extended ones belong to their family."""
    error = sqlite3.OperationalError("words")
    error.sqlite_errorcode = code
    assert expected is kind(error, "sqlite")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('connection failed: FATAL:  password authentication failed for user "me"', StorageDenied),
        ('connection failed: FATAL:  role "me" does not exist', StorageDenied),
        ('connection failed: FATAL:  database "app" does not exist', StorageSchemaMissing),
        ("connection failed: FATAL:  sorry, too many clients already", StorageBusy),
        ("connection failed: Connection refused", StorageUnavailable),
    ],
)
def test_failed_connections_have_no_sqlstate(text: str, expected: type[StorageError]) -> None:
    """What libpq says when it cannot connect is told by its words."""
    assert expected is kind(psycopg.OperationalError(text))


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(111, "refused"), TimeoutError(), EOFError()]
)
def test_the_networks_errors_are_the_stores(error: Exception) -> None:
    """Drivers that pass on the system's errors are unavailable, and 1xx errnos are no MySQL's."""
    assert StorageUnavailable is kind(error)
    assert StorageUnavailable is kind(error, "mysql")


def test_wrapped_errors_are_unwrapped() -> None:
    """SQLAlchemy's and Django's wrappers tell what the driver told, without the parameters."""
    driver = psycopg.errors.InsufficientPrivilege("permission denied for table reality_store")
    wrapped = sqlalchemy.exc.ProgrammingError("UPDATE …", {"p1": "secret"}, driver)

    class DatabaseError(Exception):
        """As Django has it."""

    class Error(DatabaseError):
        """As Django has it."""

    django = Error("permission denied")
    django.__cause__ = driver
    for error in (wrapped, django):
        found = mapped(error)
        assert isinstance(found, StorageDenied)
        assert "permission denied for table reality_store" in str(found)
        assert "secret" not in str(found)
        assert "GRANT SELECT, INSERT, UPDATE, DELETE ON reality_store" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InvalidCatalogName("words"),
        psycopg.OperationalError('connection failed: FATAL:  database "app" does not exist'),
        asyncpg.InvalidCatalogNameError('database "app" does not exist'),
        pymysql.err.OperationalError(1049, "Unknown database 'app'"),
    ],
)
def test_a_missing_database_is_to_be_made(error: Exception) -> None:
    """Where there is no database, none of its tables can be made."""
    text = str(mapped(error))

    assert "make the database first" in text
    assert "reality schema" not in text


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError('FATAL:  password authentication failed for user "me"'),
        psycopg.errors.InvalidPassword("words"),
        asyncpg.InvalidAuthorizationSpecificationError("words"),
        pymysql.err.OperationalError(1045, "Access denied for user 'me'@'h'"),
    ],
)
def test_a_wrong_password_is_no_missing_privilege(error: Exception) -> None:
    """A GRANT helps nobody who cannot log in."""
    text = str(mapped(error))

    assert "check the user and the password" in text
    assert "GRANT" not in text


def test_a_missing_privilege_is_no_wrong_password() -> None:
    """Who has logged in has a right password."""
    for error in (
        psycopg.errors.InsufficientPrivilege("words"),
        pymysql.err.OperationalError(1142, "INSERT command denied"),
    ):
        text = str(mapped(error))
        assert "GRANT" in text
        assert "password" not in text


def test_a_busy_pool_is_busy() -> None:
    """A pool that has no connection to lend is no unreachable database."""
    error = sqlalchemy.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached")
    assert StorageBusy is kind(error)


@pytest.mark.parametrize("error", [TypeError("a bug"), KeyError("a"), ZeroDivisionError()])
def test_bugs_are_no_failures_of_the_store(error: Exception) -> None:
    """An executor's own mistakes are not hidden behind a StorageError."""
    assert mapped(error) is None


def test_long_words_are_cut() -> None:
    """What a driver says is one line of some hundred characters in the message."""
    found = mapped(psycopg.OperationalError("words\n" * 1000))
    assert found is not None
    assert len(str(found)) < 600
    assert "\n" not in str(found)
