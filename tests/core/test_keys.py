"""The grammar of keys and patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reality.core.keys import (
    KEY_BYTES_MAX,
    LEVELS_MAX,
    ancestors,
    check_name,
    check_names,
    is_pattern,
)
from reality.errors import InvalidKey, LimitExceeded, RealityError
from tests.core.vectors import each, spelled_out
from tests.core.world import is_covered

_any_name = st.text(st.one_of(st.characters(), st.sampled_from(":*")), max_size=40)


@each("keys.json", "valid")
def test_well_formed_names_are_accepted(case: dict[str, Any]) -> None:
    """A well-formed name passes, and is a pattern or a key as the vector says."""
    name = spelled_out(case["name"])
    check_name(name)
    assert is_pattern(name) is case["pattern"]


@each("keys.json", "invalid")
def test_malformed_names_are_refused(case: dict[str, Any]) -> None:
    """I6: a malformed, too long or too deep name is an error with a stable code, shown short."""
    name = spelled_out(case["name"])
    with pytest.raises(RealityError) as caught:
        check_name(name)
    assert caught.value.code == case["code"]
    assert isinstance(caught.value, InvalidKey if case["code"] == "invalid_key" else LimitExceeded)
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()
    with pytest.raises(RealityError):
        ancestors(name)


@pytest.mark.parametrize("name", [None, 7, b"posts", ["posts"]])
def test_a_name_must_be_text(name: object) -> None:
    """What is no text is an invalid key, and the error names its type."""
    with pytest.raises(InvalidKey, match=type(name).__name__):
        check_name(cast("str", name))


@each("keys.json", "ancestors")
def test_ancestors_are_the_patterns_above(case: dict[str, Any]) -> None:
    """The ancestors of a key are the patterns that stand above it, widest first."""
    assert list(ancestors(case["key"])) == case["patterns"]


@each("keys.json", "notAskable")
def test_patterns_have_no_ancestors(case: dict[str, Any]) -> None:
    """A pattern cannot be asked for."""
    check_name(case["name"])
    with pytest.raises(InvalidKey, match="pattern") as caught:
        ancestors(case["name"])
    assert caught.value.code == case["code"]


@each("keys.json", "covers")
def test_a_pattern_covers_every_key_strictly_below_it(case: dict[str, Any]) -> None:
    """A pattern covers what is strictly below it, level by level, and nothing else."""
    assert is_covered(case["key"], case["pattern"]) is case["covers"]


@given(_any_name)
def test_any_text_is_a_key_or_a_pattern_or_refused(name: str) -> None:
    """Of any text the three readings exclude each other, and none fails in another way."""
    try:
        check_name(name)
    except RealityError:
        with pytest.raises(RealityError):
            ancestors(name)
        return
    assert len(name.encode()) <= KEY_BYTES_MAX
    assert name.count(":") < LEVELS_MAX
    if is_pattern(name):
        with pytest.raises(InvalidKey):
            ancestors(name)
    else:
        above = ancestors(name)
        assert len(above) == name.count(":") + 1
        for pattern in above:
            check_name(pattern)
            assert is_pattern(pattern)
            assert pattern == "*" or name.startswith(pattern[:-1])


@given(st.lists(st.sampled_from(["a", "posts:*", "é" * 300, "x" * 200, "a\x00", "", "a:" * 9])))
def test_many_names_are_checked_like_each(names: list[str]) -> None:
    """I6: all of a list of names are accepted, or it is refused for the first that is malformed."""

    def refusal(check: Callable[[], object]) -> str:
        try:
            check()
        except RealityError as error:
            return str(error)
        return ""

    assert refusal(lambda: check_names(names)) == refusal(lambda: [*map(check_name, names)])
