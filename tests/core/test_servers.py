"""`core.servers`: which of several servers is asked next, and which are known at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.messages import Health
from reality.core.servers import (
    DISCOVERED_MAX,
    PEERS_READ_MAX,
    URL_CHARS_MAX,
    ServerPool,
)
from reality.core.urls import base_url
from tests.core.vectors import each

HEALTHS: list[Health] = ["healthy", "degraded", "unhealthy", "unknown"]
URLS = [f"http://s{number}/reality" for number in range(6)]
Step = st.tuples(
    st.sampled_from(["answered", "failed", "learn", "pass", "clear"]),
    st.sampled_from(URLS),
    st.dictionaries(st.sampled_from(URLS), st.sampled_from(HEALTHS)),
    st.floats(0, 200),
)


@each("servers.json", "scripts")
def test_the_rules(case: dict[str, Any]) -> None:
    """The pool picks, keeps and believes what every implementation does."""
    pool = ServerPool(
        [base_url(url) for url in case["configured"]],
        discovered_max=case.get("discoveredMax", DISCOVERED_MAX),
        random=case.get("random", 0.0),
    )
    for step in case["steps"]:
        _play(pool, step)


def _play(pool: ServerPool, step: dict[str, Any]) -> None:
    now_s = step.get("at", 0)
    if step["do"] == "learn":
        pool.learn(step["peers"], now_s, told_by=step["toldBy"])
    elif step["do"] == "answered":
        pool.answered(step["url"], now_s, latency_s=step["latency"])
    elif step["do"] == "failed":
        pool.failed(step["url"], now_s)
    elif step["do"] == "clear":
        pool.clear()
    elif step["do"] == "pick":
        configured_only = step.get("configuredOnly", False)
        assert pool.pick(now_s, configured_only=configured_only) == step["url"], step
    else:
        assert step["do"] == "status"
        known = [[one.url, one.health, one.is_configured] for one in pool.status(now_s)]
        assert known == step["servers"], step


def test_latency_is_a_running_mean_of_answers_that_were_not_held() -> None:
    """One slow answer does not decide, and holds do not count."""
    pool = ServerPool(["http://a"])
    pool.answered("http://a", 1, latency_s=0.1)
    pool.answered("http://a", 2, latency_s=1.1)
    pool.answered("http://a", 3, latency_s=None)

    assert pool.status(4)[0].latency_s == pytest.approx(0.3)


def test_a_client_without_servers_is_refused() -> None:
    """No server is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one"):
        ServerPool([])


def test_what_is_learned_is_bounded() -> None:
    """I6: neither many peers, nor ever new ones, nor long URLs make a pool grow."""
    pool = ServerPool(["http://a"])
    pool.learn({f"http://p{number}": "healthy" for number in range(10_000)}, 1, told_by="http://a")
    assert len(pool.status(1)) == 1 + DISCOVERED_MAX

    for now_s in range(2, 100):
        peers: dict[str, Health] = {f"http://q{now_s}.{number}": "healthy" for number in range(9)}
        pool.learn(peers, now_s, told_by="http://a")
        assert len(pool.status(now_s)) == 1 + DISCOVERED_MAX

    pool = ServerPool(["http://a"])
    too_long = "http://" + "b" * URL_CHARS_MAX
    crowd: dict[str, Health] = {f"?{number}": "healthy" for number in range(PEERS_READ_MAX - 1)}
    pool.learn({too_long: "healthy", **crowd, "http://late": "healthy"}, 1, told_by="http://a")
    assert len(pool.status(1)) == 1


@given(st.lists(Step, max_size=40), st.integers(1, 3), st.integers(0, 3), st.floats(0, 0.999))
def test_whatever_happens_there_is_a_server_to_ask(
    steps: list[tuple[str, str, dict[str, Health], float]],
    configured: int,
    discovered_max: int,
    random: float,
) -> None:
    """In any order of events: the bound holds, the configured ones stay, and the pick is sound.

    A client stays at a server that has just answered. After a failure the next one asked is
    believed to be healthy if any is. And whoever only fails asks everybody in the end.
    """
    pool = ServerPool(URLS[:configured], discovered_max=discovered_max, random=random)
    now_s = 0.0
    for do, url, peers, passing_s in steps:
        if do == "answered":
            pool.answered(url, now_s, latency_s=0.1)
        elif do == "failed":
            pool.failed(url, now_s)
        elif do == "learn":
            pool.learn(peers, now_s, told_by=url)
        elif do == "clear":
            pool.clear()
        else:
            now_s += passing_s
        known = {one.url: one for one in pool.status(now_s)}
        picked = pool.pick(now_s)

        assert [one.url for one in known.values() if one.is_configured] == URLS[:configured]
        assert len(known) <= configured + discovered_max
        assert pool.pick(now_s) == picked
        assert known[pool.pick(now_s, configured_only=True)].is_configured
        if any(one.health == "healthy" for one in known.values()):
            assert known[picked].health == "healthy"
        if do == "answered" and url in known:
            now_s += 0.001
            pool.answered(url, now_s, latency_s=None)
            assert pool.pick(now_s) == url

    asked = set()
    for _ in range(4 * len(known)) if steps else ():
        asked.add(pool.pick(now_s))
        pool.failed(pool.pick(now_s), now_s)
        now_s += 1
    assert asked == (known.keys() if steps else set())
