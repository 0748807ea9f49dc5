"""JSON data at random, for the tests of `create_hash`."""

from __future__ import annotations

import math
import struct

from hypothesis import strategies as st

_SAFE_MAX = 2**53 - 1

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_doubles = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0])
numbers = st.one_of(
    st.integers(-_SAFE_MAX, _SAFE_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    _doubles.filter(math.isfinite),
    st.builds(
        lambda digits, exponent: float(f"{digits}e{exponent}"),
        texts.map(len),
        st.integers(-30, 30),
    ),
)
json_data = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
