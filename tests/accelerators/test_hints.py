"""Hints as they travel, and accelerators by URL."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from reality import NatsAccelerator, PostgresAccelerator, RedisAccelerator
from reality.accelerators.base import HINT_BYTES_MAX, Hint, decode_hint, encode_hint
from reality.accelerators.opening import accelerator_from_url

HINT = Hint(server_id="s1", run="s1~ab12", origin="5f3a@9c01", sequence=7)
MEMBERS = {"serverId": "s1", "run": "s1~ab12", "origin": "5f3a@9c01", "sequence": 7}
LONGEST = "x" * 64 + "~" + "y" * 32


def test_a_hint_travels_as_json() -> None:
    """Its members are the four that are documented, and it comes back as it was."""
    assert MEMBERS == json.loads(encode_hint(HINT))
    assert HINT == decode_hint(encode_hint(HINT))


def test_the_longest_hint_fits() -> None:
    """I6: no hint that a server can send is too long."""
    hint = Hint(server_id="x" * 64, run=LONGEST, origin=LONGEST, sequence=2**53 - 1)

    assert len(encode_hint(hint)) < HINT_BYTES_MAX
    assert hint == decode_hint(encode_hint(hint))


def test_members_of_later_releases_are_ignored() -> None:
    """What this release does not know does not make a hint malformed."""
    assert HINT == decode_hint(json.dumps({**MEMBERS, "new": [1]}).encode())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"7",
        b"\xff\xfe",
        b'{"serverId":"\xff","run":"s~1"}',
        b"{" * 1_000,
        json.dumps({**MEMBERS, "new": "x" * 2_000}).encode(),
        *(
            json.dumps({**MEMBERS, **wrong}).encode()
            for wrong in (
                {"serverId": ""},
                {"run": None},
                {"run": "two\nlines"},
                {"run": "s~1\n"},
                {"origin": LONGEST + "y"},
                {"sequence": -1},
                {"sequence": 2**53},
                {"sequence": 1.5},
                {"sequence": "7"},
            )
        ),
    ],
)
def test_what_is_malformed_is_no_hint(payload: bytes) -> None:
    """I6: garbage, and whatever is too large, is None and never raises."""
    assert decode_hint(payload) is None


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("redis://u:secret@h:1/2", RedisAccelerator, "the Redis channel 'reality:updates' at h:1"),
        ("rediss://h", RedisAccelerator, "the Redis channel 'reality:updates' at h:6379"),
        ("unix:///run/r", RedisAccelerator, "the Redis channel 'reality:updates' at /run/r"),
        (
            "postgresql://u:secret@h/d",
            PostgresAccelerator,
            "the PostgreSQL channel 'reality_updates' at h",
        ),
        (
            "postgresql+asyncpg://h:1/d",
            PostgresAccelerator,
            "the PostgreSQL channel 'reality_updates' at h:1",
        ),
        ("nats://u:secret@h:1", NatsAccelerator, "the NATS subject 'reality.updates' at h:1"),
        ("tls://a,tls://b:2", NatsAccelerator, "the NATS subject 'reality.updates' at a, b:2"),
    ],
)
def test_a_url_names_an_accelerator(url: str, kind: type, name: str) -> None:
    """The scheme says which kind; its name has the address, and no password."""
    accelerator = accelerator_from_url(url)

    assert isinstance(accelerator, kind)
    assert name == accelerator.name


@pytest.mark.parametrize("url", ["", "h:1", "mysql://u:secret@h", "sqlite:///f", "http://h"])
def test_other_urls_are_refused(url: str) -> None:
    """A URL of no known kind is a ValueError that names the kinds and shows no password."""
    with pytest.raises(ValueError, match="begins with redis://") as refused:
        accelerator_from_url(url)

    assert "secret" not in str(refused.value)


def test_importing_loads_no_driver() -> None:
    """The part can be imported, and a URL refused, with none of the packages there."""
    script = """
import sys
for name in ("redis", "nats", "psycopg", "asyncpg"):
    sys.modules[name] = None
import reality.accelerators, reality.accelerators.base, reality.accelerators.opening as opening
from reality.errors import MissingDependency
for url, extra in (("redis://h", "redis"), ("nats://h", "nats"), ("postgresql://h", "postgres")):
    try:
        opening.accelerator_from_url(url)
    except MissingDependency as error:
        assert f"reality-sync[{extra}]" in str(error), error
    else:
        raise AssertionError(url)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
