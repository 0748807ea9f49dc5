"""What the connections of a store's own are told: those of SQLAlchemy's engines and of Django.

They are in autocommit mode, so that a single statement is one round trip; transactions are opened
and ended by statements. Bare executors are the application's, and do as it likes.
"""

from __future__ import annotations

from typing import NamedTuple

LOCK_TIMEOUT_S = 3
# A process that stands still in the middle of an append must not stop all others.
IDLE_IN_TRANSACTION_S = 10


class Session(NamedTuple):
    """How a store uses its connections to one kind of database.

    Attributes:
        begin: opens a transaction.
        settings: what a new connection is told, once.
    """

    begin: str
    settings: tuple[str, ...]


# By the name of the dialect.
SESSIONS = {
    "postgres": Session(
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        (
            f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'",
            f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S}s'",
        ),
    ),
    "mysql": Session(
        "START TRANSACTION",
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}",
            f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT_S}",
        ),
    ),
    "sqlite": Session(
        "BEGIN IMMEDIATE",
        (f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}", "PRAGMA synchronous = FULL"),
    ),
}
