"""`create_hash`: the same short text for the same JSON data, in every language.

The data is written as canonical JSON (RFC 8785: sorted members, ECMAScript numbers, minimal
escapes), and hashed with SHA-256, of which the first 128 bits are kept as 32 hexadecimal digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

_SAFE_INTEGER_MAX = 2**53
_HASH_DIGITS = 32


def create_hash(data: object) -> str:
    """The hash of JSON data, equal in Python and in the browser.

    Args:
        data: what JSON can say; also msgspec structs, dataclasses, datetimes, UUIDs, enums and
            whatever else `msgspec.to_builtins` turns into that.

    Returns:
        32 lower-case hexadecimal digits.

    Raises:
        ValueError: a number is infinite, not a number, or an integer beyond 2**53, which other
            languages cannot represent; or a string has a lone surrogate.
        TypeError: something has no JSON form.
    """
    import hashlib  # here, because few programs need it and it costs every import otherwise

    text = canonical_json(msgspec.to_builtins(data, str_keys=True, order="deterministic"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:_HASH_DIGITS]


def canonical_json(data: Any) -> str:
    """The text of JSON data after RFC 8785."""
    return "".join(_written(data))


def _written(data: Any) -> Iterator[str]:
    if data is None or isinstance(data, (bool, str)):
        # msgspec escapes exactly what RFC 8785 section 3.2.2.2 asks for, and nothing more.
        yield msgspec.json.encode(data).decode()
    elif isinstance(data, int):
        if abs(data) > _SAFE_INTEGER_MAX:
            raise ValueError(
                f"{data} is beyond 2**53 and would not survive JavaScript: send a string"
            )
        yield str(data)
    elif isinstance(data, float):
        yield _number(data)
    elif isinstance(data, (list, tuple)):
        yield "["
        for index, item in enumerate(data):
            yield "," if index else ""
            yield from _written(item)
        yield "]"
    elif isinstance(data, dict):
        yield "{"
        # By UTF-16 code units (section 3.2.3): not Python's order beyond U+FFFF.
        for index, name in enumerate(sorted(data, key=lambda name: name.encode("utf-16-be"))):
            yield "," if index else ""
            yield from _written(name)
            yield ":"
            yield from _written(data[name])
        yield "}"
    else:
        raise TypeError(f"{type(data).__name__} has no JSON form")


def _number(number: float) -> str:
    """As ECMAScript's Number::toString writes it; Python finds the same shortest digits."""
    if not math.isfinite(number):
        raise ValueError(f"{number} has no JSON form")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.digits * 10**point.
    point = len(whole) + int(exponent or "0")
    if whole.strip("0") == "":
        point -= len(fraction) - len(fraction.lstrip("0")) + len(whole)
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    shown = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{shown}e{point - 1:+d}"
