"""The contract on the reference store; and each of its tests on a store that it must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reality.core.limits import Limits
from reality.errors import StorageUnavailable
from reality.storage.base import Capabilities, Storage
from reality.storage.memory import MemoryStorage
from reality.testing.dictionary import DictStorage
from reality.testing.faults import FaultyStorage
from reality.testing.storage import Load, StorageContract
from tests.testing import broken_appends, broken_lives, broken_reads
from tests.testing.broken import Broken

EVERY_TEST = {name for name in dir(StorageContract) if name.startswith("test_")}
BROKEN = [
    kind
    for module in (broken_appends, broken_lives, broken_reads)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and issubclass(kind, Broken)
]
OUTAGE_TEST = "test_failures_name_the_store_and_pass"


class TestDictStorage(StorageContract):
    in_one_process = True

    def new_storage(self) -> Storage:
        return DictStorage()

    def same_storage(self, storage: Storage) -> Storage:
        return storage


class TestMemoryStorage(StorageContract):
    """What one process keeps to itself still is a store."""

    capabilities = Capabilities(is_shared=False, is_durable=False)

    def new_storage(self) -> Storage:
        storage = MemoryStorage()
        storage.serve_as("alpha", Limits())
        return storage


class TestFaultyStorage(StorageContract):
    """A wrapper that behaves, and fails in an outage only, is a store like the one it wraps."""

    in_one_process = True
    message = "{} cannot be reached; start it"

    def new_storage(self) -> Storage:
        return FaultyStorage(DictStorage())

    def same_storage(self, storage: Storage) -> Storage:
        assert isinstance(storage, FaultyStorage)
        return FaultyStorage(storage.storage)

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        assert isinstance(storage, FaultyStorage)
        storage.failing = StorageUnavailable(self.message.format(storage.name))
        yield
        storage.failing = None


class BrokenContract(StorageContract):
    """The contract on one of the broken stores; run by hand below."""

    in_one_process = True
    load = Load(names=600)

    def __init__(self, kind: type[Broken]) -> None:
        self.kind = kind

    def new_storage(self) -> Storage:
        return self.kind()

    def same_storage(self, storage: Storage) -> Storage:
        return storage.another() if isinstance(storage, Broken) else storage


def passes(suite: StorageContract, name: str) -> bool:
    """Run one test of a suite, as pytest would."""
    try:
        getattr(suite, name)()
    except Exception:  # noqa: BLE001  # a store that is broken may raise anything
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in BROKEN for name in kind.found_by],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_the_contract_finds_a_broken_promise(kind: type[Broken], name: str) -> None:
    """Each test of the contract fails on a store that breaks its promise."""
    assert passes(TestDictStorage(), name)
    assert not passes(BrokenContract(kind), name)


def test_every_test_of_the_contract_can_fail() -> None:
    """Each test of the contract is refuted by one of the broken stores; outages come below."""
    found = {name for kind in BROKEN for name in kind.found_by}

    assert EVERY_TEST == found | {OUTAGE_TEST}


@pytest.mark.parametrize("message", ["connection refused", ""])
def test_an_error_without_the_name_of_the_store_is_found(message: str) -> None:
    """A store whose errors do not say which store it is fails the contract."""
    suite = TestFaultyStorage()
    assert passes(suite, OUTAGE_TEST)
    suite.message = message
    assert not passes(suite, OUTAGE_TEST)
