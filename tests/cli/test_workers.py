"""`reality serve --workers`: several processes on one port."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, TOKEN, is_refused, run
from tests.support.processes import free_port, serving

WORKERS = 3


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server with several workers."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(WORKERS), "--server-id", "s"]
    with serving(
        [*COMMAND, "serve", *options, "--store", f"sqlite:///{tmp_path}/reality.db"],
        ready_url=f"http://127.0.0.1:{port}/reality/ready",
        environment={"REALITY_TOKEN": TOKEN},
    ):
        yield port


def test_all_workers_answer_alike(port: int) -> None:
    """I4: each worker has an id of its own, and whichever is asked knows what another was told."""
    url = f"http://127.0.0.1:{port}"
    told = run("invalidate", "posts", "--url", url, "--token", TOKEN)
    met: set[str] = set()
    while len(met) < WORKERS:
        with urllib.request.urlopen(f"{url}/reality/health", timeout=10) as answer:
            met.add(answer.read().decode().partition('"serverId":"')[2].partition('"')[0])

    assert all(server_id.startswith("s-") for server_id in met)
    assert {told.stdout.split("  hash")[0].strip()} == {
        run("get", "posts", "--url", url).stdout.split("  hash")[0] for _ in range(4)
    }


def test_a_port_that_is_taken_is_refused(port: int, tmp_path: Path) -> None:
    """I1: a second fleet on the port, which would split the clients, ends at once."""
    options = ["--workers", "2", "--store", f"sqlite:///{tmp_path}/other.db"]

    assert is_refused(run("serve", "--port", str(port), *options), "another port")
