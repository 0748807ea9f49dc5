"""What stores that break promises have in common."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec

from reality.core.changelog import Batch, Logged
from reality.core.delta import Touched
from reality.storage.base import Storage
from reality.testing.dictionary import DictStorage

Struct = TypeVar("Struct", Batch, Touched)


class Broken(DictStorage):
    """A store with something wrong.

    Attributes:
        found_by: the tests of the contract that fail because of it.
    """

    found_by: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, found_by: str) -> None:
        cls.found_by = tuple(f"test_{name}" for name in found_by.split())

    def another(self) -> Storage:
        """Another instance over the same state."""
        return self

    def _record(self, batch: Batch) -> Logged:
        return super()._record(self.misread(batch))

    def misread(self, batch: Batch) -> Batch:
        """What it takes a batch for."""
        return batch


def changed(struct: Struct, **changes: Any) -> Struct:
    """A copy of a batch or a node, with other values."""
    return msgspec.structs.replace(struct, **changes)
