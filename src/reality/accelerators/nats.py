"""Hints through a subject of NATS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from reality.accelerators.base import Channel, place, unavailable
from reality.errors import AcceleratorUnavailable, MissingDependency

try:
    from nats.aio.client import Client
    from nats.aio.subscription import Subscription
    from nats.errors import Error as NatsError
except ImportError as error:
    raise MissingDependency("nats-py", extra="nats", needed_for="NatsAccelerator") from error

_TIMEOUT_S = 5
# Hints that wait to be taken; more of them are dropped, as one is as good as many.
_PENDING_MAX = 1024
_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
# What of an application's connection is taken over.
_OPTIONS = ("user", "password", "token", "tls", "tls_hostname", "tls_handshake_first")


class NatsAccelerator:
    """Hints by publishing to a subject, on one connection of its own.

    Args:
        client_or_url: `nats://` or `tls://`, several with commas between; or the application's
            client, which must be connected by the time it is used. A client only tells servers,
            user, password, token and TLS: its own connection is never used, nor closed.
        subject: servers that should hear each other use the same.
        options: more for `nats.connect`, such as `{"user_credentials": "/etc/app/nats.creds"}`.

    Attributes:
        name: what errors and logs call it: subject and address.

    Raises:
        ValueError: this is neither such a URL nor a client, or no subject.
    """

    kind = "nats"

    def __init__(
        self,
        client_or_url: str | Client,
        subject: str = "reality.updates",
        *,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(subject, str) or _SUBJECT.fullmatch(subject) is None:
            raise ValueError(f"subject must be words with dots between, got {subject!r}")
        self._client: Client | None = None
        self._servers: list[str] = []
        at = "the application's servers"
        if isinstance(client_or_url, str):
            self._servers = [each.strip() for each in client_or_url.split(",")]
            at = ", ".join(_checked(each) for each in self._servers)
        elif isinstance(client_or_url, Client):
            self._client = client_or_url
        else:
            raise ValueError(
                f"NatsAccelerator takes a URL or a client, got {type(client_or_url).__name__}"
            )
        self._subject = subject
        self._options = dict(options or {})
        self.name = f"the NATS subject {subject!r} at {at}"

    async def connect(self) -> Channel:
        """See `Accelerator.connect`."""
        servers, options = self._servers, self._options
        if self._client is not None:
            servers = [each.geturl() for each in self._client.servers]
            given = self._client.options
            options = {each: given[each] for each in _OPTIONS if given.get(each)} | options
        if not servers:
            raise AcceleratorUnavailable(
                f"{self.name}: its client was never connected, so it knows no servers: connect it "
                "first, or give NatsAccelerator a URL"
            )
        client = Client()
        try:
            await client.connect(
                **{
                    "connect_timeout": _TIMEOUT_S,
                    **options,
                    "servers": servers,
                    # A driver that connects anew by itself would hide what was missed meanwhile.
                    "allow_reconnect": False,
                    "max_reconnect_attempts": 1,
                    "reconnect_time_wait": 0,
                    "no_echo": False,
                    "error_cb": _leave_it,
                }
            )
            subscription = await client.subscribe(self._subject, pending_msgs_limit=_PENDING_MAX)
            # Once the server has answered, nothing is missed any more. The driver (2.16) sends a
            # first PING ahead of what it still has to send, so only a second one follows on it.
            await client.flush(_TIMEOUT_S)
            await client.flush(_TIMEOUT_S)
        except BaseException as error:
            await _close(client)
            if isinstance(error, (NatsError, OSError, TimeoutError)):
                raise unavailable(self.name, error) from error
            raise
        return _NatsChannel(client, subscription, self._subject, self.name)


class _NatsChannel:
    def __init__(self, client: Client, subscription: Subscription, subject: str, name: str) -> None:
        self._client = client
        self._subscription = subscription
        self._subject = subject
        self._name = name

    async def publish(self, payload: bytes) -> None:
        try:
            await self._client.publish(self._subject, payload)
            await self._client.flush(_TIMEOUT_S)
        except (NatsError, OSError, TimeoutError) as error:
            raise unavailable(self._name, error) from error

    async def receive(self) -> bytes:
        try:
            return (await self._subscription.next_msg(timeout=None)).data
        except (NatsError, OSError) as error:
            raise unavailable(self._name, error) from error

    async def close(self) -> None:
        await _close(self._client)


async def _close(client: Client) -> None:
    with suppress(NatsError, OSError, AssertionError):  # the last: it was never connected
        await client.close()


async def _leave_it(_error: Exception) -> None:
    """What breaks the connection is raised by the next call; the driver would log it."""


def _checked(url: str) -> str:
    if url.partition("://")[0] not in ("nats", "tls"):
        raise ValueError("the URL of NatsAccelerator must be nats://host:4222 or tls://host:4222")
    return place(url)
