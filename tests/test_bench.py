"""The bench runs; what it finds is for people (`make bench`, docs/benchmarks.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import mesh_simulated, places, stores, wakeups
from bench.places import Place
from bench.report import Table
from tests.support.programs import require_program

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("part", ["footprint", "store_memory"])
def test_the_bench_measures_what_needs_no_server(tmp_path: Path, part: str) -> None:
    """`bench/run.py` prints its tables and writes the same numbers down."""
    path = tmp_path / "found.json"
    done = subprocess.run(
        [
            *(sys.executable, "bench/run.py", "--quick", "--only", part, "--json", path),
            *("--results", tmp_path / "results"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode
    found = json.loads(path.read_text(encoding="utf-8"))
    for table in found[part]:
        assert table["title"] in done.stdout
        assert table["rows"]
    assert found == json.loads((tmp_path / "results" / f"{part}.json").read_text(encoding="utf-8"))
    assert done.stdout.strip() == (tmp_path / "results" / f"{part}.txt").read_text("utf-8").strip()


@contextmanager
def _without_its_program() -> Iterator[list[Place]]:
    require_program("no-such-program", debian_package="no-such-package")
    yield []


@pytest.mark.slow
@pytest.mark.parametrize("measure", [stores.measure, wakeups.measure])
def test_stores_are_measured_or_said_to_be_left_out(
    monkeypatch: pytest.MonkeyPatch, measure: Callable[..., list[Table]]
) -> None:
    """Each store that is there has a row; one whose server is missing has a line that says so."""
    monkeypatch.setattr("tests.support.programs.REQUIRE_ALL", False)
    servers = {"SQLite": places.sqlite_place, "Another": _without_its_program}
    monkeypatch.setattr(places, "SERVERS", servers)

    (table,) = measure(is_quick=True)

    assert ["memory", "dictionary", "SQLite"] == [name for name, _ in table.rows]
    assert "left out: Another, needs the program no-such-program" in "\n".join(table.notes)


def test_larger_meshes_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push to each other server tells them all; without pushes three intervals are enough."""
    monkeypatch.setattr(mesh_simulated, "SIZES", (2, 5))

    (table,) = mesh_simulated.measure(is_quick=True)

    found = table.values()["rows"]
    assert ["2 servers", "5 servers"] == list(found)
    for size, row in zip((2, 5), found.values(), strict=True):
        assert row["known by all ms"] == pytest.approx(1.0)
        assert size - 1 <= row["messages"] < size
        assert row["max"] <= 3
