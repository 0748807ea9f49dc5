"""This client against the existing TypeScript server, under Node."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from reality import AsyncRealityClient
from tests.client.support import Source, until
from tests.support.processes import free_port, serving
from tests.support.programs import REQUIRE_ALL, require_program

PEER = Path(__file__).parents[1] / "peers" / "node"

SCRIPT = """
const { createRealityServer } = require("@rootlodge/reality-server");
const http = require("http");
const reality = createRealityServer({ serverId: "node" });
const handler = reality.getFetchHandler("/reality");
http.createServer((request, answer) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    if (request.url === "/count") return answer.end(String(count));
    count += request.url.endsWith("/sync");
    const { method, headers, url } = request;
    const response = await handler(new Request("http://x" + url, { method, headers, body }));
    answer.writeHead(response.status, Object.fromEntries(response.headers));
    answer.end(Buffer.from(await response.arrayBuffer()));
  });
}).listen(Number(process.argv[1]), "127.0.0.1");
let count = 0;
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The npm server 1.2.2 behind Node's http server."""
    node = require_program("node", debian_package="nodejs")
    if not (PEER / "node_modules" / "@rootlodge").is_dir():
        reason = f"needs the npm server: npm install --prefix {PEER.relative_to(Path.cwd())}"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    base = f"http://127.0.0.1:{free_port()}"
    arguments = [node, "-e", SCRIPT, base.rpartition(":")[2]]
    path = str(PEER / "node_modules")
    with serving(arguments, ready_url=f"{base}/reality/health", environment={"NODE_PATH": path}):
        yield base


def count(url: str) -> int:
    """How many syncs the peer has been asked."""
    with urllib.request.urlopen(f"{url}/count") as answer:
        return int(answer.read())


def update(url: str, key: str, hash: str) -> int:
    """Touch a key of the peer; its new version."""
    request = urllib.request.Request(
        f"{url}/reality/update",
        json.dumps({"key": key, "hash": hash}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        version: int = json.load(answer)["version"]
        return version


async def test_changes_arrive_by_its_long_poll(url: str) -> None:
    """A held request of the peer ends with the change, and the data is fetched for it."""
    update(url, "posts", "a")
    source = Source()
    async with AsyncRealityClient(url) as client:
        client.subscribe("posts", fetcher=source)
        await until(lambda: client.get_state("posts").status == "idle")  # type: ignore[union-attr]
        version = update(url, "posts", "b")
        await until(lambda: client.get_state("posts").meta.version == version)  # type: ignore[union-attr]
        await until(lambda: client.get_state("posts").status == "idle")  # type: ignore[union-attr]
        state = client.get_state("posts")

        assert state is not None
        assert state.meta is not None
        assert state.meta.hash == "b"
        assert source.calls >= 2


async def test_a_key_it_has_never_heard_of_causes_no_loop(url: str) -> None:
    """Its version 0, answered at once and never held, is no change; a later touch is noticed."""
    source = Source()
    async with AsyncRealityClient(url) as client:
        client.subscribe("unheard", fetcher=source)
        await until(lambda: source.calls == 1)
        before = count(url)
        update(url, "unheard", "a")
        await until(lambda: source.calls == 2, timeout_s=20)

        assert count(url) - before < 8
