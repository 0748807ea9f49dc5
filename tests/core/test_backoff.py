"""Delays after failures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.backoff import ceiling, full_jitter
from tests.core.vectors import each


@each("backoff.json", "delays")
def test_delays_grow_up_to_the_cap(case: dict[str, Any]) -> None:
    """A delay is the drawn share of a ceiling that doubles with each attempt, up to the cap."""
    attempt, base, cap = case["attempt"], case["base"], case["cap"]
    assert ceiling(attempt, base=base, cap=cap) == case["ceiling"]
    assert full_jitter(attempt, base=base, cap=cap, random=case["random"]) == case["delay"]


def test_a_negative_attempt_is_refused() -> None:
    """There is no attempt before the first."""
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        full_jitter(-1, base=1, cap=2, random=0.5)


@given(
    attempt=st.integers(0, 10**9),
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e6),
    random=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_between_nothing_and_the_cap(
    attempt: int, base: float, cap: float, random: float
) -> None:
    """I6: no attempt, however late, waits longer than the cap or shorter than nothing."""
    delay = full_jitter(attempt, base=base, cap=cap, random=random)
    assert 0 <= delay <= ceiling(attempt, base=base, cap=cap) <= cap
