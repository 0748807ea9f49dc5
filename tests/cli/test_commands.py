"""The command `reality`, run as users run it: real processes, exit codes, one-line reasons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.running import COMMAND, TOKEN, is_refused, run
from tests.support.processes import free_port, serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server made by `reality serve` with a token."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    arguments = [*COMMAND, "serve", "--port", str(port), "--server-id", "s1"]
    with serving(
        arguments, ready_url=f"{base}/reality/ready", environment={"REALITY_TOKEN": TOKEN}
    ):
        yield base


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "invalidate",
        "watch",
        "get",
        "health",
        "demo",
        "schema",
        "store show",
        "store new-lineage",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    """`--help` succeeds and shows the usage."""
    result = run(*command.split(), "--help")

    assert result.returncode == 0
    assert "Usage:" in result.stdout


def test_the_version_is_shown() -> None:
    """`--version` names the package's version."""
    import reality

    assert run("--version").stdout == f"reality {reality.__version__}\n"


def test_invalidate_and_get(url: str) -> None:
    """An invalidated key has a new version, which `get` shows; REALITY_URL is honoured."""
    told = run("invalidate", "posts", "chat:*", REALITY_URL=url, REALITY_TOKEN=TOKEN)
    asked = run("get", "posts", "--json", REALITY_URL=url)

    assert told.returncode == 0
    assert told.stdout.splitlines()[1] == "chat:*  all keys below"
    meta = json.loads(asked.stdout)
    assert told.stdout.splitlines()[0] == f"posts  version {meta['version']}"
    assert meta["hash"] == ""
    assert run("get", "posts", "--url", url).stdout.startswith(f"posts  version {meta['version']}")


def test_invalidate_as_json(url: str) -> None:
    """`--json` prints the answer for programs."""
    result = run("invalidate", "posts", "--json", "--url", url, "--token", TOKEN)

    assert json.loads(result.stdout)["invalidated"] == ["posts"]


def test_health(url: str) -> None:
    """`health` shows the server and succeeds while it is healthy."""
    result = run("health", "--url", url)

    assert result.returncode == 0
    assert result.stdout.startswith("s1 is healthy\n")
    assert json.loads(run("health", "--json", "--url", url).stdout)["serverId"] == "s1"


def test_watch_prints_a_line_a_change(url: str) -> None:
    """Not on a terminal, `watch` prints where each key stands, then every change, and ends."""
    with subprocess.Popen(
        [*COMMAND, "watch", "posts", "users", "--changes", "1", "--url", url],
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        first = {watching.stdout.readline().split()[1] for _ in range(2)}
        told = run("invalidate", "users", "--url", url, "--token", TOKEN)
        change = watching.stdout.readline()
        status = watching.wait(timeout=20)

    assert first == {"posts", "users"}
    assert change.split()[1:] == told.stdout.split()
    assert status == 0


def test_watch_ends_quietly_when_interrupted(url: str) -> None:
    """Ctrl-C ends `watch` without a traceback."""
    with subprocess.Popen(
        [*COMMAND, "watch", "posts", "--url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=20)

    assert watching.returncode == 130
    assert errors == ""


def test_what_a_server_refuses_is_one_line(url: str) -> None:
    """Every failure of a call exits with 1 and a reason that says what to do."""
    nowhere = f"http://127.0.0.1:{free_port()}"

    assert is_refused(run("invalidate", "posts", "--url", url), "--token", "REALITY_TOKEN")
    assert is_refused(run("invalidate", "a", "--url", url, "--token", "wrong-token"), "401")
    assert is_refused(run("invalidate", "", "--url", url, "--token", TOKEN), "must not be empty")
    assert is_refused(run("get", "posts:*", "--url", url), "pattern")
    assert is_refused(run("get", "posts", "--url", nowhere), "no server answered", nowhere)
    assert is_refused(run("health", "--url", nowhere), nowhere)
    assert is_refused(run("get", "posts", "--url", "localhost"), "http://localhost:3456")


def test_what_cannot_be_served_is_one_line(url: str) -> None:
    """Every failure to start exits with 1 and a reason that says what to do."""
    assert is_refused(run("serve", "--port", url.rpartition(":")[2]), "another port")
    assert is_refused(run("serve", "--token", "short"), "at least 8")
    assert is_refused(run("serve", "--server-id", "a b"), "server_id")
    assert is_refused(run("serve", "--base-path", "reality"), "base_path")
    assert is_refused(run("serve", "--workers", "4"), "share", "--store sqlite:////path/reality.db")
    secret = run("serve", "--store", "oracle://me:secret@db/x")
    assert is_refused(secret, "oracle://db", "memory://")
    assert "secret" not in secret.stderr


def test_wrong_usage_is_2() -> None:
    """What the command line cannot mean exits with 2."""
    assert run("get").returncode == 2
    assert run("serve", "--port", "99999").returncode == 2
    assert run("nonsense").returncode == 2


def test_serving_without_a_token_says_that_invalidation_is_off() -> None:
    """I7: closed by default, and the person at the terminal is told so and how to open it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "REALITY_TOKEN"}
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", str(port), "--base-path", "/live"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        assert server.stderr is not None
        lines = [server.stderr.readline() for _ in range(3)]
        refused = run("invalidate", "posts", "--url", f"{url}/live", "--token", TOKEN)
        server.terminate()

        assert f"{url}/live" in lines[0]
        assert "memory" in lines[1]
        assert "--token" in lines[2]
        assert "REALITY_TOKEN" in lines[2]
        assert is_refused(refused, "403", "has no token")
        assert server.wait(timeout=10) == 0


def test_without_the_extra_the_command_says_what_to_install() -> None:
    """A base install has the command, which names the line that makes it work."""
    hidden = "import sys; sys.modules['typer'] = None; from reality.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, timeout=30, check=False
    )

    assert result.returncode == 1
    assert "pip install 'reality-sync[cli]'" in result.stderr
