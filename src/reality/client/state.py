"""What subscribers are told about a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from reality.core.freshness import Status

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Meta:
    """A key's metadata, as last reported by a server.

    Attributes:
        key: its name.
        version: its version; 0 before any server has reported one.
        hash: hash of the data, "" if unknown.
        updated_at: the server's clock when it reported this version, in seconds since the epoch.
        deleted: whether the last touch was a deletion.
    """

    key: str
    version: int = 0
    hash: str = ""
    updated_at: float = 0.0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class KeyState(Generic[Data]):
    """A snapshot of a key: its data and how fresh it is.

    Attributes:
        key: its name.
        data: what the fetcher returned last, or the fallback; the same object while it is equal.
        meta: its metadata; None before the first answer.
        status: idle (fresh), loading (first data is on its way), syncing (newer data is on its
            way), stale (a fetch is due) or error (the last fetch, or the last sync, failed).
        error: the failure behind `error`, until something succeeds.
        last_sync_at: when a server last answered for this key, in seconds since the epoch.
    """

    key: str
    data: Data | None = None
    meta: Meta | None = None
    status: Status = "loading"
    error: BaseException | None = None
    last_sync_at: float | None = None

    @property
    def is_loading(self) -> bool:
        """Whether there is no data yet, but soon will be."""
        return self.status == "loading"

    @property
    def is_syncing(self) -> bool:
        """Whether a fetch of newer data is under way."""
        return self.status == "syncing"

    @property
    def is_stale(self) -> bool:
        """Whether the data is known not to be the newest, or that cannot be told."""
        return self.status in ("stale", "syncing", "error")
