"""The state machine on the reference store, and on stores that it must refuse."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from reality.core.limits import Limits
from reality.storage.base import Storage
from reality.storage.memory import MemoryStorage
from reality.testing.dictionary import DictStorage
from reality.testing.stateful import StorageMachine, storage_machine
from tests.testing import broken_appends, broken_lives, broken_reads
from tests.testing.broken import Broken

DISPOSED: list[Storage] = []


def memory_storage() -> Storage:
    storage = MemoryStorage()
    storage.serve_as("alpha", Limits())
    return storage


async def dispose(storage: Storage) -> None:
    DISPOSED.append(storage)


def machine_of(kind: type[Broken]) -> type[StorageMachine]:
    def another(storage: Storage) -> Storage:
        return storage.another() if isinstance(storage, Broken) else storage

    return storage_machine(kind, another)


class TestDictMachine(storage_machine(DictStorage, lambda storage: storage).TestCase):  # type: ignore[misc]
    settings = settings(max_examples=50, stateful_step_count=30)


class TestMemoryMachine(storage_machine(memory_storage).TestCase):  # type: ignore[misc]
    settings = settings(max_examples=30, stateful_step_count=30)


@pytest.mark.parametrize(
    "kind",
    [
        broken_appends.LeavesAGap,
        broken_appends.CountsTwice,
        broken_appends.KeepsTheOldHash,
        broken_appends.ReadsThenWrites,
        broken_appends.KeepsToItself,
        broken_reads.BeginsAfter,
        broken_reads.LogsTwoNames,
        broken_reads.FoldsCase,
        broken_reads.SplitsPages,
        broken_reads.AlwaysPromisesMore,
        broken_lives.ForgetsWhenClosed,
        broken_lives.StartsOver,
        broken_lives.RotatesAnything,
        broken_lives.LowersTheRegister,
    ],
)
def test_the_machine_finds_a_broken_promise(kind: type[Broken]) -> None:
    """A store that breaks a promise is refuted within a few hundred runs."""
    few = settings(max_examples=300, database=None, phases=[Phase.generate], print_blob=False)

    with pytest.raises((AssertionError, KeyError, RuntimeError, ValueError, ExceptionGroup)):
        run_state_machine_as_test(machine_of(kind), settings=few)


def test_the_machine_disposes_of_what_was_made() -> None:
    """After each run every store it made is closed, and then handed to `dispose`."""
    machine = storage_machine(DictStorage, lambda _: DictStorage(), dispose=dispose)
    DISPOSED.clear()
    run = machine()
    run.teardown()

    assert len(DISPOSED) == len(set(map(id, DISPOSED))) == 3
