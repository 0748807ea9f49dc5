"""The board's API, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.demo.served import serving_board
from tests.support.processes import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of one board that the tests of this module share."""
    port = free_port()
    database = tmp_path_factory.mktemp("board") / "board.db"
    with (
        serving_board(database, port),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def post(api: httpx2.Client, text: str, author: str = "Ada") -> dict[str, Any]:
    answer = api.post("/api/posts", json={"author": author, "text": text})
    assert answer.status_code == 201
    stored: dict[str, Any] = answer.json()
    return stored


def version(api: httpx2.Client) -> int:
    """The version of the posts."""
    body = {"known": {"posts": 0}, "clientId": "test", "mode": "native", "hint": "mount"}
    version: int = api.post("/reality/sync", json=body).json()["changed"]["posts"]["version"]
    return version


def test_a_post_is_stored_and_listed_first(api: httpx2.Client) -> None:
    """Posts come back as they were sent, white space around them aside, the newest first."""
    post(api, "before")
    stored = post(api, '  <b>bold</b> & "quoted"\nsecond line ', author="  Grace \n Hopper ")

    first, second = api.get("/api/posts").json()[:2]

    assert first == stored
    assert first["author"] == "Grace Hopper"
    assert first["text"] == '<b>bold</b> & "quoted"\nsecond line'
    assert second["text"] == "before"


def test_a_post_and_a_deletion_invalidate_what_is_already_stored(api: httpx2.Client) -> None:
    """Each of them raises the version of `posts` by one, and never before its commit (I3)."""
    versions = [version(api)]
    stored = post(api, "counted")
    versions.append(version(api))
    assert api.delete(f"/api/posts/{stored['id']}").status_code == 204
    versions.append(version(api))

    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert stored not in api.get("/api/posts").json()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"author": "Ada", "text": " \\n "}', "`text`"),
        (b'{"author": "", "text": "x"}', "`author`"),
        (b'{"author": "Ada", "text": "' + b"x" * 501 + b'"}', "`text` must have 1 to 500"),
        (b'{"author": "' + b"x" * 41 + b'", "text": "x"}', "`author` must have 1 to 40"),
        (b'{"author": "Ada", "text": 7}', "text"),
        (b'{"author": "Ada"}', "text"),
        (b'{"author": "Ada", "text": "\\ud800"}', ""),
        (b'{"author": "Ada", "text": "\xff"}', "utf-8"),
        (b"[]", "object"),
        (b"[" * 10_000, ""),
        (b"", ""),
    ],
)
def test_what_is_no_post_is_refused_and_invalidates_nothing(
    api: httpx2.Client, body: bytes, named: str
) -> None:
    """A malformed post is 422 with a reason that names the member, and nothing has changed."""
    before = version(api)

    answer = api.post("/api/posts", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert named in answer.json()["error"]
    assert version(api) == before


def test_the_longest_post_is_accepted(api: httpx2.Client) -> None:
    """500 characters of text and 40 of a name are allowed, whatever their size in bytes."""
    assert post(api, "😀" * 500, author="é" * 40)["text"] == "😀" * 500


def test_a_body_that_is_too_large_or_no_json_is_refused(api: httpx2.Client) -> None:
    """A large body is 413, another media type (which any page could send) 415."""
    large = api.post("/api/posts", json={"author": "Ada", "text": "x" * 20_000})
    form = api.post("/api/posts", data={"author": "Ada", "text": "x"})

    assert (large.status_code, form.status_code) == (413, 415)


def test_deleting_what_is_not_there_is_404_and_invalidates_nothing(api: httpx2.Client) -> None:
    """A second deletion finds nothing, and the id of a deleted post is not used again."""
    stored = post(api, "short-lived")
    api.delete(f"/api/posts/{stored['id']}")
    before = version(api)

    answers = [api.delete(f"/api/posts/{each}") for each in (stored["id"], 10**18, 10**30)]

    assert [each.status_code for each in answers] == [404, 404, 404]
    assert version(api) == before
    assert post(api, "next")["id"] > stored["id"]


def test_at_most_a_hundred_posts_are_shown(api: httpx2.Client) -> None:
    """Older posts stay in the file, but the list ends at 100."""
    for number in range(101):
        post(api, f"number {number}")

    texts = [each["text"] for each in api.get("/api/posts").json()]

    assert texts == [f"number {number}" for number in range(100, 0, -1)]


def test_the_page_runs_only_its_own_scripts(api: httpx2.Client) -> None:
    """Page, style, scripts and icon are served, and the page forbids inline and foreign scripts."""
    page = api.get("/")

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/board.css", "/board.js", "/icon.svg", "/reality/client.js"):
        assert path == "/reality/client.js" or path in page.text
        assert api.get(path).status_code == 200


def test_posts_outlive_the_process(tmp_path: Path) -> None:
    """A board that is started again with the same file has the same posts."""
    port = free_port()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        with serving_board(tmp_path / "board.db", port) as process:
            stored = post(client, "still here")
            process.kill()
            process.wait()
        with serving_board(tmp_path / "board.db", port):
            assert client.get("/api/posts").json() == [stored]
