"""Runs the machine: see `machine` for what it does and demands.

`make test` runs a fixed set of examples. REALITY_MACHINE_EXAMPLES=5000 runs so many random ones.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.core.machine import Machine, SkewedMachine

_EXAMPLES = int(os.environ.get("REALITY_MACHINE_EXAMPLES", "0"))

# Long runs take as long as they are asked to.
pytestmark = pytest.mark.timeout(0 if _EXAMPLES else 180)

_SETTINGS = settings(
    max_examples=_EXAMPLES or 2 * settings().max_examples,
    stateful_step_count=60,
    derandomize=not _EXAMPLES,
)

TestMachine = Machine.TestCase
TestMachine.settings = _SETTINGS
TestSkewedMachine = SkewedMachine.TestCase
TestSkewedMachine.settings = _SETTINGS
