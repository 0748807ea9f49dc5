"""Who may do what: reading is open unless an authorizer says otherwise, writing needs a token."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reality.errors import Forbidden, Unauthorized


class Authorizer(Protocol):
    """Decides which keys an asker may see."""

    async def may_read(self, headers: Mapping[str, str], keys: Collection[str]) -> Collection[str]:
        """The keys, out of those asked for, that the asker may see.

        The others are answered exactly as keys that were never touched: the asker cannot tell a
        forbidden key from an unknown one. Called once for a request, before it is held.

        Args:
            headers: the request's headers, names in lower case.
            keys: keys, and for `GET /versions` also patterns.
        """
        ...


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may call the server.

    Attributes:
        origins: such as `https://example.com`; `*` allows all, but not with credentials.
        credentials: whether those pages may send cookies and the like.
    """

    origins: Sequence[str]
    credentials: bool = False

    def __post_init__(self) -> None:
        is_list = isinstance(self.origins, Sequence) and not isinstance(self.origins, str)
        if not is_list or not all(isinstance(each, str) for each in self.origins):
            raise ValueError(f"Cors.origins must be a list of origins, got {self.origins!r}")
        if self.credentials and "*" in self.origins:
            raise ValueError(
                "Cors: '*' cannot be combined with credentials, because any page could then act "
                "for the user: name the origins"
            )

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may call."""
        return "*" in self.origins or origin in self.origins


def check_credential(token: str | None, authorization: str | None) -> None:
    """Raise unless the `Authorization` header carries the token.

    Raises:
        Forbidden: the server has no token, so nobody may invalidate over HTTP.
        Unauthorized: the credential is missing or wrong.
    """
    if token is None:
        raise Forbidden(
            "invalidating over HTTP is off, because this server has no token: give it one "
            "(`reality serve --token`, or `RealityServer(token=...)`)",
            code="invalidation_disabled",
        )
    scheme, _, credential = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthorized("this needs the header `Authorization: Bearer <token>`")
    if not hmac.compare_digest(credential.strip().encode(), token.encode()):
        raise Unauthorized("the token is wrong")
