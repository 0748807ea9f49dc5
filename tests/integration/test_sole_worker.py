"""Nodes in memory and several processes: who would split the clients is refused, nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http import raw
from tests.http.calling import BEARER, message
from tests.integration.workers import SERVERS, command, environment, leave, meet, serving_workers
from tests.server.asking import PATIENCE_S
from tests.support.processes import free_port

FIX = 'storage="sqlite:////path/reality.db"'
PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.parametrize("kind", SERVERS)
def test_several_workers_do_not_start(kind: str) -> None:
    """I1: a server with four workers and nodes in memory ends, and names the line that fixes it."""
    ended = subprocess.run(
        command(kind, "alone", port=free_port(), workers=4),
        env={**os.environ, **environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=40,
        check=False,
    )

    assert FIX in ended.stdout


@pytest.mark.parametrize("kind", SERVERS)
async def test_workers_of_a_mounted_server_refuse(kind: str) -> None:
    """I1: where a start is not told, one worker answers; the others are not ready, and say why."""
    with serving_workers(kind, "mounted", workers=2) as (port, _):
        answers = await until_both_kinds(port)
        ready = {status for status, _ in answers}
        texts = [text for status, text in answers if status == 503]

    assert {200, 503} == ready
    assert all(FIX in text and "one worker" in text for text in texts)


async def until_both_kinds(port: int) -> list[tuple[int, str]]:
    """Answers to syncs on new connections, until one was refused and one was not."""
    answers: list[tuple[int, str]] = []
    async with asyncio.timeout(PATIENCE_S):
        while len({status for status, _ in answers}) < 2:
            answer = await raw.post(port, "/reality/sync", message("a"))
            answers.append((answer.status, answer.json().get("detail", "")))
            told = await raw.post(port, "/reality/invalidate", {"keys": ["a"]}, **BEARER)
            assert told.status in (200, 503)
    # No worker changes sides.
    for _ in range(10):
        answer = await raw.post(port, "/reality/sync", message("a"))
        answers.append((answer.status, answer.json().get("detail", "")))
    return answers


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("form", ["alone", "mounted"])
async def test_one_worker_is_fine(kind: str, form: str) -> None:
    """One worker process serves from memory, also with several servers in it."""
    with serving_workers(kind, form, workers=1) as (port, _):
        assert 200 == (await raw.call(port, "GET", "/reality/ready")).status
        assert 200 == (await raw.post(port, "/reality/sync", message("a"))).status
        if form == "mounted":
            assert 200 == (await raw.call(port, "GET", "/second/ready")).status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_a_worker_may_be_replaced(number: signal.Signals) -> None:
    """The worker that follows on one that was killed, stopped or reloaded serves."""
    with serving_workers("gunicorn", "alone", workers=1) as (port, process):
        met = await meet(port, 1)
        await leave(met)
        (first,) = met
        os.kill(process.pid if number == signal.SIGHUP else first, number)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    pid, _ = (await raw.call(port, "GET", "/test/worker")).json()
                    if pid != first:
                        break
                except (OSError, EOFError):
                    pass
                await asyncio.sleep(0.02)
        assert 200 == (await raw.call(port, "GET", "/reality/ready")).status
        assert process.poll() is None


async def test_programs_on_two_ports_are_two() -> None:
    """Two processes of one parent, with the same program and two ports, both serve."""
    with serving_workers("uvicorn", "alone", workers=1) as (one, _):
        with serving_workers("uvicorn", "alone", workers=1) as (two, _):
            for port in (one, two, one):
                assert 200 == (await raw.call(port, "GET", "/reality/ready")).status


def test_a_fork_that_serves_something_else() -> None:
    """A child that inherits its parent's sockets, and serves another port, is no second worker."""
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "serve_in_fork.py")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ("200 200\n", 0) == (done.stdout, done.returncode), done.stderr


def test_processes_that_only_pretend_to_serve() -> None:
    """Two test runs in which one address is called without HTTP do not meet."""
    program = [sys.executable, str(PROGRAMS / "pretend.py")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert b"200\n" == first.stdout.readline()
        second = subprocess.run(program, input=b"", capture_output=True, timeout=20, check=False)
        first.stdin.close()

    assert b"200\n" == second.stdout, second.stderr


async def test_a_refused_worker_serves_once_the_other_has_gone() -> None:
    """Recovery needs no restart: what was refused is looked at again with every request."""
    with serving_workers("gunicorn", "mounted", workers=2) as (port, process):
        await until_both_kinds(port)
        # Fewer workers: gunicorn ends the oldest one, whichever of the two serves.
        process.send_signal(signal.SIGTTOU)
        async with asyncio.timeout(PATIENCE_S):
            while len(children(process.pid)) > 1:
                await asyncio.sleep(0.02)
        assert 200 == (await raw.post(port, "/reality/sync", message("a"))).status
        assert 200 == (await raw.call(port, "GET", "/reality/ready")).status


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]
