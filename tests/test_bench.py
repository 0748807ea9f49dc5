"""The bench runs; what it finds is for people (`make bench`, docs/benchmarks.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_bench_measures_what_needs_no_server(tmp_path: Path) -> None:
    """`bench/run.py` prints its tables and writes the same numbers as JSON."""
    path = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "bench/run.py", "--quick", "--only", "footprint", "--json", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode
    found = json.loads(path.read_text(encoding="utf-8"))
    for table in found["footprint"]:
        assert table["title"] in done.stdout
        assert table["rows"]
