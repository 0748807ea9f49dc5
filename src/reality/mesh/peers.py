"""What a server has seen of one other server, and how healthy that makes it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from reality.core.backoff import full_jitter
from reality.core.cursor import Position
from reality.core.messages import Health
from reality.mesh.messages import Exchange, Kind, digest_of

# Calls in a row that fail before a peer counts as unhealthy.
FAILURES_MAX = 3
# A peer whose answers take longer than this is degraded.
SLOW_S = 1.0
BACKOFF_BASE_S = 0.1
BACKOFF_MAX_S = 1.0
# Not at once even where the jitter says so: a dead peer's port refuses within microseconds.
_BACKOFF_MIN_S = 0.05
# Weight of the newest measurement in the running mean of latencies.
_LATENCY_WEIGHT = 0.2


@dataclass(slots=True)
class Peer:
    """One other server. Times are seconds of a monotonic clock.

    Attributes:
        url: where it is called; "" for one that only calls.
        is_configured: whether it was configured, rather than heard of from others.
        server_id: "" as long as it was never reached.
        run: the run that was heard of last.
        origin: what its own touches belong to.
        public_url: where clients reach it.
        digest: how far it had come when it was last heard of; None before.
        failures: calls in a row that have failed.
        has_left: it has said that it ends.
        left_at: when it said so.
        is_calling: whether a call is under way.
        kind: what the last call was for.
        due: what is to be called for as soon as that is possible.
        last: what it said last, but for pages; None before.
        follow_ups: calls that have followed on the exchange under way.
        has_moved: whether its digest, or what it has in part, has changed since the last call.
        met_at: when it was first thought of forgetting it.
        called_at: when the last call began.
        retry_at: when it may be called again.
        heard_at: when it was last heard of.
        exchanged_at: when digests were last exchanged with it.
        caught_up_at: when all was had of it that it had told of; None before.
        latency_s: mean time that its answers take.
    """

    url: str
    is_configured: bool
    server_id: str = ""
    run: str = ""
    origin: str = ""
    public_url: str = ""
    digest: Mapping[str, Position] | None = field(default=None, repr=False)
    failures: int = 0
    has_left: bool = False
    left_at: float = float("-inf")
    is_calling: bool = False
    kind: Kind = "exchange"
    due: Kind | None = None
    last: Exchange | None = field(default=None, repr=False)
    follow_ups: int = 0
    has_moved: bool = False
    met_at: float = float("inf")
    called_at: float = float("-inf")
    retry_at: float = float("-inf")
    heard_at: float = float("-inf")
    exchanged_at: float = float("-inf")
    caught_up_at: float | None = None
    latency_s: float | None = None

    @property
    def health(self) -> Health:
        """From the calls made to it."""
        if self.failures >= FAILURES_MAX:
            return "unhealthy"
        if self.has_left or (self.latency_s is None and not self.failures):
            return "unknown"
        is_slow = self.latency_s is not None and self.latency_s > SLOW_S
        return "degraded" if self.failures or is_slow else "healthy"

    @property
    def is_sought(self) -> bool:
        """Whether it has to be found first: it never answered, fails, or is gone for a while."""
        return self.latency_s is None or self.failures > 0 or self.has_left

    @property
    def is_there(self) -> bool:
        """Whether it was heard of, and nothing speaks against its being there."""
        return self.digest is not None and not self.failures and not self.has_left

    def may_be_called(self, now_s: float) -> bool:
        """Whether a call can begin now."""
        return bool(self.url) and not self.is_calling and self.retry_at <= now_s

    def silent_ms(self, now_s: float) -> int | None:
        """For how long it was not heard of; None if it never was."""
        silent_s = now_s - self.heard_at
        return None if math.isinf(silent_s) else max(0, int(silent_s * 1000))

    def take(self, message: Exchange, now_s: float, *, is_call: bool) -> None:
        """It has called, or answered."""
        self.server_id, self.run, self.origin = message.server_id, message.run, message.origin
        self.public_url = message.public_url
        digest = digest_of(message)
        before = self.last
        self.has_moved |= digest != self.digest or before is None
        self.has_moved |= before is not None and before.partial != message.partial
        self.digest, self.last = digest, msgspec.structs.replace(message, pages=[])
        self.heard_at = now_s
        if message.kind == "exchange":
            self.exchanged_at = now_s
        if message.kind == "goodbye":
            self.has_left, self.failures, self.caught_up_at = True, 0, None
            self.left_at = now_s
            self.retry_at = now_s + BACKOFF_MAX_S
        elif is_call:
            self.has_left = False

    def began(self, kind: Kind, now_s: float) -> None:
        """A call begins."""
        self.is_calling, self.has_moved = True, False
        self.kind, self.due, self.called_at = kind, None, now_s

    def answered(self, now_s: float) -> None:
        """The call was answered."""
        took_s = now_s - self.called_at
        before = took_s if self.latency_s is None else self.latency_s
        self.latency_s = before + _LATENCY_WEIGHT * (took_s - before)
        self.is_calling = False
        self.has_left &= self.called_at <= self.left_at  # what it said before it left is no return
        self.failures, self.retry_at, self.heard_at = 0, now_s, now_s

    def failed(self, now_s: float, *, random: float, counts: bool) -> None:
        """The call failed; it does not count against the peer where this server was to blame."""
        self.is_calling, self.follow_ups = False, 0
        self.due = self.due or self.kind
        self.failures += counts
        delay_s = full_jitter(
            max(0, self.failures - 1), base=BACKOFF_BASE_S, cap=BACKOFF_MAX_S, random=random
        )
        self.retry_at = now_s + max(_BACKOFF_MIN_S, delay_s)


def lag(held: Mapping[str, Position], other: Mapping[str, Position] | None) -> int:
    """Batches that `other` lacks of what is held."""
    if other is None:
        return 0
    return sum(
        max(0, position.sequence - other.get(origin, Position(0)).sequence)
        for origin, position in held.items()
    )


def lacks(held: Mapping[str, Position], other: Mapping[str, Position]) -> list[str]:
    """The origins that `held` has not come as far in as `other`, or does not know."""
    return [
        origin
        for origin, position in other.items()
        if origin not in held or held[origin].sequence < position.sequence
    ]
