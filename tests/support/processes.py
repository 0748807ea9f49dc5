"""Real server processes for tests: started, waited for by asking them, and always ended."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(
    arguments: Sequence[str],
    *,
    ready_url: str,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 30,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends. It is ready when `ready_url` answers with any status."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            arguments,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            _wait_until_ready(process, ready_url, time.monotonic() + timeout_s)
            yield process
        except BaseException as error:
            output.seek(0)
            error.add_note(f"output of {arguments}:\n{output.read().decode(errors='replace')}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, deadline: float) -> None:
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            # Not a guess at readiness, only the pace of asking.
            time.sleep(0.02)
