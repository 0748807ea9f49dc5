"""Helpers for tests of applications and of stores, published with the package.

    storage       StorageContract: the promises of a store as tests, inherited by subclassing
    stateful      storage_machine: several instances of a store against a dictionary, by Hypothesis
    faults        FaultyStorage, SlowStorage: any store, failing or waiting when told to
    dictionary    DictStorage: a whole store in dictionaries, to test with and to copy from
    model         Model: what a store has to answer, worked out from its batches
    virtual_time  run_virtually: a program whose clock jumps instead of waiting, from a seed
    network       SimulatedNetwork: ASGI applications on simulated hosts, and all that can go wrong
    hosts         Host: what runs on one machine, which may stand still, die, or have a wrong clock
    promises/     the tests that StorageContract joins; nothing to import from there

Names are loaded when they are first used: pytest and Hypothesis, of the extra `testing`, only by
what needs them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reality.testing.dictionary import DictStorage
    from reality.testing.faults import FaultyStorage, SlowStorage
    from reality.testing.hosts import Host
    from reality.testing.model import Model
    from reality.testing.network import Link, SimulatedNetwork
    from reality.testing.stateful import storage_machine
    from reality.testing.storage import Load, StorageContract
    from reality.testing.virtual_time import run_virtually

__all__ = (
    "DictStorage",
    "FaultyStorage",
    "Host",
    "Link",
    "Load",
    "Model",
    "SimulatedNetwork",
    "SlowStorage",
    "StorageContract",
    "run_virtually",
    "storage_machine",
)

_HOMES = {
    "DictStorage": "reality.testing.dictionary",
    "FaultyStorage": "reality.testing.faults",
    "Host": "reality.testing.hosts",
    "Link": "reality.testing.network",
    "Load": "reality.testing.storage",
    "Model": "reality.testing.model",
    "SimulatedNetwork": "reality.testing.network",
    "SlowStorage": "reality.testing.faults",
    "StorageContract": "reality.testing.storage",
    "run_virtually": "reality.testing.virtual_time",
    "storage_machine": "reality.testing.stateful",
}

if "pytest" in sys.modules:
    # So that a failing test of the contract shows what it compared.
    sys.modules["pytest"].register_assert_rewrite(
        "reality.testing.model", "reality.testing.promises", "reality.testing.stateful"
    )


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reality.testing' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
