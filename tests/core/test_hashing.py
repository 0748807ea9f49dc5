"""`create_hash` gives what RFC 8785 says; that Node agrees is shown in `test_hashing_in_node`."""

from __future__ import annotations

import enum
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from reality.core.hashing import canonical_json, create_hash
from tests.core.json_data import json_data, numbers, texts
from tests.core.vectors import each


@each("hash.json", "canonical")
def test_canonical_json_and_hash(case: dict[str, Any]) -> None:
    """The canonical text and the hash of each vector are those of the file."""
    data = json.loads(case["json"])
    assert canonical_json(data) == case["canonical"]
    assert create_hash(data) == case["hash"]


@each("hash.json", "rejected")
def test_what_has_no_common_form_is_rejected(case: dict[str, Any]) -> None:
    """Numbers that are none, or too large, and broken text raise ValueError."""
    data = json.loads(case["json"]) if "json" in case else float(case["value"])
    with pytest.raises(ValueError, match=r"."):
        create_hash(data)


@given(json_data)
def test_the_canonical_text_is_that_of_another_library(data: Any) -> None:
    """For any data the text is that of the package rfc8785."""
    assert canonical_json(data).encode() == rfc8785.dumps(data)


@given(json_data)
def test_the_canonical_text_means_the_same_data(data: Any) -> None:
    """Read back, with doubles for large numbers, the data is equal and its text the same."""
    text = canonical_json(data)
    read = json.loads(
        text, parse_int=lambda digits: int(digits) if len(digits) < 16 else float(digits)
    )
    assert read == data
    assert canonical_json(read) == text


@given(st.dictionaries(texts, numbers, max_size=6), st.randoms())
def test_the_order_of_members_does_not_matter(data: dict[str, Any], random: Any) -> None:
    """However an object was built, its hash is the same."""
    items = list(data.items())
    random.shuffle(items)
    assert create_hash(dict(items)) == create_hash(data)


class _Colour(enum.Enum):
    RED = "red"


class _Row(msgspec.Struct):
    name: str
    size: int


@dataclass
class _Point:
    x: float
    y: float


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        ((1, "a"), [1, "a"]),
        ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}),
        (_Row("n", 3), {"name": "n", "size": 3}),
        (_Point(1.0, 2.5), {"x": 1, "y": 2.5}),
        (_Colour.RED, "red"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (frozenset([3]), [3]),
    ],
)
def test_python_values_hash_as_their_json(data: object, plain: object) -> None:
    """What msgspec can turn into JSON data has the hash of that data."""
    assert create_hash(data) == create_hash(plain)


def test_equal_sets_have_equal_hashes() -> None:
    """A set has no order: however it was filled, and in whatever process, its hash is the same."""
    one, other = {0, 8}, {8, 0}
    assert one == other
    assert list(one) != list(other), "the example needs two orders"
    assert create_hash(one) == create_hash(other)


@pytest.mark.parametrize("data", [object(), [print], {"a": lambda: None}, {None: 1}])
def test_what_is_no_json_is_a_type_error(data: object) -> None:
    """A value without a JSON form raises TypeError."""
    with pytest.raises(TypeError):
        create_hash(data)


def test_canonical_json_takes_plain_data_only() -> None:
    """The writer itself knows the six kinds of JSON and nothing else."""
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        canonical_json([b"x"])


def test_deep_data_is_hashed_or_refused() -> None:
    """I6: data nested beyond all reason is a ValueError, as in the text that carries it."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((ValueError, RecursionError)):
        create_hash(deep)
