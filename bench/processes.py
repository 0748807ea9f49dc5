"""Processes to be measured: which core they run on, what they cost, how much memory they hold."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.report import CannotMeasure
from tests.support.processes import serving

ROOT = Path(__file__).parent.parent
TOKEN = "the-token-of-the-bench"  # noqa: S105  # these servers live for seconds, on this machine
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

# Python as the bench itself runs it, finding this checkout's packages.
PYTHON = [sys.executable, "-X", "utf8"]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def pinned(command: Sequence[str], *, is_server: bool) -> list[str]:
    """The command, held to one core: the servers to the first, who asks them to another."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    taskset = shutil.which("taskset")
    if len(cores) < 2 or taskset is None:
        return list(command)
    return [taskset, "-c", str(cores[0] if is_server else cores[1]), *command]


def pinning() -> str:
    """What `pinned` does here, in words."""
    if pinned([], is_server=True):
        return "server on one core, client on another"
    return "server and client share the cores"


@contextmanager
def started(command: Sequence[str], port: int, path: str) -> Iterator[int]:
    """Run a server, pinned, until the block ends; its process id, once `path` answers.

    Raises:
        CannotMeasure: it did not start.
    """
    with ExitStack() as stack:
        serving_it = serving(
            pinned(command, is_server=True),
            ready_url=f"http://127.0.0.1:{port}{path}",
            environment=ENVIRONMENT,
        )
        try:
            process = stack.enter_context(serving_it)
        except (OSError, RuntimeError) as error:
            raise CannotMeasure(
                "\n".join([str(error), *getattr(error, "__notes__", [])])
            ) from error
        yield process.pid


def output(command: Sequence[str], *, is_server: bool = False) -> str:
    """What a command prints; it runs pinned.

    Raises:
        CannotMeasure: it is not installed, or failed.
    """
    try:
        return subprocess.run(
            pinned(command, is_server=is_server),
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            text=True,
        ).stdout
    except OSError as error:
        raise CannotMeasure(f"cannot run {command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise CannotMeasure(f"{' '.join(command)} failed: {error.stderr.strip()}") from error


def cpu_seconds(process_id: int) -> float:
    """Processor time that a process, its children and its threads have used.

    Raises:
        CannotMeasure: this is not Linux.
    """
    user, system = _of_process(process_id, "stat").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS_A_SECOND + sum(
        cpu_seconds(child) for child in _children(process_id)
    )


def memory_bytes(process_id: int) -> int:
    """Resident memory of a process, its children left out.

    Raises:
        CannotMeasure: this is not Linux.
    """
    return int(_of_process(process_id, "statm").split()[1]) * _PAGE_BYTES


def memory_peak_bytes(process_id: int) -> int:
    """The most resident memory that a process has had, its children left out.

    Raises:
        CannotMeasure: this is not Linux.
    """
    lines = _of_process(process_id, "status").splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def allow_open_files(count: int) -> None:
    """Raise the soft limit of open files, for this process and its children.

    Raises:
        CannotMeasure: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise CannotMeasure(
            f"{count} open files are needed, and this machine allows {hard}: raise `ulimit -Hn`"
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _of_process(process_id: int, name: str) -> str:
    try:
        return Path(f"/proc/{process_id}/{name}").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CannotMeasure(f"{error.filename} is missing: this needs Linux") from error


def _children(process_id: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{process_id}/task").glob("*/children"):
        found += map(int, path.read_text(encoding="utf-8").split())
    return found
