"""`client.js` in a real browser: when it fetches data, and what it tells callbacks."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Play
from tests.browser.playground import body_of, invalidate

pytestmark = pytest.mark.slow


def test_a_first_load_fetches_each_key_once(play: Play) -> None:
    """Known to the server or not, a new key is fetched once, after one sync without wait."""
    window = play()
    invalidate(window.page, "quick:known")

    window.subscribe("quick:known", "quick:never-touched")
    window.wait_until_held("quick:known", "quick:never-touched")

    assert [body_of(each)["wait"] for each in window.syncs] == [0, 25_000]
    assert window.fetch_count("quick:known") == window.fetch_count("quick:never-touched") == 1
    assert window.state("quick:known")["data"] == {"count": 1}
    assert window.state("quick:known")["meta"]["version"] > 0


def test_an_invalidation_during_a_slow_fetch_fetches_again(play: Play) -> None:
    """A touch during a fetch is not lost: the key is stale until a later fetch has landed (I1)."""
    window = play()
    window.subscribe("slow")
    window.wait_for_fetch("slow", 1)
    version = window.state("slow")["meta"]["version"]

    invalidate(window.page, "slow")
    window.wait_for_state("slow", f"state.meta.version > {version}")
    window.finish("slow", 1, "old")
    window.wait_for_fetch("slow", 2)
    window.wait_for_state("slow", "state.data === 'old' && state.isStale && state.isSyncing")
    window.finish("slow", 2, "new")
    window.wait_until_held("slow")

    assert window.state("slow")["data"] == "new"
    assert not window.state("slow")["isStale"]
    assert window.fetch_count("slow") == 2


def test_a_pattern_reaches_the_keys_below_it(play: Play) -> None:
    """Invalidating `quick:room:*` refetches `quick:room:7` and leaves `quick:hall:7` alone."""
    window = play()
    window.subscribe("quick:room:7", "quick:hall:7")
    window.wait_until_held("quick:room:7", "quick:hall:7")

    invalidate(window.page, "quick:room:*")
    window.wait_for_fetch("quick:room:7", 2)
    window.wait_until_held("quick:room:7", "quick:hall:7")

    assert window.fetch_count("quick:hall:7") == 1


def test_a_failed_fetch_is_tried_again(play: Play) -> None:
    """A fetcher that throws leaves the old data and an error, and is called until it succeeds."""
    window = play()
    window.subscribe("flaky")
    window.wait_for_fetch("flaky", 1)
    window.page.evaluate("fetches.flaky[0].reject(new Error('no luck'))")
    window.wait_for_state("flaky", "state.error?.message === 'no luck'")
    window.wait_for_fetch("flaky", 2)
    window.page.evaluate("fetches.flaky[1].reject('not even an error')")
    window.wait_for_fetch("flaky", 3)
    window.finish("flaky", 3, "data")
    window.wait_until_held("flaky")

    assert window.state("flaky")["error"] is None


def test_equal_data_stays_the_same_object(play: Play) -> None:
    """A refetch that brings equal data keeps the object that callbacks already have."""
    window = play()
    window.subscribe("same")
    for number, data in enumerate([{"a": [1]}, {"a": [1]}, {"a": [2]}], start=1):
        window.wait_for_fetch("same", number)
        window.finish("same", number, data)
        window.wait_until_held("same")
        invalidate(window.page, "same")
    window.wait_for_fetch("same", 4)

    distinct = "() => new Set(states.same.map(({ data }) => data).filter(Boolean)).size"
    assert window.page.evaluate(distinct) == 2


def test_data_that_is_not_json_is_never_taken_for_equal(play: Play) -> None:
    """A Map has no JSON text of its own, so a new one always replaces the old one."""
    window = play()
    window.subscribe("map")
    for number in (1, 2):
        window.wait_for_fetch("map", number)
        window.page.evaluate(f"fetches.map[{number - 1}].resolve(new Map([['n', {number}]]))")
        window.wait_for_state("map", f"state.data?.get('n') === {number}")
        window.wait_until_held("map")
        invalidate(window.page, "map")


def test_subscriptions_of_a_key_share_its_data(play: Play) -> None:
    """A second subscription is told the present state; the last one to end ends the fetching."""
    window = play()
    window.subscribe("slow")
    window.wait_for_fetch("slow", 1)
    window.finish("slow", 1, "data")
    window.wait_until_held("slow")
    window.page.evaluate(
        """() => {
            window.late = [];
            const listen = (state) => late.push(state);
            window.ends = [subscribe("slow"), reality.subscribe("slow", listen)];
        }"""
    )
    window.page.wait_for_function("late.at(-1)?.data === 'data'")
    assert window.fetch_count("slow") == 1

    invalidate(window.page, "slow")
    window.wait_for_fetch("slow", 2)
    window.page.evaluate("() => { for (const end of ends) { end(); end() } }")
    assert not window.page.evaluate("fetches.slow[1].signal.aborted")
    window.page.evaluate("reality.destroy()")
    assert window.page.evaluate("fetches.slow[1].signal.aborted")


def test_an_ended_subscription_is_not_told_any_more(play: Play) -> None:
    """Whoever unsubscribes is not told what is under way, even if the fetch goes on for a while."""
    window = play()
    bugs: list[str] = []
    window.page.on("pageerror", lambda error: bugs.append(error.message))
    window.page.evaluate(
        """() => {
            reality.subscribe("quick:kept", () => endOther());
            const endOther = reality.subscribe("quick:kept", () => { throw new Error("told") });
        }"""
    )
    window.page.evaluate("() => { window.end = subscribe('gone') }")
    window.subscribe("quick:kept")
    window.wait_for_fetch("gone", 1)
    told = window.page.evaluate("end(), states.gone.length")
    window.finish("gone", 1, "data")
    window.wait_for_state("quick:kept", "state.status === 'idle'")

    assert bugs == []
    assert window.page.evaluate("states.gone.length") == told


def test_a_key_that_nobody_wants_is_asked_for_a_little_longer(play: Play) -> None:
    """Who comes back within 5 s finds the key fresh; after that nothing is asked for it (I2)."""
    window = play()
    window.subscribe("quick:1")
    window.page.evaluate("() => { window.end = subscribe('quick:2') }")
    window.wait_until_held("quick:1", "quick:2")
    asked = len(window.syncs)
    window.page.evaluate("() => { end(); window.end = subscribe('quick:2') }")
    window.wait_for_state("quick:2", "state.status === 'idle'")
    assert len(window.syncs) == asked
    assert window.fetch_count("quick:2") == 1

    window.page.evaluate("() => { end(); }")
    window.page.wait_for_function("reality.getStats().keys === 1")
    invalidate(window.page, "quick:1", "quick:2")
    window.wait_until_held("quick:1")

    assert window.fetch_count("quick:2") == 1


def test_a_callback_that_throws_stops_nothing(play: Play) -> None:
    """What a callback throws is reported by the browser; other callbacks and the client go on."""
    window = play()
    with window.page.expect_event("pageerror") as reported:
        window.page.evaluate(
            "() => { reality.subscribe('quick', () => { throw new Error('a bug of the page') }) }"
        )
        window.subscribe("quick")
    assert reported.value.message == "a bug of the page"

    window.wait_until_held("quick")
    invalidate(window.page, "quick")
    window.wait_for_state("quick", "state.data.count === 2")
