"""Hints through NOTIFY of PostgreSQL, by psycopg 3 or asyncpg, whichever is installed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from reality.accelerators.base import Channel, place
from reality.errors import MissingDependency

_DRIVERS = ("psycopg", "asyncpg")
_CHANNEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def _installed(drivers: Sequence[str]) -> str:
    """The first of these that is installed."""
    for driver in drivers:
        with suppress(ImportError):
            return import_module(driver).__name__
    raise MissingDependency(drivers[0], extra="postgres", needed_for="PostgresAccelerator")


_DEFAULT_DRIVER = _installed(_DRIVERS)


class PostgresAccelerator:
    """Hints by NOTIFY and LISTEN, on one connection of its own.

    It must reach the server itself: behind PgBouncer in transaction mode nothing is heard.

    Args:
        dsn: `postgresql://user:password@host/database`; with psycopg also "host=… dbname=…".
            `postgresql+psycopg://` and `postgresql+asyncpg://` name a driver; otherwise it is the
            one that is installed, psycopg if both are.
        channel: servers that should hear each other use the same, in the same database. A name of
            letters, digits and underscores.

    Attributes:
        name: what errors and logs call it: channel and address.

    Raises:
        ValueError: this is no such DSN or channel.
        MissingDependency: the driver that it names is not installed.
    """

    kind = "postgresql"

    def __init__(self, dsn: str, channel: str = "reality_updates") -> None:
        if not isinstance(channel, str) or _CHANNEL.fullmatch(channel) is None:
            raise ValueError(
                "channel must be a name of letters, digits and underscores, up to 63, got "
                f"{channel!r}"
            )
        if not isinstance(dsn, str):
            raise ValueError(f"PostgresAccelerator takes a DSN, got a {type(dsn).__name__}")
        self._channel = channel
        self._dsn, self._driver = _dsn_and_driver(dsn)
        at = place(self._dsn) if "://" in self._dsn else _place_of_words(self._dsn)
        self.name = f"the PostgreSQL channel {channel!r} at {at}"

    async def connect(self) -> Channel:
        """See `Accelerator.connect`."""
        if self._driver == "asyncpg":
            from reality.accelerators.postgres.with_asyncpg import AsyncpgChannel

            return await AsyncpgChannel.opened(self._dsn, self._channel, self.name)
        from reality.accelerators.postgres.with_psycopg import PsycopgChannel

        return await PsycopgChannel.opened(self._dsn, self._channel, self.name)


def _dsn_and_driver(dsn: str) -> tuple[str, str]:
    """The DSN as drivers know it, and the driver."""
    scheme, mark, rest = dsn.partition("://")
    kind, plus, driver = scheme.partition("+")
    if plus and driver not in _DRIVERS:
        raise ValueError("PostgresAccelerator needs psycopg (3) or asyncpg: name no other driver")
    if mark and kind not in ("postgresql", "postgres"):
        raise ValueError(
            "the URL of PostgresAccelerator must be postgresql://user:password@host/database"
        )
    chosen = _installed([driver]) if plus else _DEFAULT_DRIVER
    return (f"{kind}://{rest}" if mark else dsn), chosen


def _place_of_words(dsn: str) -> str:
    """Host and port of "host=… port=…", which libpq reads."""
    _installed(["psycopg"])
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        words = conninfo_to_dict(dsn)
    except ProgrammingError:  # whose words may have a part of the password
        raise ValueError(
            "the DSN of PostgresAccelerator must be postgresql://user:password@host/database, or "
            '"host=… dbname=… user=…"'
        ) from None
    return f"{words.get('host') or 'localhost'}:{words.get('port') or 5432}"
