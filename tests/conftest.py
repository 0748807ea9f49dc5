"""What all tests share: their environment, Hypothesis' profiles, and who is marked `slow`."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from tests.support import processes, programs

# Private servers of the stores; each is started once, when a test first asks for it.
pytest_plugins = [
    "tests.support.postgres",
    "tests.support.mariadb",
    "tests.support.redis_server",
    "tests.support.nats_server",
    "tests.support.dynamodb",
]

# No deadlines: other work on the machine must not fail a test. `print_blob` makes a failure
# repeatable elsewhere.
settings.register_profile(
    "full", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("full"), max_examples=15)
settings.load_profile("full")

# Whoever imports one of these starts servers, browsers or other programs.
_SERVERS = {"postgres", "mariadb", "redis_server", "private_redis", "nats_server", "dynamodb"}
_STARTERS = (subprocess, processes.serving, programs.require_program)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `slow` all tests of the modules that start other programs."""
    for item in items:
        module = getattr(item, "module", None)
        uses_servers = not _SERVERS.isdisjoint(getattr(item, "fixturenames", ()))
        if uses_servers or (module is not None and _starts_programs(module)):
            item.add_marker(pytest.mark.slow)


@cache
def _starts_programs(module: ModuleType) -> bool:
    values = list(vars(module).values())
    # A module may also borrow what starts them from a neighbour, such as `tests.demo.served`.
    for name in {getattr(value, "__module__", None) or "" for value in values}:
        if name.startswith("tests.") and not name.startswith("tests.support."):
            values += vars(sys.modules[name]).values()
    return any(value is starter for value in values for starter in _STARTERS)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests are not theirs."""
    for name in ("URL", "TOKEN", "STORE", "MESH_SECRET", "ACCELERATOR"):
        monkeypatch.delenv(f"REALITY_{name}", raising=False)
