"""Hints through NATS: the contract, and how it is told where to connect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import nats
import pytest
from nats.aio.client import Client

from reality import NatsAccelerator
from reality.accelerators.base import Accelerator
from reality.errors import AcceleratorUnavailable
from tests.accelerators.contract import AcceleratorContract
from tests.server.asking import PATIENCE_S
from tests.support.nats_server import NatsServer

_numbers = count()


@pytest.fixture
def server(nats_server: NatsServer) -> NatsServer:
    return nats_server


@pytest.fixture
def url(nats_server: NatsServer) -> str:
    return nats_server.url


@pytest.fixture
def subject() -> str:
    return f"reality.test{next(_numbers)}"


@pytest.fixture
def new(url: str, subject: str) -> Callable[[], Accelerator]:
    return lambda: NatsAccelerator(url, subject)


class TestNats(AcceleratorContract):
    pass


async def test_a_client_stays_the_applications(url: str, subject: str) -> None:
    """A client only tells how to connect: it is not closed, and closing it closes nothing here."""
    client = await nats.connect(url, no_echo=True)
    channel = await NatsAccelerator(client, subject).connect()
    await client.publish(subject, b"1")
    assert b"1" == await asyncio.wait_for(channel.receive(), PATIENCE_S)
    await client.close()
    await channel.publish(b"2")
    assert b"2" == await asyncio.wait_for(channel.receive(), PATIENCE_S)
    await channel.close()

    client = await nats.connect(url)
    channel = await NatsAccelerator(client, subject).connect()
    await channel.close()
    assert client.is_connected
    await client.close()


async def test_a_client_that_was_never_connected() -> None:
    """It knows no servers, and the error says what to do."""
    accelerator = NatsAccelerator(Client())

    with pytest.raises(AcceleratorUnavailable, match=r"never connected.*connect it first"):
        await accelerator.connect()


async def test_the_second_server_will_do(url: str, subject: str) -> None:
    """Of several URLs the first that answers is used."""
    accelerator = NatsAccelerator(f"nats://127.0.0.1:1, {url}", subject)
    channel = await accelerator.connect()
    await channel.close()

    assert "at 127.0.0.1:1, 127.0.0.1:" in accelerator.name


@pytest.mark.parametrize(
    ("given", "subject", "message"),
    [
        ("http://h:1", "s", "must be nats://"),
        ("nats://u:secret@x@h", "s", "ambiguous"),
        ("nats://u:sec/ret@h", "s", "ambiguous"),
        (object(), "s", "a URL or a client, got object"),
        ("nats://h", "a.>", "subject must be words"),
        ("nats://h", "", "subject must be words"),
    ],
)
def test_what_cannot_be_is_refused(given: str, subject: str, message: str) -> None:
    """A malformed URL, client or subject is a ValueError that shows no password."""
    with pytest.raises(ValueError, match=message) as refused:
        NatsAccelerator(given, subject)

    assert "sec" not in str(refused.value)
