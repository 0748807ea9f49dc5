"""What a store has to answer, worked out in a dictionary from the batches that it was given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reality.core.changelog import Appended, Batch, Logged
from reality.core.cursor import Position
from reality.core.delta import Touched


def batch(
    *names: str, updated_at: int = 1, hash: str = "", deleted: bool = False, touches_min: int = 1
) -> Batch:
    """A batch of these names, in a few letters."""
    return Batch(names, updated_at, hash, deleted, touches_min)


class Model:
    """The batches of one origin, in order, and what became of their names.

    Attributes:
        nodes: what `Storage.read` tells of all names.
        log: for each sequence, from 1 on, what its names had become by it.
    """

    def __init__(self, batches: Iterable[Batch] = ()) -> None:
        self.nodes: dict[str, Touched] = {}
        self.log: list[tuple[Touched, ...]] = []
        for each in batches:
            self.append(each)

    @classmethod
    def of(cls, done: Iterable[tuple[Appended, Sequence[Batch]]]) -> Model:
        """The model of appends that ran at once, put in the order that the store gave them."""
        by_sequence = {
            logged.position.sequence: given
            for appended, batches in done
            for logged, given in zip(appended.batches, batches, strict=True)
        }
        assert sorted(by_sequence) == list(range(1, len(by_sequence) + 1))
        return cls(by_sequence[sequence] for sequence in sorted(by_sequence))

    @property
    def sequence(self) -> int:
        """The last one."""
        return len(self.log)

    @property
    def touches(self) -> int:
        """Of all names together."""
        return sum(each.touches for each in self.nodes.values())

    def append(self, each: Batch) -> None:
        """Record a batch, as a store should."""
        sequence = self.sequence + 1
        for name in each.names:
            before = self.nodes[name].touches if name in self.nodes else 0
            touches = max(before + 1, each.touches_min)
            self.nodes[name] = Touched(
                name, sequence, touches, each.hash, each.updated_at, each.deleted
            )
        self.log.append(tuple(self.nodes[name] for name in each.names))

    def after(self, sequence: int) -> set[str]:
        """The names last touched after a sequence."""
        return {each.name for each in self.nodes.values() if each.sequence > sequence}

    def check_log(
        self, answer: Sequence[Logged], *, first: int, is_first_known: bool = False
    ) -> None:
        """Assert that these are the batches from `first` on, without gaps, and tell all they must.

        Args:
            answer: `batches` of `Changes` or `Appended`.
            first: the sequence that they must begin with.
            is_first_known: whether the first of them need not tell its names.
        """
        sequences = [each.position.sequence for each in answer]
        assert sequences == list(range(first, first + len(answer)))
        told_later: set[str] = set()
        for logged in reversed(answer):
            expected = {each.name: each for each in self.log[logged.position.sequence - 1]}
            told = {each.name: each for each in logged.touched}
            assert len(told) == len(logged.touched), "a name is told twice of one batch"
            for name, touched in told.items():
                assert touched == expected.get(name)
            if not (is_first_known and logged is answer[0]):
                missing = expected.keys() - told.keys() - told_later
                assert not missing, f"batch {logged.position.sequence} leaves out {missing}"
            told_later |= expected.keys()


def fold(answers: Iterable[Logged]) -> dict[str, Touched]:
    """What a server makes of the log: for each name the last that was told."""
    return {touched.name: touched for logged in answers for touched in logged.touched}


def names_of(touched: Collection[Touched]) -> list[str]:
    """Their names, in order."""
    return [each.name for each in touched]


def positions_of(answer: Iterable[Logged]) -> list[Position]:
    """Their positions, in order."""
    return [each.position for each in answer]
