"""Stop signals are chained: waits end, then whoever handled the signal before handles it."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from reality import RealityServer
from tests.http.calling import Caller, held
from tests.server.asking import answered

PROGRAMS = Path(__file__).parent / "programs"


@contextmanager
def handled_by(*handlers: object) -> Iterator[None]:
    """The process's handlers of SIGINT and SIGTERM, for a while."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, handlers[0])  # type: ignore[arg-type]
    signal.signal(signal.SIGTERM, handlers[-1])  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_waits_and_goes_on(number: signal.Signals) -> None:
    """A signal that the host handles ends every wait, and the host handles it, once."""
    seen: list[int] = []

    def of_the_host(number: int, _: FrameType | None) -> None:
        seen.append(number)

    server = RealityServer("alpha")
    with handled_by(of_the_host):
        async with held(server, Caller(server.asgi()), "a") as task:
            signal.raise_signal(number)
            answer = await answered(task)

    assert [number] == seen
    assert {} == answer.json()["changed"]
    assert not server.may_hold


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
async def test_a_signal_that_nobody_handles_is_left_alone(handler: signal.Handlers) -> None:
    """What is ignored stays ignored, and what ends the process still does."""
    with handled_by(handler):
        await Caller(RealityServer("alpha").asgi())("GET", "/reality/health")

        assert handler == signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM)


async def test_outside_the_main_thread_nothing_is_chained() -> None:
    """In another thread, where Python allows no handlers, the application works without."""

    async def ask() -> int:
        return (await Caller(RealityServer("alpha").asgi())("GET", "/reality/health")).status

    before = signal.getsignal(signal.SIGINT)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(ask())))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert [200] == found
    assert before == signal.getsignal(signal.SIGINT)


def test_a_loop_that_has_ended_does_not_matter() -> None:
    """After its loop has been closed the chained handler hands the signal on, and that is all."""
    seen: list[int] = []

    async def ask() -> None:
        await Caller(RealityServer("alpha").asgi())("GET", "/reality/health")

    with handled_by(lambda number, _: seen.append(number)):
        asyncio.run(ask())
        signal.raise_signal(signal.SIGTERM)

    assert [signal.SIGTERM] == seen


def test_a_second_run_is_chained_too() -> None:
    """An application that is served again, by another loop, ends its waits there too."""
    server = RealityServer("alpha")
    call = Caller(server.asgi())

    async def serve() -> None:
        await server.start()
        async with held(server, call, "a") as task:
            signal.raise_signal(signal.SIGTERM)
            assert 200 == (await answered(task)).status

    for _ in range(2):
        # A host installs its handler when it starts, and takes it back at the end.
        with handled_by(lambda *_: None):
            asyncio.run(serve())


async def test_a_dropped_application_is_collected() -> None:
    """The chain keeps nobody alive: a test suite may make as many applications as it likes."""
    server = RealityServer("alpha")
    gone = weakref.ref(server)
    with handled_by(lambda *_: None):
        await Caller(server.asgi())("GET", "/reality/health")
        del server
        gc.collect()

        assert gone() is None


def test_a_thousand_applications_do_not_break_the_signal() -> None:
    """However many applications a process has had, Ctrl-C still interrupts it."""
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "many_applications.py")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (0, "KeyboardInterrupt\n") == (done.returncode, done.stdout), done.stderr[-2_000:]
