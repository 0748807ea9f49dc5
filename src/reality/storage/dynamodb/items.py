"""What the table holds, as values: the store item, nodes, and the log's items."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from reality.core.changelog import Head, Logged
from reality.core.cursor import Position
from reality.core.delta import Touched

# A node or part lives in one of so many partitions: each takes 1,000 small writes a second.
SPREAD = 8
# Sorts the nodes of a partition by their last touch.
INDEX = "by_sequence"
STORE_KEY = {"pk": "store", "sk": "store"}

Value: TypeAlias = str | int | bytes | bool
Item: TypeAlias = Mapping[str, Value]

# Of each batch: updated_at, hash, deleted, names, their touches.
_Recorded: TypeAlias = tuple[int, str, bool, tuple[str, ...], tuple[int, ...]]
_decoder = msgspec.msgpack.Decoder(list[_Recorded])


class Identity(NamedTuple):
    """The store item: who the store is, and how far the work behind the log has come.

    Attributes:
        store_id: see `Head`.
        lineage: see `Head`.
        register: see `Head`.
        applied_from: first sequence of the last log item whose nodes are written; 0 before any.
        applied_to: its last sequence.
        trimmed: log items that begin at this sequence or before may be gone.
        schema: of the table.
    """

    store_id: str
    lineage: str
    register: int
    applied_from: int
    applied_to: int
    trimmed: int
    schema: int


class Group(NamedTuple):
    """One item of the log: the batches of one append.

    Attributes:
        first: the first of their sequences, and the item's place.
        id: drawn by the writer, so that it knows its own item.
        tags: one for each batch.
        touches: of all names together after it, see `Head`.
        parts: how many items hold its data; 0 if it holds them itself.
        data: its encoded batches, unless they are in parts or were not asked for.
    """

    first: int
    id: str
    tags: tuple[int, ...]
    touches: int
    parts: int
    data: bytes

    @property
    def last(self) -> int:
        """The last of its sequences."""
        return self.first + len(self.tags) - 1

    @property
    def positions(self) -> tuple[Position, ...]:
        """Of its batches, in order."""
        return tuple(Position(self.first + index, tag) for index, tag in enumerate(self.tags))

    def item(self) -> Item:
        """As the table holds it."""
        return {
            **log_key(self.first),
            "id": self.id,
            "tags": struct.pack(f">{len(self.tags)}L", *self.tags),
            "touches": self.touches,
            "parts": self.parts,
            "data": self.data,
        }

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Group:
        """From what the table holds."""
        tags = struct.unpack(f">{len(item['tags']) // 4}L", item["tags"])
        data = item.get("data", b"")
        return cls(int(item["sk"]), item["id"], tags, item["touches"], item["parts"], data)


def head_of(identity: Identity, newest: Group | None) -> Head:
    """Where a store stands whose log ends with this item."""
    if newest is None:
        position, touches = Position(0), 0
    else:
        position, touches = newest.positions[-1], newest.touches
    return Head(identity.store_id, identity.lineage, position, identity.register, touches)


def encode_batches(logged: Iterable[Logged]) -> bytes:
    """What the names of these batches became, in few bytes."""
    recorded = []
    for each in logged:
        of_all = each.touched[0]
        names = tuple(touched.name for touched in each.touched)
        touches = tuple(touched.touches for touched in each.touched)
        recorded.append((of_all.updated_at, of_all.hash, of_all.deleted, names, touches))
    return zlib.compress(msgspec.msgpack.encode(recorded), level=1)


def decode_batches(group: Group, data: bytes) -> tuple[Logged, ...]:
    """The batches of a log item."""
    return tuple(
        Logged(
            position,
            tuple(
                Touched(name, position.sequence, count, hash_, updated_at, deleted)
                for name, count in zip(names, touches, strict=True)
            ),
        )
        for position, (updated_at, hash_, deleted, names, touches) in zip(
            group.positions, _decoder.decode(zlib.decompress(data)), strict=True
        )
    )


def log_key(first: int) -> Item:
    """The place of a log item; its text sorts as the number does."""
    return {"pk": "log", "sk": log_sort_key(first)}


def log_sort_key(first: int) -> str:
    """See `log_key`."""
    return f"{first:018d}"


def part_keys(group: Group) -> list[Item]:
    """The places of its parts: sorted by sequence, so that dead writers' are trimmed too."""
    return [
        {
            "pk": f"part#{number % SPREAD}",
            "sk": f"{log_sort_key(group.first)}.{group.id}.{number:05d}",
        }
        for number in range(group.parts)
    ]


def node_key(name: str) -> Item:
    """The place of a node."""
    return {"pk": f"node#{zlib.crc32(name.encode()) % SPREAD}", "sk": name}


def node_item(touched: Touched) -> Item:
    """A node as the table holds it."""
    return {
        **node_key(touched.name),
        "sequence": touched.sequence,
        "touches": touched.touches,
        "hash": touched.hash,
        "updated_at": touched.updated_at,
        "deleted": touched.deleted,
    }


def node_of(item: Mapping[str, Any]) -> Touched:
    """From what the table holds."""
    rest = (item[name] for name in ("sequence", "touches", "hash", "updated_at", "deleted"))
    return Touched(item["sk"], *rest)


def newest_of(logged: Sequence[Logged]) -> dict[str, Touched]:
    """What each name of these batches became last, in the order of their last touch."""
    newest: dict[str, Touched] = {}
    for each in logged:
        for touched in each.touched:
            newest.pop(touched.name, None)
            newest[touched.name] = touched
    return newest


def to_wire(item: Item) -> dict[str, dict[str, Value]]:
    """An item in DynamoDB's notation."""
    return {name: _typed(value) for name, value in item.items()}


def from_wire(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item out of DynamoDB's notation."""
    values = {}
    for name, typed in item.items():
        [(kind, value)] = typed.items()
        values[name] = int(value) if kind == "N" else value
    return values


def _typed(value: Value) -> dict[str, Value]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"B": value} if isinstance(value, bytes) else {"S": value}
