"""The mesh on the command line: secrets, the options of `reality serve`, `reality peers`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.running import COMMAND, is_refused, run, variables
from tests.support.processes import free_port, serving

SECRET = "correct-horse-battery-staple"
OTHER = "another-secret-of-the-mesh"
PEER = ("serve", "--peer", "http://127.0.0.1:1")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mesh of whoever runs the tests is not theirs."""
    monkeypatch.delenv("REALITY_MESH_SECRET", raising=False)
    monkeypatch.delenv("REALITY_ACCELERATOR", raising=False)


def secret_file(folder: Path, text: str = SECRET, *, mode: int = 0o600) -> str:
    """A file of secrets."""
    path = folder / "mesh.secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


# ---- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["secret", "peers", "peers remove"])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` succeeds and shows the usage."""
    result = run(*command.split(), "--help")

    assert result.returncode == 0
    assert "Usage:" in result.stdout


def test_a_secret_is_made(tmp_path: Path) -> None:
    """I7: `reality secret` prints a new one each time, which is as good as it is."""
    first, second = run("secret").stdout, run("secret").stdout

    assert first != second
    assert re.fullmatch(r"[\w-]{43}\n", first)
    # It gets as far as looking for the server.
    file = secret_file(tmp_path, first)
    assert is_refused(
        run("peers", "--secret-file", file, "--url", f"http://127.0.0.1:{free_port()}"), "failed"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no secret"),
        ("# nothing\n\n  \n", "has no secret"),
        (f"{SECRET}\nshort\n", "at least 16 characters"),
        (f"{SECRET}\nwith a \x1b in the middle", "control character"),
        (SECRET * 5000, "no text file"),
        (None, "No such file"),
    ],
)
def test_a_bad_secret_file_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    """A file without good secrets is named, with what is wrong; no secret is shown."""
    file = str(tmp_path / "missing") if text is None else secret_file(tmp_path, text)
    result = run("peers", "--secret-file", file)

    assert is_refused(result, words, file)
    assert SECRET not in result.stderr


def test_what_is_no_text_is_no_secret(tmp_path: Path) -> None:
    """A file that is not UTF-8, or no file at all, is refused in one line."""
    binary = Path(secret_file(tmp_path))
    binary.write_bytes(b"\xff" * 40)

    for path in (binary, tmp_path):
        assert is_refused(run("peers", "--secret-file", str(path)), f"the secret file {path}")


def test_a_file_that_all_can_read_gets_a_warning(tmp_path: Path) -> None:
    """I7: who leaves the secret to every user of the machine is told so, and what to do."""
    file = secret_file(tmp_path, mode=0o644)
    url = f"http://127.0.0.1:{free_port()}"
    warned = run("peers", "--secret-file", file, "--url", url).stderr.splitlines()
    (tmp_path / "mesh.secret").chmod(0o600)

    assert len(warned) == 2
    assert f"can read the secret file {file}: chmod 600" in warned[0]
    assert is_refused(run("peers", "--secret-file", file, "--url", url), "failed")


# ---- reality serve -------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--peer", "--advertise", "--public-url"])
def test_a_mesh_without_a_secret_is_refused(option: str) -> None:
    """I7: what needs the mesh's secret says so at the start, and how to make one."""
    result = run("serve", option, "http://127.0.0.1:1")

    assert is_refused(result, option, "--secret-file", "REALITY_MESH_SECRET", "`reality secret`")


@pytest.mark.parametrize("option", ["--peer", "--advertise", "--public-url", "--secret-file"])
def test_workers_are_in_no_mesh(tmp_path: Path, option: str) -> None:
    """Of processes that share a port a peer would reach any: the way is several `reality serve`."""
    value = secret_file(tmp_path) if option == "--secret-file" else "http://127.0.0.1:1"
    store = f"sqlite:///{tmp_path}/reality.db"
    result = run(
        "serve", "--workers", "2", "--store", store, option, value, REALITY_MESH_SECRET=SECRET
    )

    assert is_refused(result, option, "--workers 2", "several `reality serve`", "no mesh")


def test_options_that_cannot_be() -> None:
    """A peer or accelerator whose URL is none is refused at the start, without its password."""
    peer = run("serve", "--peer", "localhost:1", REALITY_MESH_SECRET=SECRET)
    accelerator = run("serve", "--accelerator", "oracle://me:hunter2@host")

    assert is_refused(peer, "localhost:1")
    assert is_refused(accelerator, "redis://", "nats://")
    assert "hunter2" not in accelerator.stderr
    assert is_refused(run(*PEER, REALITY_MESH_SECRET="short"), "REALITY_MESH_SECRET", "16")


def test_an_accelerator_is_named_without_its_password(tmp_path: Path) -> None:
    """I5: a server starts and says where hints go, whether or not anything is there."""
    url = f"redis://me:hunter2@127.0.0.1:{free_port()}/0"
    options = ["--port", str(free_port()), "--store", f"sqlite:///{tmp_path}/reality.db"]
    with subprocess.Popen(
        [*COMMAND, "serve", *options],
        stderr=subprocess.PIPE,
        text=True,
        env=variables(REALITY_ACCELERATOR=url),
    ) as server:
        assert server.stderr is not None
        lines = [server.stderr.readline() for _ in range(3)]
        server.terminate()
        rest = server.stderr.read()
        status = server.wait(timeout=20)

    assert lines[2] == f"hints go through {url.replace('me:hunter2@', '')}\n"
    assert "hunter2" not in "".join(lines) + rest
    assert status == 0


# ---- reality peers -------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two servers of a mesh that name each other."""

    urls: tuple[str, str]
    second: subprocess.Popen[bytes]


@contextmanager
def started(folder: Path) -> Iterator[Pair]:
    """Servers s1 and s2, each of which has the other as its peer."""
    ports = free_port(), free_port()
    urls = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    secret = secret_file(folder, f"# first signs\n{SECRET}\n\n{OTHER}\n")

    def arguments(number: int) -> list[str]:
        own, other = urls[number], urls[1 - number]
        mesh = ["--peer", other, "--advertise", own, "--public-url", own, "--secret-file", secret]
        name = ["--port", str(ports[number]), "--server-id", f"s{number + 1}"]
        return [*COMMAND, "serve", *name, *mesh]

    with (
        serving(arguments(0), ready_url=f"{urls[0]}/reality/ready"),
        serving(arguments(1), ready_url=f"{urls[1]}/reality/ready") as second,
    ):
        until_known(urls[0], "s2")
        yield Pair(urls, second)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers that stay."""
    with started(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


def answered(answer: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on a terminal, at which a person types the answer."""
    person, terminal = pty.openpty()
    try:
        os.write(person, answer)
        return run(*arguments, stdin=terminal, REALITY_MESH_SECRET=SECRET)
    finally:
        os.close(person)
        os.close(terminal)


def table(url: str) -> Any:
    """What `reality peers --json` prints."""
    result = run("peers", "--json", "--url", url, REALITY_MESH_SECRET=OTHER)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def until_known(url: str, server_id: str) -> Any:
    """The table, once it has the server, healthy."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        found = table(url)
        if [(server_id, "healthy")] == [
            (each["serverId"], each["health"]) for each in found["peers"]
        ]:
            return found
    raise AssertionError(f"{server_id} did not become healthy: {found}")


def test_peers_are_shown(pair: Pair) -> None:
    """`reality peers` shows each peer with its health, for people and for programs."""
    found = table(pair.urls[0])
    (peer,) = found["peers"]
    result = run("peers", "--url", pair.urls[0], REALITY_MESH_SECRET=SECRET)
    row = next(line for line in result.stdout.splitlines() if "s2" in line)
    head = next(line for line in result.stdout.splitlines() if "health" in line)

    assert found["serverId"] == "s1"
    assert (peer["url"], peer["publicUrl"]) == (pair.urls[1] + "/reality",) * 2
    assert (peer["failures"], peer["isConfigured"]) == (0, True)
    assert re.split(r"\s*[┃│]\s*", head.strip("┃ ")) == [
        "server", "url", "health", "lag", "last contact", "latency", "failures",
    ]  # fmt: skip
    assert peer["url"] in row
    assert re.search(r"healthy\b.*\b\d+(\.\d)? s ago.*\d+\.\d ms", row)


def test_only_who_has_the_secret_sees_peers(pair: Pair) -> None:
    """I7: without the secret, or with another one, nothing is told."""
    url = pair.urls[0]
    stranger = run("peers", "--url", url, REALITY_MESH_SECRET="a-secret-of-somebody-else")

    assert is_refused(run("peers", "--url", url), "--secret-file", "`reality secret`")
    assert is_refused(stranger, "401", "another secret")


def test_removing_asks(pair: Pair) -> None:
    """A person is told what a removal does, and may refuse; nobody there is not asked."""
    remove = ("peers", "remove", "s2", "--url", pair.urls[0])
    asked = answered(b"n\n", *remove, "--force")

    assert is_refused(run(*remove, REALITY_MESH_SECRET=SECRET), "--yes")
    assert is_refused(run(*remove, "--yes", REALITY_MESH_SECRET=SECRET), "healthy", "--force")
    assert asked.returncode == 1
    assert "s2 is healthy; last contact" in asked.stdout
    assert "All clients will refetch once, and no server called s2 can ever join" in asked.stdout
    assert until_known(pair.urls[0], "s2")


def test_what_was_never_there_can_be_removed(pair: Pair) -> None:
    """`--yes` answers for the person; options may stand before the word as well."""
    url = pair.urls[0]
    remove = ("peers", "--url", url, "remove", "s9", "--yes")
    result = run(*remove, "--force", REALITY_MESH_SECRET=SECRET)

    assert is_refused(run(*remove, REALITY_MESH_SECRET=SECRET), "knows no server s9", "--force")
    assert (result.returncode, result.stdout) == (0, "removed  s9 (s9!gone)\n")
    assert is_refused(
        run("peers", "remove", "s 9", "--yes", "--force", "--url", url, REALITY_MESH_SECRET=SECRET),
        "server",
    )


def test_a_dead_server_is_removed(tmp_path: Path) -> None:
    """A server that died is removed at a word, and is no longer among the peers."""
    with started(tmp_path) as pair:
        pair.second.kill()
        pair.second.wait()
        while any(each["health"] == "healthy" for each in table(pair.urls[0])["peers"]):
            time.sleep(0.05)
        result = answered(b"y\n", "peers", "remove", "s2", "--url", pair.urls[0])
        left = table(pair.urls[0])["peers"]

    assert result.returncode == 0
    assert "removed  s2 (s2!gone)" in result.stdout
    assert "s2" not in {each["serverId"] for each in left}
