"""The bounds."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from reality.core.cursor import Cursor, Position, advance, decode_cursor, encode_cursor
from reality.core.limits import (
    CURSOR_BYTES_MAX,
    FOREIGN_ORIGINS_MAX,
    ORIGINS_MAX,
    VERSION_MAX,
    Limits,
)


def test_versions_are_exact_in_every_language() -> None:
    """I6: the greatest version is below 2^52, which doubles hold exactly."""
    assert VERSION_MAX == 2**52 - 1
    assert float(VERSION_MAX) + 1 == 2**52


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_every_limit_names_its_unit_and_is_bounded(field: Any) -> None:
    """I6: each limit is a whole number from 1 whose name says of what, and is documented."""
    assert field.name.endswith(("_max", "_per_s"))
    assert f"{field.name}:" in (Limits.__doc__ or "")
    wrongs: list[Any] = [0, -1, 1.5, True, None, "10"]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=rf"Limits\.{field.name} must be a whole number"):
            replace(Limits(), **{field.name: wrong})


def test_a_cursor_has_room_for_all_origins_allowed() -> None:
    """I2: a server can read the longest cursor that it gives."""
    digest = {f"{'s' * 61}{n:03}~{'n' * 32}": Position(10**18 - 1) for n in range(ORIGINS_MAX)}
    foreign = {
        f"{'f' * 61}{n:03}@{'l' * 32}": Position(10**18 - 1, 2**32 - 1)
        for n in range(FOREIGN_ORIGINS_MAX)
    }
    text = encode_cursor(advance(Cursor(foreign, 999_999_999), digest))
    assert decode_cursor(text) is not None
    assert len(text) <= CURSOR_BYTES_MAX
