"""What a server's graph of a shared store weighs, at a million keys.

Each row is a process of its own: `python -m bench.store_memory CASE COUNT` fills a graph the way a
server does and prints how much its resident memory has grown by, in bytes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator

from bench.processes import PYTHON, memory_bytes, output
from bench.report import Table
from reality.core.changelog import Changes, Head, Logged, Opening
from reality.core.cursor import Position
from reality.core.delta import Touched
from reality.core.store_graph import StoreGraph

_GOAL_BYTES = 400
_LOOK_BATCHES = 100
_READ_NAMES = 1_000
# From a decoder, which makes new strings and numbers for each name.
_NAME = "posts:{:07}"


def measure(*, is_quick: bool) -> list[Table]:
    """One table.

    Raises:
        CannotMeasure: this is not Linux.
    """
    count = 20_000 if is_quick else 1_000_000
    table = Table(
        f"Memory of a server's graph of a shared store, {count:,} keys of one origin, by how they "
        "came to be in it",
        ("MB", "bytes/key", "goal"),
    )
    for case in _CASES:
        size = int(output([*PYTHON, "-m", "bench.store_memory", case, str(count)]))
        table.rows.append((case, (size / 1e6, size / count, _GOAL_BYTES)))
    table.notes.append("resident memory of the process, the strings of the keys included")
    return [table]


def _graph() -> StoreGraph:
    return StoreGraph(Opening(_head(0, 0), ()))


def _head(sequence: int, touches: int) -> Head:
    return Head("0123456789ab", "ba9876543210", Position(sequence, 1), 0, touches)


def _follow(graph: StoreGraph, count: int, *, batch_keys: int) -> None:
    """As when a feed reads what others have written, page by page."""
    touches = graph._head.touches  # noqa: SLF001  # nobody else has any use for it
    batches: list[Logged] = []
    sequence = graph.position
    for start in range(0, count, batch_keys):
        sequence += 1
        names = _decoded(start, batch_keys)
        # Decoded, so that each batch has numbers of its own.
        number, updated_at = json.loads(f"[{sequence}, {1_700_000_000_000 + sequence}]")
        touched = (Touched(name, number, 1, "", updated_at, False) for name in names)
        batches.append(Logged(Position(number, 1), tuple(touched)))
        touches += batch_keys
        if len(batches) == _LOOK_BATCHES or start + batch_keys >= count:
            graph.follow(Changes(_head(sequence, touches), tuple(batches)))
            batches.clear()


def _one_by_one(graph: StoreGraph, count: int) -> None:
    _follow(graph, count, batch_keys=1)


def _by_hundreds(graph: StoreGraph, count: int) -> None:
    _follow(graph, count, batch_keys=100)


def _twice(graph: StoreGraph, count: int) -> None:
    _one_by_one(graph, count)
    _one_by_one(graph, count)


def _read(graph: StoreGraph, count: int) -> None:
    """As when clients ask for keys that were touched before the server began."""
    graph.follow(Changes(_head(1, count), (Logged(Position(1, 1), ()),)))
    for start in range(0, count, _READ_NAMES):
        names = _decoded(start, _READ_NAMES)
        numbers = json.loads(str([1_700_000_000_000 + start + each for each in range(len(names))]))
        found = (Touched(*each) for each in _rows(names, numbers))
        _learn(graph, names, {each.name: each for each in found})


def _rows(names: list[str], numbers: list[int]) -> Iterator[tuple[str, int, int, str, int, bool]]:
    for name, updated_at in zip(names, numbers, strict=True):
        yield name, 1, 3, "", updated_at, False


def _untouched(graph: StoreGraph, count: int) -> None:
    """As when clients ask for keys that nobody has ever touched."""
    for start in range(0, count, _READ_NAMES):
        _learn(graph, _decoded(start, _READ_NAMES), {})


def _learn(graph: StoreGraph, names: list[str], found: dict[str, Touched]) -> None:
    """As a server does for a sync: read what the graph lacks, the patterns above included."""
    graph.learn(graph.lacks(names), found)
    assert not graph.lacks(names), "all was read"


def _decoded(start: int, count: int) -> list[str]:
    text = json.dumps([_NAME.format(number) for number in range(start, start + count)])
    names: list[str] = json.loads(text)
    return names


_CASES: dict[str, Callable[[StoreGraph, int], None]] = {
    "followed, batches of 1 key": _one_by_one,
    "followed, batches of 100 keys": _by_hundreds,
    "followed, each key twice": _twice,
    "read when asked for": _read,
    "asked for, never touched": _untouched,
}


def main() -> None:
    """The command line."""
    case, count = sys.argv[1], int(sys.argv[2])
    graph = _graph()
    _CASES[case](graph, _READ_NAMES)  # whatever is needed once
    graph = _graph()
    gc.collect()
    before = memory_bytes(os.getpid())
    _CASES[case](graph, count)
    gc.collect()
    assert count <= len(graph) <= count + 2, f"{len(graph)} keys and patterns are in the graph"
    sys.stdout.write(str(memory_bytes(os.getpid()) - before))


if __name__ == "__main__":
    main()
