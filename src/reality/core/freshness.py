"""One key of a client: when to fetch, and what a report means while a fetch is under way.

Rules of this file: every state answers every event (a total table), and no report is ever lost:
the key leaves `due` and `overtaken` only through a fetch that began after the report (I1). The
TypeScript client has the same table; `conformance/vectors/client.json` holds it for both.

    new         subscribed; nothing fetched, nothing due yet
    due         a fetch has to begin (at once, after a spread, or after a back-off)
    fetching    a fetch is under way and nothing was reported since it began
    overtaken   a fetch is under way, and something was reported since it began
    fresh       the last fetch succeeded and nothing was reported since it began
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

Status = Literal["idle", "loading", "syncing", "error", "stale"]


class Freshness(StrEnum):
    """The states; the module's docstring says what they mean."""

    NEW = "new"
    DUE = "due"
    FETCHING = "fetching"
    OVERTAKEN = "overtaken"
    FRESH = "fresh"


class Event(StrEnum):
    """What can happen to a key."""

    FIRST_LOAD = "first_load"  # the first sync was answered, or 150 ms have passed
    REPORTED = "reported"  # a server said that it changed, or could not say (`reset`)
    MATCHED = "matched"  # it changed, but the announced hash is that of the data held
    STARTED = "started"  # a fetch began
    SUCCEEDED = "succeeded"  # the fetch under way brought data
    FAILED = "failed"  # the fetch under way failed


class Action(StrEnum):
    """What the shell has to do."""

    NONE = "none"
    FETCH = "fetch"  # begin a fetch, now or after the spread that the answer asked for
    DELIVER = "deliver"  # hand the data to the subscribers
    DELIVER_AND_FETCH = "deliver_and_fetch"  # it is newer than what they have, but stale already
    RETRY = "retry"  # begin a fetch after a back-off


_S, _E, _A = Freshness, Event, Action

TRANSITIONS: Mapping[Freshness, Mapping[Event, tuple[Freshness, Action]]] = {
    _S.NEW: {
        _E.FIRST_LOAD: (_S.DUE, _A.FETCH),
        _E.REPORTED: (_S.DUE, _A.FETCH),
        _E.MATCHED: (_S.DUE, _A.FETCH),  # no data is held, so none can match
        _E.STARTED: (_S.FETCHING, _A.NONE),
        _E.SUCCEEDED: (_S.NEW, _A.NONE),
        _E.FAILED: (_S.NEW, _A.NONE),
    },
    _S.DUE: {
        _E.FIRST_LOAD: (_S.DUE, _A.NONE),
        _E.REPORTED: (_S.DUE, _A.NONE),
        _E.MATCHED: (_S.DUE, _A.NONE),  # what made it due is not undone by a later match
        _E.STARTED: (_S.FETCHING, _A.NONE),
        _E.SUCCEEDED: (_S.DUE, _A.NONE),
        _E.FAILED: (_S.DUE, _A.NONE),
    },
    _S.FETCHING: {
        _E.FIRST_LOAD: (_S.FETCHING, _A.NONE),
        _E.REPORTED: (_S.OVERTAKEN, _A.NONE),
        _E.MATCHED: (_S.OVERTAKEN, _A.NONE),  # the data held is about to be replaced
        _E.STARTED: (_S.FETCHING, _A.NONE),
        _E.SUCCEEDED: (_S.FRESH, _A.DELIVER),
        _E.FAILED: (_S.DUE, _A.RETRY),
    },
    _S.OVERTAKEN: {
        _E.FIRST_LOAD: (_S.OVERTAKEN, _A.NONE),
        _E.REPORTED: (_S.OVERTAKEN, _A.NONE),
        _E.MATCHED: (_S.OVERTAKEN, _A.NONE),
        _E.STARTED: (_S.OVERTAKEN, _A.NONE),
        _E.SUCCEEDED: (_S.DUE, _A.DELIVER_AND_FETCH),
        _E.FAILED: (_S.DUE, _A.RETRY),
    },
    _S.FRESH: {
        _E.FIRST_LOAD: (_S.FRESH, _A.NONE),
        _E.REPORTED: (_S.DUE, _A.FETCH),
        _E.MATCHED: (_S.FRESH, _A.NONE),
        _E.STARTED: (_S.FETCHING, _A.NONE),
        _E.SUCCEEDED: (_S.FRESH, _A.NONE),
        _E.FAILED: (_S.FRESH, _A.NONE),
    },
}


def transition(state: Freshness, event: Event) -> tuple[Freshness, Action]:
    """The next state, and what to do."""
    return TRANSITIONS[state][event]


def classify(
    *, known: int, version: int, announced_hash: str, held_hash: str, reset: bool
) -> Event | None:
    """What an answer's entry for a key means; None if it says nothing new.

    Args:
        known: the version last reported to this client.
        version: the version in the answer.
        announced_hash: the hash in the answer, "" if unknown.
        held_hash: the hash of the data held, "" if there is none or it cannot be hashed. Never a
            hash that was announced earlier: data fetched since then may differ from it.
        reset: whether the answer is a reset: then nothing is taken for known.
    """
    if reset:
        return Event.REPORTED
    if version == known:
        return None
    return Event.MATCHED if announced_hash and announced_hash == held_hash else Event.REPORTED


def status(state: Freshness, *, has_data: bool, has_error: bool) -> Status:
    """What subscribers are told: idle, loading, syncing, error or stale."""
    if state in (Freshness.FETCHING, Freshness.OVERTAKEN):
        return "syncing" if has_data else "loading"
    if has_error:
        return "error"
    if state is Freshness.FRESH:
        return "idle"
    return "stale" if has_data else "loading"
