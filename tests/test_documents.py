"""Every code block of the documents is executed, and every link leads somewhere.

A block is found by its file and its first line; a block that no test here claims is a failure.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import Request, expect

from reality import RealityServer, errors
from reality.core.codec import decode_answer, decode_sync_request
from reality.core.messages import SyncResponse
from tests.browser.chromium import OpenWindow, browser, open_window
from tests.browser.site import SCRIPTS
from tests.support.processes import free_port, serving

__all__ = ["browser", "open_window"]

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "conformance/*.md", "clients/js/*.md")
    for path in ROOT.glob(pattern)
)
# What runs the programs of browsers and Node; the source archive of the Python package lacks it.
BROWSER_TESTS = ROOT / "clients" / "js" / "test" / "documents.test.tsx"
TIMEOUT_MS = 30_000
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block."""

    document: str
    language: str
    text: str


BLOCKS = [
    Block(str(path.relative_to(ROOT)), language, text)
    for path in DOCUMENTS
    for language, text in FENCE.findall(path.read_text())
]


def block(document: str, start: str) -> str:
    """The one block of a document that begins with this text."""
    found = [
        each.text for each in BLOCKS if each.document == document and each.text.startswith(start)
    ]
    assert len(found) == 1, f"{document} has {len(found)} blocks that begin with {start!r}"
    return found[0]


def test_every_block_is_of_a_kind_that_is_executed() -> None:
    """No block escapes: each language below has a test, and `text` is for pictures."""
    kinds = {(each.document, each.language) for each in BLOCKS if each.language != "text"}

    assert {language for _, language in kinds} <= {"sh", "python", "html", "json", "ts", "tsx"}
    programs = Counter(each.document for each in BLOCKS if each.language in ("python", "html"))
    # Those of the guide to stores are run by tests/testing/test_own_store.py.
    assert programs == {
        "README.md": 3,
        "docs/accelerators.md": 1,
        "docs/javascript.md": 7,
        "docs/mesh.md": 1,
        "docs/own-store.md": 2,
        "docs/stores.md": 2,
    }


@pytest.mark.skipif(not BROWSER_TESTS.exists(), reason="the source archive has no clients/js")
def test_every_program_for_browsers_and_node_is_run_there() -> None:
    """Each block in TypeScript has a name, which a test of the browser's client runs it by."""
    programs = [each for each in BLOCKS if each.language in ("ts", "tsx")]
    tests = BROWSER_TESTS.read_text()

    assert {each.document for each in programs} == {
        "README.md",
        "clients/js/README.md",
        "docs/javascript.md",
    }
    for each in programs:
        name = re.match(rf"// ([\w-]+\.{each.language})\n", each.text)
        assert name, each.text
        assert f'"{name[1]}"' in tests


@pytest.mark.parametrize("each", [each for each in BLOCKS if each.language == "sh"])
def test_shell_commands_exist(each: Block) -> None:
    """What a document tells to type can be typed: targets, extras and options exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for line in each.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            del words[0]
        if not words:
            continue
        if words[0] == "make":
            for target in [word for word in words[1:] if "=" not in word]:
                assert f"\n{target}:" in (ROOT / "Makefile").read_text()
        elif words[:2] == ["pip", "install"]:
            for extra in re.findall(r"reality-sync\[([\w,]+)\]", line):
                assert set(extra.split(",")) <= extras.keys()
        elif words[0] == "reality":
            command = words[1:3] if words[1] == "store" else words[1:2]
            usage = subprocess.run(
                [sys.executable, "-m", "reality", *command, "--help"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for option in (word for word in words if word.startswith("--")):
                assert option in usage
        else:
            assert words[0] in ("uvicorn", "curl", "cd", "git", "npm", "apt-get", "python3") or (
                words[0].startswith((".venv/bin/", "REALITY_", "bench/"))
            ), f"{each.document} tells to run {words[0]!r}, which nothing here checks"


# The documents' pages, as the application of a reader would serve them.
PAGES = """
from fastapi.responses import FileResponse, HTMLResponse

from rendered import app

PAGES = {pages!r}
SCRIPTS = {scripts!r}


@app.get("/")
@app.get("/pages/{{name}}")
def page(name: str = "readme", csp: str = "") -> HTMLResponse:
    headers = {{"content-security-policy": csp}} if csp else {{}}
    return HTMLResponse("<!doctype html><title>Page</title>" + PAGES[name], headers=headers)


@app.get("/static/{{name}}.js")
def script(name: str) -> FileResponse:
    return FileResponse(SCRIPTS[name])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The README's server, run by its command (on a free port), with the pages of the documents."""
    folder = tmp_path_factory.mktemp("readme")
    guide = "docs/javascript.md"
    client = '<script type="module"'
    htmx = block(guide, '<script src="/static/htmx.js"')
    pages = {
        "readme": block("README.md", client),
        "live": block(guide, f'{client} src="/reality/client.js"></script>\n<ul data-reality'),
        "htmx2": htmx.replace("htmx.js", "htmx2.js"),
        "htmx4": htmx.replace("htmx.js", "htmx4.js"),
        "alpine": block(guide, f'{client} src="/reality/client.js"></script>\n<script defer'),
        "script": block(guide, "<ul id"),
        "options": block(guide, '<script type="application/json"'),
    }
    scripts = {name: str(path) for name, path in SCRIPTS.items()}
    (folder / "server.py").write_text(block("README.md", "# server.py"))
    for name in ("fragments", "rendered"):
        (folder / f"{name}.py").write_text(block(guide, f"# {name}.py"))
    (folder / "pages.py").write_text(PAGES.format(pages=pages, scripts=scripts))
    command = shlex.split(block("README.md", "pip install").splitlines()[1])
    assert command[:2] == ["uvicorn", "server:app"]
    port = str(free_port())
    run = [sys.executable, "-m", "uvicorn", "pages:app", "--app-dir", str(folder)]
    url = f"http://127.0.0.1:{port}"
    with serving([*run, "--port", port], ready_url=url):
        yield url, folder


def post(url: str) -> None:
    """Run the README's curl command against the server."""
    command = block("README.md", "curl").replace("localhost:8001", url.removeprefix("http://"))
    subprocess.run(shlex.split(command), check=True, capture_output=True, timeout=10)


def test_the_readme_client_sees_what_is_posted(server: tuple[str, Path]) -> None:
    """The README's client prints the posts, and prints them again when one is added."""
    url, folder = server
    script = block("README.md", "# client.py").replace("http://127.0.0.1:8001", url)
    (folder / "client.py").write_text(script)
    with subprocess.Popen(
        [sys.executable, str(folder / "client.py")], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        before = client.stdout.readline()
        post(url)
        after = client.stdout.readline()
        client.terminate()

    assert before.count("hello") + 1 == after.count("hello")


def test_the_guide_to_stores_makes_a_server(tmp_path: Path) -> None:
    """Its server is made without opening anything, as it says, and works with a store elsewhere."""
    program = block("docs/stores.md", "# shared.py")
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102  # our own document
    assert not Path("/var/lib/app").exists()
    exec(program.replace("/var/lib/app", str(tmp_path)), names)  # noqa: S102
    exec(block("docs/stores.md", "# notified.py"), {})  # noqa: S102  # our own document
    server = names["reality"]
    assert isinstance(server, RealityServer)
    try:
        assert server.blocking.invalidate("posts") == {"posts": 1}
    finally:
        server.blocking.stop()


def test_the_guide_to_accelerators_makes_a_server() -> None:
    """Its server is made without connecting to anything."""
    names: dict[str, object] = {}
    exec(block("docs/accelerators.md", "# hinted.py"), names)  # noqa: S102  # our own document
    assert isinstance(names["reality"], RealityServer)


def test_the_guide_to_the_mesh_makes_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server is made without calling anybody."""
    monkeypatch.setenv("REALITY_MESH_SECRET", "a secret of at least 16 characters")
    names: dict[str, object] = {}
    exec(block("docs/mesh.md", "# meshed.py"), names)  # noqa: S102  # our own document
    server = names["reality"]
    assert isinstance(server, RealityServer)
    assert server.mesh is not None
    assert server.stats().mesh is not None


def test_the_examples_of_the_protocol_are_messages() -> None:
    """PROTOCOL.md's request and answer are read by the codec."""
    request = decode_sync_request(block("PROTOCOL.md", '{"known"').encode())
    answer = decode_answer(SyncResponse, block("PROTOCOL.md", '{"changed"').encode())

    assert request.known.keys() == {"posts", "user:7"}
    assert answer.changed["posts"].version > request.known["posts"]


@pytest.mark.parametrize(
    "each", [each for each in BLOCKS if each.language == "json"], ids=lambda each: each.text[:20]
)
def test_json_is_json(each: Block) -> None:
    """Every JSON block can be parsed."""
    json.loads(each.text)


def test_every_error_on_the_wire_is_documented() -> None:
    """Each code that a server can answer with is in PROTOCOL.md, with its status."""
    client_side = {
        errors.RealityError,
        errors.ServerUnavailable,
        errors.ProtocolError,
        errors.RemoteError,
        errors.BlockingInLoop,
        errors.Closed,
        errors.MissingDependency,
        errors.LimitExceeded,
        errors.TooManyOrigins,
        errors.AcceleratorUnavailable,
    }
    protocol = (ROOT / "PROTOCOL.md").read_text()
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RealityError)
    ]
    for kind in (each for each in kinds if each not in client_side):
        rows = [line for line in protocol.splitlines() if f"`{kind.code}`" in line]

        assert any(line.startswith(f"| {kind.status} ") for line in rows), kind
    for kind in kinds:
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file, and every anchor in it a heading."""
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document

        assert target.exists(), f"{document.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
            assert anchor in slugs, f"{document.name} links to {link}"


def test_the_invariants_name_their_tests() -> None:
    """Each numbered invariant of ARCHITECTURE.md names tests that exist."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| \*\*(I\d)\*\* .*$", text, re.MULTILINE)

    assert rows == [f"I{number}" for number in range(1, 9)]
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text):
        source = ROOT / path
        assert source.exists(), path
        assert not name or name in source.read_text(), f"{path}::{name}"
    if BROWSER_TESTS.exists():
        for path in re.findall(r"`(clients/js/test/[\w/.-]+)`", text):
            assert (ROOT / path).exists(), path


# ---- in a browser: last, because its event loop stays in this thread ----------------------------

# What the guide says is enough where everything is of one origin.
CSP = "default-src 'none'; script-src 'self'; connect-src 'self'"
with_npm = pytest.mark.skipif(
    not SCRIPTS["alpine"].exists(),
    reason="htmx and Alpine are not installed (`make test` does it where there is npm)",
)


@pytest.mark.parametrize(
    ("name", "csp"),
    [
        ("readme", CSP),
        ("live", CSP),
        ("options", CSP),
        ("script", ""),
        *[pytest.param(name, "", marks=with_npm) for name in ("htmx2", "htmx4", "alpine")],
    ],
)
def test_the_pages_show_what_is_posted(
    server: tuple[str, Path], open_window: OpenWindow, name: str, csp: str
) -> None:
    """Each page, in a real browser, shows a post made elsewhere without a reload."""
    url, _ = server
    post(url)
    before = len(json.load(urllib.request.urlopen(f"{url}/api/posts")))
    window = open_window(f"{url}/pages/{name}?csp={quote(csp)}")
    expect(window.locator("li")).to_have_count(before, timeout=TIMEOUT_MS)
    post(url)
    expect(window.locator("li").nth(before)).to_have_text("hello", timeout=TIMEOUT_MS)


def test_the_rendered_page_asks_only_for_what_changed(
    server: tuple[str, Path], open_window: OpenWindow
) -> None:
    """The guide's rendered page has its posts, and gets them again when there is another one."""
    url, _ = server
    post(url)
    before = len(json.load(urllib.request.urlopen(f"{url}/api/posts")))
    asked: list[Request] = []
    window = open_window(f"{url}/rendered", asked=asked)
    expect(window.locator("li")).to_have_count(before, timeout=TIMEOUT_MS)
    window.wait_for_function("reality.client.getStats().syncs > 0")
    post(url)
    expect(window.locator("li").nth(before)).to_have_text("hello", timeout=TIMEOUT_MS)

    assert [each.url for each in asked if "/fragments/" in each.url] == [f"{url}/fragments/posts"]
