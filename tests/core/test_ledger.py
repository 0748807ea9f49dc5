"""Who touched what."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reality.core.delta import Touched
from reality.core.ledger import Ledger

_touches = st.lists(
    st.tuples(st.sampled_from(["s~1", "t~1", "u~1"]), st.sampled_from(["a", "b", "a:*", "*"])),
    max_size=30,
)


def test_a_newer_entry_replaces_an_older_one() -> None:
    """Within an origin the entry of the greater sequence counts, in whatever order they come."""
    ledger = Ledger(first_position=10)
    newer, older = Touched("a", 5, 3, "h", 50, True), Touched("a", 2, 1, "", 20, False)
    ledger.put("s~1", newer)
    ledger.put("s~1", older)
    ledger.put("s~1", newer)
    assert list(ledger.touched_after("s~1", 0)) == [newer]
    assert ledger.touches == 3
    assert ledger.position == 11, "what changed nothing was not applied"
    assert len(ledger) == 1


def test_origins_stand_beside_each_other() -> None:
    """Entries of several origins of one name are kept apart and all found."""
    ledger = Ledger(first_position=0)
    for origin, touches in (("s~1", 1), ("t~1", 2), ("u~1", 4)):
        ledger.put(origin, Touched("a", touches, touches, "", 0, False))
    ledger.put("t~1", Touched("b", 9, 8, "", 0, False))
    assert sorted((each.origin, each.touches) for each in ledger.entries(["a", "none"])) == [
        ("s~1", 1),
        ("t~1", 2),
        ("u~1", 4),
    ]
    entry = ledger.entry("a", "t~1")
    assert entry is not None
    assert entry.sequence == 2
    assert ledger.entry("a", "x~1") is None
    assert ledger.entry("none", "s~1") is None
    assert ledger.touches == 15
    assert len(ledger) == 2


def test_an_unknown_origin_touched_nothing() -> None:
    """Walking an origin that was never heard of finds nothing."""
    assert list(Ledger(first_position=0).touched_after("s~1", 0)) == []


@given(_touches, st.integers(0, 30))
def test_walks_agree_with_a_plain_record(touches: list[Any], since: int) -> None:
    """Both walks, by origin and by application, find each name once at its last place."""
    ledger = Ledger(first_position=0)
    sequences: dict[str, int] = {}
    last: dict[tuple[str, str], Touched] = {}
    applied: dict[str, int] = {}
    for position, (origin, name) in enumerate(touches, 1):
        sequences[origin] = sequence = sequences.get(origin, 0) + 1
        before = last.get((origin, name))
        touched = Touched(name, sequence, 1 + (before.touches if before else 0), "", 0, False)
        ledger.put(origin, touched)
        last[origin, name], applied[name] = touched, position
    for origin in sequences:
        mine = [each for (whose, _), each in last.items() if whose == origin]
        assert list(ledger.touched_after(origin, since)) == sorted(
            (each for each in mine if each.sequence > since), key=lambda each: each.sequence
        )
    assert list(ledger.applied_after(since)) == sorted(
        (position, name) for name, position in applied.items() if position > since
    )
    assert ledger.touches == len(touches)
    assert len(ledger) == len(applied)
