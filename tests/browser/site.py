"""A small application whose pages are kept fresh in every way that plain pages know.

It counts, by key: `POST /touch/KEY` counts one up and invalidates the key; `GET /api/KEY` and
`GET /fragments/KEY` tell the count.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from subprocess import Popen

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route

from reality import RealityServer
from reality.mesh import Mesh
from tests.browser.served import TOKEN, counting, serving_application

_PAGES = Path(__file__).parent / "pages"
_MODULES = Path(__file__).parents[2] / "clients" / "js" / "node_modules"
SCRIPTS = {
    "htmx2": _MODULES / "htmx2" / "dist" / "htmx.js",
    "htmx4": _MODULES / "htmx4" / "dist" / "htmx.js",
    "alpine": _MODULES / "alpinejs" / "dist" / "cdn.js",
}
_CLIENT = '<script type="module" src="/reality/client.js"></script>'
_SETTINGS = "REALITY_TEST_SITE"


class Site:
    """The application at a port of this machine."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"

    def touch(self, key: str) -> None:
        """Count one up."""
        httpx2.post(f"{self.origin}/touch/{key}").raise_for_status()

    def count(self, key: str) -> int:
        """How far it was counted."""
        count: int = httpx2.get(f"{self.origin}/api/{key}").json()["count"]
        return count


def serving_site(
    port: int, *, server_id: str = "site", peers: list[str] | None = None, cors: str = ""
) -> AbstractContextManager[Popen[bytes]]:
    """The application in a process of its own, as one server of a mesh if it has peers."""
    settings = json.dumps({"server_id": server_id, "peers": peers or [], "cors": cors})
    return serving_application(f"{__name__}:site", port, {_SETTINGS: settings})


def site() -> Starlette:
    """What `serving_site` serves."""
    settings = json.loads(os.environ[_SETTINGS])
    mesh = Mesh(settings["peers"], secret="of all servers here", interval=0.1)
    reality = RealityServer(
        settings["server_id"],
        token=TOKEN,
        mesh=mesh if settings["peers"] else None,
        cors=[settings["cors"]] if settings["cors"] else (),
    )
    counts, routes = counting(reality)

    def fragment(request: Request) -> Response:
        return HTMLResponse(_fragment(counts, request.path_params["key"]))

    async def rendered(request: Request) -> Response:
        # First the position, then the data: what is touched in between is asked for again.
        asked = {"known": {"posts": 0}, "clientId": "page", "mode": "native", "hint": "mount"}
        position = await reality.sync(asked)
        node = position.changed["posts"]
        state = {"cursor": position.cursor, "nodes": {"posts": {"version": node.version}}}
        return HTMLResponse(_rendered(state, node.version, _fragment(counts, "posts")))

    return Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse("<!doctype html><title>Nothing</title>")),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            *routes,
            Route("/fragments/{key}", fragment),
            Route("/rendered", rendered),
            Route("/many/{count:int}", _many),
            Route("/elsewhere", _elsewhere),
            Route("/more", lambda _: HTMLResponse(_MORE)),
            Route("/htmx/{order}", _htmx),
            Route("/pages/{name}", lambda each: FileResponse(_PAGES / each.path_params["name"])),
            Route(
                "/scripts/{name}.js", lambda each: FileResponse(SCRIPTS[each.path_params["name"]])
            ),
            Mount("/reality", app=reality.asgi()),
            Mount("/deep/down", app=reality.asgi()),
        ]
    )


_MORE = '<i id="later" hx-get="/fragments/later" hx-trigger="reality:later from:body">…</i>'


def _fragment(counts: Counter[str], key: str) -> str:
    keys = ("posts", "chat:room:7") if key == "both" else (key,)
    return f"{escape(key)}: {sum(counts[each] for each in keys)}"


def _page(request: Request) -> Response:
    return FileResponse(_PAGES / request.path_params["name"])


def _script(request: Request) -> Response:
    return FileResponse(SCRIPTS[request.path_params["name"]])


def _rendered(state: Mapping[str, object], version: int, content: str) -> str:
    return f"""<!doctype html><title>Rendered</title>{_CLIENT}
        <b id="posts" data-reality="posts" data-reality-version="{version}"
           data-src="/fragments/posts">{content}</b>
        <i id="told" data-hx-trigger="reality:posts"></i>
        <script type="application/json" id="reality-state">{json.dumps(state)}</script>"""


def _many(request: Request) -> Response:
    keys = [f"key:{number}" for number in range(request.path_params["count"])]
    elements = [f'<p data-reality="{key}" data-src="/fragments/{key}"></p>' for key in keys]
    return HTMLResponse(f"<!doctype html><title>Many</title>{_CLIENT}{''.join(elements)}")


def _elsewhere(request: Request) -> Response:
    """A page whose data is here, and whose Reality is at other servers."""
    options = json.dumps({"servers": request.query_params.getlist("server")})
    return HTMLResponse(f"""<!doctype html><title>Elsewhere</title>{_CLIENT}
        <b id="posts" data-reality="posts" data-src="/fragments/posts"></b>
        <script type="application/json" id="reality-options">{options}</script>""")


def _htmx(request: Request) -> Response:
    """The page of htmx, with its scripts in this order."""
    tags = {
        "client": _CLIENT,
        **{name: f'<script src="/scripts/{name}.js"></script>' for name in SCRIPTS},
        **{
            f"async-{name}": f'<script async src="/scripts/{name}.js"></script>' for name in SCRIPTS
        },
    }
    order = request.path_params["order"].split("+")
    page = (_PAGES / "htmx.html").read_text(encoding="utf-8")
    return HTMLResponse(page.replace("<!-- scripts -->", "".join(tags[each] for each in order)))
