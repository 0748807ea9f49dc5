"""The table itself: keys, index and billing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from botocore.exceptions import WaiterError  # type: ignore[import-untyped]

from reality.errors import StorageUnavailable
from reality.storage.dynamodb.clients import client_factory
from reality.storage.dynamodb.failures import RAISED, Exists
from reality.storage.dynamodb.items import INDEX
from reality.storage.dynamodb.table import Table

_ACTIVE_WITHIN_S = 120


async def create_table(
    client: Any = None,
    table_name: str = "reality",
    *,
    endpoint_url: str | None = None,
    region_name: str | None = None,
) -> None:
    """Make the table that `DynamoDBStorage` needs, with on-demand billing, unless it exists.

    From a command line: `python -c "import asyncio; from reality.storage import dynamodb;
    asyncio.run(dynamodb.create_table(table_name='reality'))"`.

    Args:
        client: as for `DynamoDBStorage`; nothing takes what the environment configures.
        table_name: of the table.
        endpoint_url: for DynamoDB elsewhere than at AWS.
        region_name: of AWS.

    Raises:
        StorageError: it could not be made.
    """
    factory = client_factory(client, endpoint_url=endpoint_url, region_name=region_name)
    table = Table(factory, table_name, region_name)
    try:
        await create(table)
    finally:
        await table.close()


async def create(table: Table) -> None:
    """Make the table unless it exists, and wait until it can be used."""
    with suppress(Exists):
        await table.request(
            "create_table",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_key_schema("pk", "sk"),
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": "sequence", "AttributeType": "N"},
            ],
            LocalSecondaryIndexes=[
                {
                    "IndexName": INDEX,
                    "KeySchema": _key_schema("pk", "sequence"),
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
    waiter = (await table.connected()).get_waiter("table_exists")
    pace = {"Delay": 1, "MaxAttempts": _ACTIVE_WITHIN_S}
    try:
        await waiter.wait(TableName=table.table_name, WaiterConfig=pace)
    except (WaiterError, *RAISED) as error:
        raise StorageUnavailable(
            f"{table.name} was made, but is not in use after {_ACTIVE_WITHIN_S} s ({error}). Try "
            "again"
        ) from error


def _key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]
