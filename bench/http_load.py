"""Requests per second over HTTP, beside the npm server's and those of a bare echo.

Every server runs as one worker on one core, and `wrk` asks it from another. All of them are started
first and then asked in turn, A B C A B C, so that whatever else the machine does meets all alike;
a ratio compares two of the same turn.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import processes, traffic
from bench.hosts import NODE, Host, node_host, python_hosts, why_no_node
from bench.report import CannotMeasure, Table, span
from tests.support.processes import free_port

CONNECTIONS = 32
SYNC_PATH = f"{traffic.BASE_PATH}/sync"

CHANGED = "10 keys, 1 changed"
UNCHANGED = "50 keys, 0 changed"
ECHO = "echo of 10 keys"
_LOADS = {CHANGED: (10, 1), UNCHANGED: (50, 0)}


@dataclass
class Case:
    """One row: a server under a load, and what each round found.

    Attributes:
        host: the name of the server.
        load: which requests it is sent.
        port: where it listens.
        process_id: the process it runs in.
        script: what wrk sends.
        rates: requests per second of each round.
        cpu_us: processor time of the server per request, in microseconds, of each round.
    """

    host: str
    load: str
    port: int
    process_id: int
    script: Path
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        """Ask for so long, and note what was found."""
        before = processes.cpu_seconds(self.process_id)
        requests, rate = self.ask(seconds)
        used = processes.cpu_seconds(self.process_id) - before
        self.rates.append(rate)
        self.cpu_us.append(used / requests * 1e6)

    def ask(self, seconds: int) -> tuple[int, float]:
        """How many requests were answered in so long, and how many per second that is.

        Raises:
            CannotMeasure: some were answered with an error, or not at all.
        """
        url = f"http://127.0.0.1:{self.port}{SYNC_PATH}"
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(self.script)]
        text = processes.output(["wrk", *options, url])
        requests = re.search(r"(\d+) requests in", text)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
        if requests is None or rate is None or "Non-2xx" in text or "Socket errors" in text:
            raise CannotMeasure(f"{self.host}, {self.load}: {text}")
        return int(requests[1]), float(rate[1])


def measure(*, is_quick: bool) -> list[Table]:
    """One table with all cases.

    Raises:
        CannotMeasure: wrk is missing, a server did not start, or an answer was wrong.
    """
    if shutil.which("wrk") is None:
        raise CannotMeasure("needs the program wrk: apt-get install wrk")
    rounds, seconds = (1, 1) if is_quick else (12, 1)
    hosts = python_hosts()
    missing = why_no_node()
    if missing is None:
        hosts.insert(0, node_host())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cases = [case for host in hosts for case in stack.enter_context(served(host, folder))]
        if not is_quick:
            for case in cases:
                case.ask(1)  # for code that is compiled when it has run for a while
        for _ in range(rounds):
            for case in cases:
                case.run(seconds)
    table = _table(cases, f"{rounds} times {seconds} s")
    if missing is not None:
        table.notes.append(f"left out: {NODE}, {missing}")
    return [table]


@contextmanager
def served(
    host: Host, folder: Path, loads: Mapping[str, tuple[int, int]] = _LOADS
) -> Iterator[list[Case]]:
    """The server, and its echo, until the block ends; and a case for each load.

    Args:
        host: the server.
        folder: for files that wrk needs.
        loads: how many keys each request asks for, and how many of them changed, by name; the first
            one only, unless the host is for all of them.
    """
    if not host.loads_all:
        loads = dict(list(loads.items())[:1])
    with ExitStack() as stack:
        port = free_port()
        health = f"{traffic.BASE_PATH}/health"
        started = processes.started(host.reality(port), port, health)
        process_id = stack.enter_context(started)
        cases = []
        for load, (keys, changed) in loads.items():
            script = folder / f"{port}-{keys}.lua"
            traffic.write_script(script, traffic.bodies(port, keys=keys, changed=changed))
            cases.append(Case(host.name, load, port, process_id, script))
        if host.echo is not None:
            port = free_port()
            process_id = stack.enter_context(processes.started(host.echo(port), port, "/"))
            cases.append(Case(host.name, ECHO, port, process_id, cases[0].script))
        yield cases


def _table(cases: list[Case], rounds: str) -> Table:
    table = Table(
        f"POST /sync over HTTP: one worker, {CONNECTIONS} connections, {processes.pinning()}; "
        f"medians of {rounds}",
        (
            *("requests/s", "from – to", "x Node", "x echo"),
            # How many times as little: what else the machine does matters less to these.
            *("server CPU µs/request", "CPU x Node", "CPU x echo"),
        ),
    )
    by_name = {(case.host, case.load): case for case in cases}
    for case in cases:
        node = by_name.get((NODE, case.load))
        echo = by_name.get((case.host, ECHO))
        others = [None if other is case else other for other in (node, echo)]
        row = (
            *(median(case.rates), span(case.rates)),
            *(times(case.rates, other.rates) if other else None for other in others),
            median(case.cpu_us),
            *(times(other.cpu_us, case.cpu_us) if other else None for other in others),
        )
        table.rows.append((f"{case.host}: {case.load}", row))
    return table


def times(values: list[float], others: list[float]) -> float:
    """How many times the others, round by round."""
    return median(value / other for value, other in zip(values, others, strict=True))
