"""A private database server for tests: made in a temporary folder, on a free port of 127.0.0.1.

Its data survive `stop`, `kill` and `restart`, so that tests can do to it what happens to servers.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support.processes import free_port

_START_TIMEOUT_S = 40.0
_STOP_TIMEOUT_S = 20.0
_LOG_TAIL_CHARS = 4_000


class DatabaseServer(ABC):
    """What PostgreSQL and MariaDB have in common here. Used as a context manager."""

    # Database servers refuse to run as root, so under root one of these users runs them.
    users: Sequence[str] = ()
    # Ends it orderly, without waiting for its clients.
    stop_signal = signal.SIGTERM
    # Ends it as soon as it can; what was committed is recovered by the next start.
    immediate_signal = signal.SIGKILL

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="reality-tests-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = _first_user(*self.users, "nobody")
            shutil.chown(self.folder, self._user)

    def __enter__(self) -> Self:
        try:
            self.make()
            self.start()
        except BaseException as error:
            error.add_note(self.log())
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @abstractmethod
    def make(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and arguments that run the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it accepts connections and runs statements."""

    @abstractmethod
    def new_database(self) -> str:
        """The URL of a new, empty database. A stopped server is started for it."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Run it, if it does not run, and return once it answers."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._process is None or self._process.poll() is not None or not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.command()[0]} does not answer\n{self.log()}")
            # After `kill`, children of the old server may hold the data for a moment and make the
            # new one end at once: it is started again until it stays.
            if self._process is None or self._process.poll() is not None:
                self._launch()
            # Not a guess at readiness, only the pace of asking.
            time.sleep(0.02)

    def stop(self, *, immediate: bool = False) -> None:
        """End it and return once it has ended; its clients' connections break."""
        self._end(self.immediate_signal if immediate else self.stop_signal)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(signal.SIGKILL)

    def restart(self, *, immediate: bool = False) -> None:
        """`stop`, then `start`, on the same port."""
        self.stop(immediate=immediate)
        self.start()

    def remove(self) -> None:
        """End it and delete all it had."""
        self.stop(immediate=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """The end of what it had to say."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-_LOG_TAIL_CHARS:] if path.exists() else ""

    def run(self, arguments: Sequence[str]) -> None:
        """Run another program of the database to its end, as the user that runs the server."""
        self._open(arguments, check=True)

    def _launch(self) -> None:
        self._process = self._open(self.command())

    def _open(self, arguments: Sequence[str], *, check: bool = False) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                arguments,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=None if self._user is None else pwd.getpwnam(self._user).pw_gid,
                extra_groups=None if self._user is None else [],
                # Ctrl-C in the test run's terminal is the fixtures' business, not the server's.
                start_new_session=True,
            )
        if check and process.wait(_START_TIMEOUT_S) != 0:
            raise RuntimeError(f"{arguments[0]} failed\n{self.log()}")
        return process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_user(*names: str) -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in names if name in known)
