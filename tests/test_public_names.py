"""The public surface: a list kept by hand, so that no name comes or goes unnoticed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import reality
from reality.server.blocking import BlockingServer

PUBLIC_NAMES_MAX = 30
PUBLIC_NAMES = (
    "AsyncRealityClient",
    "Authorizer",
    "Cors",
    "DynamoDBStorage",
    "KeyState",
    "Limits",
    "MemoryStorage",
    "Mesh",
    "Meta",
    "NatsAccelerator",
    "Node",
    "PostgresAccelerator",
    "RealityError",
    "RealityServer",
    "RedisAccelerator",
    "RedisStorage",
    "SQLAlchemyStorage",
    "SQLStorage",
    "SQLiteStorage",
    "ServerStatus",
    "Stats",
    "Storage",
    "StorageError",
    "Subscription",
    "SyncRequest",
    "SyncResponse",
    "__version__",
    "create_hash",
)

# What a server has and its blocking twin has not: doors to HTTP, and what only HTTP needs.
ASYNC_ONLY = {"asgi", "blocking", "check_ready", "end_waits", "is_ready", "may_hold", "run"}
ASYNC_ONLY_PARAMETERS = {"disconnected", "hidden"}


def test_the_public_names_are_these() -> None:
    """`reality.__all__` is the list above: sorted, and no longer than promised."""
    assert reality.__all__ == PUBLIC_NAMES
    assert list(PUBLIC_NAMES) == sorted(PUBLIC_NAMES)
    assert len(PUBLIC_NAMES) <= PUBLIC_NAMES_MAX


def test_the_lazy_names_are_the_public_ones() -> None:
    """What is loaded at first use is exactly what is announced, and `dir` shows it."""
    assert {*reality._HOMES, "__version__"} == set(PUBLIC_NAMES)
    assert dir(reality) == list(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    """Every public name can be used, and says what it is."""
    value = getattr(reality, name)

    assert name == "__version__" or inspect.getdoc(value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it would in any module."""
    with pytest.raises(AttributeError, match="module 'reality' has no attribute 'RealtyServer'"):
        reality.RealtyServer  # noqa: B018


def test_the_version_is_one() -> None:
    """The version is three numbers, kept in one place."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", reality.__version__)


def public_members(owner: type) -> dict[str, Any]:
    """What a class itself offers to its users."""
    return {name: value for name, value in vars(owner).items() if not name.startswith("_")}


def parameters(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a verb, but for those that only HTTP uses."""
    return [
        each
        for name, each in inspect.signature(verb).parameters.items()
        if name not in ASYNC_ONLY_PARAMETERS
    ]


def test_the_blocking_server_has_the_same_verbs() -> None:
    """`server.blocking` offers every verb of the server, and no other."""
    names = public_members(reality.RealityServer).keys()

    assert names >= ASYNC_ONLY
    assert public_members(BlockingServer).keys() == names - ASYNC_ONLY


@pytest.mark.parametrize("name", sorted(public_members(BlockingServer)))
def test_a_blocking_verb_has_the_same_signature(name: str) -> None:
    """A verb takes and returns the same, blocking or not."""
    awaited = public_members(reality.RealityServer)[name]
    blocking = public_members(BlockingServer)[name]

    assert parameters(blocking) == parameters(awaited)
    assert inspect.signature(blocking).return_annotation == (
        inspect.signature(awaited).return_annotation
    )
    assert not inspect.iscoroutinefunction(blocking)
