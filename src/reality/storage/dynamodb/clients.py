"""Where the store's own client comes from: environment, parameters, or the application's client.

The store lives in an event loop of its own, so it never uses the application's client itself: it
makes one to the same endpoint, in the same region, with the same credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from reality.errors import MissingDependency

try:
    from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
    from aiobotocore.credentials import (  # type: ignore[import-untyped]
        AioCredentials,
        AioRefreshableCredentials,
    )
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]
    from botocore.credentials import RefreshableCredentials  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingDependency(
        "aiobotocore", extra="dynamodb", needed_for="the DynamoDB store"
    ) from error

# Requests of one store under way at once.
CONNECTIONS_MAX = 32
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 10

ClientFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]


def client_factory(
    client: Any = None,
    *,
    endpoint_url: str | None = None,
    region_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
) -> ClientFactory:
    """What makes the store's own client, each time it is called.

    Args:
        client: a client for DynamoDB of boto3, aioboto3 or aiobotocore, to be like; or a factory of
            clients of aiobotocore; or nothing.
        endpoint_url: instead of the client's, or of AWS's.
        region_name: instead of the client's, or of the environment's.
        aws_access_key_id: with the secret, instead of the client's or the environment's.
        aws_secret_access_key: see `aws_access_key_id`.
        aws_session_token: of temporary credentials.

    Raises:
        ValueError: the client's credentials cannot be shared, or it is for another service.
    """
    if callable(client):
        return client  # type: ignore[no-any-return]
    session = AioSession()
    if client is not None:
        _check(client)
        endpoint_url = endpoint_url or client.meta.endpoint_url
        region_name = region_name or client.meta.region_name
        lent = client._request_signer._credentials  # noqa: SLF001 - told in no other way
        if lent is not None and aws_access_key_id is None:
            session._credentials = _Lent(lent)  # noqa: SLF001 - takes no object in other ways

    def make() -> AbstractAsyncContextManager[Any]:
        made: AbstractAsyncContextManager[Any] = session.create_client(
            "dynamodb",
            endpoint_url=endpoint_url,
            region_name=region_name,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            config=_config(client),
        )
        return made

    return make


class _Lent(AioCredentials):  # type: ignore[misc]  # aiobotocore has no types
    """The credentials of another client, asked for with every request: they may change."""

    def __init__(self, lender: Any) -> None:
        self._lender = lender
        self.method = lender.method
        self.account_id = None

    async def get_frozen_credentials(self) -> Any:
        if isinstance(self._lender, RefreshableCredentials):
            return await asyncio.to_thread(self._lender.get_frozen_credentials)  # may ask a server
        frozen = self._lender.get_frozen_credentials()
        return await frozen if asyncio.iscoroutine(frozen) else frozen


def _check(client: Any) -> None:
    service = client.meta.service_model.service_name
    if service != "dynamodb":
        raise ValueError(f"the client must be for dynamodb, this one is for {service}")
    if isinstance(client._request_signer._credentials, AioRefreshableCredentials):  # noqa: SLF001
        # They are refreshed under a lock, and with connections, of the application's event loop.
        raise ValueError(
            "the credentials of this asynchronous client are refreshed in its own event loop and "
            "cannot be shared: give the store a factory instead, for example "
            "DynamoDBStorage(lambda: session.create_client('dynamodb')) with aiobotocore, or "
            "DynamoDBStorage(lambda: session.client('dynamodb')) with aioboto3"
        )


def _config(client: Any) -> Any:
    config = AioConfig(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS_MAX,
        # The table tries again itself: it must know which failures may have done their work.
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    proxies = getattr(client.meta.config, "proxies", None) if client is not None else None
    return config.merge(AioConfig(proxies=proxies)) if proxies else config
