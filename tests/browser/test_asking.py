"""`client.js` in a real browser: when it asks the server, and how it paces itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route

from tests.browser.conftest import Play
from tests.browser.playground import (
    Playground,
    body_of,
    expect_no_sync,
    invalidate,
    is_sync,
    wait_for,
)
from tests.browser.served import serving_playground
from tests.support.processes import free_port

pytestmark = pytest.mark.slow

# The browser's clocks do not agree to the millisecond.
_SECOND_MS = 900
# A pause of a second is drawn from its upper half.
_PAUSE_MS = 450


def test_a_key_that_nobody_touches_is_not_asked_for_again(play: Play) -> None:
    """Without a touch the held request stays held, for a key that the server does not know (I2)."""
    window = play()
    window.subscribe("quick:untouched")
    window.wait_until_held("quick:untouched")

    expect_no_sync(window.page, for_ms=3_000)
    assert len(window.syncs) == 2


def test_a_new_key_joins_the_one_held_request(play: Play) -> None:
    """A further key gives the held request up; all keys are asked for at once, then held again."""
    window = play()
    window.subscribe("quick:1")
    window.wait_until_held("quick:1")
    held = window.syncs[-1]

    window.subscribe("quick:2", "quick:3")
    window.wait_until_held("quick:1", "quick:2", "quick:3")

    assert held.failure == "net::ERR_ABORTED"
    asked = [body_of(each) for each in window.syncs[2:]]
    assert [(len(each["known"]), each["wait"]) for each in asked] == [(3, 0), (3, 25_000)]
    assert window.fetch_count("quick:1") == 1


def test_a_key_that_comes_during_a_request_is_asked_for_with_the_others(play: Play) -> None:
    """The request under way, which does not ask for it, is given up, and so is its cursor (I1)."""
    window = play()
    delayed: list[Route] = []

    def delay(route: Route) -> None:
        delayed.append(route)

    window.page.route("**/sync", delay, times=1)
    window.subscribe("quick:1")
    wait_for(window.page, lambda: len(delayed) == 1)
    window.subscribe("quick:2")
    window.wait_until_held("quick:1", "quick:2")

    first, second, held = (body_of(each) for each in window.syncs)
    assert window.syncs[0].failure == "net::ERR_ABORTED"
    assert (list(first["known"]), "cursor" in first) == (["quick:1"], False)
    assert (list(second["known"]), "cursor" in second) == (["quick:1", "quick:2"], False)
    assert "cursor" in held
    assert window.fetch_count("quick:1") == window.fetch_count("quick:2") == 1


def test_a_restarted_server_leads_to_one_refetch_of_each_key(page: Page) -> None:
    """A cursor that the server cannot know resets once: every key is fetched once more (I1, I2)."""
    port = free_port()
    with serving_playground(port) as process:
        page.goto(f"http://127.0.0.1:{port}/")
        window = Playground(page)
        window.subscribe("quick:a", "quick:b")
        window.wait_until_held("quick:a", "quick:b")
        process.kill()
        process.wait()
        window.wait_for_state("quick:a", "state.status === 'error'")
    with serving_playground(port):
        for key in ("quick:a", "quick:b"):
            window.wait_for_state(key, "state.data.count === 2 && state.status === 'idle'")
        window.wait_until_held("quick:a", "quick:b")
        expect_no_sync(window.page, for_ms=500)

        assert window.fetch_count("quick:a") == window.fetch_count("quick:b") == 2


def test_hints_ask_without_waiting(play: Play) -> None:
    """`syncAll` asks at once, beside the held request; focus does so at most every 5 s."""
    window = play()
    window.subscribe("quick")
    window.wait_until_held("quick")

    window.page.evaluate("reality.syncAll('mutation')")
    window.page.evaluate("dispatchEvent(new Event('focus'))")
    window.wait_until_held("quick")
    asked = [body_of(each) for each in window.syncs]
    assert [(each["hint"], each["wait"]) for each in asked] == [
        ("mount", 0),
        ("idle", 25_000),
        ("mutation", 0),
        ("focus", 0),
        ("idle", 25_000),
    ]

    window.page.evaluate("dispatchEvent(new Event('focus'))")
    expect_no_sync(window.page, for_ms=300)


def test_without_live_nothing_is_held(play: Play) -> None:
    """A client that is not live asks on hints only, and learns then what happened since."""
    window = play(live=False)
    window.subscribe("quick")
    window.wait_for_state("quick", "state.data?.count === 1")
    invalidate(window.page, "quick")
    expect_no_sync(window.page, for_ms=300)

    window.page.evaluate("reality.syncAll()")
    window.wait_for_state("quick", "state.data.count === 2")
    assert [body_of(each)["wait"] for each in window.syncs] == [0, 0]


def test_an_outage_ends_with_the_first_answer(play: Play) -> None:
    """After a failure the client asks without waiting, so that it knows soon that all is well."""
    window = play()
    window.subscribe("quick")
    window.wait_until_held("quick")
    window.page.context.set_offline(True)
    window.page.evaluate("dispatchEvent(new Event('focus'))")
    window.wait_for_state("quick", "state.status === 'error'")
    wait_for(window.page, lambda: len(window.syncs) >= 5)

    window.page.context.set_offline(False)
    window.wait_until_held("quick")

    *retries, last = window.syncs[2:]
    assert {body_of(each)["wait"] for each in retries} == {0}
    assert body_of(last)["wait"] > 0
    assert window.fetch_count("quick") == 1


def test_a_failed_sync_is_tried_again(play: Play) -> None:
    """Even a client that is not live, and of which nothing is wanted any more, tries again."""
    window = play(servers="/not-reality/", live=False)
    window.subscribe("quick")

    assert len(window.gaps_ms(3)) == 2


def test_a_closed_client_asks_nothing(play: Play) -> None:
    """`destroy` gives the held request up for good, and a closed client says so."""
    window = play()
    window.subscribe("quick")
    window.wait_until_held("quick")

    with window.page.expect_event("requestfailed", is_sync):
        window.page.evaluate("reality.destroy()")
    invalidate(window.page, "quick")

    expect_no_sync(window.page, for_ms=300)
    with pytest.raises(Exception, match="client was destroyed"):
        window.page.evaluate("reality.syncAll()")
    with pytest.raises(Exception, match="client was destroyed"):
        window.subscribe("quick")


def test_what_is_no_key_or_hint_is_refused(play: Play) -> None:
    """A key that the server would refuse is refused before it spoils others; so is a hint."""
    window = play()
    for key in ("", "*", "chat:*", "tab\t", "é" * 257, "a:b:c:d:e:f:g:h:i"):
        with pytest.raises(Exception, match="no key"):
            window.subscribe(key)
    window.subscribe("é" * 256, "a:b:c:d:e:f:g:h")
    window.wait_for_fetch("a:b:c:d:e:f:g:h", 1)
    with pytest.raises(Exception, match="hint"):
        window.page.evaluate("reality.syncAll('often')")


def test_a_page_without_tls_has_a_client_id(play: Play) -> None:
    """Where the browser has no `crypto.randomUUID`, clients still tell themselves apart."""
    window = play("insecure.test")
    assert not window.page.evaluate("isSecureContext")

    window.subscribe("quick")
    window.wait_until_held("quick")

    assert 3 <= len(body_of(window.syncs[0])["clientId"]) <= 128


# ---- servers that misbehave ----------------------------------------------------------------------


def test_a_flood_of_news_slows_the_client_down(play: Play) -> None:
    """Five answers with news within half a second are reported once, and then it asks slower."""
    window = play(servers="/always-news/")
    with window.page.expect_console_message(lambda each: each.type == "warning") as warned:
        window.subscribe("quick")
    assert "answers with news come in a loop" in warned.value.text

    asked = len(window.syncs)
    assert max(window.gaps_ms(asked + 1)) >= _PAUSE_MS


def test_repeated_resets_slow_the_client_down(play: Play) -> None:
    """After a second reset in a row the client asks no sooner than a second later."""
    window = play(servers="/always-reset")
    window.subscribe("quick")

    assert window.gaps_ms(3)[1] >= _PAUSE_MS


def test_refetches_are_spread_as_the_server_asks(play: Play) -> None:
    """With `spreadMs` data that is already there is fetched again later; new keys are not."""
    window = play(servers="/spread/")
    window.subscribe("quick")

    window.wait_for_state("quick", "state.status === 'stale'")
    assert window.fetch_count("quick") == 1


@pytest.mark.parametrize("server", ["never-held", "zero-for-unknown-keys"])
def test_a_server_that_does_not_hold_is_not_asked_in_a_loop(play: Play, server: str) -> None:
    """Where a held request comes back at once and without news, the client pauses (I2)."""
    window = play(servers=f"/{server}/")
    window.subscribe("quick")

    assert window.gaps_ms(3)[1] >= _PAUSE_MS
    assert window.fetch_count("quick") == 1


@pytest.mark.parametrize("server", ["busy", "unwilling-to-hold"])
def test_retry_after_is_honoured(play: Play, server: str) -> None:
    """No request is made before the time that the server asked for, not even on a hint."""
    window = play(servers=f"/{server}/")
    window.subscribe("quick")
    window.gaps_ms(1)
    window.page.evaluate("dispatchEvent(new Event('focus'))")

    assert window.gaps_ms(2)[0] >= _SECOND_MS


@pytest.mark.parametrize(
    ("server", "reason"),
    [("busy", "503, too many"), ("not-reality", "not the answer of a Reality server")],
)
def test_data_comes_even_if_the_server_does_not_answer(
    play: Play, server: str, reason: str
) -> None:
    """A first fetch begins after 150 ms at most; the state tells why the key is not live."""
    window = play(servers=f"/{server}/", is_patient=False)
    window.subscribe("quick")
    window.wait_for_state("quick", "state.data && state.status === 'error'")

    assert reason in window.state("quick")["error"]
