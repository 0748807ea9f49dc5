"""Measure and print: `make bench`, or `.venv/bin/python bench/run.py --help`.

Nothing is asserted here: the numbers are for people. It fails only if something cannot be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import footprint, http_load, waiters
from bench.report import CannotMeasure, Table, machine, machine_line

PARTS: dict[str, Callable[..., list[Table]]] = {
    "http_load": http_load.measure,
    "waiters": waiters.measure,
    "footprint": footprint.measure,
}


def main() -> int:
    """Run the parts that are asked for; the exit status."""
    parser = argparse.ArgumentParser(description="Measure how fast Reality is on this machine.")
    parser.add_argument("--quick", action="store_true", help="under 20 s a part; rough numbers")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; repeatable")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers here, too")
    options = parser.parse_args()

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
        for table in tables:
            _print(f"\n{table.text()}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return failed


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
