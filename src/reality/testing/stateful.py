"""A Hypothesis machine: several instances of one store, in any order of verbs, against a model.

class TestMachine(storage_machine(new_storage, same_storage).TestCase):
    settings = settings(max_examples=100, stateful_step_count=30)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from reality.core.changelog import Appended, Batch
from reality.core.cursor import Position
from reality.errors import MissingDependency
from reality.storage.base import Storage
from reality.testing.model import Model, names_of, positions_of

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        Bundle,
        RuleBasedStateMachine,
        consumes,
        invariant,
        precondition,
        rule,
    )
except ImportError as error:
    raise MissingDependency(
        "hypothesis", extra="testing", needed_for="the state machine of a store"
    ) from error

INSTANCES = 3
NAMES = ("a", "b", "c", "A", "a:*", "ä", "*")

T = TypeVar("T")

_instances = st.integers(0, INSTANCES - 1)
_names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(tuple)
_appends = st.lists(
    st.builds(
        Batch,
        names=_names,
        updated_at=st.integers(0, 9),
        hash=st.sampled_from(["", "h", "i"]),
        deleted=st.booleans(),
        touches_min=st.sampled_from([1, 1, 1, 2, 5, 12]),
    ),
    min_size=1,
    max_size=3,
)


def storage_machine(
    new_storage: Callable[[], Storage],
    same_storage: Callable[[Storage], Storage] | None = None,
    *,
    dispose: Callable[[Storage], Coroutine[Any, Any, None]] | None = None,
) -> type[StorageMachine]:
    """The machine for a store; its `TestCase` is the test, with settings of its own.

    Args:
        new_storage: makes a store over a fresh, empty state, not opened; a new one at each call.
        same_storage: makes another over the state of an open one, as another process has it; None
            if the store cannot be shared.
        dispose: lets go of what `new_storage` and `same_storage` made for a store, now closed.
    """
    makers = Makers(new_storage, same_storage, dispose)
    return type("StorageMachine", (StorageMachine,), {"makers": makers})


class Makers(NamedTuple):
    """How a machine gets its stores, and gets rid of them; see `storage_machine`."""

    new_storage: Callable[[], Storage]
    same_storage: Callable[[Storage], Storage] | None
    dispose: Callable[[Storage], Coroutine[Any, Any, None]] | None


class Walk:
    """A walk through a store by `scan`, some pages of which have been read.

    Attributes:
        due: names that were there when it began.
        met: names that it has met.
        after: the sequence to go on from.
    """

    def __init__(self, model: Model) -> None:
        self.due = frozenset(model.nodes)
        self.met: set[str] = set()
        self.after = 0


class StorageMachine(RuleBasedStateMachine):
    """Instances of one store, and the model of what they have been told."""

    makers: ClassVar[Makers]

    walks = Bundle("walks")

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._made: list[Storage] = []
        self.model = Model()
        self.positions: list[Position] = []
        first = self._run(self._made_ready(self.makers.new_storage))
        self.head = self._run(first.open()).head
        self.instances = [first] + [self._another(first) for _ in range(INSTANCES - 1)]

    def teardown(self) -> None:
        """Close everything, whatever has happened."""
        for storage in reversed(self._made):
            self._run(storage.close())
        if (dispose := self.makers.dispose) is not None:
            for storage in reversed(self._made):
                self._run(dispose(storage))
        self._runner.close()

    @property
    def is_durable(self) -> bool:
        """Whether the store outlives being closed, has tags, and can be rotated."""
        return self.instances[0].capabilities.is_durable

    @rule(at=_instances, batches=_appends)
    def append(self, at: int, batches: list[Batch]) -> None:
        """One instance appends."""
        self._record(self._run(self.instances[at].append(batches)), batches)

    @rule(every=st.lists(st.tuples(_instances, _appends), min_size=2, max_size=4))
    def append_at_once(self, every: list[tuple[int, list[Batch]]]) -> None:
        """Several append at once; the store says in which order they came."""

        async def at_once() -> list[Appended]:
            return await asyncio.gather(*(self.instances[at].append(own) for at, own in every))

        done = zip(self._run(at_once()), (own for _, own in every), strict=True)
        for appended, batches in sorted(done, key=lambda each: each[0].after.sequence):
            self._record(appended, batches)

    @rule(at=_instances, names=st.sets(st.sampled_from([*NAMES, "never"])))
    def read(self, at: int, names: set[str]) -> None:
        """What is read is what the model has."""
        expected = {name: self.model.nodes[name] for name in names if name in self.model.nodes}
        assert expected == self._run(self.instances[at].read(names))

    @rule(at=_instances, data=st.data(), limit=st.integers(1, 8))
    def changes(self, at: int, data: st.DataObject, limit: int) -> None:
        """From any batch on, the log is what the model has, with the tags that were told."""
        after = data.draw(st.integers(0, self.model.sequence + 2))
        answer = self._run(self.instances[at].changes(after, limit=limit))

        assert self.head == answer.head
        first = max(after, 1)
        told = positions_of(answer.batches)
        assert self.positions[first - 1 : first - 1 + len(told)] == told
        self.model.check_log(answer.batches, first=first, is_first_known=after > 0)
        assert (len(told) > 0) == (first <= self.model.sequence)
        if told:
            assert told[-1].sequence > after or after == self.model.sequence

    @rule(target=walks)
    def begin_walk(self) -> Walk:
        """A walk begins; it owes every name that is there by now."""
        return Walk(self.model)

    @rule(target=walks, walk=consumes(walks), at=_instances, limit=st.integers(1, 5))
    def go_on(self, walk: Walk, at: int, limit: int) -> Walk:
        """A walk reads one more page, and after its last page begins anew."""
        page = self._run(self.instances[at].scan(walk.after, limit=limit))
        told = {each.name: each for each in page.touched}
        assert len(told) == len(page.touched)
        upto = page.touched[-1].sequence if page.more else self.model.sequence
        assert told == {
            each.name: each
            for each in self.model.nodes.values()
            if walk.after < each.sequence <= upto
        }
        sequences = [each.sequence for each in page.touched]
        assert sequences == sorted(sequences)
        assert page.more == bool(self.model.after(upto))
        walk.met |= set(names_of(page.touched))
        if page.more:
            walk.after = upto
            return walk
        assert walk.due <= walk.met
        return Walk(self.model)

    @precondition(lambda self: self.is_durable)
    @rule(at=_instances, register=st.integers(0, 20), is_meant=st.booleans())
    def rotate(self, at: int, register: int, is_meant: bool) -> None:
        """A rotation of this origin changes lineage and register; of another, nothing."""
        expected = self.head.origin if is_meant else f"{self.head.store_id}@gone"
        head = self._run(self.instances[at].rotate(expected, register=register))

        if is_meant:
            assert head.lineage != self.head.lineage
            register = max(register, self.head.register)
            self.head = self.head._replace(lineage=head.lineage, register=register)
        assert self.head == head

    @rule(at=_instances)
    def open_again(self, at: int) -> None:
        """Opening an open store tells where it stands, and changes nothing."""
        opening = self._run(self.instances[at].open())
        assert self.head == opening.head
        if self.is_durable:
            assert tuple(self.positions) == opening.recent

    @precondition(lambda self: self.is_durable)
    @rule(at=_instances)
    def reopen(self, at: int) -> None:
        """A store that was closed and opened has all it had."""
        self._run(self.instances[at].close())
        self.open_again(at)

    @precondition(lambda self: self.is_durable and self.makers.same_storage is not None)
    @rule(at=_instances)
    def replace(self, at: int) -> None:
        """An instance leaves for good, and a new one comes, as when a server is restarted."""
        other = self._another(self.instances[at])
        self._run(self.instances[at].close())
        self.instances[at] = other

    @invariant()
    def head_counts_touches(self) -> None:
        """No version exceeds `register + touches`."""
        assert self.head.touches >= self.model.touches

    def _record(self, appended: Appended, batches: Sequence[Batch]) -> None:
        assert appended.after == self.head.position
        for each in batches:
            self.model.append(each)
        first = appended.after.sequence + 1
        assert len(batches) == len(appended.batches)
        self.model.check_log(appended.batches, first=first)
        assert appended.head.touches >= self.head.touches
        expected = self.head._replace(
            position=appended.batches[-1].position, touches=appended.head.touches
        )
        assert expected == appended.head
        self.head = appended.head
        self.positions += positions_of(appended.batches)

    def _another(self, storage: Storage) -> Storage:
        make = self.makers.same_storage
        if make is None:
            return storage
        return self._run(self._made_ready(lambda: make(storage)))

    async def _made_ready(self, make: Callable[[], Storage]) -> Storage:
        storage = make()
        self._made.append(storage)
        await storage.open()
        return storage

    def _run(self, verb: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(verb)
