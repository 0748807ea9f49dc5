"""`core.freshness`: the table against the vectors, and that no report is ever lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.freshness import (
    TRANSITIONS,
    Action,
    Event,
    Freshness,
    classify,
    status,
    transition,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "conformance" / "vectors" / "client.json").read_text()
)


def test_the_table_is_total_and_as_in_the_vectors() -> None:
    """Every state answers every event, in the way that both languages agree on."""
    expected = {
        Freshness(state): {
            Event(event): (Freshness(after), Action(action))
            for event, (after, action) in row.items()
        }
        for state, row in VECTORS["freshness"].items()
    }

    assert expected == TRANSITIONS
    assert TRANSITIONS.keys() == set(Freshness)
    assert all(row.keys() == set(Event) for row in TRANSITIONS.values())


@pytest.mark.parametrize("vector", VECTORS["classify"], ids=lambda vector: vector["says"])
def test_what_an_answer_means(vector: dict[str, object]) -> None:
    """`classify` gives the event of the vector."""
    event = classify(
        known=vector["known"],  # type: ignore[arg-type]
        version=vector["version"],  # type: ignore[arg-type]
        announced_hash=vector["announcedHash"],  # type: ignore[arg-type]
        held_hash=vector["heldHash"],  # type: ignore[arg-type]
        reset=vector["reset"],  # type: ignore[arg-type]
    )

    assert vector["event"] == event


@pytest.mark.parametrize("vector", VECTORS["status"])
def test_what_subscribers_are_told(vector: dict[str, object]) -> None:
    """`status` gives the word of the vector."""
    state = Freshness(str(vector["state"]))

    assert vector["status"] == status(
        state, has_data=bool(vector["hasData"]), has_error=bool(vector["hasError"])
    )


Step = st.sampled_from(["first_load", "report", "begin", "succeed", "fail"])


@given(st.lists(Step, max_size=60))
def test_no_report_is_lost(steps: list[str]) -> None:
    """I1: a `fresh` key was fetched by a fetch that began after the last report, in any order.

    And a key that is not fresh has a fetch under way or due.
    """
    state, is_due = Freshness.NEW, False
    now = reported_at = 0
    begun_at: int | None = None
    fetched_at = -1
    for step in steps:
        now += 1
        if step == "first_load":
            state, action = transition(state, Event.FIRST_LOAD)
        elif step == "report":
            reported_at = now
            state, action = transition(state, Event.REPORTED)
        elif step == "begin" and is_due:
            is_due, begun_at = False, now
            state, action = transition(state, Event.STARTED)
        elif step == "succeed" and begun_at is not None:
            fetched_at, begun_at = begun_at, None
            state, action = transition(state, Event.SUCCEEDED)
        elif step == "fail" and begun_at is not None:
            begun_at = None
            state, action = transition(state, Event.FAILED)
        else:
            continue
        if action in (Action.FETCH, Action.RETRY, Action.DELIVER_AND_FETCH):
            assert not is_due
            assert begun_at is None, "a key has at most one fetch under way"
            is_due = True

        if state is Freshness.FRESH:
            assert fetched_at > reported_at
        elif state is not Freshness.NEW:
            assert is_due or begun_at is not None
        if state is Freshness.FETCHING:
            assert begun_at is not None
            assert begun_at > reported_at
