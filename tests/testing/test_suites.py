"""How suites are made from the contract: what they must give, may leave out, and cannot change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import reality.testing
from reality.storage.base import Capabilities, Storage
from reality.testing.dictionary import DictStorage
from reality.testing.promises.bench import Stores, promise
from reality.testing.storage import StorageContract


class OneProcess(StorageContract):
    capabilities = Capabilities(is_shared=False, is_durable=False)

    def new_storage(self) -> Storage:
        return DictStorage()


class Shared(OneProcess):
    capabilities = Capabilities(is_shared=True, is_durable=False)

    @contextmanager
    def outage(self, storage: Storage) -> Iterator[None]:
        yield


def inherited(suite: type[StorageContract]) -> set[str]:
    return {name for name in dir(suite) if name.startswith("test_") and getattr(suite, name)}


def test_a_test_of_the_contract_cannot_be_overridden() -> None:
    """A subclass, or what it mixes in, that replaces or removes a test is refused by name."""

    class Mixed:
        def test_closing_twice_does_no_harm(self) -> None: ...

    with pytest.raises(TypeError, match=r"Own overrides test_a_store_says_what_it_is .*capabil"):

        class Own(StorageContract):
            test_a_store_says_what_it_is = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="Mixing overrides test_closing_twice_does_no_harm"):

        class Mixing(Mixed, StorageContract):
            pass


def test_tests_of_missing_abilities_are_left_out() -> None:
    """A suite has the tests of what its store can do, and a suite below it may have more."""
    every, one, shared = map(inherited, (StorageContract, OneProcess, Shared))

    assert one < shared < every
    assert {"test_tags_are_random", "test_the_register_never_falls"}.isdisjoint(shared)
    assert "test_what_was_appended_does_not_depend_on_the_writer" in shared - one
    assert "test_failures_name_the_store_and_pass" in shared - one
    assert "test_batches_get_the_next_sequences" in one


def test_a_suite_that_claims_too_little_is_found() -> None:
    """A store that can do more, or less, than its suite says fails the contract."""
    with pytest.raises(AssertionError):
        OneProcess().test_a_store_says_what_it_is()


def test_a_suite_must_say_how_a_store_is_made() -> None:
    """Without `new_storage` the tests fail, and say what is missing; so without the other hooks."""

    class Empty(StorageContract):
        pass

    with pytest.raises(NotImplementedError, match="Empty must say how a new store is made"):
        Empty().test_batches_get_the_next_sequences()
    with pytest.raises(NotImplementedError, match="Empty must say how a store is opened twice"):
        Empty().same_storage(DictStorage())
    with pytest.raises(NotImplementedError, match="Empty does not say how the store fails"):
        Empty().outage(DictStorage())


def test_stores_are_closed_and_disposed_of_after_a_test_that_failed() -> None:
    """Every store that a test was given is closed, and then disposed of, in the test's loop."""
    seen: list[object] = []

    class Noted(DictStorage):
        async def close(self) -> None:
            seen.append("closed")

    class Noting(StorageContract):
        def new_storage(self) -> Storage:
            return Noted()

        def same_storage(self, storage: Storage) -> Storage:
            return Noted()

        async def dispose(self, storage: Storage) -> None:
            asyncio.get_running_loop()
            seen.append("disposed of")

        @promise()
        async def test_of_its_own(self, stores: Stores) -> None:
            """A suite may have tests of its own."""
            await stores.several(2)
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        Noting().test_of_its_own()

    assert ["closed", "closed", "disposed of", "disposed of"] == seen


@pytest.mark.parametrize("name", reality.testing.__all__)
def test_every_helper_is_there_and_documented(name: str) -> None:
    """Every name of `reality.testing` can be used, and says what it is."""
    assert name in dir(reality.testing)
    assert getattr(reality.testing, name).__doc__


def test_an_unknown_helper_is_an_attribute_error() -> None:
    """A misspelt name fails as it would in any module."""
    with pytest.raises(AttributeError, match=r"'reality\.testing' has no attribute 'Contract'"):
        reality.testing.Contract  # noqa: B018
