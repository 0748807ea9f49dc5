"""`core.tokens`: what may be a credential."""

from __future__ import annotations

import pytest

from reality.core.tokens import check_token


@pytest.mark.parametrize("token", ["12345678", "a-Token_with.all~signs=", "x" * 500])
def test_good_tokens(token: str) -> None:
    """I7: eight or more visible ASCII characters are a token."""
    check_token(token)


@pytest.mark.parametrize(
    "token", ["", "short", "with space in it", "with\nnewline", "tökentöken", 5]
)
def test_bad_tokens(token: object) -> None:
    """I7: what is short, or cannot travel in a header, is refused, and is not shown."""
    with pytest.raises(ValueError, match="at least 8 ASCII characters") as caught:
        check_token(token)
    assert str(token) not in str(caught.value) or token in ("", 5)
