"""Keys and patterns: the grammar, and which patterns stand above a key.

A *key* is an opaque UTF-8 string of 1 to 512 bytes without control characters, with at most eight
levels separated by `:`. A *pattern* is a key ending in `:*`, or `*` alone; it stands for every key
strictly below it (`posts:*` for `posts:1` and `posts:1:likes`, not for `posts`), and may be used in
invalidations only. A *name* is either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from reality.errors import InvalidKey, LimitExceeded

KEY_BYTES_MAX = 512
LEVELS_MAX = 8
EVERYTHING = "*"

# C0, DEL and C1: Unicode's category Cc. Lone surrogates have no UTF-8 form at all.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Parsed keys are asked for again and again; 16,384 of them at 512 bytes are at most some 20 MB.
_CACHED_KEYS_MAX = 16_384
# A character is at most four bytes, so only longer names need encoding to be measured.
_SHORT_CHARS = KEY_BYTES_MAX // 4


def is_pattern(name: str) -> bool:
    """Whether `name` stands for every key below it."""
    return name == EVERYTHING or name.endswith(":*")


def check_name(name: str) -> None:
    """Raise unless `name` is a well-formed key or pattern.

    Raises:
        InvalidKey: empty, not a string, or with control characters.
        LimitExceeded: over 512 bytes (`key_too_long`) or eight levels (`key_too_deep`).
    """
    if not isinstance(name, str):
        raise InvalidKey(f"a key must be a string, got {type(name).__name__}")
    if not name:
        raise InvalidKey("a key must not be empty")
    if len(name) > KEY_BYTES_MAX or (
        len(name) > _SHORT_CHARS and len(name.encode("utf-8", "replace")) > KEY_BYTES_MAX
    ):
        raise LimitExceeded(
            f"the key {_shown(name)} is longer than {KEY_BYTES_MAX} bytes of UTF-8",
            code="key_too_long",
        )
    if found := forbidden_character(name):
        raise InvalidKey(f"the key {_shown(name)} has {found}")
    if name.count(":") >= LEVELS_MAX:
        raise LimitExceeded(
            f"the key {_shown(name)} has more than {LEVELS_MAX} levels separated by ':'",
            code="key_too_deep",
        )


def check_names(names: Sequence[str]) -> None:
    """`check_name` of each, quickly where all of many are good.

    Raises:
        InvalidKey, LimitExceeded: as `check_name`, for the first that is not.
    """
    is_good = not forbidden_character("".join(names)) and all(
        0 < len(name) <= _SHORT_CHARS and name.count(":") < LEVELS_MAX for name in names
    )
    if not is_good:
        for name in names:
            check_name(name)


def forbidden_character(text: str) -> str:
    """Which character of a key or hash no store and no terminal should get; "" if there is none."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return ""
    return (
        "a control character or lone surrogate "
        f"(U+{ord(found.group()):04X}) at character {found.start()}"
    )


@lru_cache(maxsize=_CACHED_KEYS_MAX)
def ancestors(key: str) -> tuple[str, ...]:
    """The patterns that stand above a key, widest first: `a:b:c` -> `*`, `a:*`, `a:b:*`.

    Raises:
        InvalidKey: malformed, or itself a pattern.
        LimitExceeded: too long or too deep.
    """
    check_name(key)
    if is_pattern(key):
        raise InvalidKey(
            f"{_shown(key)} is a pattern; patterns can be invalidated, but not asked for: "
            "name the keys themselves"
        )
    levels = key.split(":")[:-1]
    return (EVERYTHING, *(":".join(levels[: depth + 1]) + ":*" for depth in range(len(levels))))


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 64 else name[:61] + "...")
