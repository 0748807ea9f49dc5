"""Accelerators by URL.

redis://host:6379/0                          rediss:// and unix:// as well
postgresql://user:password@host/database     postgresql+asyncpg:// names the driver
nats://host:4222                             tls:// as well; several with commas between
"""

from __future__ import annotations

from reality.accelerators.base import Accelerator


def accelerator_from_url(url: str) -> Accelerator:
    """The accelerator that a URL names, on the usual channel. Nothing is connected.

    Args:
        url: see the module.

    Raises:
        ValueError: the URL is malformed, or of no kind that this package knows.
        MissingDependency: this kind needs a package that is not installed.
    """
    scheme, mark, _ = url.partition("://")
    kind = scheme.partition("+")[0] if mark else ""
    if kind in ("redis", "rediss", "unix"):
        from reality.accelerators.redis import RedisAccelerator

        return RedisAccelerator(url)
    if kind in ("postgresql", "postgres"):
        from reality.accelerators.postgres import PostgresAccelerator

        return PostgresAccelerator(url)
    if kind in ("nats", "tls"):
        from reality.accelerators.nats import NatsAccelerator

        return NatsAccelerator(url)
    raise ValueError(
        "an accelerator's URL begins with redis://, rediss://, unix://, postgresql://, nats:// or "
        f"tls://, and not with {kind + '://' if kind else 'none of them'}"
    )
