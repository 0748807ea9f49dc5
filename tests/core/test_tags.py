from __future__ import annotations

from reality.core.cursor import Position
from reality.core.tags import Tags


def positions(first: int, last: int) -> list[Position]:
    return [Position(sequence, sequence * 7) for sequence in range(first, last + 1)]


def test_a_position_is_known_by_sequence_and_tag() -> None:
    """Another tag under the same sequence is another history."""
    tags = Tags(positions(5, 9))
    tags.append(Position(10, 70))

    assert all(tags.knows(each) for each in positions(5, 10))
    assert not tags.knows(Position(7, 1))
    assert not tags.knows(Position(4, 28))
    assert not tags.knows(Position(11, 77))


def test_before_the_first_batch_all_histories_are_one() -> None:
    """Sequence 0 has no tag: nothing was touched by then."""
    assert Tags([]).knows(Position(0))
    assert Tags(positions(5, 9)).knows(Position(0))
    assert not Tags([]).knows(Position(1, 7))


def test_old_tags_are_forgotten() -> None:
    """I6: however long it lives, a server keeps a bounded number of them, the newest."""
    tags = Tags([], kept=10)
    for each in positions(1, 1000):
        tags.append(each)

    known = [each.sequence for each in positions(1, 1000) if tags.knows(each)]
    assert 10 <= len(known) <= 20
    assert known == list(range(1001 - len(known), 1001))
