"""Python clients: thin shells around `core.freshness`, `core.polling` and `core.servers`.

client      AsyncRealityClient: subscribe, watch, sync, invalidate
shard       keys that are asked for together: one request under way, one cursor
resource    one key: its data, its fetches, its subscribers
state       what subscribers are told
fetching    fetchers of every shape, called alike
transport   one HTTP exchange, and every way it can fail
"""

from __future__ import annotations

from reality.client.client import AsyncRealityClient
from reality.client.resource import Subscription
from reality.client.state import KeyState, Meta
from reality.core.servers import ServerStatus

__all__ = ("AsyncRealityClient", "KeyState", "Meta", "ServerStatus", "Subscription")
