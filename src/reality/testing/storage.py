"""`StorageContract`: every promise of `reality.storage.base` as a test. A store subclasses it.

    class TestMyStorage(StorageContract):
        def new_storage(self) -> Storage:
            return MyStorage(new_empty_place())

        def same_storage(self, storage: Storage) -> Storage:
            return MyStorage(storage.place)

The tests need pytest, no plugin and no setting. Whatever service the store needs comes by ordinary
fixtures of the subclass (`@pytest.fixture(autouse=True)`). A test cannot be overridden: a store
either keeps a promise or says, in `capabilities`, that it does not make it.
"""

from __future__ import annotations

import os
from typing import ClassVar

from reality.testing.promises.appending import AppendPromises, WriterPromises
from reality.testing.promises.bench import Load, Suite
from reality.testing.promises.log import LogPromises
from reality.testing.promises.nodes import NodePromises, ScanPromises
from reality.testing.promises.opening import OpenPromises
from reality.testing.promises.rotating import RotatePromises

__all__ = ("Load", "StorageContract", "Suite")


class StorageContract(
    OpenPromises,
    AppendPromises,
    WriterPromises,
    LogPromises,
    NodePromises,
    ScanPromises,
    RotatePromises,
):
    """The tests of a store, inherited by a class that says how the store is made.

    `new_storage` and `same_storage` must be given; the rest of what `Suite` has may be.
    """

    _left_out: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        had, cls._left_out = cls._left_out, _left_out(cls)
        for name, test in _TESTS.items():
            if name in vars(cls) or (getattr(cls, name) is not test and name not in had):
                raise TypeError(
                    f"{cls.__name__} overrides {name} of the contract. A store that cannot keep a "
                    "promise says so in its capabilities; a test of your own needs another name"
                )
            # Of a test that is None, pytest knows nothing.
            setattr(cls, name, None if name in cls._left_out else test)


_TESTS = {
    name: getattr(StorageContract, name)
    for name in dir(StorageContract)
    if name.startswith("test_")
}


def _left_out(suite: type[StorageContract]) -> frozenset[str]:
    """The names of the tests that need what this store or platform has not."""
    has = {
        "durable": suite.capabilities.is_durable,
        "shared": suite.capabilities.is_shared,
        "outage": suite.outage is not Suite.outage,
        "fork": hasattr(os, "fork"),
    }
    return frozenset(
        name for name, test in _TESTS.items() if not all(has[need] for need in test.needs)
    )
