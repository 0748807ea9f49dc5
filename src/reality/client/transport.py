"""One HTTP exchange with one server, and every way it can fail, as errors of this package.

Built on httpx2. A client that is passed in belongs to the caller; one made here is closed here.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NamedTuple, Self

from reality.core.codec import decode_problem
from reality.errors import MissingDependency, ProtocolError, RemoteError, ServerUnavailable

try:
    import httpx2
except ImportError as error:
    raise MissingDependency("httpx2", extra="client", needed_for="the client") from error

# The largest answer: 10,000 keys of 512 bytes each, all changed, and some room.
ANSWER_BYTES_MAX = 8 * 1024 * 1024
_RETRY_AFTER_S_MAX = 300.0


class Reply(NamedTuple):
    """A successful answer. `retry_after_s` is 0 where the server does not ask for a pause."""

    body: bytes
    retry_after_s: float


class HttpTransport:
    """Exchanges over HTTP, through one httpx2 client."""

    def __init__(self, http: httpx2.AsyncClient | None, *, timeout_s: float) -> None:
        """`timeout_s` bounds connecting and sending; an answer may take its wait longer."""
        self._owns_http = http is None
        self._timeout_s = timeout_s
        self._http = http or httpx2.AsyncClient(limits=httpx2.Limits(keepalive_expiry=60.0))

    async def post(
        self, url: str, body: bytes, *, wait_s: float = 0.0, token: str | None = None
    ) -> Reply:
        """Send JSON and return a successful answer; see `_exchange` for the errors."""
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self._exchange("POST", url, wait_s, headers=headers, content=body)

    async def get(self, url: str, *, accept: Collection[int] = (200,)) -> Reply:
        """Ask and return an answer of an accepted status; see `_exchange` for the errors."""
        return await self._exchange("GET", url, 0.0, accept=accept)

    async def aclose(self) -> None:
        """Close the connections, if they were opened here."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _exchange(
        self,
        method: str,
        url: str,
        wait_s: float,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        accept: Collection[int] = (200,),
    ) -> Reply:
        """One request and its answer.

        Raises:
            ServerUnavailable: no connection, or no answer in time.
            RemoteError: the server refused the request; it says why.
            ProtocolError: the answer is cut short, or larger than any answer can be.
        """
        timeout = httpx2.Timeout(self._timeout_s, read=self._timeout_s + wait_s)
        try:
            async with self._http.stream(
                method, url, headers=headers, content=content, timeout=timeout
            ) as response:
                body = await _read(response, url)
        except ProtocolError:
            raise
        except httpx2.TransportError as error:
            text = str(error) or type(error).__name__
            raise ServerUnavailable(f"{method} {url} failed: {text}") from error
        except httpx2.HTTPError as error:
            raise ProtocolError(
                f"{method} {url} was answered with a broken body: {error}"
            ) from error
        except Exception as error:
            # From a hook of the caller's client, a closed one, a port that cannot be, …
            text = f"{type(error).__name__}: {error}"
            raise ServerUnavailable(f"{method} {url} could not be asked: {text}") from error
        retry_after_s = _retry_after_s(response.headers.get("retry-after"))
        if response.status_code not in accept:
            raise _refusal(response.status_code, body, f"{method} {url}", retry_after_s)
        return Reply(body, retry_after_s)


async def _read(response: httpx2.Response, url: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ProtocolError(f"the answer of {url} is larger than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _refusal(status: int, body: bytes, request: str, retry_after_s: float) -> RemoteError:
    problem = decode_problem(body)
    if problem is None:
        return RemoteError(
            f"{request} was answered with status {status}, but not by a Reality server: check the "
            "URL and what stands in front of the server",
            status=status,
            code="remote_error",
            retry_after_s=retry_after_s,
        )
    return RemoteError(
        f"{request} was refused ({status}): {problem.detail}",
        status=status,
        code=problem.code,
        retry_after_s=retry_after_s,
    )


def _retry_after_s(value: str | None) -> float:
    """`Retry-After`, a number of seconds or a date (RFC 9110 section 10.2.3), in seconds."""
    if value is None:
        return 0.0
    try:
        seconds = (
            float(value)
            if value.isascii() and value.isdigit()
            else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except ValueError:
        return 0.0
    return max(0.0, min(seconds, _RETRY_AFTER_S_MAX))
