"""`core.polling`: the table against the vectors, and the pace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.polling import TRANSITIONS, Action, Event, Pacer, Polling, transition

VECTORS = json.loads(
    (Path(__file__).parents[2] / "conformance" / "vectors" / "client.json").read_text()
)


def test_the_table_is_total_and_as_in_the_vectors() -> None:
    """Every state answers every event, in the way that both languages agree on."""
    expected = {
        Polling(state): {
            Event(event): (Polling(after), Action(action)) for event, (after, action) in row.items()
        }
        for state, row in VECTORS["polling"].items()
    }

    assert expected == TRANSITIONS
    assert TRANSITIONS.keys() == set(Polling)
    assert all(row.keys() == set(Event) for row in TRANSITIONS.values())


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_what_is_under_way_fits_the_state(events: list[Event]) -> None:
    """A shard that syncs or holds has just that request under way, so it can never be stuck.

    One that is paused has a clock, and one that is idle or closed has neither.
    """
    state, under_way = Polling.IDLE, "nothing"
    fitting = {
        Polling.IDLE: "nothing",
        Polling.SYNCING: "sync",
        Polling.HOLDING: "hold",
        Polling.PAUSED: "clock",
        Polling.CLOSED: "nothing",
    }
    effects = {
        Action.SYNC: "sync",
        Action.HOLD: "hold",
        Action.PAUSE: "clock",
        Action.RETRY: "clock",
        Action.STOP: "nothing",
    }
    answers = {Event.ANSWERED, Event.RESTED, Event.DEFERRED, Event.FAILED}
    for event in events:
        if event in answers and under_way not in ("sync", "hold"):
            continue
        if event is Event.ELAPSED and under_way != "clock":
            continue
        if event in answers or event is Event.ELAPSED:
            under_way = "nothing"
        state, action = transition(state, event)
        under_way = effects.get(action, under_way)

        assert fitting[state] == under_way


@pytest.mark.parametrize("vector", VECTORS["pacer"], ids=lambda vector: vector["says"])
def test_the_pace(vector: dict[str, Any]) -> None:
    """The pacer pauses as long as the vector says, and at least half as long when drawn short."""
    longest, shortest = Pacer(), Pacer()
    for now_s, took_s, wait_s, news, reset, pause_s in vector["answers"]:
        facts = {"now_s": now_s, "took_s": took_s, "wait_s": wait_s, "news": news, "reset": reset}

        assert longest.answered(**facts, random=1.0) == pytest.approx(pause_s)
        assert shortest.answered(**facts, random=0.0) == pytest.approx(pause_s / 2)


def test_failures_are_counted_until_an_answer() -> None:
    """`failed` counts failures in a row from 0, and an answer begins anew."""
    pacer = Pacer()

    assert [pacer.failed(), pacer.failed()] == [0, 1]
    pacer.answered(now_s=0, took_s=0, wait_s=0, news=False, reset=False, random=0)
    assert pacer.failed() == 0
