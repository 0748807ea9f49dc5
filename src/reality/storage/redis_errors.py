"""What errors of Redis mean for a store, and what to do about each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reality.errors import (
    MissingDependency,
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageUnavailable,
)

try:
    from redis.exceptions import (
        AuthenticationError,
        AuthorizationError,
        BusyLoadingError,
        ConnectionError,  # noqa: A004 - the package's own name for it
        ResponseError,
    )
except ImportError as error:
    raise MissingDependency("redis", extra="redis", needed_for="RedisStorage") from error

# By the word that Redis' errors begin with: what it means, and what to do.
_OTHER_KEYS = "another use of these keys: give this store a prefix of its own"
_ANSWERS: Mapping[str, tuple[type[StorageError], str]] = {
    "OOM": (StorageFull, "raise its maxmemory, or remove other data"),
    "MISCONF": (StorageFull, "it cannot save to its disk: see its log, and make room"),
    "WRONGTYPE": (StorageSchemaMismatch, f"there is {_OTHER_KEYS}"),
    "SCHEMA": (
        StorageSchemaMismatch,
        f"a newer release made this store: update this one. Or there is {_OTHER_KEYS}",
    ),
    "NOAUTH": (StorageDenied, "give a password"),
    "WRONGPASS": (StorageDenied, "correct user name and password"),
    "NOPERM": (
        StorageDenied,
        "its user needs ~{<prefix>}:* &{<prefix>}:* +@read +@write +@scripting +@pubsub",
    ),
    "READONLY": (StorageDenied, "this is a replica: name the primary"),
    "LOADING": (StorageBusy, "it still reads its data from disk: wait"),
    "BUSY": (StorageBusy, "a script keeps it busy: wait, or send it SCRIPT KILL"),
    "TRYAGAIN": (StorageBusy, "its cluster moves slots: wait"),
    "CLUSTERDOWN": (StorageUnavailable, "its cluster is down: see CLUSTER INFO"),
    "MASTERDOWN": (StorageUnavailable, "this replica has lost its primary: name another"),
    "MOVED": (StorageUnavailable, "name the node of the cluster that holds these keys"),
    "ASK": (StorageUnavailable, "name the node of the cluster that holds these keys"),
}
_WORD = re.compile(r"\b[A-Z]{3,}\b")
# Two refusals begin with no such word: a script's command, and a long call without a password.
_WORDLESS = {"user executing the script": "NOPERM", "unauthenticated": "NOAUTH"}


def explained(error: Exception, *, name: str, prefix: str) -> StorageError:
    """The error to raise from Redis' own.

    Args:
        error: of redis-py, or of the operating system.
        name: the store's.
        prefix: of the store's keys.
    """
    text = f"{getattr(error, 'status_code', None) or ''} {error}"
    words = [word for part, word in _WORDLESS.items() if part in text] + _WORD.findall(text)
    for word in words:
        if word in _ANSWERS:
            kind, advice = _ANSWERS[word]
            return kind(f"{name} refuses ({word}): {advice.replace('<prefix>', prefix)}")
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return StorageDenied(f"{name} refuses: correct user name and password")
    if isinstance(error, ResponseError):
        # What a script had done until then is unknown: it may have been all.
        return StorageUnavailable(f"{name} failed: {error}")
    return StorageUnavailable(
        f"{name} cannot be reached, or the connection was lost: check that it runs and that this "
        "host may connect to it"
    )


def is_lost_connection(error: Exception) -> bool:
    """Whether a new connection may help at once."""
    refusals = (AuthenticationError, AuthorizationError, BusyLoadingError)
    return isinstance(error, ConnectionError) and not isinstance(error, refusals)
