"""Optimistic updates in a real browser, against what happens at the server meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Play
from tests.browser.playground import Playground, invalidate

pytestmark = pytest.mark.slow

# `sending` has the mutations under way by what they add; each waits until it is told how it ends.
_ADD = """([key, item]) => {
    (window.sending ??= {})[item] = {};
    const send = () => new Promise((resolve, reject) =>
        Object.assign(sending[item], { resolve, reject }));
    const optimisticUpdate = (list, input) => [...list, input];
    const ended = (error) => (sending[item].error = error.message);
    reality.mutate(key, item, send, { optimisticUpdate }).catch(ended);
}"""


def test_an_optimistic_update_outlives_what_races_it(play: Play) -> None:
    """A refetch and an invalidation during a mutation neither hide its update nor show it twice."""
    window = _listing(play, ["a"])
    _add(window.page, "b")
    _wait_for(window, ["a", "b"])

    invalidate(window.page, "list")
    window.wait_for_fetch("list", 2)
    window.finish("list", 2, ["new", "a"])
    _wait_for(window, ["new", "a", "b"])
    invalidate(window.page, "list")
    window.wait_for_fetch("list", 3)
    window.page.evaluate("sending.b.resolve()")
    # This fetch began before the mutation was done, and does not have its outcome.
    window.finish("list", 3, ["newer", "a"])
    _wait_for(window, ["newer", "a", "b"])
    window.wait_for_fetch("list", 4)
    window.finish("list", 4, ["newer", "a", "b"])
    window.wait_for_state("list", "state.status === 'idle'")

    shown = _lists(window.page)
    assert shown[-1] == ["newer", "a", "b"]
    since = next(index for index, each in enumerate(shown) if "b" in each)
    assert {each.count("b") for each in shown[since:]} == {1}


def test_a_mutation_that_fails_takes_back_its_own_update_only(play: Play) -> None:
    """Of two mutations under way the first fails: what the second one shows stays."""
    window = _listing(play, ["a"])
    _add(window.page, "b")
    _add(window.page, "c")
    _wait_for(window, ["a", "b", "c"])

    window.page.evaluate("sending.b.reject(new Error('refused'))")
    _wait_for(window, ["a", "c"])
    window.page.evaluate("sending.c.resolve()")
    window.wait_for_fetch("list", 2)
    window.finish("list", 2, ["a", "c"])
    window.wait_for_state("list", "state.status === 'idle'")

    shown = _lists(window.page)
    since = next(index for index, each in enumerate(shown) if "c" in each)
    assert all("c" in each for each in shown[since:])
    assert shown[-1] == ["a", "c"]
    assert window.page.evaluate("sending.b.error") == "refused"


def _listing(play: Play, data: list[str]) -> Playground:
    window = play()
    window.subscribe("list")
    window.wait_for_fetch("list", 1)
    window.finish("list", 1, data)
    window.wait_until_held("list")
    return window


def _add(page: Page, item: str) -> None:
    page.evaluate(_ADD, ["list", item])
    page.wait_for_function("(item) => sending[item].resolve", arg=item)


def _wait_for(window: Playground, data: list[str]) -> None:
    window.page.wait_for_function(
        "(data) => JSON.stringify(states.list.at(-1).data) === JSON.stringify(data)", arg=data
    )


def _lists(page: Page) -> list[list[str]]:
    shown: list[Any] = page.evaluate("states.list.map((each) => each.data ?? [])")
    return shown
