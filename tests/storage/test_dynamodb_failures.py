"""The DynamoDB store: what its failures are called, and where its clients come from."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
import pytest
from aiobotocore.credentials import AioRefreshableCredentials  # type: ignore[import-untyped]
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore.credentials import RefreshableCredentials  # type: ignore[import-untyped]

from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)
from reality.storage.dynamodb import DynamoDBStorage, create_table, reading
from reality.storage.dynamodb.items import STORE_KEY
from reality.testing.model import batch
from tests.support.dynamodb import CREDENTIALS, REGION, Answers, DynamoDBServer, new_table_name
from tests.support.processes import free_port


@pytest.fixture
async def storage(dynamodb: DynamoDBServer) -> AsyncIterator[DynamoDBStorage]:
    storage = dynamodb.storage()
    await storage.open()
    yield storage
    await storage.close()


# ---- failures -----------------------------------------------------------------------------------


def at(url: str, **more: Any) -> DynamoDBStorage:
    return DynamoDBStorage(endpoint_url=url, region_name=REGION, **{**CREDENTIALS, **more})


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ProvisionedThroughputExceededException", StorageBusy),
        (400, "ThrottlingException", StorageBusy),
        (400, "AccessDeniedException", StorageDenied),
        (400, "UnrecognizedClientException", StorageDenied),
        (400, "ExpiredTokenException", StorageDenied),
        (400, "ItemCollectionSizeLimitExceededException", StorageFull),
        (400, "ValidationException", StorageSchemaMismatch),
        (500, "InternalServerError", StorageUnavailable),
        (400, "SomethingNewException", StorageError),
    ],
)
async def test_failures_are_named(status: int, code: str, expected: type[StorageError]) -> None:
    """Each answer of DynamoDB becomes the error that says what to do, with the store's name."""
    with Answers((status, code)) as endpoint:
        storage = at(endpoint.url)
        with pytest.raises(StorageError) as caught:
            await storage.open()
        await storage.close()

    assert type(caught.value) is expected
    assert f"DynamoDB table 'reality' ({REGION})" in str(caught.value)
    assert code in str(caught.value)
    assert caught.value.__cause__ is not None


async def test_a_failure_after_a_lost_answer_may_have_been_done() -> None:
    """Throttled after a lost answer, a write is not said to be undone."""
    with Answers(None, (400, "ThrottlingException")) as endpoint:
        storage = at(endpoint.url)
        with pytest.raises(StorageUnavailable, match="Throttling"):
            await storage.append([batch("a")])
        await storage.close()


async def test_nobody_listens() -> None:
    """An endpoint that cannot be reached is reported soon."""
    storage = at(f"http://127.0.0.1:{free_port()}")
    async with asyncio.timeout(10):
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            await storage.open()
    await storage.close()


async def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without credentials the error says so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    storage = DynamoDBStorage(region_name=REGION, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(StorageDenied, match="credentials"):
        await storage.open()
    await storage.close()


async def test_a_newer_schema_is_refused(storage: DynamoDBStorage) -> None:
    """A table of a newer release is left alone."""
    await storage._table.put({**STORE_KEY, "schema": reading.SCHEMA + 1})

    for failing in (storage.open(), storage.append([batch("a")]), storage.read(["a"])):
        with pytest.raises(StorageSchemaMismatch, match="newer release"):
            await failing


async def test_a_missing_table_is_not_made_unasked(dynamodb: DynamoDBServer) -> None:
    """With `create=False` the table must be there; `create_table` makes it, and does so twice."""
    parameters = dynamodb.parameters()
    storage = DynamoDBStorage(**parameters, create=False)
    with pytest.raises(StorageSchemaMissing, match="create_table"):
        await storage.open()

    for _ in range(2):
        await create_table(dynamodb.factory(), parameters["table_name"])

    assert 0 == (await storage.open()).head.position.sequence
    await storage.close()


# ---- clients ------------------------------------------------------------------------------------


async def test_a_boto3_client_is_copied(dynamodb: DynamoDBServer) -> None:
    """The store makes its own client from one of boto3, with credentials that may be refreshed."""
    refreshed: list[str] = []

    def refresh() -> dict[str, str]:
        refreshed.append("once")
        end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        return {
            "access_key": "refreshed",
            "secret_key": "invented",
            "token": "invented",
            "expiry_time": end.isoformat(),
        }

    session = botocore.session.get_session()
    session._credentials = RefreshableCredentials.create_from_metadata(
        refresh(), refresh_using=refresh, method="test"
    )
    client = boto3.Session(botocore_session=session).client(
        "dynamodb", endpoint_url=dynamodb.url, region_name=REGION
    )
    session._credentials._expiry_time = dt.datetime.now(dt.UTC)
    storage = DynamoDBStorage(client, table_name=new_table_name())

    await storage.open()
    await storage.append([batch("a")])

    assert f"({REGION})" in storage.name
    assert 2 == len(refreshed)
    await storage.close()
    assert client.list_tables()["TableNames"]
    client.close()


async def test_an_asynchronous_client_is_copied(dynamodb: DynamoDBServer) -> None:
    """The store makes its own client from one of aiobotocore, which stays open."""
    async with dynamodb.factory()() as client:
        storage = DynamoDBStorage(client, table_name=new_table_name())
        await storage.open()
        await storage.append([batch("a")])

        assert storage._table._client is not client
        assert (
            storage._table._client._request_signer._credentials._lender.access_key
            == (CREDENTIALS["aws_access_key_id"])
        )
        await storage.close()
        assert (await client.list_tables())["TableNames"]


async def test_clients_that_cannot_be_copied_are_refused(dynamodb: DynamoDBServer) -> None:
    """Credentials refreshed in another loop need a factory, and the service must be DynamoDB."""
    session = AioSession()
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    session._credentials = AioRefreshableCredentials("key", "secret", "token", end, None, "test")
    async with session.create_client("dynamodb", region_name=REGION) as client:
        with pytest.raises(ValueError, match="factory"):
            DynamoDBStorage(client)
    with pytest.raises(ValueError, match="sqs"):
        DynamoDBStorage(boto3.client("sqs", region_name=REGION, **CREDENTIALS))
