"""`reality watch`: a live table on a terminal, a line a change elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from reality.client import AsyncRealityClient, KeyState
from reality.client.fetching import is_same_error


class Watch:
    """What has been seen of some keys."""

    def __init__(self, url: str, keys: Sequence[str], *, changes_max: int | None) -> None:
        """`changes_max`: end after so many changes; None watches until interrupted."""
        self._url = url
        self._keys = list(dict.fromkeys(keys))
        self._changes_max = changes_max
        self._states: dict[str, KeyState[Any]] = {}
        self._changes = dict.fromkeys(self._keys, 0)
        self._done = asyncio.Event()

    async def run(self, console: Console) -> None:
        """Watch until enough has changed."""
        async with AsyncRealityClient(self._url) as client:
            if console.is_terminal:
                with Live(get_renderable=self.table, console=console, refresh_per_second=8):
                    await self._follow(client, None)
            else:
                await self._follow(client, console)

    def table(self) -> Table:
        """The present state of all keys."""
        table = Table(title=f"{self._url} · Ctrl-C ends")
        for column in ("key", "version", "hash", "changes", "last change", "status"):
            table.add_column(
                column, justify="right" if column in ("version", "changes") else "left"
            )
        for key in self._keys:
            state = self._states.get(key)
            table.add_row(key, *self._cells(state), str(state.error or "live") if state else "…")
        return table

    async def _follow(self, client: AsyncRealityClient, console: Console | None) -> None:
        for key in self._keys:
            client.subscribe(key, lambda state: self._tell(state, console))
        await self._done.wait()

    def _tell(self, state: KeyState[Any], console: Console | None) -> None:
        before = self._states.get(state.key)
        self._states[state.key] = state
        is_new = before is None or not is_same_error(before.error, state.error)
        if console is not None and state.error is not None and is_new:
            console.print(f"{state.key}  {state.error}", markup=False, soft_wrap=True)
        if state.meta is None or (before is not None and before.meta == state.meta):
            return
        # The first report says where the key stands; each one after it is a change.
        is_change = before is not None and before.meta is not None
        self._changes[state.key] += is_change
        if console is not None:
            deleted = "  deleted" if state.meta.deleted else ""
            text = f"{_clock(state)}  {state.key}  version {state.meta.version}{deleted}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if self._changes_max is not None and sum(self._changes.values()) >= self._changes_max:
            self._done.set()

    def _cells(self, state: KeyState[Any] | None) -> tuple[str, str, str, str]:
        if state is None or state.meta is None:
            return "", "", "0", ""
        changes = self._changes[state.key]
        return (
            str(state.meta.version),
            state.meta.hash or "–",
            str(changes),
            _clock(state) if changes else "",
        )


def _clock(state: KeyState[Any]) -> str:
    at_s = state.meta.updated_at if state.meta is not None else 0.0
    return datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%H:%M:%S")
