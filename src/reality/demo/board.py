"""The posts of the board: rows of a SQLite file, safe to use from any thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

AUTHOR_CHARS_MAX = 40
TEXT_CHARS_MAX = 500
SHOWN_MAX = 100
_BUSY_TIMEOUT_S = 5
_ID_MAX = 2**63 - 1  # SQLite's largest integer; sqlite3 refuses to look for a larger one

# AUTOINCREMENT: the id of a deleted post is never used again, so that a page which has not heard of
# the deletion yet cannot delete another post in its place.
_TABLE = """
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    posted_at INTEGER NOT NULL
)
"""


class Post(msgspec.Struct, frozen=True, rename="camel"):
    """One post. `posted_at` is in milliseconds since the epoch."""

    id: int
    author: str
    text: str
    posted_at: int


class Draft(msgspec.Struct, frozen=True):
    """What somebody wants to post."""

    author: str
    text: str

    def checked(self) -> Draft:
        """The draft without needless white space.

        Raises:
            ValueError: the author or the text is empty or too long; the text names which.
        """
        draft = Draft(author=" ".join(self.author.split()), text=self.text.strip())
        _check_length("author", draft.author, AUTHOR_CHARS_MAX)
        _check_length("text", draft.text, TEXT_CHARS_MAX)
        return draft


class Board:
    """All posts. Every call has a connection of its own and is one transaction."""

    def __init__(self, database: Path) -> None:
        """Open the board in this file, or make it.

        Raises:
            sqlite3.Error: the file cannot be opened, or is no SQLite database.
        """
        self._database = database
        with self._transaction() as connection:
            # Readers and the writer do not wait for each other; remembered by the file.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)

    def latest(self) -> list[Post]:
        """The newest posts, at most 100, the newest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, author, text, posted_at FROM posts ORDER BY id DESC LIMIT ?",
                (SHOWN_MAX,),
            )
            return [Post(*row) for row in rows]

    def add(self, draft: Draft) -> Post:
        """Store a checked draft; it is committed on return."""
        posted_at = time.time_ns() // 1_000_000
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO posts (author, text, posted_at) VALUES (?, ?, ?)",
                (draft.author, draft.text, posted_at),
            )
        return Post(cursor.lastrowid or 0, draft.author, draft.text, posted_at)

    def delete(self, post_id: int) -> bool:
        """Delete a post, and tell whether there was one; it is committed on return."""
        if post_id > _ID_MAX:
            return False
        with self._transaction() as connection:
            return connection.execute("DELETE FROM posts WHERE id = ?", (post_id,)).rowcount > 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        opened = sqlite3.connect(self._database, timeout=_BUSY_TIMEOUT_S)
        # The inner context commits, or rolls back, before the outer one closes.
        with closing(opened) as connection, connection:
            yield connection


def _check_length(member: str, value: str, chars_max: int) -> None:
    if not 1 <= len(value) <= chars_max:
        raise ValueError(f"`{member}` must have 1 to {chars_max} characters, got {len(value)}")
