"""How long to wait after a failure: exponential, capped, with full jitter.

Full jitter (a uniform draw between nothing and the cap of the attempt) spreads a crowd of clients
better than equal or decorrelated jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

# 2**32 base delays are beyond any cap; the bound keeps the power from growing for ever.
_EXPONENT_MAX = 32


def full_jitter(attempt: int, *, base: float, cap: float, random: float) -> float:
    """The delay before retry number `attempt` (0 is the first), in the unit of `base` and `cap`.

    `random` is a number drawn uniformly from [0, 1).
    """
    if attempt < 0:
        raise ValueError(f"attempt must not be negative, got {attempt}")
    return random * ceiling(attempt, base=base, cap=cap)


def ceiling(attempt: int, *, base: float, cap: float) -> float:
    """The longest delay that `full_jitter` may give for this attempt."""
    return min(cap, base * float(2 ** min(attempt, _EXPONENT_MAX)))
