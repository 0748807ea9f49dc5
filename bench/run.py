"""Measure, print and write down: `make bench`, or `.venv/bin/python bench/run.py --help`.

Nothing is asserted here: the numbers are for people. It fails only if something cannot be measured.
Each part that was measured in full replaces its two files in `bench/results/`, one for people and
one for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import footprint, http_load, mesh, store_memory, stores, waiters, wakeups, warm_syncs
from bench.report import CannotMeasure, Table, machine, machine_line

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Callable[..., list[Table]]] = {
    "http_load": http_load.measure,
    "waiters": waiters.measure,
    "footprint": footprint.measure,
    "stores": stores.measure,
    "wakeups": wakeups.measure,
    "warm_syncs": warm_syncs.measure,
    "store_memory": store_memory.measure,
    "mesh": mesh.measure,
}


def main() -> int:
    """Run the parts that are asked for; the exit status."""
    parser = argparse.ArgumentParser(description="Measure how fast Reality is on this machine.")
    parser.add_argument("--quick", action="store_true", help="under a minute a part; rough numbers")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; repeatable")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers here, too")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="where each part is written down; bench/results, but nowhere if --quick",
    )
    options = parser.parse_args()
    results: Path | None = options.results or (None if options.quick else RESULTS)

    _print(machine_line())
    found: dict[str, object] = {"machine": machine()}
    failed = 0
    for part in options.only or PARTS:
        try:
            tables = PARTS[part](is_quick=options.quick)
        except CannotMeasure as error:
            failed = 1
            _print(f"\n{part} could not run: {error}")
            continue
        found[part] = [table.values() for table in tables]
        text = "".join(f"\n{table.text()}\n" for table in tables)
        _print(text.rstrip("\n"))
        if results is not None:
            _write(results, f"{part}.txt", f"{machine_line()}\n{text}")
            _write(results, f"{part}.json", _json({"machine": machine(), part: found[part]}))
    if options.json is not None:
        options.json.write_text(_json(found), "utf-8")
    return failed


def _json(found: dict[str, object]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
