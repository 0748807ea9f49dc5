"""What a server does in a process that forks, is signalled, drops its loop or ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def run(program: str, *arguments: str, timeout_s: float = 20) -> subprocess.CompletedProcess[str]:
    """A program of its own process, to its end; a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-W", "default", str(PROGRAMS / program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.parametrize("arguments", [[], ["held"], ["held", "raise"]])
def test_a_process_ends_quietly(arguments: list[str]) -> None:
    """A process that used `server.blocking` ends at once and prints nothing, held syncs or not."""
    done = run("leave.py", *arguments)

    assert ("", "") == (done.stdout, done.stderr)
    assert (3 if "raise" in arguments else 0) == done.returncode


def test_a_fork_is_a_server_of_its_own() -> None:
    """I1, I4: a child forked with the lock taken works on, as a new origin, with nothing held."""
    done = run("fork.py")
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    child, parent = told["child"], told["parent"]

    assert 0 == told["status"]
    assert child["origin"] != parent["origin"]
    # A client that moves from the parent to the child refetches once, and then no more.
    assert (True, False, []) == (child["reset"], child["reset_again"], child["changed_again"])
    assert told["version"] < child["version_told"] < child["version_touched"]
    assert 0 == child["waiters"]
    assert {"changed": ["a"], "reset": False} == child["held"]
    assert ["MainThread", "reality-blocking"] == [
        name for name in child["threads"] if not name.startswith("asyncio")
    ]
    # The parent noticed nothing.
    assert 1 == parent["waiters"]
    assert told["version"] + 1 == parent["version_touched"]


def test_threads_of_a_child_begin_together() -> None:
    """I1: threads that first use a forked server at once lose no touch, and none hangs."""
    done = run("fork_threads.py", timeout_s=40)

    assert (0, "") == (done.returncode, done.stderr)


def test_waits_end_from_a_signal_handler() -> None:
    """`end_waits` in a signal handler is no deadlock, whatever the signal interrupted."""
    done = run("signalled.py")

    assert (0, "holds none\n") == (done.returncode, done.stdout), done.stderr


def test_a_process_that_just_ends_closes_its_store(tmp_path: Path) -> None:
    """A script that has told of a change leaves one whole SQLite file, and nothing beside it."""
    file = tmp_path / "reality.db"
    script = f"""
from reality import RealityServer
RealityServer(storage="sqlite:///{file}").blocking.invalidate("posts")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert ["reality.db"] == [each.name for each in tmp_path.iterdir()]
