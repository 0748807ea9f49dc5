"""Which `StorageError` a database's exception is: one function, for every driver.

Drivers tell by SQLSTATE (psycopg, asyncpg), by an error number (MySQL, MariaDB) or by a result code
(SQLite). SQLAlchemy and Django wrap what a driver raised; the first exception of the chain that
tells anything decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.sql.statements import DEFAULT_TABLE_NAME, Statements

Kind = type[StorageError]

# What PEP 249 calls a database's errors, and what the drivers that do not follow it do.
_DATABASE_ERRORS = {
    "Error",
    "PostgresError",
    "InterfaceError",
    "InternalClientError",
    "SQLAlchemyError",
}

# By SQLSTATE; a class of two characters stands for all its codes that are not listed.
_BY_SQLSTATE: dict[str, Kind] = {
    "08": StorageUnavailable,
    "22": StorageSchemaMismatch,  # a value that the column, or the database's encoding, cannot hold
    "25006": StorageDenied,  # the server, or this session, is read-only
    "28": StorageDenied,
    "3D000": StorageSchemaMissing,  # no such database
    "3F000": StorageSchemaMissing,
    "40": StorageBusy,  # rolled back: a deadlock, or a serialization failure
    "42501": StorageDenied,
    "42703": StorageSchemaMismatch,  # no such column
    "42804": StorageSchemaMismatch,  # a column of another type
    "42P01": StorageSchemaMissing,
    "53": StorageBusy,  # too many connections, out of memory
    "53100": StorageFull,
    "55006": StorageBusy,
    "55P03": StorageBusy,
    "57014": StorageBusy,  # cancelled by a timeout
    "57P": StorageUnavailable,
}

_BY_ERRNO: dict[int, Kind] = {
    **dict.fromkeys((1040, 1203, 1205, 1213, 1226, 1969, 3024), StorageBusy),
    **dict.fromkeys(
        (1044, 1045, 1142, 1143, 1227, 1290, 1410, 1698, 1792, 1836, 3118, 3159), StorageDenied
    ),
    **dict.fromkeys((1021, 1114), StorageFull),
    1054: StorageSchemaMismatch,
    **dict.fromkeys((1264, 1366, 1406), StorageSchemaMismatch),  # a value that does not fit
    **dict.fromkeys((1049, 1146), StorageSchemaMissing),
}

_BY_RESULT_CODE: dict[int, Kind] = {
    3: StorageDenied,
    5: StorageBusy,
    6: StorageBusy,
    8: StorageDenied,
    11: StorageSchemaMismatch,  # a malformed file
    13: StorageFull,
    23: StorageDenied,
    26: StorageSchemaMismatch,  # not a database
}

# SQLite has one code for all mistakes in a statement; libpq has none for a refused connection.
_NO_DATABASE = re.compile('database ".*" does not exist|Unknown database')
_NO_LOGIN = re.compile(
    "password authentication failed|no password supplied|no pg_hba.conf entry|"
    'Peer authentication failed|role ".*" does not exist'
)
_BY_TEXT: tuple[tuple[str, Kind], ...] = (
    ("no such table", StorageSchemaMissing),
    ("no such column", StorageSchemaMismatch),
    ("has no column named", StorageSchemaMismatch),
    ("too many clients", StorageBusy),
    ("QueuePool limit", StorageBusy),
)

_TEXT_CHARS_MAX = 300


def storage_error(
    error: BaseException, *, name: str, statements: Statements
) -> StorageError | None:
    """What to raise instead of `error`, from it; None if it is no failure of a database.

    Args:
        error: what a driver, or what wraps it, raised.
        name: what the message calls the store.
        statements: whose tables the message names.
    """
    if isinstance(error, StorageError):
        return error
    if not _is_of_a_database(error):
        return None
    for each in _chain(error):
        kind = _kind(each)
        if kind is not None:
            text = driver_words(each)
            if kind is StorageSchemaMissing and _is_about(each, _NO_DATABASE, "3D", 1049):
                return kind(
                    f"there is no such database for {name} ({text}): make the database first"
                )
            if kind is StorageDenied and _is_about(each, _NO_LOGIN, "28", 1045, 1698):
                return kind(f"{name} refuses this ({text}): check the user and the password")
            return kind(_message(kind, name, text, statements))
    text = driver_words(error)
    return StorageUnavailable(_message(StorageUnavailable, name, text, statements))


def driver_words(error: BaseException) -> str:
    """What the innermost of an error and its causes says, in one line."""
    *_, innermost = _chain(error)
    return _text(innermost)


def schema_missing_text(name: str, reason: str, statements: Statements) -> str:
    """The message for tables that are not there, with the command that prints them."""
    command = f"reality schema --dialect {statements.dialect.name}"
    if statements.table_name != DEFAULT_TABLE_NAME:
        command += f" --table-name {statements.table_name}"
    return (
        f"{name} lacks its tables {', '.join(statements.tables)}, or one of them ({reason}): run "
        f"the statements that `{command}` prints"
    )


def _is_of_a_database(error: BaseException) -> bool:
    if isinstance(error, (OSError, EOFError)):
        return True
    return any(parent.__name__ in _DATABASE_ERRORS for parent in type(error).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what SQLAlchemy says it wraps, and the causes of that."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        wrapped = getattr(each, "orig", None)
        each = wrapped if isinstance(wrapped, BaseException) else each.__cause__


def _kind(error: BaseException) -> Kind | None:
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int) and (code & 0xFF) in _BY_RESULT_CODE:
        return _BY_RESULT_CODE[code & 0xFF]
    number = _number(error)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    sqlstate = _sqlstate(error)
    for known in (sqlstate, sqlstate[:3], sqlstate[:2]):
        if known in _BY_SQLSTATE:
            return _BY_SQLSTATE[known]
    text = str(error)
    if _NO_LOGIN.search(text):
        return StorageDenied
    if _NO_DATABASE.search(text):
        return StorageSchemaMissing
    return next((kind for part, kind in _BY_TEXT if part in text), None)


def _is_about(error: BaseException, words: re.Pattern[str], state: str, *numbers: int) -> bool:
    """Whether one of a driver's three ways to tell says this."""
    told = _number(error) in numbers or _sqlstate(error).startswith(state)
    return told or words.search(str(error)) is not None


def _number(error: BaseException) -> int:
    number = error.args[0] if error.args and not isinstance(error, OSError) else None
    return number if isinstance(number, int) else 0


def _sqlstate(error: BaseException) -> str:
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return sqlstate if isinstance(sqlstate, str) else ""


def _text(error: BaseException) -> str:
    """The driver's own words, in one line; SQLAlchemy's would have the parameters too."""
    words = " ".join(str(error).split())[:_TEXT_CHARS_MAX]
    return words or type(error).__name__


def _message(kind: Kind, name: str, text: str, statements: Statements) -> str:
    dialect, tables = statements.dialect.name, ", ".join(statements.tables)
    if kind is StorageBusy:
        return (
            f"{name} is locked by others, or overloaded ({text}): try again; if it stays so, look "
            "for long transactions, or allow more connections"
        )
    if kind is StorageDenied:
        grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO the_user"
        advice = (
            "let this process write the file, its -wal and -shm files, and the folder"
            if dialect == "sqlite"
            else f"check that the server is not read-only, and: {grant}"
        )
        return f"{name} refuses this ({text}): {advice}"
    if kind is StorageFull:
        return f"{name} has no room left ({text}): free disk space, or raise its quota"
    if kind is StorageSchemaMissing:
        return schema_missing_text(name, text, statements)
    if kind is StorageSchemaMismatch:
        return (
            f"{name} is not what this package has made ({text}): choose another table name, or "
            "restore a backup"
        )
    return (
        f"{name} cannot be reached, or dropped the connection ({text}): check that it runs and "
        "that its address is right; no restart is needed once it answers"
    )
