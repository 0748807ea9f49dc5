"""Bad input: each kind has its status, its code, and a text that names what is wrong (I6, I7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reality import RealityServer
from tests.http.calling import BEARER, TOKEN, Caller, message

NESTED = 100_000
TWO_MEGABYTES = 2 * 1024 * 1024
NINE_LEVELS = "a:b:c:d:e:f:g:h:i"
LONG = "k" * 513
LONG_IN_UTF8 = "€" * 171

# ---- what is no JSON, or no object ---------------------------------------------------------------

NO_MESSAGE = {
    "empty": (b"", "malformed_json"),
    "blank": (b" \r\n ", "malformed_json"),
    "cut": (b'{"known":{"a":0', "malformed_json"),
    "two": (json.dumps(message("a")).encode() + b" {}", None),
    "single quotes": (b"{'known':{}}", "malformed_json"),
    "comment": (b'/* hello */ {"known":{}}', "malformed_json"),
    "byte order mark": (b"\xef\xbb\xbf{}", "malformed_json"),
    "not UTF-8": (b'{"\xff":0}', None),
    "not UTF-8 in an unknown member": (b'{"more":"\xc3\x28","known":{}}', None),
    "UTF-16": (json.dumps(message("a")).encode("utf-16"), "malformed_json"),
    "NaN": (b'{"known":{"a":NaN}}', "malformed_json"),
    "lone surrogate in a key": (b'{"known":{"\\ud800":0}}', "malformed_json"),
    "lone surrogate in an id": (b'{"known":{},"clientId":"\\udfff"}', "malformed_json"),
    "control character in a text": (b'{"known":{"a\nb":0}}', "malformed_json"),
    "null": (b"null", "invalid_request"),
    "text": (b'"posts"', "invalid_request"),
    "list": (b"[]", "invalid_request"),
    "brackets": (b"[" * NESTED, None),
    "brackets in a member": (
        b'{"known":' + b"[" * NESTED + b"]" * NESTED + b"}",
        None,
    ),
    "brackets in an unknown member": (
        b'{"more":' + b"[" * NESTED + b"]" * NESTED + b',"known":{}}',
        "malformed_json",
    ),
    "braces in an unknown member": (
        b'{"more":' + b'{"a":' * NESTED + b"0" + b"}" * NESTED + b"}",
        "malformed_json",
    ),
}


@pytest.mark.parametrize("path", ["sync", "invalidate", "update"])
@pytest.mark.parametrize(("body", "code"), NO_MESSAGE.values(), ids=NO_MESSAGE)
async def test_what_is_no_message(call: Caller, path: str, body: bytes, code: str | None) -> None:
    """A body that is not a JSON object of the right shape is a 400, never a crash."""
    answer = await call("POST", f"/reality/{path}", body, headers=BEARER)

    status, found, text = answer.problem()
    assert 400 == status
    # Where the shape is wrong besides, either is true.
    assert found in ({code} if code else {"malformed_json", "invalid_request"})
    assert len(text) < 500


@pytest.mark.parametrize("text", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5"])
@pytest.mark.parametrize("place", [b"posts", b"11111111", b"cursor of old"])
async def test_texts_that_are_not_utf8(call: Caller, place: bytes, text: bytes) -> None:
    """A key, client id or cursor that is not UTF-8 is malformed JSON."""
    body = json.dumps(message("posts", cursor="cursor of old")).encode().replace(place, text, 1)

    assert (400, "malformed_json") == (await call("POST", "/reality/sync", body)).problem()[:2]


# ---- wrong members -------------------------------------------------------------------------------

WRONG_VERSIONS: dict[str, Any] = {
    "negative": -1,
    "fractional": 1.5,
    "whole, written as a fraction": 1.0,
    "boolean": True,
    "text": "1",
    "null": None,
    "list": [],
    "object": {},
    "2**52": 2**52,
    "2**63": 2**63,
    "huge": 10**40,
    "tiny": -(10**40),
}
WRONG_MEMBERS: dict[str, tuple[str, Any]] = {
    "known is a list": ("known", []),
    "known is a text": ("known", "posts"),
    "known is null": ("known", None),
    "clientId is empty": ("clientId", ""),
    "clientId is long": ("clientId", "c" * 129),
    "clientId is a number": ("clientId", 7),
    "clientId is null": ("clientId", None),
    "mode is unknown": ("mode", "live"),
    "mode is a number": ("mode", 1),
    "mode is null": ("mode", None),
    "hint is unknown": ("hint", "hunch"),
    "hint is in capitals": ("hint", "FOCUS"),
    "hint is null": ("hint", None),
    "wait is negative": ("wait", -1),
    "wait is fractional": ("wait", 0.5),
    "wait is a text": ("wait", "25000"),
    "wait is boolean": ("wait", True),
    "wait is huge": ("wait", 2**60),
    "timestamp is negative": ("timestamp", -5),
    "timestamp is a text": ("timestamp", "now"),
    "cursor is a number": ("cursor", 5),
    "cursor is a list": ("cursor", []),
}


@pytest.mark.parametrize("version", WRONG_VERSIONS.values(), ids=WRONG_VERSIONS)
async def test_wrong_versions(call: Caller, version: Any) -> None:
    """A version is a whole number from 0 below 2**52; the text names the key that has another."""
    known = {"fine": 7, "posts:wrong": version, "also": 0}

    status, code, text = (await call.post("/reality/sync", message(known=known))).problem()

    assert (400, "invalid_request") == (status, code)
    assert "known" in text
    assert "posts:wrong" in text


@pytest.mark.parametrize("version", [b"1e400", b"-1e400", b"1e1"])
async def test_versions_beyond_numbers(call: Caller, version: bytes) -> None:
    """A number that Python would read as infinite, or as a float, is refused by its member."""
    body = json.dumps(message("posts")).encode().replace(b'"posts": 0', b'"posts": ' + version)

    status, code, text = (await call("POST", "/reality/sync", body)).problem()

    assert (400, "invalid_request") == (status, code)
    assert "known" in text


@pytest.mark.parametrize(("member", "value"), WRONG_MEMBERS.values(), ids=WRONG_MEMBERS)
async def test_wrong_members(call: Caller, member: str, value: Any) -> None:
    """A member of the wrong type or value is a 400 that names it."""
    status, code, text = (
        await call.post("/reality/sync", message("a", **{member: value}))
    ).problem()

    assert (400, "invalid_request") == (status, code)
    assert member in text


@pytest.mark.parametrize("member", ["known", "clientId", "mode", "hint"])
async def test_missing_members(call: Caller, member: str) -> None:
    """A member that is missing is a 400 that names it."""
    request = message("a")
    del request[member]

    status, code, text = (await call.post("/reality/sync", request)).problem()

    assert (400, "invalid_request") == (status, code)
    assert member in text


async def test_what_is_accepted(call: Caller) -> None:
    """Unknown members, every mode and hint, a client's clock and the greatest version are fine."""
    modes = ["native", "sse-compat", "polling-compat"]
    hints = ["interaction", "focus", "idle", "mutation", "mount", "reconnect", "poll"]
    for mode, hint in [*((mode, "focus") for mode in modes), *(("native", hint) for hint in hints)]:
        request = message(
            known={"a": 2**52 - 1, "é" * 256: 0},
            mode=mode,
            hint=hint,
            timestamp=1_700_000_000_000,
            wait=0,
            clientId="c" * 128,
            more={"of": ["the", 1, None]},
        )
        assert 200 == (await call.post("/reality/sync", request)).status


# ---- keys ----------------------------------------------------------------------------------------

WRONG_KEYS = {
    "empty": ("", 400, "invalid_key", "empty"),
    "line feed": ("a\nb", 400, "invalid_key", "U+000A"),
    "NUL": ("\0", 400, "invalid_key", "U+0000"),
    "DEL": ("a\x7f", 400, "invalid_key", "U+007F"),
    "next line": ("a\x85", 400, "invalid_key", "U+0085"),
    "513 bytes": (LONG, 422, "key_too_long", "512"),
    "513 bytes of UTF-8": (LONG_IN_UTF8, 422, "key_too_long", "512"),
    "a megabyte": ("k" * 500_000, 422, "key_too_long", "512"),
    "nine levels": (NINE_LEVELS, 422, "key_too_deep", "8 levels"),
}


@pytest.mark.parametrize(("key", "status", "code", "part"), WRONG_KEYS.values(), ids=WRONG_KEYS)
async def test_wrong_keys(call: Caller, key: str, status: int, code: str, part: str) -> None:
    """A key that breaks the grammar has its code wherever it is sent, and touches nothing."""
    calls = [
        ("sync", message("fine", key, "also")),
        ("sync", message("fine", key, cursor="garbage", wait=1_000)),
        ("invalidate", {"keys": ["fine", key]}),
        ("update", {"key": key, "hash": "h"}),
    ]
    for path, body in calls:
        answer = await call.post(f"/reality/{path}", body, headers=BEARER)
        found = answer.problem()
        assert (status, code) == found[:2]
        assert "key" in found[2]
        assert part in found[2]
        assert len(found[2]) < 500
    fine = (await call.post("/reality/sync", message("fine"))).json()
    assert fine["mesh"]["serverVersion"] + 1 == fine["changed"]["fine"]["version"]


@pytest.mark.parametrize("pattern", ["*", "posts:*", "a:b:*"])
async def test_patterns_are_for_invalidations_only(call: Caller, pattern: str) -> None:
    """A pattern in a sync or an update is an invalid key, and the text says what it is."""
    for path, body in [("sync", message("a", pattern)), ("update", {"key": pattern, "hash": "h"})]:
        status, code, text = (await call.post(f"/reality/{path}", body, headers=BEARER)).problem()
        assert (400, "invalid_key") == (status, code)
        assert "pattern" in text


async def test_an_asterisk_elsewhere_is_a_character(call: Caller) -> None:
    """Only a whole last level `*` makes a pattern."""
    keys = ["*:a", "a*", "posts:*:likes", "**", "a:**", "posts:* "]

    answer = await call.post("/reality/sync", message(*keys))

    assert set(keys) == set(answer.json()["changed"])


@pytest.mark.parametrize(("path", "member"), [("sync", "known"), ("invalidate", "keys")])
async def test_too_many_keys(call: Caller, path: str, member: str) -> None:
    """I6: 10,000 keys are fine, 10,001 are a 422 that names the member and the limit."""
    keys = [f"k:{number}" for number in range(10_001)]
    bodies = {"sync": message(*keys), "invalidate": {"keys": keys}}
    fewer = {"sync": message(*keys[1:]), "invalidate": {"keys": keys[1:]}}

    status, code, text = (
        await call.post(f"/reality/{path}", bodies[path], headers=BEARER)
    ).problem()
    assert (422, "too_many_keys") == (status, code)
    assert f"`{member}`" in text
    assert "10000" in text.replace(",", "")
    answer = await call.post(f"/reality/{path}", fewer[path], headers=BEARER)
    assert 200 == answer.status


# ---- invalidations and updates -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "member"),
    [
        ("invalidate", {}, "keys"),
        ("invalidate", {"keys": []}, "keys"),
        ("invalidate", {"keys": "posts"}, "keys"),
        ("invalidate", {"keys": ["posts", 5]}, "keys"),
        ("invalidate", {"keys": ["posts"], "source": 5}, "source"),
        ("invalidate", {"keys": ["posts"], "source": "s" * 129}, "source"),
        ("invalidate", {"keys": ["posts"], "timestamp": -1}, "timestamp"),
        ("update", {}, "key"),
        ("update", {"hash": "h"}, "key"),
        ("update", {"key": 5, "hash": "h"}, "key"),
        ("update", {"key": "posts"}, "hash"),
        ("update", {"key": "posts", "hash": ""}, "hash"),
        ("update", {"key": "posts", "hash": None}, "hash"),
        ("update", {"key": "posts", "hash": "h" * 257}, "hash"),
    ],
)
async def test_wrong_writes(
    server: RealityServer, call: Caller, path: str, body: dict[str, Any], member: str
) -> None:
    """A wrong invalidation or update is a 400 that names the member, and touches nothing."""
    status, code, text = (await call.post(f"/reality/{path}", body, headers=BEARER)).problem()

    assert (400, "invalid_request") == (status, code)
    assert f"`{member}`" in text or f"$.{member}" in text
    assert 0 == server.stats().nodes


@pytest.mark.parametrize("path", ["invalidate", "update"])
@pytest.mark.parametrize(
    "credential",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}],
    ids=["none", "wrong", "other scheme"],
)
async def test_writes_need_the_token(
    server: RealityServer, call: Caller, path: str, credential: dict[str, str]
) -> None:
    """I7: without the right token a write is a 401, before its body is even read as JSON."""
    for body in (b'{"keys":["a"]}', b'{"key":"a","hash":"h"}', b"[[["):
        answer = await call("POST", f"/reality/{path}", body, headers=credential)
        assert (401, "unauthorized") == answer.problem()[:2]
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.body.decode()
    assert 0 == server.stats().nodes


@pytest.mark.parametrize("path", ["invalidate", "update"])
async def test_without_a_token_writing_is_off(path: str) -> None:
    """I7: a server without a token refuses every write over HTTP, whatever the credential."""
    server = RealityServer("alpha")
    for credential in ({}, BEARER, {"authorization": "Bearer None"}, {"authorization": "Bearer "}):
        answer = await Caller(server.asgi())(
            "POST", f"/reality/{path}", b'{"keys":["a"],"key":"a","hash":"h"}', headers=credential
        )
        assert (403, "invalidation_disabled") == answer.problem()[:2]
        assert "www-authenticate" not in answer.headers
    assert 0 == server.stats().nodes
