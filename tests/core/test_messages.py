"""The messages themselves: immutable, camelCase, defaults left out."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from reality.core import messages

_MESSAGES = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind.__module__ == messages.__name__
]
_PUBLIC = [kind for kind in _MESSAGES if not kind.__name__.startswith("_")]


@pytest.mark.parametrize("kind", _PUBLIC, ids=lambda kind: kind.__name__)
def test_every_message_is_documented_and_immutable(kind: type[msgspec.Struct]) -> None:
    """A message cannot be changed once made, says what it is, and is camelCase on the wire."""
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.omit_defaults
    assert not kind.__struct_config__.forbid_unknown_fields
    assert kind.__doc__
    for name in kind.__struct_encode_fields__:
        assert "_" not in name
        assert name[0].islower()


def test_the_messages_of_the_protocol() -> None:
    """There is one struct a message, and no other."""
    assert {kind.__name__ for kind in _PUBLIC} == {
        "AcceleratorHealth",
        "ChangedNode",
        "HealthResponse",
        "InvalidateRequest",
        "InvalidateResponse",
        "MeshHealth",
        "MeshInfo",
        "Problem",
        "RedisHealth",
        "StorageHealth",
        "SyncRequest",
        "SyncResponse",
        "UpdateRequest",
        "VersionsResponse",
    }
