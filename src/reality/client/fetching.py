"""Fetchers of every shape, called alike: of no, one or two parameters, plain or async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from reality.client.state import Meta
from reality.core.hashing import create_hash

Fetcher = Callable[..., Any]
Fetch = Callable[[str, Meta], Awaitable[Any]]


def adapted(fetcher: Fetcher) -> Fetch:
    """The fetcher as an async function of a key and its metadata.

    A plain function runs in a thread, so that it may block.

    Raises:
        TypeError: it takes more than the two positional parameters `(key, meta)`.
    """
    count = _positional_parameters(fetcher)
    is_async = inspect.iscoroutinefunction(fetcher) or inspect.iscoroutinefunction(
        getattr(fetcher, "__call__", None)  # noqa: B004  # of an object that can be called
    )

    async def fetch(key: str, meta: Meta) -> Any:
        arguments = (key, meta)[:count]
        if is_async:
            return await fetcher(*arguments)
        result = await asyncio.to_thread(_without_stop_iteration, fetcher, *arguments)
        return await result if inspect.isawaitable(result) else result

    return fetch


def _without_stop_iteration(fetcher: Fetcher, *arguments: Any) -> Any:
    """A future cannot carry a StopIteration: who awaits it would wait for ever."""
    try:
        return fetcher(*arguments)
    except StopIteration as error:
        raise RuntimeError(f"the fetcher {fetcher!r} raised StopIteration") from error


def hash_of(data: object) -> str:
    """The hash of data that has a JSON form; "" for other data, which then matches no hash."""
    try:
        return create_hash(data)
    except (TypeError, ValueError, RecursionError):
        return ""


def is_same(old: object, new: object) -> bool:
    """Whether new data may be dropped for the equal old object, so that nobody need re-render."""
    if old is new:
        return True
    try:
        return type(old) is type(new) and bool(old == new)
    except Exception:  # noqa: BLE001  # the application's; arrays, for one, refuse to be truth
        return False


def is_same_error(old: BaseException | None, new: BaseException | None) -> bool:
    """Whether an error is the one before, met again: nobody need be told twice."""
    return type(old) is type(new) and str(old) == str(new)


def _positional_parameters(fetcher: Fetcher) -> int:
    if not callable(fetcher):
        raise TypeError(f"a fetcher must be a function, got {fetcher!r}")
    try:
        parameters = inspect.signature(fetcher).parameters.values()
    except (TypeError, ValueError):  # some built-in functions do not tell
        return 0
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        raise TypeError(f"a fetcher is called with (key, meta), but {fetcher!r} needs more by name")
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return 2
    required = sum(each.kind in kinds and each.default is each.empty for each in parameters)
    if required > 2:
        raise TypeError(
            f"a fetcher takes at most (key, meta), but {fetcher!r} needs {required} arguments"
        )
    return min(2, sum(each.kind in kinds for each in parameters))
