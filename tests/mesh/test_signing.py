"""`mesh.signing`: who may speak to a server as its peer."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.errors import MeshUnauthorized, ProtocolError
from reality.mesh.signing import SKEW_MS, Signer, Verifier, check_secrets

SECRET = "correct-horse-battery-staple"
OTHER = "another-secret-of-the-mesh"
ROUTE = "/mesh/exchange"
NONCE = "0123456789abcdef" * 2
NOW_MS = 1_790_000_000_000


def nonces(count: int) -> list[str]:
    """So many different nonces."""
    return [f"{number:032x}" for number in range(count)]


def signed(
    secrets: str | list[str] = SECRET,
    *,
    body: bytes = b"{}",
    at_ms: int = NOW_MS,
    nonce: str = NONCE,
) -> dict[str, str]:
    """The headers of a request."""
    return Signer(secrets).headers("POST", ROUTE, body, now_ms=at_ms, nonce=nonce)


def refusal(verifier: Verifier, headers: dict[str, str], **changed: Any) -> MeshUnauthorized:
    """The error with which a request is refused."""
    request: dict[str, Any] = {"method": "POST", "route": ROUTE, "body": b"{}", "now_ms": NOW_MS}
    request |= changed
    with pytest.raises(MeshUnauthorized) as caught:
        verifier.check(
            request["method"],
            request["route"],
            headers,
            request["body"],
            now_ms=request["now_ms"],
        )
    return caught.value


@pytest.mark.parametrize(
    ("secret", "checked"),
    [
        (SECRET, (SECRET,)),
        ([SECRET, OTHER], (SECRET, OTHER)),
        ("x" * 16, ("x" * 16,)),
        ("ein Geheimnis für alle", ("ein Geheimnis für alle",)),
    ],
)
def test_good_secrets(secret: str | list[str], checked: tuple[str, ...]) -> None:
    """I7: one or several texts of at least 16 characters are secrets, in their order."""
    assert check_secrets(secret) == checked


@pytest.mark.parametrize(
    "secret",
    ["", "x" * 15, "with a\nline break in it", "\0" * 20, "\ud800" * 20, [], [SECRET, "x"], [None]],
)
def test_bad_secrets(secret: Any) -> None:
    """I7: what is no secret is refused with the way to make one, and is not shown."""
    for make in (check_secrets, Signer, Verifier):
        with pytest.raises(ValueError, match="make one with `reality secret`") as caught:
            make(secret)
        assert SECRET not in str(caught.value)


def test_what_is_signed() -> None:
    """The signature is the HMAC of a text that any language can make."""
    headers = signed()
    digest = sha256(b"{}").hexdigest()
    text = json.dumps(
        ["reality-request-v1", "POST", ROUTE, str(NOW_MS), NONCE, digest], separators=(",", ":")
    )

    assert headers == {
        "Reality-Timestamp": str(NOW_MS),
        "Reality-Nonce": NONCE,
        "Reality-Signature": "v1=" + hmac.new(SECRET.encode(), text.encode(), sha256).hexdigest(),
    }


@pytest.mark.parametrize("spelled", [str, str.lower])
def test_a_signed_request_is_accepted(spelled: Callable[[str], str]) -> None:
    """Who has the secret may ask, and is told the nonce, over which the answer is signed."""
    headers = {spelled(name): value for name, value in signed().items()}

    assert Verifier(SECRET).check("POST", ROUTE, headers, b"{}", now_ms=NOW_MS) == NONCE


@pytest.mark.parametrize(
    "changed", [{"method": "PUT"}, {"route": "/mesh/remove"}, {"body": b"[]"}, {"body": b""}]
)
def test_what_was_changed_on_the_way_is_refused(changed: dict[str, Any]) -> None:
    """I7: method, route and body are those that were signed."""
    error = refusal(Verifier(SECRET), signed(), **changed)

    assert (error.code, error.status, error.nonce) == ("mesh_unauthorized", 401, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"Reality-Timestamp": str(NOW_MS + 1)},
        {"Reality-Timestamp": f" {NOW_MS}"},
        {"Reality-Timestamp": "٣" * 13},
        {"Reality-Timestamp": "9" * 5000},
        {"Reality-Nonce": "f" * 32},
        {"Reality-Nonce": NONCE.upper()},
        {"Reality-Nonce": "f"},
        {"Reality-Signature": "v1=" + "0" * 64},
        {"Reality-Signature": signed()["Reality-Signature"].removeprefix("v1=")},
        {"Reality-Signature": signed()["Reality-Signature"] + "0"},
        {"Reality-Signature": "v1=é\ud800"},
        {"Reality-Timestamp": ""},
        {"Reality-Nonce": ""},
        {"Reality-Signature": ""},
    ],
)
def test_other_headers_are_refused(changed: dict[str, str]) -> None:
    """I7: without the three headers, as they were signed, a request is not a peer's."""
    error = refusal(Verifier(SECRET), signed() | changed)

    assert (error.code, error.nonce) == ("mesh_unauthorized", None)
    assert SECRET not in str(error)


def test_a_stranger_is_refused() -> None:
    """I7: who signs with another secret, or not at all, is not a peer."""
    verifier = Verifier(SECRET)

    assert refusal(verifier, {}).code == "mesh_unauthorized"
    assert refusal(verifier, signed(OTHER)).code == "mesh_unauthorized"
    assert refusal(verifier, signed([OTHER, SECRET])).code == "mesh_unauthorized"


def test_secrets_are_changed_without_a_pause() -> None:
    """At each step of a rotation, servers that have taken it and those that have not agree."""
    steps: list[list[str]] = [[SECRET], [SECRET, OTHER], [OTHER, SECRET], [OTHER]]
    for before, after in itertools.pairwise(steps):
        for asking, asked in ((before, after), (after, before)):
            Verifier(asked).check("POST", ROUTE, signed(asking), b"{}", now_ms=NOW_MS)
            answer = Signer(asked).answer_headers(NONCE, 200, b"{}", now_ms=NOW_MS)
            Signer(asking).check_answer(NONCE, 200, answer, b"{}")

    assert refusal(Verifier([OTHER]), signed([SECRET])).code == "mesh_unauthorized"


@pytest.mark.parametrize("difference_ms", [-SKEW_MS, -1, 0, 1, SKEW_MS])
def test_clocks_may_differ_by_30_s(difference_ms: int) -> None:
    """A request that was signed up to 30 s before or after the server's time is accepted."""
    headers = signed(at_ms=NOW_MS + difference_ms)

    Verifier(SECRET).check("POST", ROUTE, headers, b"{}", now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("difference_ms", "words"),
    [(-SKEW_MS - 1, "before this server's"), (SKEW_MS + 1, "after"), (47_000, "47 s")],
)
def test_clocks_that_differ_by_more_are_refused(difference_ms: int, words: str) -> None:
    """Beyond 30 s the refusal says so, with the nonce, so that it can be signed."""
    error = refusal(Verifier(SECRET), signed(at_ms=NOW_MS + difference_ms))

    assert (error.code, error.nonce) == ("mesh_clock_skew", NONCE)
    assert words in str(error)


def test_only_who_has_the_secret_learns_that_clocks_differ() -> None:
    """I7: a wrong signature is refused as such, whatever its time."""
    error = refusal(Verifier(SECRET), signed(OTHER, at_ms=0))

    assert (error.code, error.nonce) == ("mesh_unauthorized", None)


def test_a_request_counts_once() -> None:
    """I7: what somebody has overheard is refused for as long as its time would be accepted."""
    verifier = Verifier(SECRET)
    headers = signed(at_ms=NOW_MS + SKEW_MS)
    verifier.check("POST", ROUTE, headers, b"{}", now_ms=NOW_MS)
    for later_ms in (0, SKEW_MS, 2 * SKEW_MS):
        error = refusal(verifier, headers, now_ms=NOW_MS + later_ms)
        assert (error.code, error.nonce) == ("mesh_replayed", NONCE)

    assert refusal(verifier, headers, now_ms=NOW_MS + 2 * SKEW_MS + 1).code == "mesh_clock_skew"


def test_a_nonce_counts_once() -> None:
    """I7: a nonce is refused the second time, whatever else is signed with it."""
    verifier = Verifier(SECRET)
    verifier.check("POST", ROUTE, signed(), b"{}", now_ms=NOW_MS)

    assert refusal(verifier, signed(body=b"[]", at_ms=NOW_MS + 5), body=b"[]").code == (
        "mesh_replayed"
    )


def test_strangers_use_up_nothing() -> None:
    """I6: a nonce is remembered only if the signature and the time were right."""
    verifier = Verifier(SECRET, nonces_max=1)
    for nonce in nonces(5):
        refusal(verifier, signed(OTHER, nonce=nonce))
        refusal(verifier, signed(nonce=nonce, at_ms=0))
        refusal(verifier, signed(nonce=nonce), body=b"[]")
    verifier.check("POST", ROUTE, signed(nonce=nonces(1)[0]), b"{}", now_ms=NOW_MS)


def test_what_is_remembered_is_bounded() -> None:
    """I6: a server that can remember no more requests refuses new ones, and forgets none early."""
    verifier = Verifier(SECRET, nonces_max=3)
    first, *_ = made = [signed(nonce=each) for each in nonces(5)]
    for headers in made[:3]:
        verifier.check("POST", ROUTE, headers, b"{}", now_ms=NOW_MS)

    assert "remembers no more" in str(refusal(verifier, made[3]))
    assert "already" in str(refusal(verifier, first))
    later_ms = NOW_MS + SKEW_MS + 1
    later = signed(nonce=nonces(4)[3], at_ms=later_ms)
    assert verifier.check("POST", ROUTE, later, b"{}", now_ms=later_ms)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(-30_000, 30_000)), max_size=40))
def test_memory_follows_what_can_come_again(steps: list[tuple[int, int]]) -> None:
    """I6: exactly those requests are remembered whose time would be accepted again."""
    verifier, now_ms, sent = Verifier(SECRET), NOW_MS, list[tuple[int, str]]()
    for nonce, (pause_ms, difference_ms) in zip(nonces(40), steps, strict=False):
        now_ms += pause_ms
        at_ms = now_ms + difference_ms
        headers = signed(nonce=nonce, at_ms=at_ms)
        verifier.check("POST", ROUTE, headers, b"{}", now_ms=now_ms)
        sent.append((at_ms, nonce))
        assert verifier._seen == {nonce for at_ms, nonce in sent if at_ms + SKEW_MS >= now_ms}
        assert len(verifier._ends) == len(verifier._seen)


def test_a_signed_answer_is_believed() -> None:
    """An answer that a peer has signed is accepted, and tells the time by its clock."""
    headers = Signer(SECRET).answer_headers(NONCE, 200, b"answer", now_ms=NOW_MS)

    assert headers.keys() == {"Reality-Timestamp", "Reality-Signature"}
    assert Signer(SECRET).check_answer(NONCE, 200, headers, b"answer") == NOW_MS


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "f" * 32},
        {"status": 401},
        {"body": b"other"},
        {"Reality-Timestamp": "1"},
        {"Reality-Timestamp": ""},
        {"Reality-Signature": ""},
        {"Reality-Signature": "v1=" + "0" * 64},
    ],
)
def test_a_forged_answer_is_not_believed(changed: dict[str, Any]) -> None:
    """I7: an answer to another request, of another status, time or body is refused."""
    answer: dict[str, Any] = {"nonce": NONCE, "status": 200, "body": b"answer"}
    answer |= Signer(SECRET).answer_headers(NONCE, 200, b"answer", now_ms=NOW_MS)
    nonce, status, body, *_ = {**answer, **changed}.values()

    with pytest.raises(ProtocolError, match="sign"):
        Signer(SECRET).check_answer(nonce, status, {**answer, **changed}, body)
    with pytest.raises(ProtocolError, match="another secret"):
        Signer(OTHER).check_answer(NONCE, 200, answer, b"answer")


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_an_answer_is_for_whoever_may_ask(secret: str) -> None:
    """Who has one of the secrets, which one ever, is accepted and believes the answer."""
    secrets = [SECRET, OTHER]
    nonce = Verifier(secrets).check("POST", ROUTE, signed(secret), b"{}", now_ms=NOW_MS)
    answer = Signer(secrets).answer_headers(nonce, 200, b"answer", now_ms=NOW_MS)

    assert Signer(secret).check_answer(nonce, 200, answer, b"answer") == NOW_MS
    with pytest.raises(ProtocolError, match="wrong"):
        Signer("a-secret-of-somebody-else").check_answer(nonce, 200, answer, b"answer")


def test_a_request_is_no_answer() -> None:
    """I7: what a server has signed as a request does not pass for an answer."""
    with pytest.raises(ProtocolError):
        Signer(SECRET).check_answer(NONCE, 200, signed(), b"{}")
