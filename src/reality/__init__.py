"""Reality: socketless real-time infrastructure. It tells clients when data changed, never what.

The names below are loaded when they are first used (PEP 562), so that `import reality` stays fast
and loads neither asyncio nor any optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reality.accelerators.nats import NatsAccelerator
    from reality.accelerators.postgres import PostgresAccelerator
    from reality.accelerators.redis import RedisAccelerator
    from reality.client import AsyncRealityClient, KeyState, Meta, ServerStatus, Subscription
    from reality.core.graph import Node
    from reality.core.hashing import create_hash
    from reality.core.limits import Limits
    from reality.core.messages import SyncRequest, SyncResponse
    from reality.errors import RealityError, StorageError
    from reality.mesh import Mesh
    from reality.server.access import Authorizer, Cors
    from reality.server.server import RealityServer
    from reality.server.stats import Stats
    from reality.storage.base import Storage
    from reality.storage.dynamodb import DynamoDBStorage
    from reality.storage.memory import MemoryStorage
    from reality.storage.redis import RedisStorage
    from reality.storage.sql import SQLStorage
    from reality.storage.sqlalchemy import SQLAlchemyStorage
    from reality.storage.sqlite import SQLiteStorage

__all__ = (
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

__version__ = "0.1.0"

_HOMES = {
    "AsyncRealityClient": "reality.client",
    "Authorizer": "reality.server.access",
    "Cors": "reality.server.access",
    "DynamoDBStorage": "reality.storage.dynamodb",
    "KeyState": "reality.client",
    "Limits": "reality.core.limits",
    "MemoryStorage": "reality.storage.memory",
    "Mesh": "reality.mesh",
    "Meta": "reality.client",
    "NatsAccelerator": "reality.accelerators.nats",
    "Node": "reality.core.graph",
    "PostgresAccelerator": "reality.accelerators.postgres",
    "RealityError": "reality.errors",
    "RealityServer": "reality.server.server",
    "RedisAccelerator": "reality.accelerators.redis",
    "RedisStorage": "reality.storage.redis",
    "SQLAlchemyStorage": "reality.storage.sqlalchemy",
    "SQLStorage": "reality.storage.sql",
    "SQLiteStorage": "reality.storage.sqlite",
    "ServerStatus": "reality.client",
    "Stats": "reality.server.stats",
    "Storage": "reality.storage.base",
    "StorageError": "reality.errors",
    "Subscription": "reality.client",
    "SyncRequest": "reality.core.messages",
    "SyncResponse": "reality.core.messages",
    "create_hash": "reality.core.hashing",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reality' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
