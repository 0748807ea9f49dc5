"""What botocore raises, as errors of the storage tree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from botocore import exceptions as boto  # type: ignore[import-untyped]

from reality.errors import (
    StorageBusy,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageSchemaMismatch,
    StorageSchemaMissing,
    StorageUnavailable,
)

RAISED = (
    boto.BotoCoreError,
    boto.ClientError,
    aiohttp.ClientError,
    asyncio.TimeoutError,
    OSError,
)

_BUSY = {
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.LoginError,
    boto.NoAuthTokenError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.UnknownCredentialError,
)


class Exists(Exception):
    """The table exists, or is being made."""


class Refused(Exception):
    """The condition of a write did not hold. `item` is what was found there, if anything."""

    def __init__(self, item: Mapping[str, Any] | None) -> None:
        super().__init__("the condition did not hold")
        self.item = item


def translated(error: BaseException, name: str) -> StorageError:
    """The storage error that says what botocore's means, for the store of this name."""
    if isinstance(error, boto.ClientError):
        return _answered(error, name)
    if isinstance(error, _CREDENTIALS):
        return StorageDenied(
            f"{name}: no usable credentials ({error}). Give the process a role or credentials that "
            "boto3 finds, or pass them to the store"
        )
    if isinstance(error, boto.NoRegionError):
        return StorageUnavailable(
            f"{name}: no region is configured. Write dynamodb://TABLE?region=eu-west-1, pass "
            "region_name=, or set AWS_DEFAULT_REGION"
        )
    return StorageUnavailable(
        f"{name} cannot be reached ({type(error).__name__}: {error}). Check region, endpoint and "
        "network; it is tried again with the next use"
    )


def _answered(error: boto.ClientError, name: str) -> StorageError:
    answer = error.response.get("Error", {})
    code, text = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    why = f"({code}: {text})"
    failure: StorageError = StorageError(f"{name} refused a request {why}")
    if code in _BUSY:
        failure = StorageBusy(
            f"{name} is throttled {why}. Try again later; if it stays so, use on-demand billing or "
            "raise the table's capacity"
        )
    elif code in _DENIED:
        failure = StorageDenied(
            f"{name} refuses these credentials {why}. They need GetItem, PutItem, UpdateItem, "
            "BatchGetItem, BatchWriteItem and Query on the table and its index, and CreateTable "
            "and DescribeTable unless the table was made beforehand"
        )
    elif code == "ResourceNotFoundException":
        failure = StorageSchemaMissing(
            f"{name} does not exist, or lacks its index {why}. Make it with "
            "`await reality.storage.dynamodb.create_table(client, table_name)`, or check region "
            "and table name"
        )
    elif code == "ItemCollectionSizeLimitExceededException" or "Item size" in text:
        failure = StorageFull(
            f"{name} has no room for this {why}. Invalidate fewer names at once, or patterns "
            "instead of names; a partition of the table takes 10 GB"
        )
    elif code == "ValidationException":
        failure = StorageSchemaMismatch(
            f"{name} is not a table that this package made {why}. Choose another table name, and "
            "make the table with `reality.storage.dynamodb.create_table`"
        )
    elif status >= 500:
        failure = StorageUnavailable(f"{name} failed {why}. It is tried again with the next use")
    return failure
