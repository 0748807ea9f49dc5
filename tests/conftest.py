"""What all tests share: their environment, Hypothesis' profiles, and who is marked `slow`."""

from __future__ import annotations

import signal
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

# Several processes share the tests out by files: these last longest, and would else end alone. The
# network's tests, which watch the clock, stay where they are, behind most of these.
_BEGINNERS = ("tests/simulation/test_simulation.py", "tests/storage/test_crowds.py")


def pytest_configure() -> None:
    """Let programs be interrupted, also if the tests run in the background of a script.

    A shell has the signal ignored there, which all that is started inherits.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; mark as `slow` the tests of modules that start programs."""
    items.sort(key=lambda item: not item.nodeid.startswith(_BEGINNERS))
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
