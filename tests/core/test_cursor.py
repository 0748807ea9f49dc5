"""Cursors: what a client has accounted for, as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.cursor import (
    Cursor,
    Position,
    advance,
    decode_cursor,
    encode_cursor,
    is_durable,
    is_server_id,
)
from reality.core.limits import CURSOR_BYTES_MAX, FOREIGN_ORIGINS_MAX
from tests.core.vectors import each, spelled_out

_ids = st.text("abcXYZ019._-", min_size=1, max_size=64)
_nonces = st.text("abcXYZ019", min_size=1, max_size=32)
_volatile = st.builds("{}~{}".format, _ids, _nonces) | st.builds("{}!gone".format, _ids)
_durable = st.builds("{}@{}".format, _ids, _nonces)
_sequences = st.integers(0, 10**18 - 1)
_positions = st.dictionaries(
    _volatile, st.builds(Position, _sequences, st.just(0)), max_size=8
) | st.dictionaries(
    _durable, st.builds(Position, _sequences, st.integers(0, 2**32 - 1)), max_size=8
)
_cursors = st.builds(Cursor, _positions, st.integers(0, 999_999_999))
# Few origins and small numbers, so that cursors have much in common.
_near = st.dictionaries(
    st.sampled_from(["a~1", "b~1", "c~1", "d@1"]),
    st.builds(Position, st.integers(0, 3), st.just(0)),
)


@each("cursor.json", "decoded")
def test_texts_are_cursors_or_not(case: dict[str, Any]) -> None:
    """A text is read as the vector says, or is no cursor, which is never an error."""
    text = spelled_out(case["text"])
    cursor = decode_cursor(text)
    if case["positions"] is None:
        assert cursor is None
        return
    assert cursor is not None
    assert cursor.generation == case["generation"]
    assert cursor.positions == {
        origin: Position(sequence, int(tag or "0", 16))
        for origin, sequence, tag in case["positions"]
    }
    assert list(cursor.positions) == [origin for origin, _, _ in case["positions"]]
    assert encode_cursor(cursor) == case.get("written", text)


@each("cursor.json", "advanced")
def test_an_answer_carries_the_greater_of_each(case: dict[str, Any]) -> None:
    """The answer's cursor is, per origin, the greater of the asked and the known position."""
    asked, digest = decode_cursor(case["asked"]), decode_cursor(case["digest"])
    assert asked is not None
    assert digest is not None
    advanced = advance(asked, digest.positions, generation=case.get("generation", 0))
    assert encode_cursor(advanced) == case["answer"]


@given(_cursors)
def test_a_cursor_survives_the_wire(cursor: Cursor) -> None:
    """What is written is read back, order and generation included."""
    read = decode_cursor(encode_cursor(cursor))
    assert read == cursor
    assert read is not None
    assert list(read.positions) == list(cursor.positions)


@given(st.text() | st.text("01;=.~@!sgone", max_size=40))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    """I6: no text makes reading fail; what is read is bounded."""
    cursor = decode_cursor(text)
    assert cursor is None or len(cursor.positions) <= 2 * FOREIGN_ORIGINS_MAX


@given(_near, _near)
def test_advancing_never_goes_back(asked: dict[str, Position], digest: dict[str, Position]) -> None:
    """Advancing is a join: nothing falls or is forgotten, and a second time changes nothing."""
    advanced = advance(Cursor(asked), digest)
    for origin in asked.keys() | digest.keys():
        assert advanced.positions[origin] == max(
            asked.get(origin, Position(0)), digest.get(origin, Position(0))
        )
    assert advance(advanced, digest) == advanced


@pytest.mark.parametrize("known", [1, 64])
@pytest.mark.parametrize("foreign", [0, 64, 65, 500])
def test_an_answer_can_be_read_again(known: int, foreign: int) -> None:
    """I2: however many origins there are, a server can read, and accept, the cursor it gave."""
    digest = {f"{'s' * 60}{n:04}~{'n' * 32}": Position(10**18 - 1) for n in range(known)}
    asked = {
        f"{'f' * 60}{n:04}@{'l' * 32}": Position(10**18 - 1, 2**32 - 1) for n in range(foreign)
    }
    answer = advance(Cursor(asked, 999_999_999), digest)
    text = encode_cursor(answer)
    assert decode_cursor(text) == answer
    assert len(text) <= CURSOR_BYTES_MAX


def test_the_newest_foreign_origins_stay() -> None:
    """I6: of more foreign origins than a cursor has room for, the oldest are dropped."""
    asked = {f"f{n}~1": Position(1) for n in range(FOREIGN_ORIGINS_MAX + 3)}
    answer = advance(Cursor(asked), {"s~1": Position(1)})
    assert list(answer.positions) == [*list(asked)[3:], "s~1"]


def test_origins_are_volatile_or_durable() -> None:
    """An origin's id says of which kind it is."""
    assert is_durable("store@1")
    assert not is_durable("s~1")
    assert not is_durable("s!gone")


@pytest.mark.parametrize("name", ["s", "host-1.example_2", "A" * 64])
def test_server_ids(name: str) -> None:
    """Letters, digits, dot, underscore and dash name a server."""
    assert is_server_id(name)


@pytest.mark.parametrize(
    "name", ["", "A" * 65, "a b", "a~b", "a@b", "a!b", "a;b", "a=b", "é", "a\n"]
)
def test_other_texts_are_no_server_ids(name: str) -> None:
    """Anything that could be mistaken for another part of a cursor names no server."""
    assert not is_server_id(name)
