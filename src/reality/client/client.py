"""AsyncRealityClient: keeps keys of a Reality server fresh in an asyncio program."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args
from weakref import WeakSet

from reality.client.exchange import Exchange
from reality.client.fetching import Fetcher, adapted, is_same_error
from reality.client.resource import Resource, Subscription
from reality.client.shard import Live, Pace, Shard
from reality.client.state import KeyState, Meta
from reality.client.transport import HttpTransport
from reality.core.keys import ancestors, check_name
from reality.core.limits import CLIENT_ID_CHARS_MAX, Limits
from reality.core.messages import Hint, Mode, SyncResponse
from reality.core.servers import ServerStatus
from reality.core.tokens import check_token
from reality.errors import Closed

if TYPE_CHECKING:
    import httpx2

# A request may carry so many keys, and so many bytes of them, and stay below a server's default
# body limit: each key also costs its version, quotes and separators.
_SHARD_KEYS_MAX = Limits().keys_max
_SHARD_BYTES_MAX = 900_000
_ENTRY_BYTES = 24
_NUMBER_MAX = 86_400


class AsyncRealityClient:
    """Subscribes to keys, and fetches their data anew whenever a server reports a change.

    Use it in `async with`, or call `aclose`. It belongs to one event loop.

    Args:
        servers: one URL or several, such as `http://localhost:3456`. Without a path, `/reality` is
            appended.
        live: "auto" holds a request while something is subscribed, so that changes arrive at once;
            "poll" asks every `interval` seconds; False asks only when told to.
        mode: what servers are told about how the client keeps fresh.
        token: the credential for `invalidate(remote=True)`. It is sent to `servers` only, never to
            one that was discovered.
        wait: how long a request may be held, in seconds.
        interval: between requests where none is held, in seconds.
        timeout: for connecting, sending and answering (beyond the wait), in seconds.
        max_retries: how often a failed request is repeated before the failure is reported.
        retry_base_delay: the first back-off, in seconds; it doubles, with full jitter.
        max_fetches: how many fetchers run at the same time.
        client_id: tells clients apart; a UUID by default.
        discover: also ask servers that those in `servers` name as their peers, at most 64, when the
            server asked fails. False: only `servers` are ever asked.
        http: an `httpx2.AsyncClient` with the caller's proxies, certificates and so on. The caller
            closes it. Headers and cookies that it adds by itself go to discovered servers too.

    Raises:
        ValueError: an argument cannot be; the text says which and what would do.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        live: Live = "auto",
        mode: Mode = "native",
        token: str | None = None,
        wait: float = 25.0,
        interval: float = 5.0,
        timeout: float = 10.0,
        max_retries: int = 3,
        retry_base_delay: float = 0.1,
        max_fetches: int = 16,
        client_id: str | None = None,
        discover: bool = True,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        _check_positive(wait=wait, interval=interval, timeout=timeout, max_fetches=max_fetches)
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {get_args(Mode)}, got {mode!r}")
        if live not in ("auto", "poll", False):
            raise ValueError(f'live must be "auto", "poll" or False, got {live!r}')
        if not isinstance(max_retries, int) or max_retries < 0 or retry_base_delay < 0:
            raise ValueError(
                "max_retries, a whole number, and retry_base_delay must not be negative"
            )
        if token is not None:
            check_token(token)
        client_id = str(uuid.uuid4()) if client_id is None else client_id
        if not 1 <= len(client_id) <= CLIENT_ID_CHARS_MAX:
            raise ValueError(f"client_id must have 1 to {CLIENT_ID_CHARS_MAX} characters")
        self._transport = HttpTransport(http, timeout_s=timeout)
        self._exchange = Exchange(
            [servers] if isinstance(servers, str) else servers,
            self._transport,
            token=token,
            max_retries=max_retries,
            retry_base_s=retry_base_delay,
            discover=discover,
        )
        self._pace = Pace(
            client_id=client_id,
            mode=mode,
            live=live,
            wait_s=wait,
            interval_s=interval,
            retry_base_s=retry_base_delay,
        )
        self._slots = asyncio.Semaphore(max_fetches)
        self._shards: list[Shard] = []
        self._shard_of: dict[str, Shard] = {}
        self._shard_bytes = 0
        self._watches: WeakSet[asyncio.Event] = WeakSet()
        self._is_closed = False

    # ---- subscribing ---------------------------------------------------------------------------

    def subscribe(
        self,
        key: str,
        callback: Callable[[KeyState[Any]], object] | None = None,
        *,
        fetcher: Fetcher | None = None,
        fallback: Any = None,
    ) -> Subscription:
        """Keep a key fresh and be told of every change of its state.

        Args:
            key: which key.
            callback: called with a `KeyState` in the event loop; may be async.
            fetcher: gets the data from the application's own API: a function of nothing, of `key`,
                or of `(key, meta)`; async, or plain (then it runs in a thread). A key has one
                fetcher, the first that a subscriber gave.
            fallback: the data before the first fetch.

        Returns:
            A context manager that is also the call that unsubscribes.

        Raises:
            InvalidKey, LimitExceeded: the key is malformed.
            Closed: the client was closed.
        """
        ancestors(key)
        self._check_open()
        if callback is not None and not callable(callback):
            raise TypeError(f"a callback must be a function, got {callback!r}")
        resource = self._resource(key, None if fetcher is None else adapted(fetcher), fallback)
        token = resource.add(callback)

        def unsubscribe() -> None:
            if resource.remove(token) and self._resource_of(key) is resource:
                self._shard_of.pop(key).remove(key)

        return Subscription(unsubscribe)

    async def watch(
        self, key: str, *, fetcher: Fetcher | None = None, fallback: Any = None
    ) -> AsyncIterator[KeyState[Any]]:
        """The states of a key: the first complete one, then one after every change.

        A change is one of the data, the metadata or the error: a state whose `error` is set comes
        too, with whatever data there is. A reader that is slower than the changes gets the newest
        only. Ends with `Closed` when the client is closed.
        """
        changed = asyncio.Event()

        def tell(state: KeyState[Any]) -> None:
            if state.status in ("idle", "error"):
                changed.set()

        self._watches.add(changed)
        with self.subscribe(key, tell, fetcher=fetcher, fallback=fallback):
            last: KeyState[Any] | None = None
            while True:
                await changed.wait()
                self._check_open()
                changed.clear()
                state = self.get_state(key)
                if state is not None and _is_news(last, state):
                    last = state
                    yield state

    def get_state(self, key: str) -> KeyState[Any] | None:
        """The present state of a key; None if nobody is subscribed to it."""
        resource = self._resource_of(key)
        return None if resource is None else resource.state

    # ---- asking and telling --------------------------------------------------------------------

    async def sync_keys(self, keys: Iterable[str], hint: Hint = "interaction") -> dict[str, Meta]:
        """Ask for these keys now; those subscribed to are refetched if they changed.

        Returns:
            What the servers reported as changed. A key that is not subscribed to counts as never
            reported, so it is always among it where the server keeps versions for it.

        Raises:
            RemoteError, ServerUnavailable: the servers refused, or none answered.
        """
        self._check_open()
        groups: dict[Shard, list[str]] = {}
        for key in dict.fromkeys([keys] if isinstance(keys, str) else keys):
            ancestors(key)
            groups.setdefault(self._shard_of.get(key) or self._any_shard(), []).append(key)
        return await self._sync(groups, hint)

    async def sync_all(self, hint: Hint = "interaction") -> dict[str, Meta]:
        """`sync_keys` for every key that is subscribed to."""
        return await self._sync({each: list(each.resources) for each in self._shards}, hint)

    async def invalidate(self, *names: str | Iterable[str], remote: bool = False) -> dict[str, int]:
        """Refetch keys that are subscribed to; with `remote`, also tell the servers of the change.

        Args:
            names: keys; with `remote` also patterns.
            remote: needs the client's `token`. Only the servers that the client was made with are
                told, none that was discovered: a credential does not follow hearsay.

        Returns:
            The new versions, by key; empty unless `remote`.

        Raises:
            RemoteError, ServerUnavailable: the servers refused, or none answered.
        """
        flat = [name for each in names for name in ([each] if isinstance(each, str) else each)]
        self._check_open()
        for name in flat:
            check_name(name)
        versions = await self._exchange.invalidate(flat) if remote and flat else {}
        for name in flat:
            resource = self._resource_of(name)
            if resource is not None:
                resource.refetch(versions.get(name))
        return versions

    def online(self) -> None:
        """The network came back: forget the servers' failures and sync at once."""
        self._exchange.forget_failures()
        for shard in self._shards:
            shard.hint("reconnect")

    def get_server_status(self) -> list[ServerStatus]:
        """What the client knows of each server: those it was made with, then discovered ones."""
        return self._exchange.status()

    # ---- life ----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """End every subscription and request, and close the connections opened here."""
        self._is_closed = True
        for changed in self._watches:
            changed.set()
        for shard in self._shards:
            shard.close()
        for shard in self._shards:
            await shard.closed()
        self._shards.clear()
        self._shard_of.clear()
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # ---- inside --------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("the client was closed: make another one")

    def _resource_of(self, key: str) -> Resource | None:
        shard = self._shard_of.get(key)
        return None if shard is None else shard.resources.get(key)

    def _resource(self, key: str, fetch: Any, fallback: Any) -> Resource:
        resource = self._resource_of(key)
        if resource is None:
            resource = Resource(
                key,
                fetch,
                fallback,
                slots=self._slots,
                retry_base_s=self._pace.retry_base_s,
            )
            shard = self._shard_of[key] = self._shard_with_room(key)
            shard.add(key, resource)
        elif resource.fetch is None and fetch is not None:
            resource.fetch = fetch
            resource.refetch()
        return resource

    def _any_shard(self) -> Shard:
        if not self._shards:
            self._shards.append(Shard(self._exchange, self._pace))
        return self._shards[0]

    def _shard_with_room(self, key: str) -> Shard:
        """The last shard, or a new one if it is full. A key never moves to another shard."""
        last = self._shards[-1] if self._shards else self._any_shard()
        size = len(key.encode()) + _ENTRY_BYTES
        is_full = len(last.resources) >= _SHARD_KEYS_MAX
        if is_full or self._shard_bytes + size > _SHARD_BYTES_MAX:
            last = Shard(self._exchange, self._pace)
            self._shards.append(last)
            self._shard_bytes = 0
        self._shard_bytes += size
        return last

    async def _sync(self, groups: dict[Shard, list[str]], hint: Hint) -> dict[str, Meta]:
        calls = [shard.sync(keys, hint) for shard, keys in groups.items() if keys]
        found: dict[str, Meta] = {}
        for exchanged in await asyncio.gather(*calls):
            found.update(_metas(exchanged.response))
        return found


def _metas(response: SyncResponse) -> dict[str, Meta]:
    at_s = response.server_time / 1000
    return {
        key: Meta(key, node.version, node.hash, at_s, node.deleted)
        for key, node in response.changed.items()
    }


def _is_news(last: KeyState[Any] | None, state: KeyState[Any]) -> bool:
    if state.status not in ("idle", "error"):
        return False
    return (
        last is None
        or state.data is not last.data
        or state.meta != last.meta
        or not is_same_error(state.error, last.error)
    )


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number <= _NUMBER_MAX:
            raise ValueError(f"{name} must be greater than 0, and at most a day, got {number!r}")
