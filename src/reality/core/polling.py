"""One shard of a client: which request comes next, and when.

A shard is a fixed group of keys that share a cursor and are asked for together. It has at most
one request under way. As in `freshness`, the table is total, and the same in TypeScript.

    idle        nothing to ask for, or nothing asks for it
    syncing     a request without wait is under way
    holding     a request with wait is under way
    paused      the next request waits for the clock
    closed      for good
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import StrEnum

from reality.core.backoff import ceiling

# Five answers with news within half a second may be a loop rather than news (pitfall 3). The pause
# after them is always the same: where they are news, more comes meanwhile, and goes together.
BREAKER_ANSWERS = 5
BREAKER_WINDOW_S = 0.5
BREAKER_PAUSE_S = 1.0
# A held request that returns sooner, empty, was not held.
HELD_S_MIN = 0.5
PAUSE_BASE_S = 1.0
PAUSE_MAX_S = 30.0
RESET_SPREAD_MS = 2_000


class Polling(StrEnum):
    """The states; the module's docstring says what they mean."""

    IDLE = "idle"
    SYNCING = "syncing"
    HOLDING = "holding"
    PAUSED = "paused"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to a shard."""

    KEYS_ADDED = "keys_added"  # a key is held that the request under way does not ask for
    KEYS_GONE = "keys_gone"  # no key is held any more
    HINTED = "hinted"  # somebody wants to know now: an interaction, a focus, a return online
    ANSWERED = "answered"  # the request was answered, go on
    RESTED = "rested"  # the request was answered, and nothing is to follow by itself
    DEFERRED = "deferred"  # the request was answered, go on after a pause
    FAILED = "failed"  # no server answered
    ELAPSED = "elapsed"  # the pause is over
    CLOSED = "closed"


class Action(StrEnum):
    """What the shell has to do. Any action but NONE first gives up the request or pause before."""

    NONE = "none"
    SYNC = "sync"  # request without wait
    HOLD = "hold"  # request with wait
    PAUSE = "pause"  # for as long as the pacer said
    RETRY = "retry"  # pause after a failure
    STOP = "stop"


_S, _E, _A = Polling, Event, Action

TRANSITIONS: Mapping[Polling, Mapping[Event, tuple[Polling, Action]]] = {
    _S.IDLE: {
        _E.KEYS_ADDED: (_S.SYNCING, _A.SYNC),
        _E.KEYS_GONE: (_S.IDLE, _A.NONE),
        _E.HINTED: (_S.SYNCING, _A.SYNC),
        _E.ANSWERED: (_S.IDLE, _A.NONE),
        _E.RESTED: (_S.IDLE, _A.NONE),
        _E.DEFERRED: (_S.IDLE, _A.NONE),
        _E.FAILED: (_S.IDLE, _A.NONE),
        _E.ELAPSED: (_S.IDLE, _A.NONE),
        _E.CLOSED: (_S.CLOSED, _A.STOP),
    },
    _S.SYNCING: {
        _E.KEYS_ADDED: (_S.SYNCING, _A.SYNC),
        _E.KEYS_GONE: (_S.IDLE, _A.STOP),
        _E.HINTED: (
            _S.SYNCING,
            _A.SYNC,
        ),  # what is under way may have been answered before the hint
        _E.ANSWERED: (_S.HOLDING, _A.HOLD),
        _E.RESTED: (_S.IDLE, _A.NONE),
        _E.DEFERRED: (_S.PAUSED, _A.PAUSE),
        _E.FAILED: (_S.PAUSED, _A.RETRY),
        _E.ELAPSED: (_S.SYNCING, _A.NONE),
        _E.CLOSED: (_S.CLOSED, _A.STOP),
    },
    _S.HOLDING: {
        _E.KEYS_ADDED: (_S.SYNCING, _A.SYNC),
        _E.KEYS_GONE: (_S.IDLE, _A.STOP),
        _E.HINTED: (_S.SYNCING, _A.SYNC),
        _E.ANSWERED: (_S.HOLDING, _A.HOLD),
        _E.RESTED: (_S.IDLE, _A.NONE),
        _E.DEFERRED: (_S.PAUSED, _A.PAUSE),
        _E.FAILED: (_S.PAUSED, _A.RETRY),
        _E.ELAPSED: (_S.HOLDING, _A.NONE),
        _E.CLOSED: (_S.CLOSED, _A.STOP),
    },
    _S.PAUSED: {
        _E.KEYS_ADDED: (_S.SYNCING, _A.SYNC),
        _E.KEYS_GONE: (_S.IDLE, _A.STOP),
        _E.HINTED: (_S.SYNCING, _A.SYNC),
        _E.ANSWERED: (_S.PAUSED, _A.NONE),
        _E.RESTED: (_S.PAUSED, _A.NONE),
        _E.DEFERRED: (_S.PAUSED, _A.NONE),
        _E.FAILED: (_S.PAUSED, _A.NONE),
        _E.ELAPSED: (_S.SYNCING, _A.SYNC),
        _E.CLOSED: (_S.CLOSED, _A.STOP),
    },
    _S.CLOSED: dict.fromkeys(Event, (_S.CLOSED, _A.NONE)),
}


def transition(state: Polling, event: Event) -> tuple[Polling, Action]:
    """The next state, and what to do."""
    return TRANSITIONS[state][event]


class Pacer:
    """How long to pause after an answer: the breaker, resets in a row, servers that do not hold.

    Pauses for resets in a row, and for a server that does not hold, double from `PAUSE_BASE_S` to
    `PAUSE_MAX_S` as long as the reason goes on. All are drawn from their upper half, so that the
    clients of one server do not move in step.
    """

    def __init__(self) -> None:
        self._news_at: deque[float] = deque(maxlen=BREAKER_ANSWERS)
        self._trips = self._resets = self._unheld = self._failures = 0

    def answered(
        self,
        *,
        now_s: float,
        took_s: float,
        wait_s: float,
        news: bool,
        reset: bool,
        random: float,
    ) -> float:
        """Seconds to pause after an answer; 0 to go on at once.

        Args:
            now_s: a monotonic clock.
            took_s: how long the answer took.
            wait_s: how long it was allowed to be held.
            news: whether it told this client anything that it did not know.
            reset: whether it was a reset.
            random: drawn uniformly from [0, 1).
        """
        self._failures = 0
        self._resets = self._resets + 1 if reset else 0
        is_unheld = wait_s > 0 and not news and took_s < min(HELD_S_MIN, wait_s / 2)
        if wait_s > 0 or news:  # what could not be held, and has no news, says nothing of that
            self._unheld = self._unheld + 1 if is_unheld else 0
        is_looping = self._is_looping(now_s, news=news)
        if is_looping:
            self._trips += 1
        elif wait_s > 0 and not news:
            self._trips = 0
        pauses = (
            _pause(self._resets - 1),
            _pause(self._unheld) if is_unheld else 0.0,
            BREAKER_PAUSE_S if is_looping else 0.0,
        )
        return max(pauses) * (0.5 + random / 2)

    def failed(self) -> int:
        """Count a failure in a row; how many there were before it."""
        self._failures += 1
        return self._failures - 1

    @property
    def trips(self) -> int:
        """How often answers came in a loop since the last one that was held in vain."""
        return self._trips

    def _is_looping(self, now_s: float, *, news: bool) -> bool:
        recent = self._news_at
        if not news:
            recent.clear()
            return False
        recent.append(now_s)
        if len(recent) < BREAKER_ANSWERS or now_s - recent[0] > BREAKER_WINDOW_S:
            return False
        recent.clear()
        return True


def _pause(times: int) -> float:
    """The pause for a reason that was met so many times in a row."""
    return 0.0 if times < 1 else ceiling(times - 1, base=PAUSE_BASE_S, cap=PAUSE_MAX_S)
