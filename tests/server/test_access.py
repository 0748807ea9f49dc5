"""How a server is made: what its arguments may be, and what it says of those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from reality import Cors, Limits, MemoryStorage, RealityServer
from reality.errors import Forbidden, Unauthorized
from reality.server.access import check_credential

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"server_id": ""}, "server_id"),
        ({"server_id": "a b"}, "server_id"),
        ({"server_id": "a~b"}, "server_id"),
        ({"server_id": "a\n"}, "server_id"),
        ({"server_id": "s" * 65}, "server_id"),
        ({"base_path": "reality"}, "base_path"),
        ({"base_path": "/reality/"}, "base_path"),
        ({"base_path": "/"}, "base_path"),
        ({"token": "short"}, "token"),
        ({"token": ""}, "token"),
        ({"token": "é" * 20}, "token"),
        ({"cors": "https://example.com"}, "origins"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], text: str) -> None:
    """An argument that cannot be is a ValueError that names it, when the server is made."""
    with pytest.raises(ValueError, match=text):
        RealityServer(**arguments)


def test_a_server_names_itself() -> None:
    """Without a `server_id` each server has one of its own, fit for a cursor."""
    first, second = RealityServer(), RealityServer()

    assert first.server_id != second.server_id
    assert RealityServer(first.server_id).server_id == first.server_id


def test_every_run_is_an_origin_of_its_own() -> None:
    """Two servers of one id never claim the same origin."""
    origins = {RealityServer("alpha").stats().origin for _ in range(50)}

    assert 50 == len(origins)
    assert all(origin.startswith("alpha~") for origin in origins)


def test_cors_takes_no_credentials_from_everybody() -> None:
    """`*` with credentials is refused: any page could then act for the user."""
    with pytest.raises(ValueError, match="credentials"):
        Cors(["*"], credentials=True)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (["*"], "https://any.example", True),
        (["https://a.example"], "https://a.example", True),
        (["https://a.example"], "https://a.example:8443", False),
        (["https://a.example"], "http://a.example", False),
        (["https://a.example"], "https://a.example.evil.example", False),
        (["https://a.example"], "null", False),
        ([], "https://a.example", False),
    ],
)
def test_cors_allows_named_origins(origins: list[str], origin: str, allowed: bool) -> None:
    """An origin is allowed if it is named, exactly, or all are."""
    assert allowed == Cors(origins).allows(origin)


@pytest.mark.parametrize("field", Limits.__dataclass_fields__)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "7", None])
def test_a_limit_is_a_positive_whole_number(field: str, value: Any) -> None:
    """I6: a limit cannot be switched off by a value that makes no sense."""
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_is_a_bearer_credential(header: str) -> None:
    """I7: the right token opens, whatever the case of the scheme."""
    check_credential(TOKEN, header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer é",
    ],
)
def test_any_other_credential_is_refused(header: str | None) -> None:
    """I7: a missing or wrong token is Unauthorized."""
    with pytest.raises(Unauthorized):
        check_credential(TOKEN, header)


@pytest.mark.parametrize("header", [None, f"Bearer {TOKEN}", "Bearer None", "Bearer "])
def test_without_a_token_nobody_may_write(header: str | None) -> None:
    """I7: a server that has no token refuses every credential and says how to give it one."""
    with pytest.raises(Forbidden, match="token") as caught:
        check_credential(None, header)
    assert "invalidation_disabled" == caught.value.code


def test_a_store_belongs_to_one_server() -> None:
    """Two servers cannot share a memory store, which would mix their origins."""
    storage = MemoryStorage()
    RealityServer("alpha", storage=storage)

    with pytest.raises(ValueError, match="alpha"):
        RealityServer("beta", storage=storage)
