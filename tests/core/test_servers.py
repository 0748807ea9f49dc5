"""`core.servers`: which of several servers is asked next."""

from __future__ import annotations

import pytest

from reality.core.servers import BLACKLIST_S, FAILURES_MAX, ServerPool


def test_without_experience_the_first_is_asked() -> None:
    """The order given counts until something is known."""
    assert ServerPool(["a", "b"]).pick(0) == "a"


def test_a_server_that_answers_is_kept() -> None:
    """The freshest is the one that answered last, even where another is faster."""
    pool = ServerPool(["a", "b"])
    pool.answered("a", 1, latency_s=0.001)
    pool.answered("b", 2, latency_s=0.5)

    assert pool.pick(3) == "b"


def test_a_failing_server_comes_after_the_others() -> None:
    """One failure is enough to prefer another server, and an answer restores it."""
    pool = ServerPool(["a", "b"])
    pool.answered("a", 1, latency_s=0.1)
    pool.failed("a", 2)

    assert pool.pick(2) == "b"
    pool.answered("a", 3, latency_s=0.1)
    assert pool.pick(3) == "a"


def test_three_failures_in_a_row_block_a_server_for_a_while() -> None:
    """A blocked server is left alone for `BLACKLIST_S`, unless all are blocked."""
    pool = ServerPool(["a", "b"])
    for _ in range(FAILURES_MAX):
        pool.failed("a", 10)
    pool.failed("b", 10)

    assert pool.pick(11) == "b"
    assert [each.health for each in pool.status(11)] == ["unhealthy", "degraded"]
    for _ in range(FAILURES_MAX):
        pool.failed("b", 12)
    assert pool.pick(13) == "a", "the one whose time is up first"
    assert pool.pick(10 + BLACKLIST_S) == "a"


def test_coming_online_forgets_failures() -> None:
    """After `clear` all servers may be asked again."""
    pool = ServerPool(["a"])
    for _ in range(FAILURES_MAX):
        pool.failed("a", 10)
    pool.clear()

    assert [each.failures for each in pool.status(11)] == [0]
    assert [each.health for each in pool.status(11)] == ["unknown"]


def test_latency_is_a_running_mean_of_answers_that_were_not_held() -> None:
    """One slow answer does not decide, and holds do not count."""
    pool = ServerPool(["a"])
    pool.answered("a", 1, latency_s=0.1)
    pool.answered("a", 2, latency_s=1.1)
    pool.answered("a", 3, latency_s=None)

    assert pool.status(4)[0].latency_s == pytest.approx(0.3)


def test_a_client_without_servers_is_refused() -> None:
    """No server is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one"):
        ServerPool([])
